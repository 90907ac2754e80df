package test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// The timing oracle. Samples of two questions are taken in turn, so that what else the machine does falls on both alike. They differ
// when the median of the paired differences is beyond a bound, and most pairs say so, in every one of a few rounds: one quiet
// round is proof that there is no such difference, a noisy one is proof of nothing.
const (
	timingRounds = 4
	timingPairs  = 160
	timingBound  = 100 * time.Microsecond
	timingShare  = 0.65 // of the pairs; a half is chance
)

// timingDiffers reports whether b takes longer or shorter than a, and what the last round saw.
func timingDiffers(a, b func()) (bool, string) {
	var saw string
	for range timingRounds {
		diffs := make([]time.Duration, timingPairs)
		longer := 0
		for i := range diffs {
			first, second := a, b
			if i%2 == 1 {
				first, second = b, a
			}
			t0 := time.Now()
			first()
			t1 := time.Now()
			second()
			diffs[i] = time.Since(t1) - t1.Sub(t0)
			if i%2 == 1 {
				diffs[i] = -diffs[i]
			}
			if diffs[i] > 0 {
				longer++
			}
		}
		slices.Sort(diffs)
		median, share := diffs[len(diffs)/2], float64(longer)/float64(len(diffs))
		saw = fmt.Sprintf("median difference %s, longer in %.0f %% of %d pairs", median, share*100, len(diffs))
		if median.Abs() < timingBound || max(share, 1-share) < timingShare {
			return false, saw
		}
	}
	return true, saw
}

// TestNotYoursTakesAsLongAsNotThere times what Bravo has against what nobody has, asked by Alpha. The same oracle sees half a
// millisecond when it is added.
func TestNotYoursTakesAsLongAsNotThere(t *testing.T) {
	p := cordontest.Shared(t) // not in parallel: other tests of this binary would be the noise
	alpha, bravo := p.Tenant(t), p.Tenant(t)
	loadCrafted(t, alpha, "alpha", "bravo", bravo.Base)
	loadCrafted(t, bravo, "bravo", "alpha", alpha.Base)
	for i := range 60 { // a chart whose size would show
		bravo.Do(t, "POST", "/Observation", strings.NewReplacer("ID", "patient-bravo").Replace(fmt.Sprintf(`{"resourceType":"Observation","status":"final","code":{"text":"x%d"},"subject":{"reference":"Patient/ID"}}`, i))).Want(t, http.StatusCreated)
	}
	org := `{"resourceType":"Organization","name":"x"}`
	for name, c := range map[string]func(id, mrn string) leakAsk{
		"read":       func(id, _ string) leakAsk { return leakAsk{"GET", "/Patient/" + id, "", nil} },
		"vread":      func(id, _ string) leakAsk { return leakAsk{"GET", "/Patient/" + id + "/_history/1", "", nil} },
		"history":    func(id, _ string) leakAsk { return leakAsk{"GET", "/Patient/" + id + "/_history", "", nil} },
		"everything": func(id, _ string) leakAsk { return leakAsk{"GET", "/Patient/" + id + "/$everything", "", nil} },
		"by id": func(id, _ string) leakAsk {
			return leakAsk{"GET", "/Patient?_id=" + id + "&_revinclude=Observation:subject", "", nil}
		},
		"by subject": func(id, _ string) leakAsk {
			return leakAsk{"GET", "/Observation?subject=Patient/" + id + "&_total=accurate", "", nil}
		},
		"by MRN": func(_, mrn string) leakAsk { return leakAsk{"GET", "/Patient?identifier=urn:mrn|" + mrn, "", nil} },
		"delete": func(id, _ string) leakAsk { return leakAsk{"DELETE", "/Patient/" + id, "", nil} },
		"update if": func(id, _ string) leakAsk {
			return leakAsk{"PUT", "/Organization/" + id, `{"resourceType":"Organization","name":"x","id":"` + id + `"}`, []string{"If-Match", `W/"1"`}}
		},
		"conditional": func(_, mrn string) leakAsk {
			return leakAsk{"POST", "", bundleOf("transaction", posting("", strings.Replace(org, "}", `,"partOf":{"reference":"Organization?identifier=`+mrn+`"}}`, 1), "")), nil}
		},
	} {
		foreign, unknown := c("patient-bravo", "MRN-bravo"), c("patient-brovo", "MRN-brovo")
		if got, want := foreign.send(t, alpha.Client), unknown.send(t, alpha.Client); got != want && strings.ReplaceAll(got, "bravo", "brovo") != want {
			t.Errorf("%s: %.300s\n%.300s", name, got, want)
		}
		differ, saw := timingDiffers(func() { unknown.send(t, alpha.Client) }, func() { foreign.send(t, alpha.Client) })
		if differ {
			t.Errorf("%s: what is another's takes another time: %s", name, saw)
		}
		t.Logf("%s: %s", name, saw)
	}
	a := leakAsk{"GET", "/Patient/patient-brovo", "", nil}
	seen, saw := timingDiffers(func() { a.send(t, alpha.Client) }, func() { a.send(t, alpha.Client); time.Sleep(500 * time.Microsecond) })
	if !seen {
		t.Errorf("the oracle is blind: with half a millisecond added it sees a %s", saw)
	}
}

