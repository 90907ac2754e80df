package audit

import (
	"bytes"
	"testing"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/seal"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// FuzzExpand: what is compacted comes back to the byte; what is no compacted event is an error, never a panic and never a size
// that its few bytes only claim.
func FuzzExpand(f *testing.F) {
	f.Add([]byte(`{"event_id":"019","type":"rest","subtype":"read"}`))
	f.Add(compact([saltSize]byte{1}, []byte(`{"event_id":"019"}`)))
	f.Add([]byte{compact1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		salt := [saltSize]byte{7: 7}
		if s, got, err := expand(compact(salt, b)); err != nil || !bytes.Equal(got, b) || !bytes.Equal(s, salt[:]) {
			t.Fatalf("%d bytes came back as %d: %v", len(b), len(got), err)
		}
		if _, got, err := expand(b); err == nil && len(got) > maxEvent {
			t.Fatalf("%d bytes expand to %d", len(b), len(got))
		}
	})
}

// FuzzOpenRow: only the row as it was sealed opens: not one of other bytes, another time, identity, tenant or key version.
func FuzzOpenRow(f *testing.F) {
	key := seal.NewKey(seal.NewSecret(), 1)
	keys := func(v int32) (*seal.Key, error) {
		if v != 1 {
			return nil, fault.New(fault.Internal, "no such key")
		}
		return key, nil
	}
	of := tenant.NewID()
	e := New(Event{Tenant: of, Type: "rest", Subtype: "read", Action: Read, Outcome: Success, Agent: Agent{Kind: "client", ID: "c"}, Source: Source{Role: "cell"}, Decision: Decision{Allow: true, Policy: "p/1"}})
	row, err := Seal(e, key, 7)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(row.Body, row.ID[:], row.Recorded, int32(1))
	f.Add(row.Body[:10], row.ID[:], int64(0), int32(1))
	f.Add([]byte{}, []byte{}, int64(-1), int32(2))
	f.Fuzz(func(t *testing.T, body, id []byte, recorded int64, version int32) {
		if version == 0 {
			return // in clear, and no secret
		}
		r := Row{Body: body, Recorded: recorded, KeyVersion: version, Patient: row.Patient, Digest: row.Digest}
		copy(r.ID[:], id)
		same := bytes.Equal(body, row.Body) && r.ID == row.ID && recorded == row.Recorded && version == 1
		if _, err := r.Open(of, keys); (err == nil) != same {
			t.Fatalf("opens: %v, is the row: %v", err == nil, same)
		}
		if _, err := r.Open(tenant.NewID(), keys); err == nil {
			t.Fatal("opens for another tenant")
		}
		_ = r.Entry().Leaf(of)
	})
}
