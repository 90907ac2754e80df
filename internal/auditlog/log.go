// Package auditlog is the audit table of the roles that see no chart: control and the broker. It stands apart from the vocabulary
// (audit), which the edge speaks, too, and the edge runs no SQL.
package auditlog

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/ledger"
	"github.com/cordon-ehr/cordon/internal/pg"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Log is one role's audit table. Its events hold no PHI and stand in clear; each carries a MAC under the role's audit key, so that a
// row that somebody else put into the database is known for what it is.
// It is safe for concurrent use.
type Log struct {
	pool *pg.Pool
	key  [sha256.Size]byte
	mark func(tenant.ID)
	// Set by OnForged.
	from   audit.Source
	forged func(context.Context, tenant.ID)
}

// New works as the role whose pool it is. key is the role's audit key, 32 bytes at least.
func New(pool *pg.Pool, key []byte) *Log {
	return &Log{pool: pool, key: sha256.Sum256(key), mark: func(tenant.ID) {}, forged: func(context.Context, tenant.ID) {}}
}

// OnWrite names who hears of tenants with new events. It is called once, before the log is used.
func (l *Log) OnWrite(mark func(tenant.ID)) { l.mark = mark }

// mac authenticates a row as this role's.
func (l *Log) mac(t tenant.ID, e ledger.Entry) []byte {
	h := hmac.New(sha256.New, l.key[:])
	h.Write([]byte("cordon/audit/mac/v1\x00"))
	h.Write(e.Data(t))
	return h.Sum(nil)
}

// Insert adds an event to the transaction of the work that it describes. An event that is there already, because the answer to its
// first recording was lost on the way, is there once.
func (l *Log) Insert(ctx context.Context, tx pgx.Tx, e audit.Event) error {
	r, err := audit.Clear(e)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO audit (id, recorded, tenant, body, mac, xid) VALUES ($1, $2, $3, $4, $5, pg_current_xact_id()) ON CONFLICT (tenant, id) DO NOTHING`, r.ID, r.Recorded, e.Tenant.Bytes(), r.Body, l.mac(e.Tenant, r.Entry()))
	if err == nil {
		l.mark(e.Tenant) // before the commit: the log is looked at later, and again when the row is not there yet
	}
	return audit.Unwritable(pg.Fault(err))
}

// Record makes an event durable on its own.
func (l *Log) Record(ctx context.Context, e audit.Event) error {
	return audit.Unwritable(l.pool.Tx(ctx, func(tx pgx.Tx) error { return l.Insert(ctx, tx, e) }))
}

// Opener gives a tenant's rows in clear, and refuses those that this role did not write.
func (l *Log) Opener(t tenant.ID) ledger.Opener {
	return func(r ledger.Row) (ledger.Opened, error) {
		if !hmac.Equal(r.MAC, l.mac(t, r.Entry)) {
			return ledger.Opened{}, fault.New(fault.Internal, "the row is not of this role: its MAC is not good")
		}
		return ledger.Opened{JSON: r.Body}, nil
	}
}

const rowsSQL = `SELECT xid, id, recorded, body, mac FROM audit WHERE tenant = $1 AND (xid, id) > ($2, $3) ORDER BY xid, id LIMIT $4`

// Rows implements ledger.Source.
func (l *Log) Rows(ctx context.Context, t tenant.ID, after ledger.Position, including bool, n int) (out []ledger.Row, err error) {
	sql := rowsSQL
	if including {
		sql = `SELECT xid, id, recorded, body, mac FROM audit WHERE tenant = $1 AND (xid, id) >= ($2, $3) ORDER BY xid, id LIMIT $4`
	}
	err = l.pool.Rows(ctx, sql, []any{t.Bytes(), after.Tx, after.ID, n}, func(r pgx.Rows) error {
		var x ledger.Row
		var id uuid.UUID
		var recorded *int64
		if err := r.Scan(&x.Tx, &id, &recorded, &x.Body, &x.MAC); err != nil {
			return err
		}
		x.Position.ID = id
		x.Entry = audit.Row{ID: id, Recorded: audit.Whole(recorded), Body: x.Body}.Entry()
		out = append(out, x)
		return nil
	})
	return out, err
}
