package audit

import (
	"encoding/json"
	"strings"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/phi"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Parse reads an event's JSON back. Fields that came after a row was written are empty in it; fields that a later release adds
// are passed over.
func Parse(b []byte) (Event, error) {
	var w wire
	if err := json.Unmarshal(b, &w); err != nil {
		return Event{}, fault.Wrap(fault.Internal, err, "a stored event is not JSON")
	}
	e := Event{ID: w.ID, Recorded: w.Recorded, Type: w.Type, Subtype: w.Subtype, Action: w.Action, Outcome: w.Outcome, OutcomeDesc: w.OutcomeDesc,
		Agent: w.Agent, Source: w.Source, Patient: phi.Text(w.Patient), Entity: w.Entity.Entity, Query: phi.Text(w.Query), Request: w.Request,
		Purpose: w.Purpose, Decision: w.Decision, Before: w.Before, After: w.After}
	if id, err := tenant.ParseID(w.Tenant); err == nil { // else of the platform
		e.Tenant = id
	}
	if id, ok := strings.CutPrefix(w.Entity.Reference, w.Entity.Type+"/"); ok {
		e.Entity.ID = phi.Text(id)
	}
	for _, r := range w.Resources {
		e.Resources = append(e.Resources, phi.Text(r))
	}
	return e, nil
}
