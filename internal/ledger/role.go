package ledger

import (
	"context"
	"encoding/json"
	"iter"
	"time"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Role is what a role is given to keep its logs with.
type Role struct {
	Store     Store
	Signing   Signing   // its own key
	Verifiers Verifiers // everybody's
	Interval  time.Duration
	Sweep     time.Duration
}

// Lines is an export on its way.
type Lines = iter.Seq2[Line, error]

// Logs is a role's logs as control sees them. Everything that goes over it is JSON.
type Logs interface {
	// LogProgress gives a log's newest checkpoint, and the proof that it goes on from an earlier size.
	LogProgress(ctx context.Context, t tenant.ID, from int64) (Progress, error)
	// ProveEvent proves that an event is in a log. Faults: NotFound.
	ProveEvent(ctx context.Context, t tenant.ID, event uuid.UUID) (Inclusion, error)
}

// Placed adds to an event's JSON where it stands: its log, its leaf hash and, once it is in the log, its number there. The stored
// bytes, which its digest commits to, are those before the addition.
func Placed(event []byte, n Name, seq, size int64, e Entry) []byte {
	if len(event) < 2 || event[len(event)-1] != '}' {
		return event
	}
	add := struct {
		Log  string `json:"log"`
		Seq  *int64 `json:"seq,omitempty"`
		Leaf string `json:"leaf"`
	}{Log: n.Origin(), Leaf: e.Leaf(n.Tenant).String()}
	if seq < size {
		add.Seq = &seq
	}
	b, err := json.Marshal(add)
	if err != nil {
		return event
	}
	out := append(make([]byte, 0, len(event)+len(b)), event[:len(event)-1]...)
	return append(append(out, ','), b[1:]...)
}
