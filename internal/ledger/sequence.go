package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/note"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// page is how many rows are read at a time, and the most that one checkpoint adds.
const page = 4096

// sequence is the one way a log grows, after a crash as on any day:
//
//  1. the newest checkpoint in storage is the truth; a bookmark behind it is caught up by comparing rows with the log's entries,
//  2. the row at the bookmark is still the log's last entry; a bookmark at another row is set anew, from the log's beginning,
//  3. new rows below the boundary are appended: tiles, then the checkpoint, then the witness, then the bookmark.
//
// A process that dies between any two of these leaves what step 1 of the next finds.
//
// wait is the first row that could still be overtaken; none when all that is committed is in the log.
func (k *Keeper) sequence(ctx context.Context, n Name) (wait Position, err error) {
	settled, _, err := k.cfg.Source.Boundary(ctx, n.Tenant)
	if err != nil {
		return wait, err
	}
	mark, err := k.cfg.Source.Head(ctx, n.Tenant)
	if err != nil {
		return wait, err
	}
	head := mark.plausible()
	latest, err := k.latest(ctx, n, head)
	if err != nil {
		return wait, err
	}
	head, rows, err := k.resume(ctx, n, mark.Size, head, latest)
	if b, broken := asBroken(err); broken {
		head, rows, err = k.anew(ctx, n, mark, latest, b)
	}
	if err == nil && mark.Size < 0 {
		k.alert(n, &Broken{Kind: KindRolledBack, Detail: "the database's bookmark had a size that no log has; it was set right"})
	}
	for {
		if err != nil {
			return wait, err
		}
		full := len(rows) == page
		if i := slices.IndexFunc(rows, func(r Row) bool { return r.Tx >= settled }); i >= 0 {
			if wait, err = k.waiting(ctx, n, rows[i:]); err != nil {
				return wait, err
			}
			rows, full = rows[:i], false
		}
		if len(rows) > 0 {
			from := latest.Size
			latest, head, err = k.append(ctx, n, latest, head, rows)
			if latest.Size > from { // signed, whatever came after
				k.genuine(n, from, rows)
			}
		} else {
			head, err = k.cosign(ctx, n, latest, head)
		}
		if err != nil || !full {
			return wait, err
		}
		head, rows, err = k.resume(ctx, n, head.Size, head, latest)
	}
}

// plausible is the bookmark, or none where no log could have it: whoever writes to the database writes it, too.
func (h Head) plausible() Head {
	if h.Size <= 0 {
		return Head{}
	}
	if h.Cosigned < 0 || h.Cosigned > h.Size {
		h.Cosigned = 0
	}
	return h
}

// resume brings a bookmark up to the newest checkpoint, and reads the rows after it. from is the size that the database has now.
func (k *Keeper) resume(ctx context.Context, n Name, from int64, head Head, latest Checkpoint) (Head, []Row, error) {
	head, err := k.catchUp(ctx, n, from, head, latest)
	if err != nil {
		return head, nil, err
	}
	if head.Size > 0 { // asked for after the row was read: a row of a transaction that had not ended then is not in any log
		settled, _, err := k.cfg.Source.Boundary(ctx, n.Tenant)
		if err != nil {
			return head, nil, err
		}
		if head.Last.Tx >= settled {
			return head, nil, &Broken{Kind: KindRolledBack, Detail: "the bookmark is ahead of every transaction that has ended"}
		}
	}
	rows, err := k.fresh(ctx, n, head)
	return head, rows, err
}

// anew reads the log from its beginning, once for each bookmark that does not fit: if the rows are what the log has, the bookmark
// alone was changed. It is set right, with an alert. why is what was wrong with it, and stays so if the rows are others, too.
func (k *Keeper) anew(ctx context.Context, n Name, mark Head, latest Checkpoint, why *Broken) (Head, []Row, error) {
	k.mu.Lock()
	tried, ok := k.tried[n.Tenant]
	k.tried[n.Tenant] = mark
	k.mu.Unlock()
	if ok && tried == mark || mark.plausible().Size == 0 {
		return mark, nil, why
	}
	head, rows, err := k.resume(ctx, n, mark.Size, Head{}, latest)
	if _, broken := asBroken(err); broken {
		return mark, nil, why
	}
	if err != nil {
		k.forget(n)
		return mark, nil, err
	}
	k.forget(n)
	k.alert(n, &Broken{Kind: KindRolledBack, Detail: "the database's bookmark was not at the log's newest event; it was set right"})
	return head, rows, nil
}

func (k *Keeper) forget(n Name) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.tried, n.Tenant)
}

func (k *Keeper) alert(n Name, b *Broken) {
	if k.cfg.Alert != nil {
		k.cfg.Alert(n.Tenant, n.Stream, b)
	}
}