// TestSameBusinessIdentifiers lets two tenants use the same ids and record numbers: no key is shared (HF#5184), no counter counts both.
func TestSameBusinessIdentifiers(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	alpha, bravo := p.Tenant(t), p.Tenant(t)
	patient := `{"resourceType":"Patient","identifier":[{"system":"urn:mrn","value":"MRN-1"}],"active":true}`
	same := strings.Replace(patient, `{"resourceType"`, `{"id":"same","resourceType"`, 1)
	exist := []string{"If-None-Exist", "identifier=urn:mrn|MRN-1"}
	for i := range 5 { // Bravo is at version 5, and has four with this number
		bravo.Do(t, "PUT", "/Patient/same", strings.Replace(same, "true", fmt.Sprint(i%2 == 0), 1))
		bravo.Do(t, "POST", "/Patient", patient).Want(t, http.StatusCreated)
	}
	r := alpha.Do(t, "POST", "/Patient", patient, exist...).Want(t, http.StatusCreated) // matches nothing of Alpha's
	if at := r.Header.Get("Location"); !strings.HasPrefix(at, alpha.Base+"/") || r.Header.Get("ETag") != `W/"1"` {
		t.Errorf("%s %s", at, r.Header.Get("ETag"))
	}
	alpha.Do(t, "POST", "/Patient", patient, exist...).Want(t, http.StatusOK)
	bravo.Do(t, "POST", "/Patient", patient, exist...).Want(t, http.StatusPreconditionFailed)
	r = alpha.Do(t, "PUT", "/Patient/same", same).Want(t, http.StatusCreated)
	if r.Header.Get("ETag") != `W/"1"` || r.Header.Get("Location") != alpha.Base+"/Patient/same/_history/1" {
		t.Errorf("%v", r.Header)
	}
	alpha.Do(t, "PUT", "/Patient/same", same, "If-Match", `W/"5"`).Want(t, http.StatusPreconditionFailed) // Bravo's version
	for n, want := range map[*cordontest.Tenant]string{alpha: "2", bravo: "6"} {
		if got := fmt.Sprint(n.Do(t, "GET", "/Patient?identifier=MRN-1&_total=accurate", nil).JSON(t)["total"]); got != want {
			t.Errorf("%s counts %s, want %s", n.Slug, got, want)
		}
	}
	alpha.Do(t, "DELETE", "/Patient/same", nil).Want(t, http.StatusNoContent)
	alpha.Do(t, "GET", "/Patient/same", nil).Want(t, http.StatusGone)
	if got := bravo.Do(t, "GET", "/Patient/same", nil).Want(t, http.StatusOK).Header.Get("ETag"); got != `W/"5"` {
		t.Errorf("Bravo's patient is at %s", got)
	}
}
