package placement

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/ledger"
	"github.com/cordon-ehr/cordon/internal/routes"
)

// MintLedger makes the Scope of the system job that keeps a tenant's log. It opens the tenant's events and the log's bookmark, and no
// chart, whatever the tenant's state.
func MintLedger(r *routes.Route) (Scope, error) {
	if r.Tenant.ID.IsZero() || r.Tenant.Number == 0 {
		return Scope{}, fault.New(fault.Internal, "a log is of a tenant")
	}
	return Scope{tenant: r.Tenant.ID, number: r.Tenant.Number, events: true}, nil
}

// readEvents runs a pipeline over a tenant's events and bookmark alone.
func (c *Charts) readEvents(ctx context.Context, s Scope, fill func(*Batch)) error {
	s.events = false
	return c.Read(ctx, s, fill)
}

const (
	auditRowsSQL = `SELECT xid, id, recorded, patient, keyver, body, digest FROM audit WHERE tenant = $1 AND (xid, id) >= ($2, $3) ORDER BY xid, id LIMIT $4`
	headSQL      = `SELECT size, cosigned, xid, id, root FROM ledger_head WHERE tenant = $1`
	advanceSQL   = `INSERT INTO ledger_head (tenant, size, cosigned, xid, id, root) VALUES ($1, $3, $4, $5, $6, $7)
ON CONFLICT (tenant) DO UPDATE SET size = $3, cosigned = $4, xid = $5, id = $6, root = $7 WHERE ledger_head.size = $2`
)

// Boundary gives two transaction ids: all below settled have ended; all committed until now are below newest. It touches no rows.
func (c *Charts) Boundary(ctx context.Context) (settled, newest uint64, err error) {
	err = c.pool.Row(ctx, ledger.BoundarySQL, nil, &settled, &newest)
	return settled, newest, err
}

// EventRows gives at most n of a tenant's event rows after a position, that one included when including is true, in the log's order.
func (c *Charts) EventRows(ctx context.Context, s Scope, after ledger.Position, including bool, n int) (out []ledger.Row, err error) {
	most := n
	if !including {
		n++ // the one at the position, which is left out
	}
	err = c.readEvents(ctx, s, func(b *Batch) {
		b.Queue(auditRowsSQL, after.Tx, after.ID, n).Query(func(r pgx.Rows) error {
			out = out[:0]
			for r.Next() {
				var x audit.Row
				var tx uint64
				var recorded, patient *int64
				var key *int32
				if err := r.Scan(&tx, &x.ID, &recorded, &patient, &key, &x.Body, &x.Digest); err != nil {
					return err
				}
				x.Recorded, x.Patient, x.KeyVersion = audit.Whole(recorded), audit.Whole(patient), audit.Whole(key)
				out = append(out, ledger.Row{Position: ledger.Position{Tx: tx, ID: x.ID}, Entry: x.Entry(), Body: x.Body})
			}
			return r.Err()
		})
	})
	if at := slices.IndexFunc(out, func(r ledger.Row) bool { return !including && r.Position == after }); at == 0 {
		out = out[1:]
	}
	return out[:min(len(out), most)], err
}

// LogHead gives the bookmark of a tenant's log.
func (c *Charts) LogHead(ctx context.Context, s Scope) (h ledger.Head, err error) {
	err = c.readEvents(ctx, s, func(b *Batch) {
		b.Queue(headSQL).Query(func(r pgx.Rows) error {
			for r.Next() {
				var root []byte
				if err := r.Scan(&h.Size, &h.Cosigned, &h.Last.Tx, &h.Last.ID, &root); err != nil {
					return err
				}
				copy(h.Root[:], root)
			}
			return r.Err()
		})
	})
	return h, err
}

// AdvanceLog moves the bookmark if its size is from still, and tells whether it was.
func (c *Charts) AdvanceLog(ctx context.Context, s Scope, from int64, to ledger.Head) (bool, error) {
	if err := s.check(false); err != nil {
		return false, err
	}
	moved := false
	b := Batch{number: s.number}
	b.b.Queue(contextSQL, numberText(s.number))
	b.Queue(advanceSQL, from, to.Size, to.Cosigned, to.Last.Tx, to.Last.ID, to.Root[:]).Query(func(r pgx.Rows) error {
		r.Close()
		moved = r.CommandTag().RowsAffected() == 1
		return r.Err()
	})
	err := c.pool.Pipeline(ctx, &b.b)
	return moved && err == nil, err
}
