package audit

import (
	"crypto/rand"
	"crypto/sha256"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/ledger"
	"github.com/cordon-ehr/cordon/internal/seal"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Row is an event as stored. Its bytes never change: a ledger's entry is made of them without a key (see Entry).
type Row struct {
	ID         uuid.UUID
	Recorded   int64 // Unix nanoseconds
	Patient    int64 // blind id of the patient, 0 if none: "who saw X" without opening every event
	KeyVersion int32 // 0 = Body is in clear (control, keys: no PHI)
	Body       []byte
	Digest     []byte // ledger.Digest of a sealed event; nil in clear, and in rows older than digests
}

// place binds a sealed event to its tenant, identity, time and patient. The patient is outside of it in rows older than digests.
func (r Row) place(t tenant.ID) seal.Place {
	p := seal.Place{Tenant: t, Table: "audit", Sub: r.ID, Version: r.Recorded}
	if len(r.Digest) > 0 {
		p.ID = r.Patient
	}
	return p
}

// Seal makes the row of a tenant's event, sealed under its audit key. patient is the blind id of e.Patient, or 0. An event that is not
// whole makes no row (see Check).
func Seal(e Event, k *seal.Key, patient int64) (Row, error) {
	if err := e.Check(); err != nil {
		return Row{}, err
	}
	r := Row{ID: e.ID, Recorded: e.Recorded.UnixNano(), Patient: patient, KeyVersion: k.Version}
	json := e.Marshal()
	var salt [saltSize]byte
	_, _ = rand.Read(salt[:]) // never fails since Go 1.24: it ends the process instead
	digest := ledger.Digest(salt[:], json)
	r.Digest = digest[:]
	r.Body = k.Seal(nil, compact(salt, json), r.place(e.Tenant))
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
	_, json, err := r.Unseal(t, key)
	return json, err
}

// Unseal gives the event's JSON and the salt of its digest, which is empty in clear, and in rows older than digests.
func (r Row) Unseal(t tenant.ID, key KeyFor) (salt, json []byte, err error) {
	if r.KeyVersion == 0 {
		return nil, r.Body, nil
	}
	k, err := key(r.KeyVersion)
	if err != nil {
		return nil, nil, err
	}
	plain, err := k.Open(nil, r.Body, r.place(t))
	if err != nil {
		return nil, nil, err
	}
	return expand(plain)
}

// Entry is what the tenant's log keeps of the row (RFC 6962 leaves are made of it): from the stored row alone, without a key.
func (r Row) Entry() ledger.Entry {
	e := ledger.Entry{ID: r.ID, Recorded: r.Recorded, Label: r.Patient, Key: r.KeyVersion, Body: sha256.Sum256(r.Body)}
	if r.KeyVersion == 0 {
		e.Digest = ledger.Digest(nil, r.Body)
	} else {
		copy(e.Digest[:], r.Digest)
	}
	return e
}

// Whole is a column's value. The columns are NOT NULL; where somebody changed that and emptied one, it is a number that no event has,
// so that the row is found to be edited.
func Whole[T int32 | int64](v *T) T {
	if v == nil {
		return T(-1)
	}
	return *v
}

// insertSQL runs under the tenant's context in the chart database; the policy checks the number. It names the transaction, whatever
// default somebody gave the column: a row with another number is in no log.
const insertSQL = `INSERT INTO audit (id, tenant, recorded, patient, keyver, body, digest, xid)
SELECT a, $1, b, c, d, e, f, pg_current_xact_id() FROM unnest($2::uuid[], $3::int8[], $4::int8[], $5::int4[], $6::bytea[], $7::bytea[]) AS u(a, b, c, d, e, f)`

// againSQL is insertSQL when nobody knows whether it was committed: what is there already stays once.
const againSQL = insertSQL + ` WHERE NOT EXISTS (SELECT 1 FROM audit AS x WHERE x.tenant = $1 AND x.id = u.a)`

// Queue adds the rows of one tenant to a pipeline whose context is that tenant's. again says that they may be there already, because
// the answer to an earlier pipeline was lost.
func Queue(b *pgx.Batch, number int32, rows []Row, again bool) {
	if len(rows) == 0 {
		return
	}
	ids, rec, pat := make([]pgtype.UUID, len(rows)), make([]int64, len(rows)), make([]int64, len(rows))
	ver, body, digest := make([]int32, len(rows)), make([][]byte, len(rows)), make([][]byte, len(rows))
	for i, r := range rows {
		ids[i], rec[i], pat[i] = pgtype.UUID{Bytes: r.ID, Valid: true}, r.Recorded, r.Patient
		ver[i], body[i], digest[i] = r.KeyVersion, r.Body, r.Digest
	}
	sql := insertSQL
	if again {
		sql = againSQL
	}
	b.Queue(sql, number, ids, rec, pat, ver, body, digest)
}

// Unwritable wraps an error of the audit table: the request it belongs to fails closed.
func Unwritable(err error) error {
	if err == nil {
		return nil
	}
	return fault.Wrap(fault.Unavailable, err, "the audit record could not be written, so nothing was done")
}
