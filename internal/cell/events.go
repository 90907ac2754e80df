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
	if err := route.Usable(); err != nil {
		return placement.Scope{}, nil, err
	}
	ring, err := c.auditRing(ctx, t, ticket, by)
	if err != nil {
		return placement.Scope{}, nil, err
	}
	scope, err := placement.MintAudit(authn.Principal{Tenant: t, Kind: authn.Operator, Subject: by.Agent.ID}, route)
	return scope, ring, err
}

// unsealer opens events; when keys were rotated while the log was read, it takes a lease of the newer ones.
func (c *Cell) unsealer(ctx context.Context, t tenant.ID, ring *lease.Ring, ticket string, by audit.By) func(audit.Row) (salt, json []byte, err error) {
	return func(r audit.Row) (salt, json []byte, err error) {
		salt, json, err = r.Unseal(t, ring.AuditKey)
		if errors.Is(err, lease.ErrNewer) {
			newer, lerr := c.auditRing(ctx, t, ticket, by)
			if lerr != nil {
				return nil, nil, lerr
			}
			ring = newer
			salt, json, err = r.Unseal(t, ring.AuditKey)
		}
		return salt, json, err
	}
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
	log, open := ledger.Name{Tenant: t, Stream: ledger.StreamCell}, c.unsealer(ctx, t, ring, ticket, by)
	err = c.charts.Events(ctx, scope, func(e placement.Event) error {
		_, b, err := open(e.Row)
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

// auditRing takes a lease of the audit keys alone.
func (c *Cell) auditRing(ctx context.Context, t tenant.ID, ticket string, by audit.By) (*lease.Ring, error) {
	g, err := c.peers.Broker.Lease(ctx, lease.Request{Tenant: t, Purpose: lease.Audit, Proof: ticket, Request: by.Request})
	if err != nil {
		return nil, err
	}
	return lease.Prepare(g)
}

// recordReading makes the use of the log an event of the log, before the first event leaves.
func (c *Cell) recordReading(ctx context.Context, scope placement.Scope, ring *lease.Ring, use string, by audit.By) error {
	e := audit.LogUse(scope.Tenant(), c.source(), use, by)
	return c.flusher.Record(ctx, scope, []audit.Row{audit.Seal(e, ring.Events, 0)})
}
