package placement

import (
	"context"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/ledger"
)

// Event is one of a tenant's stored events, with its place in the log.
type Event struct {
	Seq int64
	audit.Row
}

const eventsPage = 1000

// Events gives a tenant's stored events, oldest first.
func (c *Charts) Events(ctx context.Context, s Scope, each func(Event) error) error {
	placed := func(yield func(Event, error) bool) {
		seq := int64(0)
		for r, err := range ledger.All(eventsPage, func(after ledger.Position, including bool, n int) ([]ledger.Row, error) {
			return c.EventRows(ctx, s, after, including, n)
		}) {
			if err != nil {
				yield(Event{}, err)
				return
			}
			if !yield(Event{seq, Stored(r)}, nil) {
				return
			}
			seq++
		}
	}
	return audit.InOrder(func(e Event) [16]byte { return e.ID }, placed, each)
}

// Stored is the event row of a log's row.
func Stored(r ledger.Row) audit.Row {
	out := audit.Row{ID: r.Entry.ID, Recorded: r.Recorded, Patient: r.Label, KeyVersion: r.Key, Body: r.Body}
	if r.Entry.Digest != ([32]byte{}) {
		out.Digest = r.Entry.Digest[:]
	}
	return out
}
