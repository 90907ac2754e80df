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
	var rows []ledger.Row
	var at ledger.Position
	seq, last := int64(-1), false
	next := func() (Event, bool, error) {
		if len(rows) == 0 && !last {
			var err error
			if rows, err = c.EventRows(ctx, s, at, seq < 0, eventsPage); err != nil {
				return Event{}, false, err
			}
			last = len(rows) < eventsPage
		}
		if len(rows) == 0 {
			return Event{}, false, nil
		}
		r := rows[0]
		rows, at, seq = rows[1:], r.Position, seq+1
		return Event{seq, Stored(r)}, true, nil
	}
	return audit.InOrder(func(e Event) [16]byte { return e.ID }, next, each)
}

// Stored is the event row of a log's row.
func Stored(r ledger.Row) audit.Row {
	out := audit.Row{ID: r.Entry.ID, Recorded: r.Recorded, Patient: r.Label, KeyVersion: r.Key, Body: r.Body}
	if r.Entry.Digest != ([32]byte{}) {
		out.Digest = r.Entry.Digest[:]
	}
	return out
}
