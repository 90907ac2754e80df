package test

import (
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// TestOneConditionTwoSpellings creates with the same condition written in two ways, at once and in one Bundle: it is one.
func TestOneConditionTwoSpellings(t *testing.T) {
	t.Parallel()
	a := cordontest.Shared(t).Tenant(t)
	for i := range 15 {
		var wg sync.WaitGroup
		for _, c := range []string{"identifier=s%%7C%d", "identifier=s|%d"} {
			wg.Go(func() {
				a.Do(t, http.MethodPost, "/Patient", fmt.Sprintf(`{"resourceType":"Patient","identifier":[{"system":"s","value":"%d"}]}`, i), "If-None-Exist", fmt.Sprintf(c, i))
			})
		}
		wg.Wait()
		if got := a.Do(t, http.MethodGet, "/Patient?identifier="+url.QueryEscape(fmt.Sprintf("s|%d", i)), nil).Matches(t); len(got) != 1 {
			t.Errorf("one condition made %v", got)
		}
	}
	entry := `{"resource":{"resourceType":"Patient","identifier":[{"system":"s","value":"b"}]},"request":{"method":"POST","url":"Patient","ifNoneExist":"identifier=%s"}}`
	a.Do(t, http.MethodPost, "", `{"resourceType":"Bundle","type":"transaction","entry":[`+fmt.Sprintf(entry, "s|b")+","+fmt.Sprintf(entry, "s%7Cb")+`]}`).Want(t, http.StatusBadRequest)
}

// TestNothingIsBoundToWhatIsDeleted has a condition match what another entry of the Bundle deletes.
func TestNothingIsBoundToWhatIsDeleted(t *testing.T) {
	t.Parallel()
	a := cordontest.Shared(t).Tenant(t)
	a.Do(t, http.MethodPut, "/Practitioner/d", `{"resourceType":"Practitioner","id":"d","identifier":[{"system":"s","value":"1"}]}`).Want(t, http.StatusCreated)
	a.Do(t, http.MethodPost, "", `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Practitioner/d"}},
{"resource":{"resourceType":"Practitioner","identifier":[{"system":"s","value":"1"}]},"request":{"method":"POST","url":"Practitioner","ifNoneExist":"identifier=s|1"}}]}`).Want(t, http.StatusBadRequest)
	a.Do(t, http.MethodGet, "/Practitioner/d", nil).Want(t, http.StatusOK)
}

// TestDenialsStallNobody has one client collect denials inside conditional Bundles, more than the cell has connections: a
// neighbour's read does not wait for them.
func TestDenialsStallNobody(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	a, other := p.Tenant(t), p.Tenant(t)
	other.Do(t, http.MethodPut, "/Patient/p", `{"resourceType":"Patient","id":"p"}`).Want(t, http.StatusCreated)
	c := p.Client(t, a.Slug, "system/*.cu") // it may create, and not search
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			r := c.Do(t, http.MethodPost, "", fmt.Sprintf(`{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient","ifNoneExist":"identifier=%d"}}]}`, i))
			if r.Status != http.StatusForbidden {
				t.Errorf("a condition without the right to search: %d", r.Status)
			}
		})
	}
	start := time.Now()
	for range 20 {
		other.Do(t, http.MethodGet, "/Patient/p", nil).Want(t, http.StatusOK)
	}
	if took := time.Since(start); took > 8*time.Second { // it was ten seconds for one
		t.Errorf("20 reads of a neighbour took %v", took)
	}
	wg.Wait()
}
