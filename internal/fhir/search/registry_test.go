package search_test

import (
	"testing"

	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/fhir/search"
)

// TestRegistry compiles every published expression for every type: For panics on one that it cannot read.
func TestRegistry(t *testing.T) {
	t.Parallel()
	names := map[int32]string{} // ids are stored with index entries and pointers: two paths may never share one
	note := func(p *search.Path) {
		if have, ok := names[p.ID]; ok && have != p.Entries {
			t.Errorf("%s and %s share id %d", have, p.Entries, p.ID)
		}
		names[p.ID] = p.Entries
	}
	for _, typ := range fhir.ResourceTypes() {
		s := search.For(typ)
		if s == nil || s.Type != typ || len(s.Codes) != len(s.ByCode) {
			t.Errorf("%s: set %+v", typ.Name, s)
			continue
		}
		for code, p := range s.ByCode {
			if p.Code != code || p.Of != typ || len(p.Paths) == 0 {
				t.Errorf("%s %s: %+v", typ.Name, code, p)
			}
			for _, path := range p.Paths {
				if path.Leaf == nil || path.Domain == nil {
					t.Errorf("%s %s: path %s has no leaf or no domain", typ.Name, code, path.Name)
					continue
				}
				note(path)
				note(path.Domain)
			}
		}
		for _, path := range s.Compartment {
			note(path)
		}
	}
}

func TestParams(t *testing.T) {
	t.Parallel()
	for name, codes := range map[string]map[string]search.Kind{
		"Observation": {"patient": search.Reference, "subject": search.Reference, "code": search.Token, "date": search.Date,
			"value-quantity": search.Quantity, "combo-code": search.Token},
		"Patient": {"name": search.String, "family": search.String, "birthdate": search.Date, "identifier": search.Token,
			"phone": search.Token, "deceased": search.Token, "general-practitioner": search.Reference},
	} {
		s := search.For(fhir.ResourceType(name))
		for code, kind := range codes {
			if p := s.ByCode[code]; p == nil || p.Kind != kind {
				t.Errorf("%s %s: %+v", name, code, p)
			}
		}
	}
}
