package fhir_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/cordon-ehr/cordon/internal/fhir"
)

// TestResourceIDs pins ids: they are stored, so a change of one is a migration.
func TestResourceIDs(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]int16{"Account": 1, "ActivityDefinition": 2, "Bundle": 12, "Condition": 28,
		"Encounter": 44, "Observation": 96, "Patient": 103, "VisionPrescription": 146} {
		typ := fhir.ResourceType(name)
		if typ == nil {
			t.Fatalf("no %s", name)
		}
		if typ.ID != id || fhir.TypeByID(id) != typ {
			t.Errorf("%s: id %d, want %d", name, typ.ID, id)
		}
	}
	if n := len(fhir.ResourceTypes()); n != 146 {
		t.Errorf("%d resource types", n)
	}
	for i, typ := range fhir.ResourceTypes() {
		if int(typ.ID) != i+1 || typ.Kind != fhir.KindResource || typ.Abstract {
			t.Errorf("%s: id %d at %d", typ.Name, typ.ID, i)
		}
	}
	if fhir.TypeByID(0) != nil || fhir.TypeByID(-1) != nil || fhir.TypeByID(147) != nil {
		t.Error("an id that is none has a type")
	}
	for _, none := range []string{"Resource", "DomainResource", "HumanName", "string", "Patient.contact", ""} {
		if fhir.ResourceType(none) != nil {
			t.Errorf("%q is a resource type", none)
		}
	}
}

func TestElements(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ typ, element, of, targets string }{
		{"Patient", "id", "id", ""},
		{"Patient", "name", "HumanName", ""},
		{"Patient", "contact", "Patient.contact", ""},
		{"Patient", "deceasedDateTime", "dateTime", ""},
		{"Patient.link", "other", "Reference", "Patient RelatedPerson"},
		{"Observation", "valueQuantity", "Quantity", ""},
		{"Observation.component", "referenceRange", "Observation.referenceRange", ""},
		{"Bundle.entry", "link", "Bundle.link", ""},
		{"Bundle.entry.response", "outcome", "Resource", ""},
		{"Parameters.parameter", "part", "Parameters.parameter", ""},
		{"Questionnaire.item", "item", "Questionnaire.item", ""},
		{"Timing", "repeat", "Timing.repeat", ""},
		{"Extension", "valueReference", "Reference", ""},
		{"Age", "value", "decimal", ""},
		{"HumanName", "id", "string", ""},
		{"Questionnaire", "derivedFrom", "canonical", "Questionnaire"},
	} {
		typ := fhir.LookupType(c.typ)
		if typ == nil || typ.Element(c.element) == nil {
			t.Errorf("no %s.%s", c.typ, c.element)
			continue
		}
		if e := typ.Element(c.element); e.Type.Name != c.of || strings.Join(e.Targets, " ") != c.targets {
			t.Errorf("%s.%s: a %s to %v", c.typ, c.element, e.Type.Name, e.Targets)
		}
	}
	o := fhir.ResourceType("Observation")
	status := o.Element("status")
	if status.Min != 1 || status.Max != 1 || !status.RequiredBinding || !status.Modifier || !status.Summary ||
		status.ValueSet != "http://hl7.org/fhir/ValueSet/observation-status|4.0.1" {
		t.Errorf("Observation.status: %+v", status)
	}
	if v := o.Element("valueQuantity"); !v.Choice || v.Base != "value" || v.Name != "valueQuantity" {
		t.Errorf("Observation.value: %+v", v)
	}
	if len(o.Variants("value")) != 11 || len(o.Variants("status")) != 1 || o.Element("value") != nil {
		t.Error("variants of a choice")
	}
	if p := o.Element("performer"); p.Max != -1 || !p.Allows("Practitioner") || p.Allows("Device") {
		t.Errorf("Observation.performer: %+v", p)
	}
	if f := o.Element("focus"); !f.Allows("Basic") {
		t.Error("Observation.focus takes any resource")
	}
	if fhir.LookupType("Meta").Element("project") != nil || fhir.LookupType("SubscriptionStatus") != nil {
		t.Error("the tables hold what is not R4")
	}
}

func TestSearchParams(t *testing.T) {
	t.Parallel()
	all := fhir.SearchParams()
	if len(all) != 1375 {
		t.Errorf("%d search parameters", len(all))
	}
	for _, p := range all {
		for _, b := range p.Bases {
			if fhir.LookupType(b) == nil {
				t.Errorf("%s: base %s", p.URL, b)
			}
		}
		for _, target := range p.Targets {
			if fhir.ResourceType(target) == nil {
				t.Errorf("%s: target %s", p.URL, target)
			}
		}
		if strings.Contains(p.Expression, " as ") || strings.Contains(p.Expression, ".as(") {
			t.Errorf("%s: a cast that is not .ofType: %s", p.URL, p.Expression)
		}
		if (p.Type == "composite") != (len(p.Components) > 0) {
			t.Errorf("%s: %d components of a %s", p.URL, len(p.Components), p.Type)
		}
	}
	i := slices.IndexFunc(all, func(p fhir.SearchParam) bool { return p.URL == "http://hl7.org/fhir/SearchParameter/clinical-patient" })
	if i < 0 || all[i].Code != "patient" || all[i].Type != "reference" || !slices.Contains(all[i].Bases, "Condition") ||
		!strings.Contains(all[i].Expression, "Condition.subject.where(resolve() is Patient)") {
		t.Errorf("clinical-patient: %+v", all[max(i, 0)])
	}
}

func TestPatientCompartment(t *testing.T) {
	t.Parallel()
	c := fhir.PatientCompartment()
	if len(c) != 66 || strings.Join(c["AllergyIntolerance"], " ") != "patient recorder asserter" || c["Organization"] != nil {
		t.Errorf("%d types, AllergyIntolerance %v", len(c), c["AllergyIntolerance"])
	}
	params := map[string]bool{}
	for _, p := range fhir.SearchParams() {
		for _, b := range p.Bases {
			params[b+" "+p.Code] = true
		}
	}
	for typ, codes := range c {
		for _, code := range codes {
			if !params[typ+" "+code] {
				t.Errorf("%s: no search parameter %s", typ, code)
			}
		}
	}
}
