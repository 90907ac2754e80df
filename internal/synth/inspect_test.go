package synth_test

import (
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/synth"
)

type object = map[string]any

// required are the elements R4 demands, or a good record has, of each type.
var required = map[string][]string{
	"Patient":            {"identifier", "name", "gender", "birthDate", "address", "telecom", "communication"},
	"Coverage":           {"status", "beneficiary", "payor"},
	"Encounter":          {"status", "class", "type", "subject", "period", "participant", "location"},
	"Observation":        {"status", "category", "code", "subject", "effectiveDateTime"},
	"DiagnosticReport":   {"status", "category", "code", "subject", "effectiveDateTime", "issued", "result"},
	"Condition":          {"clinicalStatus", "verificationStatus", "category", "code", "subject", "onsetDateTime"},
	"MedicationRequest":  {"status", "intent", "medicationCodeableConcept", "subject", "authoredOn", "dosageInstruction"},
	"AllergyIntolerance": {"clinicalStatus", "verificationStatus", "code", "patient"},
	"Immunization":       {"status", "vaccineCode", "patient", "occurrenceDateTime"},
	"Procedure":          {"status", "code", "subject", "performedPeriod"},
	"DocumentReference":  {"status", "type", "subject", "date", "content", "context"},
	"CarePlan":           {"status", "intent", "subject", "careTeam", "addresses"},
	"CareTeam":           {"status", "subject", "participant"},
}

// statuses are the values of the required status bindings used here.
var statuses = map[string]string{
	"Coverage": "active", "Encounter": "finished", "Observation": "final", "DiagnosticReport": "final",
	"MedicationRequest": "active completed stopped", "Immunization": "completed not-done", "Procedure": "completed",
	"DocumentReference": "current", "CarePlan": "active completed", "CareTeam": "active inactive",
}

var conditional = regexp.MustCompile(`^(Practitioner|Organization|Location)\?identifier=https://cordon\.example/synth/[a-z]+\|[A-Z0-9]+$`)

// life is what inspect found in one patient's bundle.
type life struct {
	patient    object
	birth, end time.Time
	age        float64
	has        map[string]bool // texts of Conditions
	byType     map[string][]object
}

// inspect checks everything the package promises of one patient.
func inspect(t *testing.T, p synth.Patient, now time.Time) life {
	t.Helper()
	check(t, p.Bundle)
	if strings.ContainsAny(string(p.Bundle), "\n\r") || !utf8.Valid(p.Bundle) {
		t.Errorf("patient %d: not one line of UTF-8", p.Index)
	}
	var bundle struct {
		Type  string
		Entry []struct {
			FullURL  string
			Resource object
			Request  struct{ Method, URL, IfNoneExist string }
		}
	}
	if err := json.Unmarshal(p.Bundle, &bundle); err != nil {
		t.Fatalf("patient %d: %v", p.Index, err)
	}
	if bundle.Type != "transaction" || len(bundle.Entry) != p.Resources {
		t.Errorf("patient %d: %s of %d entries, want %d", p.Index, bundle.Type, len(bundle.Entry), p.Resources)
	}
	l := life{patient: bundle.Entry[0].Resource, has: map[string]bool{}, byType: map[string][]object{}}
	urns := map[string]string{}
	for _, e := range bundle.Entry {
		kind := e.Resource["resourceType"].(string)
		if urns[e.FullURL] != "" {
			t.Errorf("patient %d: %s twice", p.Index, e.FullURL)
		}
		urns[e.FullURL] = kind
		if e.Request.Method != "POST" || e.Request.URL != kind || e.Request.IfNoneExist != "" {
			t.Errorf("patient %d: request %+v for %s", p.Index, e.Request, kind)
		}
		l.byType[kind] = append(l.byType[kind], e.Resource)
	}
	if bundle.Entry[0].FullURL != "urn:uuid:"+p.ID {
		t.Errorf("patient %d: ID %s, fullUrl %s", p.Index, p.ID, bundle.Entry[0].FullURL)
	}
	l.birth = parse(t, l.patient["birthDate"].(string))
	l.end = now
	if s, dead := l.patient["deceasedDateTime"].(string); dead {
		l.end = parse(t, s)
	}
	l.age = l.end.Sub(l.birth).Hours() / 24 / 365.25
	for _, e := range bundle.Entry {
		inspectResource(t, p, e.Resource, urns, &l)
	}
	inspectEncounters(t, p, bundle.Entry[0].FullURL, &l, func(visit func(urn string, r object)) {
		for _, e := range bundle.Entry {
			visit(e.FullURL, e.Resource)
		}
	})
	return l
}

