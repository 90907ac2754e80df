package blind_test

import (
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/blind"
	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/fhir/search"
	"github.com/cordon-ehr/cordon/internal/lease"
	"github.com/cordon-ehr/cordon/internal/seal"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// index gives a tenant's index; all but the index secret is the same for every caller.
func index(t *testing.T, other, secret seal.Secret) blind.Index {
	t.Helper()
	k := []lease.Key{{Version: 1, Secret: other}}
	ring, err := lease.Prepare(lease.Grant{Tenant: tenant.NewID(), Purpose: lease.Chart, Expires: time.Now(), Record: k, Audit: k, Cursor: k, Index: []lease.Key{{Version: 1, Secret: secret}}})
	if err != nil {
		t.Fatal(err)
	}
	return blind.Of(ring, "https://h/t/x/fhir")
}

// blinded is everything that an index gives to the database for one resource.
func blinded(x blind.Index) map[string]int64 {
	patient := fhir.ResourceType("Patient")
	path := search.For(patient).ByCode["family"].Paths[0]
	rid, check := x.Rid(patient, "shared")
	return map[string]int64{"rid": rid, "check": check, "patient": x.Patient("shared") + 1, "token": x.Token(path, "lovelace"), "folded": x.Folded(path, "lovelace", 5),
		"condition": x.Condition(patient, "identifier=1"), "query": x.Query("identifier=1"), "sort": x.Sort(1_000_000, true), "date": x.Value(1_000_000, false), "number": x.Value(1_000_000, true)}
}

// TestTenantsBlindApart blinds the same for two tenants: nothing is the same, so no index of one can be read with another's. Within
// one tenant no two uses meet.
func TestTenantsBlindApart(t *testing.T) {
	t.Parallel()
	same, secret := seal.NewSecret(), seal.NewSecret()
	a, again, b := blinded(index(t, same, secret)), blinded(index(t, same, secret)), blinded(index(t, same, seal.NewSecret()))
	used := map[int64]string{}
	for use, v := range a {
		if v != again[use] {
			t.Errorf("%s is not a function of its input and key", use)
		}
		if v == b[use] {
			t.Errorf("two tenants have the same %s", use)
		}
		if other, twice := used[v]; twice {
			t.Errorf("%s and %s are the same", use, other)
		}
		used[v] = use
		if v == 1_000_000 {
			t.Errorf("%s stands in clear", use)
		}
	}
}
