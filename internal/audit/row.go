package audit

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/seal"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Row is an event as stored. Its bytes never change: a ledger leaf is made of them without a key (see Leaf).
type Row struct {
	ID         uuid.UUID
	Recorded   int64 // Unix nanoseconds
	Patient    int64 // blind id of the patient, 0 if none: "who saw X" without opening every event
	KeyVersion int32 // 0 = Body is in clear (control, keys: no PHI)
	Body       []byte
}

// place binds a sealed event to its tenant, identity and time.
func place(t tenant.ID, id uuid.UUID, recorded int64) seal.Place {
	return seal.Place{Tenant: t, Table: "audit", Sub: id, Version: recorded}
}

// Seal makes the row of a tenant's event, sealed under its audit key. patient is the blind id of e.Patient, or 0. An event that is not
// whole makes no row (see Check).
func Seal(e Event, k *seal.Key, patient int64) (Row, error) {
	if err := e.Check(); err != nil {
		return Row{}, err
	}
	r := Row{ID: e.ID, Recorded: e.Recorded.UnixNano(), Patient: patient, KeyVersion: k.Version}
	r.Body = k.Seal(nil, compact(e.Marshal()), place(e.Tenant, e.ID, r.Recorded))
	return r, nil
}

// Clear makes the row of an event that holds no PHI, under the rule of Seal.
func Clear(e Event) (Row, error) {
	if err := e.Check(); err != nil {
		return Row{}, err
	}
	return Row{ID: e.ID, Recorded: e.Recorded.UnixNano(), Body: e.Marshal()}, nil
}

// KeyFor gives the audit key of a version.
type KeyFor func(version int32) (*seal.Key, error)

// Open gives the event's JSON.
func (r Row) Open(t tenant.ID, key KeyFor) ([]byte, error) {
	if r.KeyVersion == 0 {
		return r.Body, nil
	}
	k, err := key(r.KeyVersion)
	if err != nil {
		return nil, err
	}
	plain, err := k.Open(nil, r.Body, place(t, r.ID, r.Recorded))
	if err != nil {
		return nil, err
	}
	return expand(plain)
}

// Leaf is the hash that a Merkle log of the tenant's events commits to (RFC 6962 §2.1 leaf hash): over identity, time, key
// version and stored bytes, so that it is computed from rows, offline, without a key.
func (r Row) Leaf(t tenant.ID) [32]byte {
	id := t.Bytes()
	b := make([]byte, 0, 80+len(r.Body))
	b = append(b, 0) // RFC 6962 leaf prefix
	b = append(b, "cordon/audit/v1\x00"...)
	b = append(b, id[:]...)
	b = append(b, r.ID[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Recorded))
	b = binary.BigEndian.AppendUint32(b, uint32(r.KeyVersion))
	return sha256.Sum256(append(b, r.Body...))
}

// insertSQL runs under the tenant's context in the chart database; the policy checks the number.
const insertSQL = `INSERT INTO audit (id, tenant, recorded, patient, keyver, body)
SELECT a, $1, b, c, d, e FROM unnest($2::uuid[], $3::int8[], $4::int8[], $5::int4[], $6::bytea[]) AS u(a, b, c, d, e)`

// Queue adds the rows of one tenant to a pipeline whose context is that tenant's.
func Queue(b *pgx.Batch, number int32, rows []Row) {
	if len(rows) == 0 {
		return
	}
	ids, rec, pat := make([]pgtype.UUID, len(rows)), make([]int64, len(rows)), make([]int64, len(rows))
	ver, body := make([]int32, len(rows)), make([][]byte, len(rows))
	for i, r := range rows {
		ids[i], rec[i], pat[i], ver[i], body[i] = pgtype.UUID{Bytes: r.ID, Valid: true}, r.Recorded, r.Patient, r.KeyVersion, r.Body
	}
	b.Queue(insertSQL, number, ids, rec, pat, ver, body)
}

// Unwritable wraps an error of the audit table: the request it belongs to fails closed.
func Unwritable(err error) error {
	if err == nil {
		return nil
	}
	return fault.Wrap(fault.Unavailable, err, "the audit record could not be written, so nothing was done")
}
