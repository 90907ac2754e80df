package audit

import (
	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// word reports whether s has the form of types and subtypes, which are constants of the code and never text of a caller.
func word(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (i == 0 || (c != '-' && (c < '0' || c > '9'))) {
			return false
		}
	}
	return s != "" && len(s) <= 40
}

// Check reports whether the event says all that a record of access must (the fields of IHE BALP that have a source here): what
// happened, when, by whom, observed by which part, with which outcome, and why it was refused. An event that does
// not is never stored, so what it describes is not done: a call that forgets a field fails in its first test, not in
// an audit years later. The fault is Internal and names the field.
func (e Event) Check() error {
	missing := ""
	switch {
	case e.ID == uuid.Nil || e.Recorded.IsZero():
		missing = "id and time: it was not made by New"
	case !word(e.Type):
		missing = "type"
	case !word(e.Subtype):
		missing = "subtype"
	case e.Action != Create && e.Action != Read && e.Action != Update && e.Action != Delete && e.Action != Execute:
		missing = "action"
	case e.Outcome != Success && e.Outcome != MinorFailure && e.Outcome != SeriousFail:
		missing = "outcome"
	case e.Outcome != Success && e.OutcomeDesc == "":
		missing = "reason of its failure"
	case e.Agent.Kind == "":
		missing = "agent's kind"
	case e.Agent.Kind != Anonymous && e.Agent.ID == "":
		missing = "agent's id"
	case e.Source.Role == "":
		missing = "source"
	// The edge also sees requests of no tenant, such as those to an unknown host. What cell and keys do with charts and keys is a tenant's;
	// their decisions on the mesh and their alarms are the platform's.
	case e.Tenant.IsZero() && (e.Source.Role == "cell" || e.Source.Role == "keys") && (e.Type == "rest" || e.Type == "key" || e.Type == "token"):
		missing = "tenant"
	case e.Type == "rest" && e.Decision.Policy == "":
		missing = "policy of its decision"
	default:
		return nil
	}
	return fault.New(fault.Internal, "an audit event has no %s", missing)
}

// Anonymous is the kind of an agent of whom nothing was proven.
const Anonymous = "anonymous"
