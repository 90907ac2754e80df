package wire

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/lease"
	"github.com/cordon-ehr/cordon/internal/routes"
	"github.com/cordon-ehr/cordon/internal/seal"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

func over[T any](t *testing.T, v T) (out T) {
	t.Helper()
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestGrantCrossesWhole fills every list of keys that a grant has, by reflection: a list that is added to the grant and not to its
// wire form would come over as zero keys, and fails here.
func TestGrantCrossesWhole(t *testing.T) {
	t.Parallel()
	g := lease.Grant{Tenant: tenant.NewID(), Purpose: lease.Chart, Expires: time.Now().UTC()}
	v := reflect.ValueOf(&g).Elem()
	lists := 0
	for i := range v.NumField() {
		if v.Field(i).Type() == reflect.TypeFor[[]lease.Key]() {
			v.Field(i).Set(reflect.ValueOf([]lease.Key{{Version: 1, Secret: seal.NewSecret()}, {Version: 2, Secret: seal.NewSecret()}}))
			lists++
		}
	}
	got, err := over(t, toGrant(g)).grant()
	if err != nil || lists < 4 || !reflect.DeepEqual(got, g) {
		t.Errorf("a grant of %d lists of keys is another after the wire: %v\n%#v\n%#v", lists, err, got, g)
	}
}

// TestDirectoryCrossesWhole does the same for a route.
func TestDirectoryCrossesWhole(t *testing.T) {
	t.Parallel()
	keys := map[string]crypto.PublicKey{}
	for _, kid := range []string{"1", "2", "10"} {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys[kid] = &k.PublicKey
	}
	s := routes.Snapshot{Version: 7, Routes: []routes.Route{{Tenant: tenant.Tenant{ID: tenant.NewID(), Slug: "a1", State: tenant.Active, Placement: tenant.Pooled, Cell: "c1", Number: 3},
		Issuer: "https://h/t/a1", Keys: keys}}}
	v := reflect.ValueOf(&s.Routes[0]).Elem()
	for i := range v.NumField() { // what has been added since
		switch f := v.Field(i); f.Kind() {
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Int64:
			f.SetInt(9)
		}
	}
	if got := over(t, toSnapshot(s)).snapshot(); !reflect.DeepEqual(got, s) {
		t.Errorf("%#v\n%#v", got, s)
	}
}
