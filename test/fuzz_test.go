package test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// fuzzed are the two tenants of a fuzzing process.
type fuzzed struct {
	alpha, bravo *cordontest.Tenant
	uses         int
}

// FuzzBundle sends Bundles, and what was one, to a real platform as Alpha: no answer is an internal error, none shows what Bravo alone
// knows, and each is JSON with a status of its own for each entry.
func FuzzBundle(f *testing.F) {
	org := `{"resourceType":"Organization","name":"x","identifier":[{"value":"1"}]}`
	for _, s := range []string{
		bundleOf("transaction", posting(urnA, org, ""), posting(urnB, strings.Replace(org, `"name"`, `"partOf":{"reference":"`+urnA+`"},"name"`, 1), `,"ifNoneExist":"identifier=1"`)),
		bundleOf("batch", asking("GET", "Patient/only-bravo"), asking("DELETE", "Patient/shared"), asking("GET", "Patient?_id=only-bravo&_revinclude=Observation:subject")),
		bundleOf("transaction", `{"resource":`+crafted("Patient", "only-bravo", "alpha")+`,"request":{"method":"PUT","url":"Patient/only-bravo","ifMatch":"W/\"1\""}}`, asking("GET", "Patient/only-bravo/_history")),
		bundleOf("batch", asking("POST", ""), asking("PATCH", "x"), asking("GET", "//"), asking("GET", "?"), asking("GET", "../../bravo/fhir/Patient")),
		bundleOf("transaction", posting("", strings.Replace(org, `"name"`, `"partOf":{"reference":"Organization?identifier=1"},"name"`, 1), "")),
		bundleOf("history"), `{"resourceType":"Bundle","type":"batch","entry":{}}`, `{"resourceType":"Bundle","type":"transaction","entry":[{"request":null}]}`,
	} {
		f.Add(s)
	}
	p := cordontest.Shared(f)
	at := fuzzed{alpha: p.Tenant(f), bravo: p.Tenant(f)}
	loadCrafted(f, at.alpha, "alpha", "bravo", at.bravo.Base)
	loadCrafted(f, at.bravo, "bravo", "alpha", at.alpha.Base)
	var mu sync.Mutex // guards at.uses
	f.Fuzz(func(t *testing.T, body string) {
		mu.Lock()
		if at.uses++; at.uses%2000 == 0 { // a token lives five minutes
			at.alpha.Renew(t)
		}
		mu.Unlock()
		r := at.alpha.Do(t, http.MethodPost, "", body)
		text := string(r.Body)
		if r.Status >= 500 || strings.Contains(text, "bravounspoken") || strings.Contains(text, `"status":"500`) {
			t.Fatalf("%d %.2000s", r.Status, text)
		}
		if sent := r.JSON(t); r.Status == http.StatusOK && sent["resourceType"] != "Bundle" {
			t.Fatalf("%.500s", text)
		}
	})
}
