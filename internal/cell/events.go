package cell

import (
	"context"
	"errors"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/authn"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/lease"
	"github.com/cordon-ehr/cordon/internal/ledger"
	"github.com/cordon-ehr/cordon/internal/placement"
	"github.com/cordon-ehr/cordon/internal/rpc"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Events streams a tenant's chart events, opened, against control's ticket for that tenant. The lease behind it holds the
// audit key and no other, so that whoever reads the log reads no chart.
func (c *Cell) Events(ctx context.Context, t tenant.ID, ticket string, by audit.By) rpc.Events {
	return func(yield func(rpc.Event, error) bool) {
		if err := c.events(ctx, t, ticket, by, func(e rpc.Event) bool { return yield(e, nil) }); err != nil {
			yield(rpc.Event{}, err)
		}
	}
}

// auditScope turns control's ticket into the Scope and the keys for one tenant's events.
func (c *Cell) auditScope(ctx context.Context, t tenant.ID, ticket string, by audit.By) (placement.Scope, *lease.Ring, error) {
	route, ok := c.table.ByID(t)
	if !ok {
		return placement.Scope{}, nil, fault.New(fault.NotFound, "no such tenant")
	}
	g, err := c.peers.Broker.Lease(ctx, lease.Request{Tenant: t, Purpose: lease.Audit, Proof: ticket})
	if err != nil {
		return placement.Scope{}, nil, err
	}
	ring, err := lease.Prepare(g)
	if err != nil {
		return placement.Scope{}, nil, err
	}
	scope, err := placement.MintAudit(authn.Principal{Tenant: t, Kind: authn.Operator, Subject: by.Agent.ID}, route)
	return scope, ring, err
}

func (c *Cell) events(ctx context.Context, t tenant.ID, ticket string, by audit.By, yield func(rpc.Event) bool) error {
	scope, ring, err := c.auditScope(ctx, t, ticket, by)
	if err != nil {
		return err
	}
	if err := c.recordReading(ctx, scope, ring, "export", by); err != nil {
		return err
	}
	head, err := c.charts.LogHead(ctx, scope)
	if err != nil {
		return err
	}
	log := ledger.Name{Tenant: t, Stream: ledger.StreamCell}
	err = c.charts.Events(ctx, scope, func(e placement.Event) error {
		b, err := e.Open(t, ring.AuditKey)
		if err == nil && !yield(rpc.Event{ID: e.ID, JSON: ledger.Placed(b, log, e.Seq, head.Size, e.Entry())}) {
			err = errEnough
		}
		return err
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// recordReading makes the use of the log an event of the log, before the first event leaves.
func (c *Cell) recordReading(ctx context.Context, scope placement.Scope, ring *lease.Ring, use string, by audit.By) error {
	e := audit.LogUse(scope.Tenant(), c.source(), use, by)
	return c.flusher.Record(ctx, scope, []audit.Row{audit.Seal(e, ring.Events, 0)})
}
