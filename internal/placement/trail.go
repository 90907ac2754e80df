package placement

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/audit"
)

// The reading of the trail. By time it walks (tenant, id), because ids are time-ordered; by patient (tenant, patient, id).
const (
	trailSQL         = `SELECT id, recorded, patient, keyver, body, digest FROM audit WHERE tenant = $1 AND id > $2 AND id < $3 ORDER BY id LIMIT $4`
	trailNewestSQL   = `SELECT id, recorded, patient, keyver, body, digest FROM audit WHERE tenant = $1 AND id > $2 AND id < $3 ORDER BY id DESC LIMIT $4`
	patientSQL       = `SELECT id, recorded, patient, keyver, body, digest FROM audit WHERE tenant = $1 AND patient <> 0 AND patient = $5 AND id > $2 AND id < $3 ORDER BY id LIMIT $4`
	patientNewestSQL = `SELECT id, recorded, patient, keyver, body, digest FROM audit WHERE tenant = $1 AND patient <> 0 AND patient = $5 AND id > $2 AND id < $3 ORDER BY id DESC LIMIT $4`
	// The rows are found first and ordered then (OFFSET 0 is a fence): else a planner may walk all of a short trail in the order wanted.
	trailOnlySQL = `SELECT * FROM (SELECT id, recorded, patient, keyver, body, digest FROM audit WHERE tenant = $1 AND id = ANY($2) OFFSET 0) AS found ORDER BY id DESC LIMIT $3`
)

// Trail gives a page of a tenant's event rows: of all, or of one patient by its blind id (0 = of all).
func (c *Charts) Trail(ctx context.Context, s Scope, patient int64, r audit.Range) (out []audit.Row, err error) {
	r = r.Filled()
	err = c.readEvents(ctx, s, func(b *Batch) {
		args := []any{r.After, r.Before, r.Limit}
		sql := trailSQL
		switch {
		case len(r.Only) > 0:
			sql, args = trailOnlySQL, []any{r.Only, r.Limit}
		case patient != 0 && r.Newest:
			sql, args = patientNewestSQL, append(args, patient)
		case patient != 0:
			sql, args = patientSQL, append(args, patient)
		case r.Newest:
			sql = trailNewestSQL
		}
		b.Queue(sql, args...).Query(func(rows pgx.Rows) error {
			out, err = eventRows(rows)
			return err
		})
	})
	return out, err
}

func eventRows(r pgx.Rows) (out []audit.Row, err error) {
	for r.Next() {
		var x audit.Row
		if err := r.Scan(&x.ID, &x.Recorded, &x.Patient, &x.KeyVersion, &x.Body, &x.Digest); err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, r.Err()
}

const (
	horizonSQL = `SELECT pg_snapshot_xmin(pg_current_snapshot())`
	feedSQL    = `SELECT xid, id, recorded, patient, keyver, body, digest FROM audit WHERE tenant = $1 AND xid >= $2 AND xid < $3 AND (xid, id) > ($4, $5) ORDER BY xid, id LIMIT $6`
)

// Horizon is the oldest transaction still running: below it, nothing of the feed changes any more.
func (c *Charts) Horizon(ctx context.Context) (xid uint64, err error) {
	err = c.pool.Row(ctx, horizonSQL, nil, &xid)
	return xid, err
}

// Feed gives a page of a tenant's event rows in the order of their transactions, of those from and below the ones given, and the
// position of the last.
func (c *Charts) Feed(ctx context.Context, s Scope, a audit.FeedAsk) (out []audit.Row, last audit.Position, err error) {
	last = a.After
	err = c.readEvents(ctx, s, func(b *Batch) {
		b.Queue(feedSQL, a.From, a.Until, a.After.XID, a.After.ID, min(a.Limit, audit.PageLimit)).Query(func(r pgx.Rows) error {
			out, last = out[:0], a.After
			for r.Next() {
				var x audit.Row
				if err := r.Scan(&last.XID, &x.ID, &x.Recorded, &x.Patient, &x.KeyVersion, &x.Body, &x.Digest); err != nil {
					return err
				}
				last.ID, out = x.ID, append(out, x)
			}
			return r.Err()
		})
	})
	return out, last, err
}
