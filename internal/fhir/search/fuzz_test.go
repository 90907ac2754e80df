package search_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/fhir/search"
)

// fuzzBodies are what fuzzed queries are judged on: every kind of parameter finds something in one of them.
var fuzzBodies = map[string]string{
	"Patient": `{"resourceType":"Patient","id":"p","identifier":[{"system":"urn:mrn","value":"1"}],"name":[{"family":"Östberg","given":["Ada"]}],"birthDate":"1980-02-29",
"deceasedBoolean":false,"generalPractitioner":[{"reference":"Practitioner/x"}],"meta":{"lastUpdated":"2026-01-01T00:00:00Z","tag":[{"code":"t"}]}}`,
	"Observation": `{"resourceType":"Observation","id":"o","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}],"text":"Heart rate"},"subject":{"reference":"Patient/p"},
"effectivePeriod":{"start":"2024-05-01T10:00:00+02:00"},"valueQuantity":{"value":7.10,"system":"http://unitsofmeasure.org","code":"mg"}}`,
	"RiskAssessment": `{"resourceType":"RiskAssessment","id":"r","status":"final","subject":{"reference":"Patient/p"},"prediction":[{"probabilityDecimal":0.5},{"probabilityRange":{"low":{"value":-1e3}}}]}`,
	"ValueSet":       `{"resourceType":"ValueSet","id":"v","status":"active","url":"http://v.example/a|1","useContext":[{"code":{"code":"age"},"valueRange":{"high":{"value":18,"code":"a"}}}]}`,
}

var fuzzTypes = []string{"Patient", "Observation", "RiskAssessment", "ValueSet"}

// FuzzQuery: no text may panic; a fault quotes no value; what parses says itself again in one spelling, and finds nothing that
// the index would not look at.
func FuzzQuery(f *testing.F) {
	for i, s := range []string{
		"name=%C3%96st&birthdate=ge1980&_sort=-name,birthdate&_count=3", "date=ap2024-05-01&value-quantity=7.1%7Chttp://unitsofmeasure.org%7Cmg&subject:Patient.name=Ada",
		"probability=gt0.1&probability=ne1e-3", "url=http://v.example/a&context-quantity=le18%7C%7Ca", "identifier:not=urn:mrn%7C1,%7C2&_include=Patient:organization:Organization",
		"_id=a,b&_cursor=AAAA&_total=accurate&_summary=count&_lastUpdated=sa2020", "name:missing=true&name:exact=a%5C,b&deceased=true", "%=%&&=&a", "_revinclude=Observation:subject&_tag=t&_elements=x",
	} {
		f.Add(uint8(i), s)
	}
	f.Fuzz(func(t *testing.T, which uint8, raw string) {
		typ := fuzzTypes[int(which)%len(fuzzTypes)]
		o := search.Options{Base: base, Lenient: which >= 128, Now: time.Unix(1_800_000_000, 0)}
		q, err := search.Parse(fhir.ResourceType(typ), raw, o)
		if err != nil {
			if k := fault.Of(err).Kind; k != fault.Invalid && k != fault.NotSupported {
				t.Fatalf("%v", err)
			}
			return
		}
		again, err := search.Parse(q.Type, q.Encode(), o)
		if err != nil || again.Encode() != q.Encode() {
			t.Fatalf("%q says itself as %q, which says itself as something else (%v)", raw, q.Encode(), err)
		}
		d, err := fhir.Parse([]byte(fuzzBodies[typ]), fhir.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		defer d.Release()
		if q.Match(d.Root()) != again.Match(d.Root()) {
			t.Fatalf("%q and %q judge differently", raw, q.Encode())
		}
		for i := range q.Terms {
			one := search.Query{Type: q.Type, Set: q.Set, Terms: q.Terms[i : i+1]}
			if q.Terms[i].Chain == nil && q.Terms[i].Modifier == search.None && one.Match(d.Root()) && !served(d.Root(), &one) {
				t.Fatalf("%q matches by %s, and the index does not find it", raw, q.Terms[i].Param.Code)
			}
		}
	})
}

// FuzzRanges puts the same text into a resource and into the query on it: whatever is a number or a date of both finds itself by
// eq, ge and le, never by sa or eb, and always where the index looks.
func FuzzRanges(f *testing.F) {
	for _, s := range []string{"1", "0.50", "-1e3", "1e-300", "99999999999999999999.9", "2024", "2024-02-29", "2024-05-01T10:00:00.123456789+14:00", "0001-01-01", "9999-12-31T23:59:60Z", "1.0e+1", "-0", "1E2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsAny(s, `,|$\"`) || len(s) > 60 {
			return
		}
		for _, c := range []struct{ typ, param, body string }{
			{"RiskAssessment", "probability", `{"resourceType":"RiskAssessment","status":"final","subject":{"reference":"Patient/p"},"prediction":[{"probabilityDecimal":` + s + `}]}`},
			{"Patient", "birthdate", `{"resourceType":"Patient","birthDate":"` + s + `"}`},
			{"Observation", "date", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"effectiveDateTime":"` + s + `"}`},
		} {
			d, err := fhir.Parse([]byte(c.body), fhir.DefaultLimits())
			if err != nil {
				continue
			}
			if found := fhir.Check(d.Root(), nil); len(found.Issues) > 0 {
				d.Release()
				continue
			}
			for prefix, want := range map[string]bool{"": true, "eq": true, "ge": true, "le": true, "sa": false, "eb": false, "ap": true} {
				q, err := search.Parse(fhir.ResourceType(c.typ), c.param+"="+url.QueryEscape(prefix+s), search.Options{Base: base, Now: time.Unix(1_800_000_000, 0)})
				if err != nil {
					continue
				}
				hit := q.Match(d.Root())
				if hit != want {
					t.Errorf("%s=%s%s on itself: %v", c.param, prefix, s, hit)
				}
				if hit && !served(d.Root(), q) {
					t.Errorf("%s=%s%s matches, and the index does not find it", c.param, prefix, s)
				}
			}
			d.Release()
		}
	})
}
