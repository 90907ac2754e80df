package audit

import (
	"strings"
	"time"

	"github.com/cordon-ehr/cordon/internal/tenant"
)

// maxReasons bounds what an event quotes of a catalog.
const maxReasons = 2000

// service is the agent of what a part of the platform does by itself.
func (s Source) service() Agent {
	id := s.Role
	if s.Site != "" {
		id += "/" + s.Site
	}
	return Agent{Kind: "service", ID: id}
}

// Walls makes the event of walls that came down, or stand again when there is no reason. Reasons name objects of a database, never
// what is in them.
func Walls(from Source, reasons []string) Event {
	e := Event{Type: "security", Subtype: "walls-up", Action: Execute, Outcome: Success, Agent: from.service(), Source: from,
		Decision: Decision{Allow: true, Policy: "self-check/1"}}
	if len(reasons) > 0 {
		e.Subtype, e.Outcome, e.OutcomeDesc = "walls-down", SeriousFail, "the role serves nothing until its walls stand"
		e.Decision = Decision{Policy: "self-check/1", Reason: strings.Join(reasons, ", ")}
		if r := e.Decision.Reason; len(r) > maxReasons {
			e.Decision.Reason = strings.ToValidUTF8(r[:maxReasons], "")
		}
	}
	return New(e)
}

// SealBroken makes the event of stored values that did not open in their place: what of which table, and how many of which only
// this event tells. Somebody moved or changed them, past every role of the platform.
func SealBroken(from Source, t tenant.ID, table, kind, request string, count int) Event {
	return New(Event{Tenant: t, Type: "security", Subtype: "seal-broken", Action: Execute, Outcome: SeriousFail, OutcomeDesc: "a stored value does not open in its place",
		Agent: from.service(), Source: from, Entity: Entity{Type: kind, Count: count}, Request: request,
		Decision: Decision{Policy: "seal/1", Reason: "table " + table}})
}

// Unopened stands for a stored event that does not open in its place, or that its role did not write, wherever events are shown: there
// is a row, of that id and time, and nothing of what is in it. A reader that stopped there would be kept from all others by one row.
func Unopened(from Source, t tenant.ID, r Row) Event {
	return Event{ID: r.ID, Recorded: time.Unix(0, r.Recorded).UTC(), Tenant: t, Type: "security", Subtype: "seal-broken", Action: Execute, Outcome: SeriousFail,
		OutcomeDesc: "the stored event does not open in its place, and is not shown", Agent: from.service(), Source: from,
		Entity: Entity{Type: "AuditEvent"}, Decision: Decision{Policy: "seal/1", Reason: "table audit"}}
}
