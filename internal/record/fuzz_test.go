package record

import (
	"bytes"
	"encoding/base64"
	"slices"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/authn"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/fhir/search"
	"github.com/cordon-ehr/cordon/internal/lease"
	"github.com/cordon-ehr/cordon/internal/placement"
	"github.com/cordon-ehr/cordon/internal/plan"
	"github.com/cordon-ehr/cordon/internal/routes"
	"github.com/cordon-ehr/cordon/internal/seal"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// FuzzDecodeBody: any bytes are a body or an error; a body comes back as it was stored.
func FuzzDecodeBody(f *testing.F) {
	b := body{check: 1, patients: []string{"a"}, json: []byte(`{"resourceType":"Patient","id":"a"}`)}
	f.Add(b.encode())
	f.Add([]byte{bodyFormat, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		b, err := decodeBody(in)
		if err != nil {
			if !fault.Is(err, fault.Internal) {
				t.Fatal(err)
			}
			return
		}
		again, err := decodeBody(b.encode())
		if err != nil || again.check != b.check || !slices.Equal(again.patients, b.patients) || !bytes.Equal(again.json, b.json) {
			t.Fatalf("%+v came back as %+v: %v", b, again, err)
		}
	})
}

// fuzzCaller is a caller of a tenant, with keys of its own.
func fuzzCaller(t testing.TB) *Caller {
	t.Helper()
	at := tenant.Tenant{ID: tenant.NewID(), Slug: "alpha", Number: 1, State: tenant.Active}
	scope, err := placement.Mint(authn.Principal{Tenant: at.ID, Kind: authn.Client}, &routes.Route{Tenant: at})
	if err != nil {
		t.Fatal(err)
	}
	key := func() []lease.Key { return []lease.Key{{Version: 1, Secret: seal.NewSecret()}} }
	ring, err := lease.Prepare(lease.Grant{Tenant: at.ID, Purpose: lease.Chart, Expires: time.Now().Add(time.Hour), Record: key(), Audit: key(), Cursor: key(), Index: key()})
	if err != nil {
		t.Fatal(err)
	}
	return &Caller{Scope: scope, Ring: ring, Base: "https://here.example/t/alpha/fhir"}
}

// FuzzCursor: only the cursor that was given out opens, for the query and the tenant it was given for; all else is one refusal.
func FuzzCursor(f *testing.F) {
	mine, theirs := fuzzCaller(f), fuzzCaller(f)
	parse := func(t testing.TB, raw string) *search.Query {
		q, err := search.Parse(fhir.ResourceType("Patient"), raw, search.Options{Base: mine.Base, Now: time.Unix(1_800_000_000, 0)})
		if err != nil {
			t.Skip()
		}
		return q
	}
	given := mine.sealCursor(parse(f, "name=a&_count=1"), plan.Position{Key: 5, Rid: 7})
	raw, err := base64.RawURLEncoding.DecodeString(given)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(given, "name=a&_count=1")
	f.Add(given, "name=b&_count=1")
	f.Add(given[:len(given)-2], "name=a")
	f.Add(theirs.sealCursor(parse(f, "name=a&_count=1"), plan.Position{Key: 5, Rid: 7}), "name=a&_count=1")
	f.Add("AAAA\n", "_sort=name")
	f.Fuzz(func(t *testing.T, cursor, query string) {
		q := parse(t, query)
		q.Cursor = cursor
		p, err := mine.openCursor(q)
		if cursor == "" {
			return
		}
		got, _ := base64.RawURLEncoding.DecodeString(cursor)
		if err == nil && (!bytes.Equal(got, raw) || q.Encode() != "name=a&_count=1" || p.Key != 5 || p.Rid != 7) {
			t.Fatalf("%q opens for %q as %+v", cursor, query, p)
		}
		if err != nil && fault.Of(err).Text != "search parameter _cursor: not a cursor of this search" {
			t.Fatalf("the refusal tells more: %v", err)
		}
		if _, err := theirs.openCursor(q); err == nil && bytes.Equal(got, raw) {
			t.Fatal("a cursor opens for another tenant")
		}
	})
}

// FuzzEntries: any JSON is a list of entries or a fault that says where.
func FuzzEntries(f *testing.F) {
	f.Add([]byte(`{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient","ifNoneExist":"a=b","ifMatch":"W/\"1\""}}]}`))
	f.Add([]byte(`{"entry":[{"request":{"method":"PUT","url":"Patient/1","ifMatch":"W/\"99999999999999999999\""}},{},null,1]}`))
	f.Add([]byte(`{"entry":{}}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		d, err := fhir.Parse(src, fhir.Limits{MaxDepth: 32, MaxNodes: 10_000})
		if err != nil {
			return
		}
		defer d.Release()
		entries, err := ReadEntries(d.Root())
		if err != nil && !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.TooLarge) {
			t.Fatal(err)
		}
		for i := range entries {
			if entries[i].Index != i || entries[i].IfMatch < 0 {
				t.Fatalf("entry %d reads as %+v", i, entries[i])
			}
		}
	})
}
