package control

import (
	"net/http"
	"strings"
	"time"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
)

// Seen is one line of who saw a patient.
type Seen struct {
	At       time.Time `json:"recorded"`
	Kind     string    `json:"kind"`             // of who: client, user, operator
	Who      string    `json:"who"`              // id
	Client   string    `json:"client,omitempty"` // the application
	What     string    `json:"what"`             // type/subtype of the event
	Resource string    `json:"resource,omitempty"`
	Count    int       `json:"count,omitempty"` // how many resources of the patient, for a set
	From     string    `json:"from,omitempty"`  // address
	Purpose  string    `json:"purpose,omitempty"`
	Outcome  string    `json:"outcome"`
	Reason   string    `json:"reason,omitempty"`
	Request  string    `json:"request_id,omitempty"`
	ID       string    `json:"event_id"`
}

// WhoSaw is the answer: the newest first; More says that there are older ones.
type WhoSaw struct {
	Events []Seen `json:"events"`
	More   bool   `json:"more"`
}

// whoSaw answers who saw a patient. The patient is named in the body: a URL is logged by whoever is between. Control learns events of
// this one patient and no chart; that it asked is an event of control's log, where no patient is named, and of the
// patient's own trail.
func (c *Control) whoSaw(r *http.Request, who audit.By) (any, error) {
	var in struct {
		Patient string    `json:"patient"`
		Since   time.Time `json:"since"`
		Limit   int       `json:"limit"`
	}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	id, ok := strings.CutPrefix(in.Patient, "Patient/")
	if !ok || id == "" || len(id) > 64 || in.Limit < 0 || in.Limit > audit.PageLimit-1 {
		return nil, fault.New(fault.Invalid, "the patient reads Patient/id, and the limit is at most %d", audit.PageLimit-1)
	}
	if in.Limit == 0 {
		in.Limit = audit.PageLimit - 1
	}
	slug, err := slugOf(r)
	if err != nil {
		return nil, err
	}
	e, err := c.registry.BySlug(r.Context(), slug)
	if err != nil {
		return nil, err
	}
	ticket, err := c.ticket(e, who.Agent.ID)
	if err != nil {
		return nil, err
	}
	if err := c.registry.Record(r.Context(), audit.New(audit.Event{Tenant: e.ID, Type: "audit", Subtype: "who", Action: audit.Read, Outcome: audit.Success,
		Agent: who.Agent, Source: audit.Source{Role: "control"}, Request: who.Request, Decision: audit.Decision{Allow: true, Policy: "operator/1"}})); err != nil {
		return nil, err
	}
	rng := audit.Range{Newest: true, Limit: in.Limit + 1}
	if !in.Since.IsZero() {
		rng.After = audit.FirstAt(in.Since.Add(-time.Millisecond))
	}
	events, err := c.cell.Who(r.Context(), audit.WhoAsk{Tenant: e.ID, Ticket: ticket, By: who, Patient: id, Range: rng})
	if err != nil {
		return nil, err
	}
	out := WhoSaw{Events: []Seen{}, More: len(events) > in.Limit}
	for _, p := range events[:min(len(events), in.Limit)] {
		e, err := audit.Parse(p.JSON)
		if err != nil {
			return nil, err
		}
		if !e.Recorded.Before(in.Since) {
			out.Events = append(out.Events, seen(e))
		}
	}
	return out, nil
}

func seen(e audit.Event) Seen {
	s := Seen{At: e.Recorded, Kind: e.Agent.Kind, Who: e.Agent.ID, Client: e.Agent.Client, What: e.Type + "/" + e.Subtype, Count: e.Entity.Count,
		From: e.Agent.Address, Purpose: e.Purpose, Outcome: "success", Reason: e.OutcomeDesc, Request: e.Request, ID: e.ID.String(), Resource: e.Entity.Type}
	if id := e.Entity.ID.Reveal(); id != "" {
		s.Resource += "/" + id
	}
	switch e.Outcome {
	case audit.MinorFailure:
		s.Outcome = "refused"
	case audit.SeriousFail:
		s.Outcome = "failed"
	}
	return s
}