// check runs the platform's own structural validation.
func check(t *testing.T, body []byte) {
	t.Helper()
	doc, err := fhir.Parse(body, fhir.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	for _, issue := range fhir.Check(doc.Root(), nil).Issues {
		t.Errorf("structure: %+v", issue)
	}
}

func parse(t *testing.T, s string) time.Time {
	t.Helper()
	layout := time.RFC3339
	if len(s) == len(time.DateOnly) {
		layout = time.DateOnly
	}
	at, err := time.Parse(layout, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// inspectResource checks the parts of one resource: required elements, codes,
// dates within the life and references.
func inspectResource(t *testing.T, p synth.Patient, r object, urns map[string]string, l *life) {
	t.Helper()
	kind := r["resourceType"].(string)
	names, known := required[kind]
	if !known {
		t.Errorf("patient %d: unexpected %s", p.Index, kind)
	}
	for _, name := range names {
		if r[name] == nil {
			t.Errorf("patient %d: %s without %s", p.Index, kind, name)
		}
	}
	if want, ok := statuses[kind]; ok && !strings.Contains(" "+want+" ", " "+r["status"].(string)+" ") {
		t.Errorf("patient %d: %s status %v", p.Index, kind, r["status"])
	}
	switch kind {
	case "Condition":
		l.has[r["code"].(object)["text"].(string)] = true
		resolved := strings.Contains(text(r["clinicalStatus"]), "resolved")
		if _, abated := r["abatementDateTime"]; abated != resolved {
			t.Errorf("patient %d: condition resolved %t, abated %t", p.Index, resolved, abated)
		}
	case "DocumentReference":
		inspectNote(t, p, r)
	}
	walk(r, "", func(name string, v any) {
		s, ok := v.(string)
		if !ok {
			return
		}
		switch name {
		case "reference":
			if urns[s] == "" && !conditional.MatchString(s) {
				t.Errorf("patient %d: %s refers to nothing: %s", p.Index, kind, s)
			}
		case "onsetDateTime", "abatementDateTime", "recordedDate", "effectiveDateTime", "issued", "authoredOn",
			"occurrenceDateTime", "date", "start", "end", "creation":
			at := parse(t, s)
			// A date without a time may name the day of the death or today.
			if at.Before(l.birth) || at.After(l.end) {
				t.Errorf("patient %d: %s.%s %s outside %s to %s", p.Index, kind, name, s, l.birth, l.end)
			}
		case "code", "system", "display", "text":
			if s == "" {
				t.Errorf("patient %d: empty %s in %s", p.Index, name, kind)
			}
		}
	})
}

func inspectNote(t *testing.T, p synth.Patient, r object) {
	t.Helper()
	a := r["content"].([]any)[0].(object)["attachment"].(object)
	note, err := base64.StdEncoding.DecodeString(a["data"].(string))
	if err != nil || !utf8.Valid(note) {
		t.Fatalf("patient %d: note: %v", p.Index, err)
	}
	if !strings.Contains(string(note), p.Name) || len(note) < 200 || strings.Contains(string(note), "%!") {
		t.Errorf("patient %d: poor note: %s", p.Index, note)
	}
}

// inspectEncounters checks that what hangs on an encounter lies within it, and
// that no two encounters overlap.
func inspectEncounters(t *testing.T, p synth.Patient, patient string, l *life, each func(func(string, object))) {
	t.Helper()
	type span struct{ start, end time.Time }
	visits := map[string]span{}
	var last time.Time
	each(func(urn string, r object) {
		if r["resourceType"] != "Encounter" {
			return
		}
		period := r["period"].(object)
		s := span{parse(t, period["start"].(string)), parse(t, period["end"].(string))}
		if !s.end.After(s.start) || s.start.Before(last) {
			t.Errorf("patient %d: encounter %v overlaps or ends before it starts", p.Index, s)
		}
		visits[urn], last = s, s.end
	})
	each(func(_ string, r object) {
		for _, name := range []string{"subject", "patient", "beneficiary"} {
			if ref, ok := r[name].(object); ok && ref["reference"] != patient {
				t.Errorf("patient %d: %s of someone else", p.Index, r["resourceType"])
			}
		}
		ref, ok := r["encounter"].(object)
		if !ok {
			return
		}
		s, ok := visits[ref["reference"].(string)]
		if !ok {
			t.Errorf("patient %d: %s.encounter is no encounter", p.Index, r["resourceType"])
		}
		for _, name := range []string{"effectiveDateTime", "authoredOn", "occurrenceDateTime", "onsetDateTime"} {
			if v, ok := r[name].(string); ok {
				if at := parse(t, v); at.Before(s.start) || at.After(s.end) {
					t.Errorf("patient %d: %s.%s %s outside its encounter %v", p.Index, r["resourceType"], name, v, s)
				}
			}
		}
	})
}

// walk visits every named value of a resource.
func walk(v any, name string, visit func(string, any)) {
	switch v := v.(type) {
	case object:
		for k, child := range v {
			walk(child, k, visit)
		}
	case []any:
		for _, child := range v {
			walk(child, name, visit)
		}
	default:
		visit(name, v)
	}
}

// text is a value as JSON, for looking into.
func text(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}