// waiting gives the first of rows that cannot be sequenced yet. One that can be seen is of a transaction that has ended, so its number
// lies below those of transactions to come: another was written by hand. It waits for ever, and is told of once.
func (k *Keeper) waiting(ctx context.Context, n Name, rows []Row) (Position, error) {
	_, newest, err := k.cfg.Source.Boundary(ctx, n.Tenant)
	if err != nil {
		return Position{}, err
	}
	for _, r := range rows {
		if r.Tx < newest {
			continue
		}
		k.mu.Lock()
		again := k.future[n.Tenant] == r.Position
		k.future[n.Tenant] = r.Position
		k.mu.Unlock()
		if !again {
			k.alert(n, &Broken{Kind: KindForged, Event: r.Entry.ID.String(), Detail: futureDetail})
		}
		break
	}
	if rows[0].Tx >= newest {
		return Position{}, nil
	}
	return rows[0].Position, nil
}

const futureDetail = "a row of a transaction that has not begun: it was written by hand"

// latest finds the newest checkpoint in storage. What this process knows is asked for again when the bookmark says otherwise.
func (k *Keeper) latest(ctx context.Context, n Name, head Head) (Checkpoint, error) {
	k.mu.Lock()
	known, ok := k.seen[n.Tenant]
	k.mu.Unlock()
	if ok && known.Size == head.Size && known.Root == head.Root {
		return known, nil
	}
	after := known.Size
	if !ok {
		after = head.Size - 1 // the bookmark's own checkpoint must be there
	}
	keys, err := k.store.List(ctx, n.prefix()+"checkpoint/", n.checkpointKey(max(after, 0)))
	if err != nil {
		return known, err
	}
	if len(keys) > 0 {
		b, err := k.store.Get(ctx, keys[len(keys)-1])
		if err != nil {
			return known, err
		}
		o, err := k.keys.open(n, b)
		if err != nil {
			return known, &Broken{Kind: KindSignature, Detail: "the newest checkpoint is not good: " + fault.Of(err).Text, Object: keys[len(keys)-1]}
		}
		known = o.Checkpoint
	}
	if known.Size < head.Size {
		return known, &Broken{Kind: KindStorage, Detail: "the checkpoint that the database names is not in storage", Object: n.checkpointKey(head.Size)}
	}
	if known.Size == head.Size && known.Root != head.Root {
		return known, &Broken{Kind: KindRolledBack, Detail: "the database names another root than the checkpoint of this size"}
	}
	k.know(n, known)
	return known, nil
}

func (k *Keeper) know(n Name, c Checkpoint) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.seen[n.Tenant] = c
}

// catchUp moves a bookmark that is behind the newest checkpoint. The database must hold exactly the rows that the log has: one
// that lost rows, or got others, is not signed over.
func (k *Keeper) catchUp(ctx context.Context, n Name, from int64, head Head, latest Checkpoint) (Head, error) {
	if head.Size == latest.Size && head.Size > 0 || latest.Size == 0 {
		return head, nil
	}
	for head.Size < latest.Size {
		rows, err := k.cfg.Source.Rows(ctx, n.Tenant, head.Last, false, int(min(latest.Size-head.Size, page)))
		if err != nil {
			return head, err
		}
		entries, err := k.entries(ctx, n, latest, head.Size, int64(max(len(rows), 1)))
		if err != nil {
			return head, err
		}
		if len(rows) == 0 {
			return head, brokenAt(head.Size, entries[0], KindRolledBack, "the database is older than the newest checkpoint: this event and what follows are gone")
		}
		for i, r := range rows {
			if r.Entry != entries[i] {
				return head, brokenAt(head.Size+int64(i), entries[i], KindRolledBack, "the database holds another row than the newest checkpoint has here")
			}
		}
		head.Size += int64(len(rows))
		head.Last = rows[len(rows)-1].Position
	}
	head.Root = latest.Root
	return k.advance(ctx, n, from, head)
}

var errOvertaken = errors.New("another process sequences this log; it is looked at again")

func (k *Keeper) advance(ctx context.Context, n Name, from int64, to Head) (Head, error) {
	ok, err := k.cfg.Source.Advance(ctx, n.Tenant, from, to)
	if err == nil && !ok {
		err = fault.Wrap(fault.Conflict, errOvertaken, "the log has moved on meanwhile")
		k.Mark(n.Tenant)
	}
	return to, err
}

// fresh reads rows after the bookmark, and checks that its own row is still there.
func (k *Keeper) fresh(ctx context.Context, n Name, head Head) ([]Row, error) {
	if head.Size == 0 {
		return k.cfg.Source.Rows(ctx, n.Tenant, Position{}, true, page)
	}
	rows, err := k.cfg.Source.Rows(ctx, n.Tenant, head.Last, true, page+1)
	if err != nil {
		return nil, err
	}
	last, err := k.entries(ctx, n, Checkpoint{Size: head.Size, Root: head.Root}, head.Size-1, 1)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 || rows[0].Position != head.Last {
		return nil, brokenAt(head.Size-1, last[0], KindTail, "the newest event of the log has no row")
	}
	if rows[0].Entry != last[0] {
		return nil, brokenAt(head.Size-1, last[0], KindEdited, "the row of the log's newest event was changed")
	}
	return rows[1:], nil
}

