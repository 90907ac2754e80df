// Package auditlog is the audit table of the roles that see no chart: control and the broker. It stands apart from the vocabulary
// (audit), which the edge speaks, too, and the edge runs no SQL.
package auditlog

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/pg"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Log is one role's audit table. Its events hold no PHI and stand in clear.
// It is safe for concurrent use.
type Log struct{ pool *pg.Pool }

// New works as the role whose pool it is.
func New(pool *pg.Pool) *Log { return &Log{pool} }

// Insert adds an event to the transaction of the work that it describes. An event that is there already, because the answer to its
// first recording was lost on the way, is there once.
func (*Log) Insert(ctx context.Context, tx pgx.Tx, e audit.Event) error {
	r := audit.Clear(e)
	_, err := tx.Exec(ctx, `INSERT INTO audit (id, recorded, tenant, body) VALUES ($1, $2, $3, $4) ON CONFLICT (tenant, id) DO NOTHING`, r.ID, r.Recorded, e.Tenant.Bytes(), r.Body)
	return audit.Unwritable(pg.Fault(err))
}

// Record makes an event durable on its own.
func (l *Log) Record(ctx context.Context, e audit.Event) error {
	return audit.Unwritable(l.pool.Tx(ctx, func(tx pgx.Tx) error { return l.Insert(ctx, tx, e) }))
}

// Events gives a tenant's events, oldest first, as JSON.
func (l *Log) Events(ctx context.Context, t tenant.ID, each func([]byte) error) error {
	return l.pool.Rows(ctx, `SELECT body FROM audit WHERE tenant = $1 ORDER BY id`, []any{t.Bytes()}, func(r pgx.Rows) error {
		var b []byte
		if err := r.Scan(&b); err != nil {
			return err
		}
		return each(b)
	})
}
