// Package lease is a short-lived grant of one tenant's keys to one cell, and the cell's cache of such grants. Keys live in
// memory only, for minutes, and only those that the purpose needs; a grant is given only against a live token of that
// tenant, or a ticket that control signed for one job.
package lease

import (
	"context"
	"time"

	"github.com/cordon-ehr/cordon/internal/seal"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Purpose says what a lease is for, and so which keys it holds.
type Purpose string

// The purposes. Chart serves requests; Audit opens audit events and nothing else.
const (
	Chart Purpose = "chart"
	Audit Purpose = "audit"
)

// Request asks the broker for a grant.
type Request struct {
	Tenant  tenant.ID
	Purpose Purpose
	Proof   string // the tenant's access token, or control's ticket
	Request string // id of the request that needs the keys, for the event
}

// Key is one versioned subkey on the wire.
type Key struct {
	Version int32
	Secret  seal.Secret
}

// Grant is the broker's answer. The last key of a list is the one for new writes.
type Grant struct {
	Tenant  tenant.ID
	Purpose Purpose
	Expires time.Time
	// Generation counts the tenant's key operations; the grant is as of it.
	Generation int64
	Record     []Key // bodies of resources
	Audit      []Key // contexts of audit events
	Cursor     []Key // paging cursors
	Index      []Key // blind index
}

// Ticket are the claims of control's signed permission for one job on one tenant.
type Ticket struct {
	Tenant   string  `json:"tenant"`
	Purpose  Purpose `json:"purpose"`
	Operator string  `json:"operator"`
	ID       string  `json:"jti"`
	Expires  int64   `json:"exp"`
}

// TicketType is the JOSE typ of a ticket: no access token can stand for one, nor the other way round.
const TicketType = "cordon-ticket+jwt"

// Broker is the keys role as a cell sees it.
type Broker interface {
	// Lease gives a tenant's keys for minutes. Faults: Unauthenticated (proof not live), Forbidden (proof of another tenant or
	// purpose), Locked (keys disabled), Unavailable (KMS or database away, or audit not writable).
	Lease(ctx context.Context, r Request) (Grant, error)
}
