package record

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/authz"
	"github.com/cordon-ehr/cordon/internal/balp"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/lease"
	"github.com/cordon-ehr/cordon/internal/phi"
)

// AuditEvents are a view of the tenant's trail: of its rows in the audit table and of the events that control and keys have of it. They
// are never stored resources, so nobody can write one that looks like ours, and none comes along with a chart.

// Elsewhere gives a tenant's events of the roles that see no chart: control, and keys through it.
type Elsewhere interface {
	AuditPage(ctx context.Context, a audit.Ask) ([]audit.Plain, error)
}

// TrailType is the resource type of the view.
const TrailType = "AuditEvent"

var trailType = fhir.ResourceType(TrailType)

// onlyTrail refuses what would treat the trail as a chart: allow asks it first, for every interaction there is.
func onlyTrail(what action) error {
	switch what.permission {
	case authz.Create, authz.Update, authz.Delete:
		return fault.New(fault.MethodNotAllowed, "audit events are written by the platform alone: AuditEvent is read and searched")
	case authz.Read:
		return fault.New(fault.MethodNotAllowed, "an AuditEvent never changes: it has no versions and no history to ask for")
	}
	return fault.New(fault.NotSupported, "audit events are searched by GET or POST AuditEvent, and not from another search, a condition or a chain")
}

var (
	doReadTrail   = action{"read", authz.Read, audit.Read}
	doSearchTrail = action{"search-type", authz.Search, audit.Execute}
)

// ReadTrail gives one event as an AuditEvent. That it was read is an event, too, of the same patient. Faults: NotFound, Forbidden,
// Unavailable (control is away, and the event may be there).
func (s *Service) ReadTrail(ctx context.Context, c *Caller, id string) (Resource, error) {
	if err := s.granted(ctx, c, doReadTrail, trailType, id); err != nil {
		return Resource{}, err
	}
	found, err := s.oneOfTrail(ctx, c, id)
	e := c.event(s.site, doReadTrail)
	e.Type, e.Entity = "audit", audit.Entity{Type: TrailType, ID: phi.Text(id)}
	if err == nil && found == nil {
		e.Outcome, e.OutcomeDesc = audit.MinorFailure, fault.NotFound.String()
		err = notFound()
	} else if err != nil {
		return Resource{}, err
	} else {
		e.Patient = found.event.Patient
	}
	if rerr := s.record(ctx, c, []audit.Event{e}); rerr != nil {
		return Resource{}, rerr
	}
	if err != nil {
		return Resource{}, err
	}
	return found.resource(), nil
}

// oneOfTrail looks in both places whatever the id is, so that an id of nobody takes as long as one of a neighbour.
func (s *Service) oneOfTrail(ctx context.Context, c *Caller, id string) (*seen, error) {
	key, err := uuid.Parse(id)
	if err != nil || key.String() != id {
		key = uuid.Nil
	}
	r := audit.Range{Only: []uuid.UUID{key}, Limit: 1}
	here, err := s.charted(ctx, c, "", r)
	if err != nil {
		return nil, err
	}
	there, err := s.elsewhere.AuditPage(ctx, audit.Ask{Tenant: c.Scope.Tenant(), Proof: c.Proof, Range: r})
	if err != nil {
		return nil, err
	}
	all := append(here, there...)
	if len(all) == 0 {
		return nil, nil
	}
	return c.see(all[0])
}

// charted gives opened rows of the chart database, of all or of the patient whose id about is. In the place of one that does not open
// stands an event that says so, and the alarm is raised: one spoilt row hides no other.
func (s *Service) charted(ctx context.Context, c *Caller, about string, r audit.Range) ([]audit.Plain, error) {
	rows, err := s.charts.Trail(ctx, c.Scope, c.index().Patient(about), r)
	if err != nil {
		return nil, err
	}
	out := make([]audit.Plain, len(rows))
	for i, row := range rows {
		b, err := c.openEvent(row)
		if err != nil && !errors.Is(err, errKeys) {
			if c.Broken != nil {
				c.Broken("audit", TrailType)
			}
			e := audit.Unopened(audit.Source{Role: "cell", Site: s.site}, c.Scope.Tenant(), row)
			if about != "" {
				e.Patient = phi.Text("Patient/" + about) // as asked: in whose list it stands
			}
			b, err = e.Marshal(), nil
		}
		if err != nil {
			return nil, err
		}
		out[i] = audit.Plain{ID: row.ID, JSON: b}
	}
	return out, nil
}

// errKeys is why an event could not be opened that may well be whole.
var errKeys = errors.New("the keys of now could not be leased")

// openEvent opens an event of the chart database. One under a later key than the leased ones was written after a rotation that another
// process took up before this one.
func (c *Caller) openEvent(row audit.Row) ([]byte, error) {
	if row.KeyVersion == 0 {
		return nil, fault.New(fault.Internal, "an event of a chart that is not sealed")
	}
	b, err := row.Open(c.Scope.Tenant(), c.Ring.AuditKey)
	if err == nil || c.Renew == nil || !errors.Is(err, lease.ErrNewer) {
		return b, err
	}
	ring, rerr := c.Renew()
	if rerr != nil {
		return nil, errors.Join(errKeys, rerr)
	}
	return row.Open(c.Scope.Tenant(), ring.AuditKey)
}

// seen is an event with the resource that shows it.
type seen struct {
	event audit.Event
	body  []byte
}

// see reads an event. One that is not this tenant's is an error of ours, and never shown: the second lock behind row security and
// the role that gave it.
func (c *Caller) see(p audit.Plain) (*seen, error) {
	e, err := audit.Parse(p.JSON)
	if err != nil {
		return nil, err
	}
	if e.Tenant != c.Scope.Tenant() || e.ID != p.ID {
		return nil, fault.Wrap(fault.Internal, errForeign, "the trail is not whole")
	}
	return &seen{e, balp.Render(e, c.Base)}, nil
}

var errForeign = errors.New("an event of another tenant or identity stood in the trail")

func (v *seen) resource() Resource {
	return Resource{Type: trailType, ID: phi.Text(v.event.ID.String()), Version: 1, Updated: v.event.Recorded, Body: v.body}
}
