package record

import (
	"context"
	"errors"
	"time"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/authz"
	"github.com/cordon-ehr/cordon/internal/blind"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/lease"
	"github.com/cordon-ehr/cordon/internal/phi"
	"github.com/cordon-ehr/cordon/internal/placement"
	"github.com/cordon-ehr/cordon/internal/seal"
)

// Recorder makes events durable: audit.Flusher.
type Recorder interface {
	Record(ctx context.Context, to placement.Scope, rows []audit.Row) error
}

// Service serves the records of one cell. It is safe for concurrent use.
type Service struct {
	charts *placement.Charts
	finder *placement.Finder
	events Recorder
	site   string // the cell's name, for audit events
	now    func() time.Time
}

// New makes the service.
func New(charts *placement.Charts, finder *placement.Finder, events Recorder, site string, now func() time.Time) *Service {
	return &Service{charts: charts, finder: finder, events: events, site: site, now: now}
}

// Caller is on whose behalf and with which keys a call is made. One is made per request. Only its
// own goroutine records events with it; others may blind and seal.
type Caller struct {
	Scope   placement.Scope
	Ring    *lease.Ring
	Agent   audit.Agent
	Request string   // request id
	Base    string   // the tenant's FHIR base URL
	Query   phi.Text // the raw query, for the event
	Purpose string
	// Renew gives keys of now, when a stored value names a later key than Ring holds; called again it gives the same. nil = there
	// are no others. It is safe for concurrent use.
	Renew func() (*lease.Ring, error)
	told  bool // an event of this call is durable
}

// Resource is one stored version of one resource.
type Resource struct {
	Type     *fhir.Type
	ID       phi.Text
	Version  int64
	Updated  time.Time
	Deleted  bool
	Body     phi.Body // the exact JSON to send; nil when deleted
	patients []string // ids of the patients in whose compartments it is
}

// allow asks authorization; id is "" where the interaction has none. It records a refusal and gives the fault for it.
func (s *Service) allow(ctx context.Context, c *Caller, what action, typ *fhir.Type, id string) error {
	d := c.Scope.Principal().Scopes.Decide(what.permission, typ.Name)
	if d.Allow {
		return nil
	}
	e := c.event(s.site, what)
	e.Outcome, e.OutcomeDesc = audit.MinorFailure, "denied"
	e.Entity.Type, e.Entity.ID = typ.Name, phi.Text(id)
	e.Decision = audit.Decision{Policy: d.Policy, Reason: d.Reason}
	if err := s.record(ctx, c, []audit.Event{e}); err != nil {
		return err
	}
	return fault.New(fault.Forbidden, "the access token does not grant this on %s", typ.Name)
}

// action is an interaction as authorization and audit name it.
type action struct {
	name       string
	permission authz.Action
	code       audit.Action
}

var (
	doRead       = action{"read", authz.Read, audit.Read}
	doVread      = action{"vread", authz.Read, audit.Read}
	doHistory    = action{"history-instance", authz.Read, audit.Read}
	doSearch     = action{"search-type", authz.Search, audit.Execute}
	doCreate     = action{"create", authz.Create, audit.Create}
	doUpdate     = action{"update", authz.Update, audit.Update}
	doDelete     = action{"delete", authz.Delete, audit.Delete}
	doEverything = action{"everything", authz.Read, audit.Execute}
)

var patientType = fhir.ResourceType("Patient")

// recordKey gives the key that a stored body names. One of a later version than the leased ones was made by a rotation that
// another process took up before this one: the lease is renewed, once per call.
func (c *Caller) recordKey(version int32) (*seal.Key, error) {
	k, err := c.Ring.RecordKey(version)
	if err == nil || c.Renew == nil || !errors.Is(err, lease.ErrNewer) {
		return k, err
	}
	r, err := c.Renew()
	if err != nil {
		return nil, err
	}
	return r.RecordKey(version)
}

// index blinds under the caller's leased keys.
func (c *Caller) index() blind.Index { return blind.Of(c.Ring, c.Base) }

// rid gives the blind id of a resource; see blind.Index.Rid.
func (c *Caller) rid(t *fhir.Type, id string) (rid, check int64) { return c.index().Rid(t, id) }
