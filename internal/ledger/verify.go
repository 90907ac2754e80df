package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Opened is a row's event in clear. Salt and JSON give its digest.
type Opened struct {
	Salt []byte
	JSON []byte
}

// Opener makes a row's event readable, and thereby proves that a role of the platform wrote the row: a sealed one opens in its
// place only, one in clear carries a MAC. legacy says that no row before it carried one.
type Opener func(r Row, legacy bool) (Opened, error)

// settleTime bounds how long a verification waits for transactions that began before it.
const settleTime = 10 * time.Second

// Catch brings a log up to everything that was committed before it was called.
func (k *Keeper) Catch(ctx context.Context, t tenant.ID) error {
	_, newest, err := k.cfg.Source.Boundary(ctx, t)
	if err != nil {
		return err
	}
	end := time.NewTimer(settleTime)
	defer end.Stop()
	for {
		settled, _, err := k.cfg.Source.Boundary(ctx, t)
		if err == nil {
			_, err = k.Sequence(ctx, t)
		}
		if err != nil && !errors.Is(err, errOvertaken) {
			return err
		}
		if err == nil && settled >= newest {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-end.C:
			return fault.New(fault.Unavailable, "a transaction that began before has not ended")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Verify recomputes a log from its rows and from storage, and names what does not agree.
// An error says that it could not be done, not that something is wrong.
func (k *Keeper) Verify(ctx context.Context, t tenant.ID, open Opener) (*Report, error) {
	n := k.name(t)
	r := &Report{Log: n.Origin(), Problems: []Problem{}}
	caught := k.Catch(ctx, t)
	stopped, isBroken := asBroken(caught)
	if caught != nil && !isBroken && ctx.Err() != nil {
		return nil, caught
	}
	if caught != nil && !isBroken {
		r.add(Problem{Kind: KindPending, Detail: "the log could not be brought up to date: " + fault.Of(caught).Text})
	}
	log, err := k.stored(ctx, n, r)
	if err != nil {
		return nil, err
	}
	rows, opened, err := k.rows(ctx, n, open, log.latest.Size)
	if err != nil {
		return nil, err
	}
	k.settleStorage(r, n, log, rows)
	if isBroken && (log.latest.Size == 0 || stopped.Kind != KindTail && stopped.Kind != KindEdited) {
		r.add(stopped.problem())
	}
	pending := diff(r, log.entries, rows)
	if pending > 0 && caught != nil && isBroken {
		r.add(Problem{Kind: KindPending, Detail: fmt.Sprintf("%d rows follow the log's last event; the log is stopped", pending)})
	}
	known := map[string]bool{}
	for _, p := range r.Problems {
		known[p.Event] = true
	}
	for _, p := range opened.problems {
		if !known[p.Event] && (*p.Seq < log.latest.Size || isBroken) {
			r.add(p)
		}
	}
	for _, p := range opened.clock {
		r.warn(p)
	}
	k.bookmark(ctx, n, r, log)
	return r, nil
}

// bookmark compares what the database says of the log.
func (k *Keeper) bookmark(ctx context.Context, n Name, r *Report, log *storedLog) {
	head, err := k.cfg.Source.Head(ctx, n.Tenant)
	if err == nil && len(r.Problems) == 0 && head.Size < log.latest.Size {
		r.add(Problem{Kind: KindRolledBack, Detail: fmt.Sprintf("the database's bookmark is at %d of %d", head.Size, log.latest.Size)})
	}
}

// checks is what opening every row found.
type checks struct {
	problems []Problem
	clock    []Problem
	newest   int64 // time of the newest event so far
	macs     bool  // a row with a MAC was seen
}

// rows reads all rows of a log and opens each.
func (k *Keeper) rows(ctx context.Context, n Name, open Opener, size int64) (out []Entry, found *checks, err error) {
	found = &checks{}
	at, including := Position{}, true
	for {
		rows, err := k.cfg.Source.Rows(ctx, n.Tenant, at, including, page)
		if err != nil {
			return nil, nil, err
		}
		for _, row := range rows {
			found.row(n, row, int64(len(out)), open)
			out = append(out, row.Entry)
		}
		if len(rows) < page || int64(len(out)) > size+2*page {
			return out, found, nil // what committed since belongs to the next verification
		}
		at, including = rows[len(rows)-1].Position, false
	}
}

// back is how far the clock may step back between two events in the log's order before it is told of: events are ordered by when
// their transactions began, so seconds are usual.
const back = 2 * time.Minute

func (c *checks) row(n Name, r Row, seq int64, open Opener) {
	if d := time.Duration(c.newest - r.Recorded); c.newest != 0 && d > back {
		c.clock = append(c.clock, at(seq, r.Entry, "clock", "the clock stepped back "+d.Round(time.Second).String()))
	}
	c.newest = max(c.newest, r.Recorded)
	o, err := open(r, !c.macs)
	c.macs = c.macs || len(r.MAC) > 0
	if err != nil {
		c.problems = append(c.problems, at(seq, r.Entry, KindForged, fault.Of(err).Text))
		return
	}
	if why := o.agrees(n, r.Entry); why != "" {
		c.problems = append(c.problems, at(seq, r.Entry, KindForged, why))
	}
}

// agrees says what of an opened event is not what its row says; "" when all is.
func (o Opened) agrees(n Name, e Entry) string {
	if e.Digest != ([32]byte{}) && Digest(o.Salt, o.JSON) != e.Digest {
		return "the event is not the one that its digest commits to"
	}
	if e.Digest == ([32]byte{}) && len(o.Salt) > 0 {
		return "the digest was removed"
	}
	var head struct {
		ID       string    `json:"event_id"`
		Tenant   string    `json:"tenant_id"`
		Recorded time.Time `json:"recorded"`
	}
	if err := json.Unmarshal(o.JSON, &head); err != nil {
		return "the event is not JSON"
	}
	if head.ID != e.ID.String() || head.Tenant != n.Tenant.String() || head.Recorded.UnixNano() != e.Recorded {
		return "the event's id, tenant or time is not that of its row"
	}
	return ""
}

// settleStorage decides, when the entries in storage do not give the signed root, whether storage or the database lies: rows
// that give the root are the log.
func (k *Keeper) settleStorage(r *Report, n Name, log *storedLog, rows []Entry) {
	r.Size, r.Made = log.latest.Size, ""
	if log.latest.Size == 0 {
		return
	}
	r.Root, r.Made = log.latest.Root.String(), log.latest.Made.Format(time.RFC3339Nano)
	if log.good {
		return
	}
	if int64(len(rows)) >= log.latest.Size && rootOf(n, rows[:log.latest.Size]) == log.latest.Root {
		log.entries = rows[:log.latest.Size]
		for i, e := range log.entries {
			if i >= len(log.raw) || log.raw[i] != e {
				r.add(Problem{Kind: KindStorage, Seq: new(int64(i)), Event: e.ID.String(), Detail: "an object of the log is missing or altered; the rows agree with the signed root",
					Object: n.tileKey(entryTile(int64(i)/perTile, log.latest.Size))})
				return
			}
		}
		return
	}
	r.add(Problem{Kind: KindStorage, Detail: "neither the entries in storage nor the rows give the signed root", Object: n.prefix()})
}

// rootOf is the root of a tree of entries.
func rootOf(n Name, es []Entry) tlog.Hash {
	var f frontier
	for _, e := range es {
		f.add(e.Leaf(n.Tenant))
	}
	return f.root()
}
