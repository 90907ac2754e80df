// Package rpc is what one role says to another: the types that a wire carries, and nothing else passes between roles. Room mesh
// carries them, in the process or over mTLS.
package rpc

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Assertion is what the edge found out about a request before it forwards it. The cell verifies the token again and compares.
type Assertion struct {
	Tenant  tenant.ID
	Request string // request id
	Address string // of the caller, without port
	Path    string // below the tenant's FHIR base: /Patient/1
	Cell    string // that the tenant is placed on; "" for what control answers
}

// Forwarder is the cell as the edge sees it.
type Forwarder interface {
	Forward(w http.ResponseWriter, r *http.Request, a Assertion)
}

// Denials is control as edge and cell see it: the place for events that belong to no chart, because the caller had no token
// that opens one. On error the caller learns nothing but that.
type Denials interface {
	Record(ctx context.Context, e audit.Event) error
}

// Event is one audit event on its way out: its time-ordered id, and its JSON.
type Event struct {
	ID   uuid.UUID       `json:"id"`
	JSON json.RawMessage `json:"event"`
}

// Events streams a tenant's events in the order of their ids.
type Events = iter.Seq2[Event, error]
