package test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// TestMovedBodyIsNotShown puts one patient's sealed body into another's row. Whichever lock speaks, the seal's or the second half of
// the blind id in the body: what is asked for by id is not the other patient.
func TestMovedBodyIsNotShown(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	su := p.Superuser(t)
	a := p.Tenant(t)
	n := number(t, a)
	const secret = "Cuckoo-Egg"
	_, from := person(t, su, a, secret)
	id, to := person(t, su, a, "Plain")
	if tag, err := su.Exec(t.Context(), `UPDATE version SET body = (SELECT body FROM version WHERE tenant = $1 AND rid = $2) WHERE tenant = $1 AND rid = $3`, n, from, to); err != nil || tag.RowsAffected() != 1 {
		t.Fatal(tag, err)
	}
	// One time for both, so that nothing but the id tells them apart.
	if _, err := su.Exec(t.Context(), `UPDATE version SET lu = (SELECT lu FROM version WHERE tenant = $1 AND rid = $2) WHERE tenant = $1 AND rid = $3`, n, from, to); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/Patient/" + id, "/Patient/" + id + "/_history/1", "/Patient/" + id + "/_history"} {
		if r := a.Do(t, http.MethodGet, path, nil); r.Status < http.StatusBadRequest || strings.Contains(string(r.Body), secret) {
			t.Errorf("%s shows another patient: %d %s", path, r.Status, r.Body)
		}
	}
}
