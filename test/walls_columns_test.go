package test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// TestForgedColumnsDoNotOpen changes what stands in clear beside a sealed body, as a superuser could: a resource cannot be made
// to look deleted, or written at another time.
func TestForgedColumnsDoNotOpen(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	su := p.Superuser(t)
	a := p.Tenant(t)
	n := number(t, a)
	const secret = "Column-Canary"
	for _, set := range []string{"op = 3", "op = 2", "lu = lu + 1", "ver = ver + 1", "type = 96"} {
		id, rid := person(t, su, a, secret)
		if tag, err := su.Exec(t.Context(), `UPDATE version SET `+set+` WHERE tenant = $1 AND rid = $2`, n, rid); err != nil || tag.RowsAffected() != 1 {
			t.Fatalf("%s: %v %v", set, tag, err)
		}
		r := a.Do(t, http.MethodGet, "/Patient/"+id, nil)
		if r.Status < http.StatusInternalServerError || strings.Contains(string(r.Body), secret) || r.JSON(t)["resourceType"] != "OperationOutcome" {
			t.Errorf("%s: %d %s", set, r.Status, r.Body)
		}
		if _, err := su.Exec(t.Context(), `DELETE FROM version WHERE tenant = $1 AND rid = $2`, n, rid); err != nil {
			t.Fatal(err)
		}
	}
}
