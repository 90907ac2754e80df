// Package auditlog is the audit table of the roles that see no chart: control and the broker. It stands apart from the vocabulary
// (audit), which the edge speaks, too, and the edge runs no SQL.
package auditlog

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
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
	r, err := audit.Clear(e)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO audit (id, recorded, tenant, body) VALUES ($1, $2, $3, $4) ON CONFLICT (tenant, id) DO NOTHING`, r.ID, r.Recorded, e.Tenant.Bytes(), r.Body)
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

const (
	pageSQL       = `SELECT id, body FROM audit WHERE tenant = $1 AND id > $2 AND id < $3 ORDER BY id LIMIT $4`
	pageNewestSQL = `SELECT id, body FROM audit WHERE tenant = $1 AND id > $2 AND id < $3 ORDER BY id DESC LIMIT $4`
	onlySQL       = `SELECT id, body FROM audit WHERE tenant = $1 AND id = ANY($2) ORDER BY id LIMIT $3`
)

// EventPage gives a page of a tenant's events. The tenant is one: nil finds nothing, and not the platform's events.
func (l *Log) EventPage(ctx context.Context, t tenant.ID, r audit.Range) (out []audit.Plain, err error) {
	if t.IsZero() {
		return nil, fault.New(fault.Internal, "no tenant, no events")
	}
	r = r.Filled()
	sql, args := pageSQL, []any{t.Bytes(), r.After, r.Before, r.Limit}
	switch {
	case len(r.Only) > 0:
		sql, args = onlySQL, []any{t.Bytes(), r.Only, r.Limit}
	case r.Newest:
		sql = pageNewestSQL
	}
	err = l.pool.Rows(ctx, sql, args, func(rows pgx.Rows) error {
		var p audit.Plain
		err := rows.Scan(&p.ID, &p.JSON)
		out = append(out, p)
		return err
	})
	return out, err
}

const (
	horizonSQL = `SELECT pg_snapshot_xmin(pg_current_snapshot())`
	feedSQL    = `SELECT xid, id, body FROM audit WHERE tenant = $1 AND xid >= $2 AND xid < $3 AND (xid, id) > ($4, $5) ORDER BY xid, id LIMIT $6`
)

// Feed gives a page of a tenant's events in the order of their transactions; the nil tenant's are those of the platform.
func (l *Log) Feed(ctx context.Context, a audit.FeedAsk) (page audit.FeedPage, err error) {
	page.Last, page.Until = a.After, a.Until
	if page.Until == 0 {
		if err := l.pool.Row(ctx, horizonSQL, nil, &page.Until); err != nil {
			return page, err
		}
	}
	args := []any{a.Tenant.Bytes(), a.From, page.Until, a.After.XID, a.After.ID, min(a.Limit, audit.PageLimit)}
	err = l.pool.Rows(ctx, feedSQL, args, func(rows pgx.Rows) error {
		var p audit.Plain
		err := rows.Scan(&page.Last.XID, &p.ID, &p.JSON)
		page.Last.ID, page.Events = p.ID, append(page.Events, p)
		return err
	})
	return page, err
}
