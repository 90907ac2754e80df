package auditlog

import (
	"context"
	"crypto/hmac"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/ledger"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// OnForged names the role, and who hears of a row that it did not write, before the row's place is shown. It is called once, before the
// log is used.
func (l *Log) OnForged(from audit.Source, forged func(context.Context, tenant.ID)) {
	l.from, l.forged = from, forged
}

// shown is what a reader of the log sees of a row: its body, or when this role did not write it, that something stands there.
func (l *Log) shown(ctx context.Context, t tenant.ID, r audit.Row, mac []byte) []byte {
	if hmac.Equal(mac, l.mac(t, r.Entry())) {
		return r.Body
	}
	l.forged(ctx, t)
	return audit.Unopened(l.from, t, r).Marshal()
}

// Event is one event with its place in the log.
type Event struct {
	Seq   int64
	Entry ledger.Entry
	JSON  []byte
}

const eventsPage = 1000

// Events gives a tenant's events, oldest first. In the place of a row that this role did not write stands an event that says so
// (audit.Unopened): what is wrong with one row hides no other.
func (l *Log) Events(ctx context.Context, t tenant.ID, each func(Event) error) error {
	placed := func(yield func(Event, error) bool) {
		seq := int64(0)
		for r, err := range ledger.All(eventsPage, func(after ledger.Position, including bool, n int) ([]ledger.Row, error) {
			return l.Rows(ctx, t, after, including, n)
		}) {
			if err != nil {
				yield(Event{}, err)
				return
			}
			if !yield(Event{seq, r.Entry, l.shown(ctx, t, audit.Row{ID: r.Entry.ID, Recorded: r.Recorded, Body: r.Body}, r.MAC)}, nil) {
				return
			}
			seq++
		}
	}
	return audit.InOrder(func(e Event) [16]byte { return e.Entry.ID }, placed, each)
}

const (
	pageSQL       = `SELECT id, recorded, body, mac FROM audit WHERE tenant = $1 AND id > $2 AND id < $3 ORDER BY id LIMIT $4`
	pageNewestSQL = `SELECT id, recorded, body, mac FROM audit WHERE tenant = $1 AND id > $2 AND id < $3 ORDER BY id DESC LIMIT $4`
	onlySQL       = `SELECT id, recorded, body, mac FROM audit WHERE tenant = $1 AND id = ANY($2) ORDER BY id LIMIT $3`
)

// EventPage gives a page of a tenant's events, those that this role did not write as Events does. The tenant is one: nil finds nothing,
// and not the platform's events.
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
	var rows []stored
	err = l.pool.Rows(ctx, sql, args, func(at pgx.Rows) error {
		var s stored
		err := at.Scan(&s.ID, &s.Recorded, &s.Body, &s.mac)
		rows = append(rows, s)
		return err
	})
	return l.plain(ctx, t, rows), err
}

type stored struct {
	audit.Row
	xid uint64
	mac []byte
}

// plain shows rows after their connection was given back: the alarm writes, too.
func (l *Log) plain(ctx context.Context, t tenant.ID, rows []stored) (out []audit.Plain) {
	for _, s := range rows {
		out = append(out, audit.Plain{ID: s.ID, JSON: l.shown(ctx, t, s.Row, s.mac)})
	}
	return out
}

const (
	horizonSQL = `SELECT pg_snapshot_xmin(pg_current_snapshot())`
	feedSQL    = `SELECT xid, id, recorded, body, mac FROM audit WHERE tenant = $1 AND xid >= $2 AND xid < $3 AND (xid, id) > ($4, $5) ORDER BY xid, id LIMIT $6`
)

// Horizon is the oldest transaction still running: below it, nothing of the feed changes any more.
func (l *Log) Horizon(ctx context.Context) (xid uint64, err error) {
	err = l.pool.Row(ctx, horizonSQL, nil, &xid)
	return xid, err
}

// Feed gives a page of a tenant's events in the order of their transactions, those that this role did not write as Events does; the nil
// tenant's are those of the platform.
func (l *Log) Feed(ctx context.Context, a audit.FeedAsk) (page audit.FeedPage, err error) {
	page.Last, page.Until = a.After, a.Until
	if page.Until == 0 {
		if page.Until, err = l.Horizon(ctx); err != nil {
			return page, err
		}
	}
	var rows []stored
	args := []any{a.Tenant.Bytes(), a.From, page.Until, a.After.XID, a.After.ID, min(a.Limit, audit.PageLimit)}
	err = l.pool.Rows(ctx, feedSQL, args, func(at pgx.Rows) error {
		var s stored
		err := at.Scan(&s.xid, &s.ID, &s.Recorded, &s.Body, &s.mac)
		page.Last, rows = audit.Position{XID: s.xid, ID: s.ID}, append(rows, s)
		return err
	})
	page.Events = l.plain(ctx, a.Tenant, rows)
	return page, err
}
