package record

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/phi"
)

// event begins an event of this call: allowed and successful until said otherwise.
func (c *Caller) event(site string, what action) audit.Event {
	p := c.Scope.Principal()
	return audit.New(audit.Event{Tenant: c.Scope.Tenant(), Type: "rest", Subtype: what.name, Action: what.code, Outcome: audit.Success,
		Agent: c.Agent, Source: audit.Source{Role: "cell", Site: site}, Query: kept(c.Query), Request: c.Request, Purpose: c.Purpose,
		Decision: audit.Decision{Allow: true, Policy: "smart-scopes/1", Reason: p.Scopes.String()}})
}

// maxQuery bounds what an event quotes of a query: one request makes an event for each patient that it touches, and events are for ever.
const maxQuery = 4 << 10

// kept is a query as an event keeps it: whole, or its beginning and the SHA-256 of the whole, by which it can be told from others.
func kept(q phi.Text) phi.Text {
	s := q.Reveal()
	if len(s) <= maxQuery {
		return q
	}
	sum := sha256.Sum256([]byte(s))
	return phi.Text(s[:maxQuery]) + phi.Text("&cut;sha256="+hex.EncodeToString(sum[:]))
}

// seal makes the rows of events under the tenant's audit key.
func (c *Caller) seal(events []audit.Event) (rows []audit.Row, err error) {
	rows = make([]audit.Row, len(events))
	for i, e := range events {
		id := ""
		if s := e.Patient.Reveal(); len(s) > len("Patient/") {
			id = s[len("Patient/"):]
		}
		if rows[i], err = audit.Seal(e, c.Ring.Events, c.index().Patient(id)); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// record makes events durable on their own. On error nothing may be disclosed.
func (s *Service) record(ctx context.Context, c *Caller, events []audit.Event) error {
	rows, err := c.seal(events)
	if err == nil {
		err = s.events.Record(ctx, c.Scope, rows)
	}
	c.told = c.told || err == nil
	return err
}

// Failed records a call that failed before it had an event: bad input, a broken condition, a failure of ours. What the caller
// learns from the refusal (that a version is not current, say) is a disclosure, too. On error it must learn that instead.
func (s *Service) Failed(ctx context.Context, c *Caller, interaction string, err error) error {
	f := fault.Of(err)
	if c.told || f.Kind == fault.Unavailable {
		return nil // what cannot be done now can hardly be recorded now, and tells nothing
	}
	e := c.event(s.site, action{name: interaction, code: audit.Execute})
	e.Outcome, e.OutcomeDesc = audit.MinorFailure, f.Kind.String()
	if f.Kind == fault.Internal {
		e.Outcome = audit.SeriousFail
	}
	return s.record(ctx, c, []audit.Event{e})
}

// ofOne gives the events of an interaction with one resource: one per patient touched, one at least.
func (s *Service) ofOne(c *Caller, what action, r *Resource, previous int64) []audit.Event {
	e := c.event(s.site, what)
	e.Entity = audit.Entity{Type: r.Type.Name, ID: r.ID, Version: r.Version, Previous: previous}
	return perPatient(e, r.patients)
}

// perPatient repeats an event for each patient: one event per patient touched.
func perPatient(e audit.Event, patients []string) []audit.Event {
	if len(patients) == 0 {
		return []audit.Event{e}
	}
	out := make([]audit.Event, len(patients))
	for i, p := range patients {
		out[i] = e
		if i > 0 {
			out[i] = audit.New(e)
		}
		out[i].Patient = phi.Text("Patient/" + p)
	}
	return out
}

// ofSet gives the events of an answer with many resources: one per patient in it with the number of resources, one at
// least.
func (s *Service) ofSet(c *Caller, what action, typ string, rs []Resource) []audit.Event {
	e := c.event(s.site, what)
	e.Entity.Type = typ
	count := map[string]int{}
	var order []string
	for i := range rs {
		for _, p := range rs[i].patients {
			if count[p] == 0 {
				order = append(order, p)
			}
			count[p]++
		}
	}
	out := perPatient(e, order)
	for i, p := range order {
		out[i].Entity.Count = count[p]
	}
	return out
}

// newPatients gives the events of a portion: of the patients that told does not know yet. Their count is that of the portion in
// which they came first.
func (s *Service) newPatients(c *Caller, rs []Resource, told map[string]bool) []audit.Event {
	var out []audit.Event
	for _, e := range s.ofSet(c, doEverything, "Patient", rs) {
		if p := e.Patient.Reveal(); !told[p] {
			told[p] = true
			out = append(out, e)
		}
	}
	return out
}

// missing gives the event of a request for a resource that is not there: who asked for which id is worth knowing.
func (s *Service) missing(c *Caller, what action, typ, id, why string) []audit.Event {
	e := c.event(s.site, what)
	e.Outcome, e.OutcomeDesc = audit.MinorFailure, why
	e.Entity, e.Patient = audit.Entity{Type: typ, ID: phi.Text(id)}, patientNamed(typ, id)
	return []audit.Event{e}
}

// patientNamed is the patient whom a request for a resource by its id names, whether or not there is one: who tried to see a chart
// is of that patient's trail.
func patientNamed(typ, id string) phi.Text {
	if typ != patientType.Name || id == "" {
		return ""
	}
	return phi.Text(typ + "/" + id)
}
