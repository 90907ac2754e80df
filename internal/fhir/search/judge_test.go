package search_test

import (
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/fhir/search"
)

const base = "https://here.example/t/a/fhir"

// judged parses a query and a resource, and gives Match's answer.
func judged(t *testing.T, typ, body, name, value string) bool {
	t.Helper()
	q, err := search.Parse(fhir.ResourceType(typ), name+"="+url.QueryEscape(value), search.Options{Base: base, Now: time.Now()})
	if err != nil {
		t.Fatalf("%s=%s: %v", name, value, err)
	}
	d, err := fhir.Parse([]byte(body), fhir.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Release()
	hit := q.Match(d.Root())
	if hit && !served(d.Root(), q) {
		t.Errorf("%s=%s matches, and the index does not find it", name, value)
	}
	return hit
}

// served reports whether the index entries of a resource lie within the bounds that a query of one range term looks at.
func served(root fhir.Value, q *search.Query) bool {
	ls, _, ok := q.Terms[0].Lookups()
	if !ok || ls[0].Bounds == nil {
		return true
	}
	var x search.Entries
	search.Extract(root, q.Set, base, &x)
	return slices.ContainsFunc(x.Intervals, func(i search.Interval) bool {
		return slices.ContainsFunc(ls, func(l search.Lookup) bool {
			b := l.Bounds
			return i.Path.ID == l.Path.ID && i.Span.Lo >= b.LoMin && i.Span.Lo <= b.LoMax && i.Span.Hi >= b.HiMin && i.Span.Hi <= b.HiMax
		})
	})
}

func TestMatch(t *testing.T) {
	t.Parallel()
	obs := func(rest string) string { return `{"resourceType":"Observation","id":"o",` + rest + `}` }
	risk := func(p string) string { return `{"resourceType":"RiskAssessment","id":"r","prediction":[{` + p + `}]}` }
	timing := obs(`"effectiveTiming":{"event":["2019-06-01","2019-02-01"],"repeat":{"boundsPeriod":{"start":"2019-05-01","end":"2019-08-01"}}}`)
	atLeast5, atMost2 := risk(`"probabilityRange":{"low":{"value":5}}`), risk(`"probabilityRange":{"high":{"value":-2}}`)
	for _, c := range []struct {
		typ, body, name, value string
		want                   bool
	}{
		// An absolute reference names its type by its form, wherever it leads.
		{"Observation", obs(`"subject":{"reference":"` + base + `/Patient/1"}`), "patient", "1", true},
		{"Observation", obs(`"subject":{"reference":"` + base + `/Patient/1/_history/3"}`), "patient", "Patient/1", true},
		{"Observation", obs(`"subject":{"reference":"http://there.example/fhir/Patient/1"}`), "patient", "1", false},
		{"Observation", obs(`"subject":{"reference":"http://there.example/fhir/Patient/1"}`), "patient", "http://there.example/fhir/Patient/1", true},
		{"Observation", obs(`"subject":{"reference":"http://there.example/fhir/Group/1"}`), "patient:missing", "true", true},
		{"Observation", obs(`"subject":{"reference":"http://x"}`), "patient:missing", "true", true},
		// Of a schedule only the outer limits count.
		{"Observation", timing, "date", "2019", true},
		{"Observation", timing, "date", "2019-06-01", false},
		{"Observation", timing, "date", "ge2019-07-31", true},
		{"Observation", timing, "date", "sa2019-01-31", true},
		{"Observation", timing, "date", "sa2019-02-01", false},
		{"Observation", obs(`"effectiveTiming":{"repeat":{"frequency":1}}`), "date", "ne2019", false},
		// An open end of a range is beyond every number.
		{"RiskAssessment", atLeast5, "probability", "gt1000000", true},
		{"RiskAssessment", atLeast5, "probability", "gt3", true},
		{"RiskAssessment", atLeast5, "probability", "lt5", false},
		{"RiskAssessment", atMost2, "probability", "lt-1000", true},
		{"RiskAssessment", atMost2, "probability", "eb0", true},
		{"RiskAssessment", atMost2, "probability", "gt0", false},
		{"ValueSet", `{"resourceType":"ValueSet","id":"v","useContext":[{"valueRange":{"high":{"value":18,"code":"a"}}}]}`, "context-quantity", "le18||a", true},
		// ge and le take the number as exact, eq by its precision.
		{"RiskAssessment", risk(`"probabilityDecimal":99.6`), "probability", "100", true},
		{"RiskAssessment", risk(`"probabilityDecimal":99.6`), "probability", "ge100", false},
		{"RiskAssessment", risk(`"probabilityDecimal":100.4`), "probability", "le100", false},
		{"RiskAssessment", risk(`"probabilityDecimal":100.0`), "probability", "ge100", true},
	} {
		if got := judged(t, c.typ, c.body, c.name, c.value); got != c.want {
			t.Errorf("%s?%s=%s on %s: %v", c.typ, c.name, c.value, c.body, got)
		}
	}
}

// TestTargets checks that a parameter's targets are those of the type's own element, not all of the shared parameter.
func TestTargets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		typ, code string
		want      []string
	}{
		{"Observation", "encounter", []string{"Encounter"}}, {"Immunization", "patient", []string{"Patient"}}, {"Observation", "patient", []string{"Patient"}},
		{"AllergyIntolerance", "patient", []string{"Patient"}}, {"Condition", "subject", []string{"Group", "Patient"}},
	} {
		got := slices.Sorted(slices.Values(search.For(fhir.ResourceType(c.typ)).ByCode[c.code].Targets))
		if !slices.Equal(got, c.want) {
			t.Errorf("%s %s: %v, want %v", c.typ, c.code, got, c.want)
		}
	}
	for _, q := range []string{"encounter.date=2020", "patient.identifier=a"} {
		if _, err := search.Parse(fhir.ResourceType("Observation"), q, search.Options{}); err != nil {
			t.Errorf("%s: %v", q, err)
		}
	}
}

func TestAllLinks(t *testing.T) {
	t.Parallel()
	d, err := fhir.Parse([]byte(`{"resourceType":"Condition","recorder":{"reference":"Practitioner/1"},"subject":{"reference":"#p"},"contained":[{"resourceType":"Patient",
"id":"p","contact":[{"organization":{"reference":"`+base+`/Organization/2"}}]}],"extension":[{"url":"urn:x","valueReference":{"reference":"http://there.example/Device/3"}}]}`), fhir.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Release()
	var got []search.Link
	search.AllLinks(d.Root(), base, func(l search.Link) { got = append(got, l) })
	want := []search.Link{{Type: "Practitioner", ID: "1"}, {Type: "Organization", ID: "2"}, {URL: "http://there.example/Device/3"}}
	if !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}

// TestLinkForms reads absolute references that have little to cut.
func TestLinkForms(t *testing.T) {
	t.Parallel()
	for _, ref := range []string{"http://", "https:///", "http://Patient/1", "https://a/Patient/", "http://a//1", "https://x"} {
		judged(t, "Observation", `{"resourceType":"Observation","id":"o","subject":{"reference":"`+ref+`"}}`, "patient", "1")
	}
}
