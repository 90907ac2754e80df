package cell

import (
	"context"
	"errors"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/authn"
	"github.com/cordon-ehr/cordon/internal/blind"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/lease"
	"github.com/cordon-ehr/cordon/internal/ledger"
	"github.com/cordon-ehr/cordon/internal/phi"
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

func (c *Cell) events(ctx context.Context, t tenant.ID, ticket string, by audit.By, yield func(rpc.Event) bool) error {
	scope, ring, err := c.auditAccess(ctx, t, ticket, by)
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
		_, b, _, err := c.shown(t, open, e.Row)
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

// auditScope is the Scope under which an operator's ticket reads events.
func (c *Cell) auditScope(t tenant.ID, by audit.By) (placement.Scope, error) {
	if err := c.walls.OK(); err != nil {
		return placement.Scope{}, err
	}
	route, ok := c.table.ByID(t)
	if !ok {
		return placement.Scope{}, fault.New(fault.NotFound, "no such tenant")
	}
	if err := route.Usable(); err != nil {
		return placement.Scope{}, err
	}
	return placement.MintAudit(authn.Principal{Tenant: t, Kind: authn.Operator, Subject: by.Agent.ID}, route)
}

// auditAccess turns control's ticket into the Scope and the keys for one tenant's events.
func (c *Cell) auditAccess(ctx context.Context, t tenant.ID, ticket string, by audit.By) (placement.Scope, *lease.Ring, error) {
	scope, err := c.auditScope(t, by)
	if err != nil {
		return scope, nil, err
	}
	ring, err := c.auditRing(ctx, t, ticket, by)
	return scope, ring, err
}

// unsealer opens events; when keys were rotated while the log was read, it takes a lease of the newer ones. One that does not open
// raises the alarm.
func (c *Cell) unsealer(ctx context.Context, t tenant.ID, ring *lease.Ring, ticket string, by audit.By) unsealer {
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
		if err == nil && r.KeyVersion == 0 {
			err = fault.New(fault.Internal, "an event of a chart that is not sealed")
		}
		if err != nil {
			c.alarm.SealBroken(ctx, t, "audit", "AuditEvent", by.Request)
			return nil, nil, unopened{err}
		}
		return salt, json, nil
	}
}

// unsealer opens an event row; what does not open in its place is an unopened.
type unsealer func(audit.Row) (salt, json []byte, err error)

type unopened struct{ error }

func (u unopened) Unwrap() error { return u.error }

// shown opens a row for a reader of events. In the place of one that does not open (the alarm was raised) stands an event that says so:
// one row that somebody spoilt keeps nobody from all others.
func (c *Cell) shown(t tenant.ID, open unsealer, r audit.Row) (e audit.Event, json []byte, whole bool, err error) {
	if _, json, err = open(r); err == nil {
		e, err = audit.Parse(json)
		return e, json, true, err
	}
	if _, ok := errors.AsType[unopened](err); !ok {
		return e, nil, false, err
	}
	e = audit.Unopened(c.source(), t, r)
	return e, e.Marshal(), false, nil
}

// Who gives events of one patient, opened, against control's ticket. The lease holds the audit key and the blind id of this patient: who
// asks for one patient's trail can look for nothing else.
func (c *Cell) Who(ctx context.Context, a audit.WhoAsk) ([]audit.Plain, error) {
	scope, err := c.auditScope(a.Tenant, a.By)
	if err != nil {
		return nil, err
	}
	g, err := c.peers.Broker.Lease(ctx, lease.Request{Tenant: a.Tenant, Purpose: lease.Audit, Proof: a.Ticket, Request: a.By.Request,
		Resource: blind.PatientMessage(a.Patient)})
	if err != nil {
		return nil, err
	}
	ring, err := lease.Prepare(g)
	if err != nil {
		return nil, err
	}
	if g.Blinded == 0 {
		return nil, fault.New(fault.Internal, "the lease holds no blind id")
	}
	rows, err := c.charts.Trail(ctx, scope, g.Blinded, a.Range)
	if err != nil {
		return nil, err
	}
	out, open := make([]audit.Plain, 0, len(rows)), c.unsealer(ctx, a.Tenant, ring, a.Ticket, a.By)
	for _, r := range rows {
		e, b, whole, err := c.shown(a.Tenant, open, r)
		if err != nil {
			return nil, err
		}
		if !whole || e.Patient.Reveal() == "Patient/"+a.Patient { // the index may answer too much
			out = append(out, audit.Plain{ID: r.ID, JSON: b})
		}
	}
	e := reading(scope, c.cfg.Name, "who", a.By)
	e.Patient, e.Entity.Count = phi.Text("Patient/"+a.Patient), len(out)
	return out, c.recordSealed(ctx, scope, ring, e, g.Blinded)
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
func (c *Cell) recordReading(ctx context.Context, scope placement.Scope, ring *lease.Ring, how string, by audit.By) error {
	return c.recordSealed(ctx, scope, ring, reading(scope, c.cfg.Name, how, by), 0)
}

// reading is the event of an operator who reads the log.
func reading(scope placement.Scope, site, how string, by audit.By) audit.Event {
	return audit.LogUse(scope.Tenant(), audit.Source{Role: "cell", Site: site}, how, by)
}

func (c *Cell) recordSealed(ctx context.Context, scope placement.Scope, ring *lease.Ring, e audit.Event, patient int64) error {
	row, err := audit.Seal(e, ring.Events, patient)
	if err != nil {
		return err
	}
	return c.flusher.Record(ctx, scope, []audit.Row{row})
}
