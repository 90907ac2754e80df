package record

import (
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/authn"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/fhir/search"
	"github.com/cordon-ehr/cordon/internal/lease"
	"github.com/cordon-ehr/cordon/internal/placement"
	"github.com/cordon-ehr/cordon/internal/routes"
	"github.com/cordon-ehr/cordon/internal/seal"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// callers are two tenants that share all keys: what keeps them apart here is only what a value is bound to.
func callers(t *testing.T) (a, b *Caller) {
	t.Helper()
	k := []lease.Key{{Version: 1, Secret: seal.NewSecret()}}
	out := [2]*Caller{}
	for i := range out {
		id := tenant.NewID()
		scope, err := placement.Mint(authn.Principal{Tenant: id}, &routes.Route{Tenant: tenant.Tenant{ID: id, State: tenant.Active, Number: 1}})
		if err != nil {
			t.Fatal(err)
		}
		ring, err := lease.Prepare(lease.Grant{Tenant: id, Purpose: lease.Chart, Record: k, Audit: k, Cursor: k, Index: k})
		if err != nil {
			t.Fatal(err)
		}
		out[i] = &Caller{Scope: scope, Ring: ring, Base: "https://h/t/x/fhir"}
	}
	return out[0], out[1]
}

// TestBodiesAreBound moves a sealed body to each other place, with the key that sealed it: none opens it there.
func TestBodiesAreBound(t *testing.T) {
	t.Parallel()
	a, b := callers(t)
	patient := fhir.ResourceType("Patient")
	rid, half := a.rid(patient, "p")
	ch := &change{typ: patient, id: "p", rid: rid, check: half, ver: 1, op: opCreate, lu: time.UnixMicro(1_000_000), json: []byte(`{"resourceType":"Patient","id":"p"}`)}
	if err := a.finish(ch); err != nil {
		t.Fatal(err)
	}
	good := stored{rid: rid, lu: 1_000_000, ver: 1, keyver: 1, typ: patient.ID, op: opCreate, body: ch.sealed}
	if r, err := a.open(&good, "p", half); err != nil || string(r.Body) != string(ch.json) {
		t.Fatal(err)
	}
	if _, err := b.open(&good, "p", half); err == nil {
		t.Error("opens for another tenant")
	}
	for name, move := range map[string]func(*stored){
		"id": func(v *stored) { v.rid++ }, "time": func(v *stored) { v.lu++ }, "version": func(v *stored) { v.ver++ }, "type": func(v *stored) { v.typ++ }, "operation": func(v *stored) { v.op = opDelete },
		"key version": func(v *stored) { v.keyver++ },
	} {
		v := good
		move(&v)
		if _, err := a.open(&v, "p", half); err == nil {
			t.Errorf("opens under another %s", name)
		}
	}
}

// TestTheSecondHalfOfAnIDCounts asks for a resource whose blind id collides with a stored one: it is not there.
func TestTheSecondHalfOfAnIDCounts(t *testing.T) {
	t.Parallel()
	a, _ := callers(t)
	patient := fhir.ResourceType("Patient")
	rid, half := a.rid(patient, "p")
	sealed := a.Ring.Write.Seal(nil, (&body{check: half, json: []byte(`{}`)}).encode(), a.place(patient.ID, rid, 1, 5, opCreate))
	v := stored{rid: rid, lu: 5, ver: 1, keyver: 1, typ: patient.ID, op: opCreate, body: sealed}
	if _, err := a.open(&v, "p", half); err != nil {
		t.Fatal(err)
	}
	if r, err := a.open(&v, "other", half+1); !fault.Is(err, fault.NotFound) || r.Body != nil {
		t.Errorf("a body of another id is given: %v", err)
	}
}

// TestCursorsAreBound opens a cursor under another tenant, type and query, with the key that sealed it.
func TestCursorsAreBound(t *testing.T) {
	t.Parallel()
	a, b := callers(t)
	query := func(typ, raw string) *search.Query {
		q, err := search.Parse(fhir.ResourceType(typ), raw, search.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	q := query("Patient", "name=a")
	q.Cursor = a.seal64(q, cursor{Key: 1, Rid: 2})
	if _, err := a.open64(q); err != nil {
		t.Fatal(err)
	}
	if _, err := b.open64(q); !fault.Is(err, fault.Invalid) {
		t.Errorf("opens for another tenant: %v", err)
	}
	for _, other := range []*search.Query{query("Patient", "name=b"), query("Patient", ""), query("Practitioner", "name=a")} {
		other.Cursor = q.Cursor
		if _, err := a.open64(other); !fault.Is(err, fault.Invalid) {
			t.Errorf("opens for %s?%s: %v", other.Type.Name, other.Encode(), err)
		}
	}
}
