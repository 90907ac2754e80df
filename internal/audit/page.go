package audit

import (
	"encoding/json"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Plain is an opened event on its way to a reader who was allowed: its time-ordered id, and its JSON.
type Plain struct {
	ID   uuid.UUID       `json:"id"`
	JSON json.RawMessage `json:"event"`
}

// Range is a page of a tenant's events in the order of their ids, which is that of their times.
type Range struct {
	Only   []uuid.UUID // these events; the bounds do not count then
	After  uuid.UUID   // greater ids only; uuid.Nil = from the first
	Before uuid.UUID   // smaller ids only; uuid.Nil = to the last
	Newest bool        // from the greatest id back
	Limit  int         // at most PageLimit
}

// PageLimit is the most that one page holds.
const PageLimit = 1000

// Filled gives the range with its open ends and its limit made plain.
func (r Range) Filled() Range {
	if r.Before == uuid.Nil {
		r.Before = uuid.Max
	}
	if r.Limit <= 0 || r.Limit > PageLimit {
		r.Limit = PageLimit
	}
	return r
}

// Ask is a call for a page of a tenant's events that stand in another role's database.
type Ask struct {
	Tenant tenant.ID
	Proof  string // the reader's live access token of the tenant: who asks for an auditor shows that there is one
	Range  Range
}
