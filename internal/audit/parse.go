package audit

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/phi"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Parse reads an event's stored JSON back. Fields that came after a row was written are empty in it; fields that a later release adds
// are passed over.
func Parse(b []byte) (Event, error) {
	var w wire
	if err := json.Unmarshal(b, &w); err != nil {
		return Event{}, fault.Wrap(fault.Internal, err, "a stored event is not JSON")
	}
	return w.event(), nil
}

// Received reads an event that another role sent: whole, and with no field that this release does not know. Faults: Invalid.
func Received(b []byte) (Event, error) {
	var w wire
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&w); err != nil {
		return Event{}, fault.Wrap(fault.Invalid, err, "not an audit event")
	}
	e := w.event()
	if e.Tenant.String() != w.Tenant || e.ID == uuid.Nil || e.Recorded.IsZero() || e.Type == "" {
		return Event{}, fault.New(fault.Invalid, "an audit event has an id, a time and a type, and is of a tenant or of the platform")
	}
	return e, nil
}

func (w wire) event() Event {
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
	return e
}

// Clinical reports whether an event names a patient, a resource or a query: such an event belongs to a chart, sealed, and nowhere
// else.
func (e Event) Clinical() bool {
	return e.Patient != "" || e.Query != "" || len(e.Resources) > 0 || e.Entity.ID != ""
}
