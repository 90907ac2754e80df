package cell

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/authn"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/lease"
	"github.com/cordon-ehr/cordon/internal/placement"
	"github.com/cordon-ehr/cordon/internal/rpc"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// eventsPage is how many events are read and opened at a time.
const eventsPage = 1000

// Events streams a tenant's chart events, opened, against control's ticket for that tenant. The lease behind it holds the
// audit key and no other, so that whoever reads the log reads no chart.
func (c *Cell) Events(ctx context.Context, t tenant.ID, ticket string, by audit.By) rpc.Events {
	return func(yield func(rpc.Event, error) bool) {
		if err := c.events(ctx, t, ticket, by, func(e rpc.Event) bool { return yield(e, nil) }); err != nil {
			yield(rpc.Event{}, err)
		}
	}
}

func (c *Cell) events(ctx context.Context, t tenant.ID, ticket string, by audit.By, yield func(rpc.Event) bool) error {
	route, ok := c.table.ByID(t)
	if !ok {
		return fault.New(fault.NotFound, "no such tenant")
	}
	if err := route.Usable(); err != nil {
		return err
	}
	ring, err := c.auditRing(ctx, t, ticket, by)
	if err != nil {
		return err
	}
	scope, err := placement.MintAudit(authn.Principal{Tenant: t, Kind: authn.Operator, Subject: by.Agent.ID}, route)
	if err != nil {
		return err
	}
	if err := c.recordReading(ctx, scope, ring, by); err != nil {
		return err
	}
	after := uuid.Nil
	for {
		rows, err := c.charts.Events(ctx, scope, after, eventsPage)
		if err != nil {
			return err
		}
		for _, r := range rows {
			b, err := r.Open(t, ring.AuditKey)
			if errors.Is(err, lease.ErrNewer) { // the keys were rotated while the log was read
				if ring, err = c.auditRing(ctx, t, ticket, by); err == nil {
					b, err = r.Open(t, ring.AuditKey)
				}
			}
			if err != nil {
				return err
			}
			if !yield(rpc.Event{ID: r.ID, JSON: b}) {
				return nil
			}
			after = r.ID
		}
		if len(rows) < eventsPage {
			return nil
		}
	}
}

// auditRing takes a lease of the audit keys alone.
func (c *Cell) auditRing(ctx context.Context, t tenant.ID, ticket string, by audit.By) (*lease.Ring, error) {
	g, err := c.peers.Broker.Lease(ctx, lease.Request{Tenant: t, Purpose: lease.Audit, Proof: ticket, Request: by.Request})
	if err != nil {
		return nil, err
	}
	return lease.Prepare(g)
}

// recordReading makes the reading of the log an event of the log, before the first event leaves.
func (c *Cell) recordReading(ctx context.Context, scope placement.Scope, ring *lease.Ring, by audit.By) error {
	e := by.Event("cell", scope.Tenant(), "audit", "export", audit.Read)
	e.Source.Site = c.cfg.Name
	return c.flusher.Record(ctx, scope, []audit.Row{audit.Seal(e, ring.Events, 0)})
}