// genuine raises an alert over rows that no role wrote, where that can be told without a tenant's key. They are sequenced all the
// same: what is in the log cannot be taken back, and a log that stopped would leave later events without a witness. There is one
// alert for each checkpoint, once that is signed: whoever writes many rows raises few alerts.
func (k *Keeper) genuine(n Name, from int64, rows []Row) {
	if k.cfg.Genuine == nil {
		return
	}
	open := k.cfg.Genuine(n.Tenant)
	var first *Broken
	count := 0
	for i, r := range rows {
		if _, err := open(r); err != nil {
			count++
			if first == nil {
				first = brokenAt(from+int64(i), r.Entry, KindForged, "")
			}
		}
	}
	if first != nil {
		first.Detail = fmt.Sprintf("rows that no role of the platform wrote: %d, this is the first", count)
		k.alert(n, first)
	}
}

// entries reads n entries of the log from storage.
func (k *Keeper) entries(ctx context.Context, n Name, c Checkpoint, from, count int64) ([]Entry, error) {
	var out []Entry
	for tile := from / perTile; tile <= (from+count-1)/perTile; tile++ {
		b, err := (&tiles{ctx, k.store, n, k.cache}).read(entryTile(tile, c.Size))
		if err != nil {
			return nil, err
		}
		es, err := decodeAll(b)
		if err != nil {
			return nil, err
		}
		lo, hi := max(from-tile*perTile, 0), min(from+count-tile*perTile, perTile)
		if int64(len(es)) < hi {
			return nil, &Broken{Kind: KindStorage, Detail: "a tile of entries is altered", Object: n.tileKey(entryTile(tile, c.Size))}
		}
		out = append(out, es[lo:hi]...)
	}
	return out, nil
}

// append signs a longer log: storage first, then the witness, then the bookmark.
func (k *Keeper) append(ctx context.Context, n Name, latest Checkpoint, head Head, rows []Row) (Checkpoint, Head, error) {
	g, err := k.grow(ctx, n, latest)
	if err != nil {
		return latest, head, k.treeFault(ctx, n, err)
	}
	for _, r := range rows {
		if err := g.add(r.Entry); err != nil {
			return latest, head, k.treeFault(ctx, n, err)
		}
	}
	next := Checkpoint{Origin: n.Origin(), Size: g.size, Prev: latest.Size, Made: now(k.cfg.Now)}
	if next.Root, err = g.root(); err != nil {
		return latest, head, k.treeFault(ctx, n, err)
	}
	objects, err := g.objects()
	if err != nil {
		return latest, head, k.treeFault(ctx, n, err)
	}
	for key, b := range objects {
		if err := putSame(ctx, k.store, key, b); err != nil {
			return latest, head, err
		}
		k.cache.put(key, b)
	}
	if next, err = k.publish(ctx, n, next); err != nil {
		return latest, head, err
	}
	k.know(n, next)
	to := Head{Size: next.Size, Root: next.Root, Last: rows[len(rows)-1].Position, Cosigned: head.Cosigned}
	if to, err = k.witnessed(ctx, n, next, to); err != nil {
		if _, broken := asBroken(err); broken {
			return next, head, err
		}
		k.later(ctx, n, err)
	}
	to, err = k.advance(ctx, n, head.Size, to)
	return next, to, err
}

// publish stores a checkpoint, or finds that another process has stored one of the same log at this size.
func (k *Keeper) publish(ctx context.Context, n Name, c Checkpoint) (Checkpoint, error) {
	b, err := note.Sign(&note.Note{Text: c.text()}, k.cfg.Signing.Signer)
	if err != nil {
		return c, fault.Wrap(fault.Internal, err, "sign a checkpoint")
	}
	key := n.checkpointKey(c.Size)
	err = k.store.Put(ctx, key, b)
	if !fault.Is(err, fault.Conflict) {
		return c, err
	}
	if b, err = k.store.Get(ctx, key); err != nil {
		return c, err
	}
	o, err := k.keys.open(n, b)
	if err != nil {
		return c, &Broken{Kind: KindSignature, Detail: fault.Of(err).Text, Object: key}
	}
	if o.Size != c.Size || o.Root != c.Root {
		return c, &Broken{Kind: KindFork, Detail: "write-once storage holds a checkpoint of this size with another root", Object: key}
	}
	return o.Checkpoint, nil
}

// treeFault says that storage does not support the tree: what tlog reports without a type is always that.
func (k *Keeper) treeFault(ctx context.Context, n Name, err error) error {
	if _, broken := asBroken(err); broken || ctx.Err() != nil {
		return err
	}
	if _, known := errors.AsType[*fault.Fault](err); known {
		return err
	}
	return &Broken{Kind: KindStorage, Detail: "tiles in storage do not give the signed root: " + err.Error(), Object: n.prefix() + "tile/"}
}
