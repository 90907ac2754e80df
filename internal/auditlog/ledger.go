package auditlog

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/ledger"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Logs implements ledger.Source: the tenants with events, the platform's own log among them. It skips from tenant to tenant in the
// key, whatever the number of events.
func (l *Log) Logs(ctx context.Context) (out []tenant.ID, err error) {
	err = l.pool.Rows(ctx, `WITH RECURSIVE t AS ((SELECT tenant FROM audit ORDER BY tenant LIMIT 1) UNION ALL
SELECT (SELECT a.tenant FROM audit a WHERE a.tenant > t.tenant ORDER BY a.tenant LIMIT 1) FROM t WHERE t.tenant IS NOT NULL)
SELECT tenant FROM t WHERE tenant IS NOT NULL UNION SELECT tenant FROM ledger_head`, nil, func(r pgx.Rows) error {
		var id [16]byte
		err := r.Scan(&id)
		out = append(out, tenant.IDFromBytes(id))
		return err
	})
	return out, err
}

// Boundary implements ledger.Source.
func (l *Log) Boundary(ctx context.Context, _ tenant.ID) (settled, newest uint64, err error) {
	err = l.pool.Row(ctx, ledger.BoundarySQL, nil, &settled, &newest)
	return settled, newest, err
}

// Head implements ledger.Source.
func (l *Log) Head(ctx context.Context, t tenant.ID) (h ledger.Head, err error) {
	var root []byte
	err = l.pool.Row(ctx, `SELECT size, cosigned, xid, id, root FROM ledger_head WHERE tenant = $1`, []any{t.Bytes()}, &h.Size, &h.Cosigned, &h.Last.Tx, &h.Last.ID, &root)
	if fault.Is(err, fault.NotFound) {
		return ledger.Head{}, nil
	}
	copy(h.Root[:], root)
	return h, err
}

// Advance implements ledger.Source.
func (l *Log) Advance(ctx context.Context, t tenant.ID, from int64, to ledger.Head) (bool, error) {
	n, err := l.pool.Exec(ctx, `INSERT INTO ledger_head (tenant, size, cosigned, xid, id, root) VALUES ($1, $3, $4, $5, $6, $7)
ON CONFLICT (tenant) DO UPDATE SET size = $3, cosigned = $4, xid = $5, id = $6, root = $7 WHERE ledger_head.size = $2`,
		t.Bytes(), from, to.Size, to.Cosigned, to.Last.Tx, to.Last.ID, to.Root[:])
	return n == 1, err
}

// Seen implements ledger.Heads.
func (l *Log) Seen(ctx context.Context, origin string) (note []byte, size int64, err error) {
	err = l.pool.Row(ctx, `SELECT note, size FROM witness WHERE origin = $1`, []any{origin}, &note, &size)
	if fault.Is(err, fault.NotFound) {
		return nil, 0, nil
	}
	return note, size, err
}

// Remember implements ledger.Heads.
func (l *Log) Remember(ctx context.Context, origin string, from int64, c ledger.Checkpoint, note []byte, at time.Time) (bool, error) {
	n, err := l.pool.Exec(ctx, `INSERT INTO witness (origin, size, root, note, at) VALUES ($1, $3, $4, $5, $6)
ON CONFLICT (origin) DO UPDATE SET size = $3, root = $4, note = $5, at = $6 WHERE witness.size = $2`, origin, from, c.Size, c.Root[:], note, at)
	return n == 1, err
}

var (
	_ ledger.Source = (*Log)(nil)
	_ ledger.Heads  = (*Log)(nil)
)
