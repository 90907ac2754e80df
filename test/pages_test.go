package test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// TestLongSortValuesPage orders by a text longer than any URL: the links of the pages work.
func TestLongSortValuesPage(t *testing.T) {
	t.Parallel()
	a := cordontest.Shared(t).Tenant(t)
	for i := range 3 {
		a.Do(t, http.MethodPut, fmt.Sprintf("/Library/l%d", i), fmt.Sprintf(`{"resourceType":"Library","id":"l%d","status":"draft","type":{"text":"x"},"description":"%d%s"}`,
			i, i, strings.Repeat("äbcdefg ", 1100))).Want(t, http.StatusCreated)
	}
	var got []string
	for path := "/Library?_sort=description&_count=1"; path != ""; {
		r := a.Do(t, http.MethodGet, path, nil).Want(t, http.StatusOK)
		got, path = append(got, r.Matches(t)...), ""
		for _, l := range r.JSON(t)["link"].([]any) {
			if m := l.(map[string]any); m["relation"] == "next" {
				path = strings.TrimPrefix(m["url"].(string), a.Base)
			}
		}
	}
	if want := "[Library/l0 Library/l1 Library/l2]"; fmt.Sprint(got) != want {
		t.Errorf("paged %v, want %s", got, want)
	}
}

// TestEverythingOfNobody asks for the chart of a patient who is deleted, or never was, while something points there.
func TestEverythingOfNobody(t *testing.T) {
	t.Parallel()
	a := cordontest.Shared(t).Tenant(t)
	a.Do(t, http.MethodPut, "/Patient/p", `{"resourceType":"Patient","id":"p"}`).Want(t, http.StatusCreated)
	for _, p := range []string{"p", "never"} {
		a.Do(t, http.MethodPost, "/Observation", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/`+p+`"}}`).Want(t, http.StatusCreated)
	}
	a.Do(t, http.MethodDelete, "/Patient/p", nil).Want(t, http.StatusNoContent)
	a.Do(t, http.MethodGet, "/Patient/p/$everything", nil).Want(t, http.StatusGone)
	a.Do(t, http.MethodGet, "/Patient/never/$everything", nil).Want(t, http.StatusNotFound)
}

// TestTotalOfAFilteredChain chains over a parameter that takes only some of a path's references.
func TestTotalOfAFilteredChain(t *testing.T) {
	t.Parallel()
	a := cordontest.Shared(t).Tenant(t)
	a.Do(t, http.MethodPut, "/Library/l", `{"resourceType":"Library","id":"l","status":"draft","name":"foo","type":{"text":"x"}}`).Want(t, http.StatusCreated)
	for _, kind := range []string{"derived-from", "depends-on"} {
		a.Do(t, http.MethodPost, "/Measure", `{"resourceType":"Measure","status":"draft","relatedArtifact":[{"type":"`+kind+`","resource":"Library/l"}]}`).Want(t, http.StatusCreated)
	}
	r := a.Do(t, http.MethodGet, "/Measure?derived-from:Library.name=foo&_total=accurate", nil).Want(t, http.StatusOK)
	if total := fmt.Sprint(r.JSON(t)["total"]); total != "1" || len(r.Matches(t)) != 1 {
		t.Errorf("total %s of %v", total, r.Matches(t))
	}
}

// TestLargePagesEndEarly asks for a page of more bytes than a page may have: it ends early, and the next one goes on.
func TestLargePagesEndEarly(t *testing.T) {
	t.Parallel()
	a := cordontest.Shared(t).Tenant(t)
	text := strings.Repeat(`{"text":"`+strings.Repeat("x", 900_000)+`"},`, 12)
	for i := range 5 {
		a.Do(t, http.MethodPut, fmt.Sprintf("/Basic/b%d", i), fmt.Sprintf(`{"resourceType":"Basic","id":"b%d","code":{"text":"x"},"identifier":[%s{"value":"v"}]}`, i,
			strings.ReplaceAll(text, `"text"`, `"value"`))).Want(t, http.StatusCreated)
	}
	seen, pages := 0, 0
	for path := "/Basic?_count=5"; path != ""; pages++ {
		r := a.Do(t, http.MethodGet, path, nil).Want(t, http.StatusOK)
		seen, path = seen+bytes.Count(r.Body, []byte(`"mode":"match"`)), ""
		for _, l := range r.JSON(t)["link"].([]any) {
			if m := l.(map[string]any); m["relation"] == "next" {
				path = strings.TrimPrefix(m["url"].(string), a.Base)
			}
		}
	}
	if seen != 5 || pages < 2 {
		t.Errorf("%d resources on %d pages, want 5 on several", seen, pages)
	}
}
