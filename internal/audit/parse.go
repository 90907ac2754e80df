package audit

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/phi"
	"github.com/cordon-ehr/cordon/internal/tenant"

	"github.com/google/uuid"
)

// Parse reads what Marshal wrote. Faults: Invalid.
func Parse(b []byte) (Event, error) {
	var w wire
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&w); err != nil {
		return Event{}, fault.Wrap(fault.Invalid, err, "not an audit event")
	}
	id := tenant.ID{} // of the platform
	if w.Tenant != id.String() {
		var err error
		if id, err = tenant.ParseID(w.Tenant); err != nil {
			return Event{}, err
		}
	}
	if w.ID == uuid.Nil || w.Recorded.IsZero() || w.Type == "" {
		return Event{}, fault.New(fault.Invalid, "an audit event has an id, a time and a type")
	}
	e := Event{w.ID, id, w.Recorded, w.Type, w.Subtype, w.Action, w.Outcome, w.OutcomeDesc, w.Agent, w.Source, phi.Text(w.Patient),
		w.Entity.Entity, nil, phi.Text(w.Query), w.Request, w.Purpose, w.Decision, w.Before, w.After}
	if typ, ref, ok := strings.Cut(w.Entity.Reference, "/"); ok && typ == e.Entity.Type {
		e.Entity.ID = phi.Text(ref)
	}
	for _, r := range w.Resources {
		e.Resources = append(e.Resources, phi.Text(r))
	}
	return e, nil
}

// Clinical reports whether an event names a patient, a resource or a query: such an event belongs to a chart, sealed, and nowhere
// else.
func (e Event) Clinical() bool {
	return e.Patient != "" || e.Query != "" || len(e.Resources) > 0 || e.Entity.ID != ""
}
