package fhirhttp

import (
	"encoding/json"
	"net/http"
	"strconv"
	"sync"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/fhir/search"
	"github.com/cordon-ehr/cordon/internal/outcome"
	"github.com/cordon-ehr/cordon/internal/record"
)

// The CapabilityStatement states what the routes and the search registry do, and nothing else: it is built from them.
type capability struct {
	ResourceType   string         `json:"resourceType"`
	URL            string         `json:"url"`
	Version        string         `json:"version"`
	Name           string         `json:"name"`
	Status         string         `json:"status"`
	Date           string         `json:"date"`
	Kind           string         `json:"kind"`
	Software       map[string]any `json:"software"`
	Implementation map[string]any `json:"implementation"`
	FHIRVersion    string         `json:"fhirVersion"`
	Format         []string       `json:"format"`
	Rest           []capRest      `json:"rest"`
}

type capRest struct {
	Mode        string         `json:"mode"`
	Security    map[string]any `json:"security"`
	Resource    []capResource  `json:"resource"`
	Interaction []capCode      `json:"interaction"`
}

type capCode struct {
	Code string `json:"code"`
}

type capResource struct {
	Type              string         `json:"type"`
	Documentation     string         `json:"documentation,omitempty"`
	Interaction       []capCode      `json:"interaction"`
	Versioning        string         `json:"versioning"`
	ReadHistory       bool           `json:"readHistory"`
	UpdateCreate      bool           `json:"updateCreate"`
	ConditionalCreate bool           `json:"conditionalCreate"`
	SearchInclude     []string       `json:"searchInclude,omitempty"`
	SearchRevInclude  []string       `json:"searchRevInclude,omitempty"`
	SearchParam       []capParam     `json:"searchParam"`
	Operation         []capOperation `json:"operation,omitempty"`
}

type capParam struct {
	Name       string `json:"name"`
	Definition string `json:"definition,omitempty"`
	Type       string `json:"type"`
}

type capOperation struct {
	Name       string `json:"name"`
	Definition string `json:"definition"`
}

// Metadata answers /metadata, which takes no token (FHIR R4 http.html#capabilities).
func (f *Face) Metadata(w http.ResponseWriter, r *http.Request, base string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		outcome.Error(w, fault.New(fault.MethodNotAllowed, "this method is not served here"))
		return
	}
	if err := acceptable(r); err != nil {
		outcome.Error(w, err)
		return
	}
	c := capability{ResourceType: "CapabilityStatement", URL: base + "/metadata", Version: "1", Name: "Cordon", Status: "active", Date: "2026-11-24",
		Kind: "instance", Software: map[string]any{"name": "Cordon"}, Implementation: map[string]any{"description": "FHIR R4 chart store of one tenant", "url": base},
		FHIRVersion: "4.0.1", Format: []string{"application/fhir+json", "json"},
		Rest: []capRest{{Mode: "server", Security: security(base), Resource: resources(), Interaction: []capCode{{"transaction"}, {"batch"}}}}}
	b, err := json.Marshal(c)
	if err != nil {
		outcome.Error(w, err)
		return
	}
	outcome.Header(w.Header())
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(b)
	}
}

// security is the SMART part (SMART App Launch 2.2, conformance).
func security(base string) map[string]any {
	issuer := base[:len(base)-len("/fhir")]
	return map[string]any{
		"service": []any{map[string]any{"coding": []any{map[string]any{"system": "http://terminology.hl7.org/CodeSystem/restful-security-service", "code": "SMART-on-FHIR"}}}},
		"extension": []any{map[string]any{"url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
			"extension": []any{map[string]any{"url": "token", "valueUri": issuer + "/oauth/token"}}}},
	}
}

// trail is what there is of AuditEvent: the platform writes it, and everybody else reads.
func trail(t *fhir.Type) capResource {
	return capResource{Type: t.Name, Versioning: "no-version", Interaction: []capCode{{"read"}, {"search-type"}},
		Documentation: "The events of this tenant, written by the platform alone. A search is ordered by date, includes nothing and has no chains."}
}

var resources = sync.OnceValue(func() []capResource {
	var out []capResource
	reverse := map[string][]string{}
	for _, t := range fhir.ResourceTypes() {
		s := search.For(t)
		for _, code := range s.Codes {
			if p := s.ByCode[code]; p.Kind == search.Reference && t.Name != record.TrailType {
				for _, target := range p.Targets {
					reverse[target] = append(reverse[target], t.Name+":"+code)
				}
			}
		}
	}
	for _, t := range fhir.ResourceTypes() {
		s := search.For(t)
		r := capResource{Type: t.Name, Versioning: "versioned", ReadHistory: true, UpdateCreate: true, ConditionalCreate: true,
			Interaction: []capCode{{"read"}, {"vread"}, {"update"}, {"delete"}, {"history-instance"}, {"create"}, {"search-type"}}, SearchRevInclude: reverse[t.Name]}
		if t.Name == record.TrailType {
			r = trail(t)
		}
		for _, code := range s.Codes {
			p := s.ByCode[code]
			r.SearchParam = append(r.SearchParam, capParam{code, p.URL, p.Kind.String()})
			if p.Kind == search.Reference && t.Name != record.TrailType {
				r.SearchInclude = append(r.SearchInclude, t.Name+":"+code)
			}
		}
		if t.Name == "Patient" {
			r.Operation = []capOperation{{"everything", "http://hl7.org/fhir/OperationDefinition/Patient-everything"}}
		}
		out = append(out, r)
	}
	return out
})
