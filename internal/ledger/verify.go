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
// place only, one in clear carries a MAC.
type Opener func(r Row) (Opened, error)

// settleTime bounds how long a verification waits for transactions that began before it.
const settleTime = 10 * time.Second

// Catch brings a log up to everything that was committed before it was called.
func (k *Keeper) Catch(ctx context.Context, t tenant.ID) error {
	_, err := k.catch(ctx, t)
	return err
}

// catch is Catch, and tells below which transaction all rows are in the log; or would be, if that had gone well.
func (k *Keeper) catch(ctx context.Context, t tenant.ID) (settled uint64, err error) {
	_, newest, err := k.cfg.Source.Boundary(ctx, t)
	if err != nil {
		return 0, err
	}
	end := time.NewTimer(settleTime)
	defer end.Stop()
	for {
		now, _, err := k.cfg.Source.Boundary(ctx, t)
		if err == nil {
			settled = now
			_, err = k.Sequence(ctx, t)
		}
		if err != nil && !errors.Is(err, errOvertaken) {
			return settled, err
		}
		if err == nil && settled >= newest {
			return settled, nil
		}
		select {
		case <-ctx.Done():
			return settled, ctx.Err()
		case <-end.C:
			return settled, fault.New(fault.Unavailable, "a transaction that began before has not ended")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Verify recomputes a log from its rows and from storage, and names what does not agree.
// An error says that it could not be done, not that something is wrong. One log at a time is verified; others wait.
func (k *Keeper) Verify(ctx context.Context, t tenant.ID, open Opener) (*Report, error) {
	select {
	case k.verifying <- struct{}{}:
		defer func() { <-k.verifying }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	n := k.name(t)
	r := &Report{Log: n.Origin(), Problems: []Problem{}}
	settled, caught := k.catch(ctx, t)
	stopped, isBroken := asBroken(caught)
	if caught != nil && !isBroken && ctx.Err() != nil {
		return nil, caught
	}
	if caught != nil && !isBroken {
		r.add(Problem{Kind: KindPending, Detail: "the log could not be brought up to date: " + fault.Of(caught).Text})
	}
	head, err := k.cfg.Source.Head(ctx, t) // before storage: what it names is there by then
	if err != nil {
		return nil, err
	}
	log, err := k.stored(ctx, n, r)
	if err != nil {
		return nil, err
	}
	rows, opened, err := k.rows(ctx, n, open, log.latest.Size)
	if err != nil {
		return nil, err
	}
	if head.Size > log.latest.Size {
		r.add(Problem{Kind: KindStorage, Detail: fmt.Sprintf("write-once storage shows %d events; the database names a checkpoint of %d", log.latest.Size, head.Size),
			Object: n.checkpointKey(head.Size)})
	}
	k.settleStorage(r, n, log, rows)
	if isBroken && (log.latest.Size == 0 || stopped.Kind != KindTail && stopped.Kind != KindEdited) {
		r.add(stopped.problem())
	}
	k.outside(r, opened, diff(r, log.entries, rows), settled, isBroken)
	if isBroken && !r.tells(stopped.Kind, stopped.Event) {
		r.add(stopped.problem())
	}
	if err := k.ahead(ctx, n, r); err != nil {
		return nil, err
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

// outside tells of rows after the log's last one that must be in it: of a stopped log, and of transactions that had ended before the
// log was brought up to date.
func (k *Keeper) outside(r *Report, c *checks, pending []int, settled uint64, stopped bool) {
	count, first := 0, Problem{}
	for _, i := range pending {
		if !stopped && c.at[i].Tx >= settled {
			continue
		}
		if count == 0 {
			first = Problem{Kind: KindPending, Event: c.at[i].ID.String()}
		}
		count++
	}
	if count > 0 {
		first.Detail = fmt.Sprintf("%d rows follow the log's last event and are not in the log; this is the first", count)
		r.add(first)
	}
}

// ahead names rows of transactions that have not begun: no log takes them.
func (k *Keeper) ahead(ctx context.Context, n Name, r *Report) error {
	_, newest, err := k.cfg.Source.Boundary(ctx, n.Tenant)
	if err != nil {
		return err
	}
	// A row that commits meanwhile has such a number, too, so the boundary is asked for again after the rows are read.
	rows, err := k.cfg.Source.Rows(ctx, n.Tenant, Position{Tx: newest}, true, page)
	if err != nil || len(rows) == 0 {
		return err
	}
	if _, newest, err = k.cfg.Source.Boundary(ctx, n.Tenant); err != nil {
		return err
	}
	for _, row := range rows {
		if row.Tx >= newest {
			r.add(Problem{Kind: KindForged, Event: row.Entry.ID.String(), Detail: futureDetail})
		}
	}
	return nil
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
	at       []Position // of every row
	problems []Problem
	clock    []Problem
	newest   int64 // time of the newest event so far
}

// rows reads all rows of a log and opens each.
func (k *Keeper) rows(ctx context.Context, n Name, open Opener, size int64) (out []Entry, found *checks, err error) {
	found = &checks{}
	for row, err := range k.all(ctx, n) {
		if err != nil {
			return nil, nil, err
		}
		found.at = append(found.at, row.Position)
		found.row(n, row, int64(len(out)), open)
		out = append(out, row.Entry)
		if len(out)%page == 0 && int64(len(out)) > size+2*page {
			break // what committed since belongs to the next verification
		}
	}
	return out, found, nil
}

// back is how far the clock may step back between two events in the log's order before it is told of: events are ordered by when
// their transactions began, so seconds are usual.
const back = 2 * time.Minute

func (c *checks) row(n Name, r Row, seq int64, open Opener) {
	if d := time.Duration(c.newest - r.Recorded); c.newest != 0 && d > back {
		c.clock = append(c.clock, at(seq, r.Entry, "clock", "the clock stepped back "+d.Round(time.Second).String()))
	}
	c.newest = max(c.newest, r.Recorded)
	o, err := open(r)
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
