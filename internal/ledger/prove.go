package ledger

import (
	"context"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Progress is a log's newest checkpoint, with the proof that it goes on from an earlier size.
type Progress struct {
	Log   string      `json:"log"`
	Note  []byte      `json:"note,omitempty"` // with both signatures when the witness has signed; empty before the first checkpoint
	Size  int64       `json:"size"`
	From  int64       `json:"from"`
	Proof []tlog.Hash `json:"proof,omitempty"` // empty when From is 0 or Size, or larger than Size
}

// Progress gives the newest checkpoint in storage, and the proof from an earlier size.
func (k *Keeper) Progress(ctx context.Context, t tenant.ID, from int64) (Progress, error) {
	n := k.name(t)
	p := Progress{Log: n.Origin(), From: from}
	c, b, err := k.newest(ctx, n)
	if err != nil || c.Size == 0 {
		return p, err
	}
	p.Size, p.Note = c.Size, b
	if from > 0 && from < c.Size {
		p.Proof, err = tlog.ProveTree(c.Size, from, k.hashes(ctx, n, c, nil))
	}
	return p, err
}

// newest reads the newest checkpoint from storage: the cosigned note when there is one.
func (k *Keeper) newest(ctx context.Context, n Name) (Checkpoint, []byte, error) {
	k.mu.Lock()
	known := k.seen[n.Tenant].Size
	k.mu.Unlock()
	keys, err := k.store.List(ctx, n.prefix()+"checkpoint/", n.checkpointKey(max(known-1, 0)))
	if err != nil || len(keys) == 0 {
		return Checkpoint{}, nil, err
	}
	b, err := k.store.Get(ctx, keys[len(keys)-1])
	if err != nil {
		return Checkpoint{}, nil, err
	}
	o, err := k.keys.open(n, b)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	if both, err := k.store.Get(ctx, n.cosignedKey(o.Size)); err == nil {
		b = both
	} else if !fault.Is(err, fault.NotFound) {
		return Checkpoint{}, nil, err
	}
	return o.Checkpoint, b, nil
}

// Inclusion proves that an event is in a log at a place.
type Inclusion struct {
	Log   string      `json:"log"`
	Seq   int64       `json:"seq"`
	Event string      `json:"event"`
	Entry []byte      `json:"entry"` // encoded; its leaf is RecordHash("cordon/audit/v2\0" + tenant + entry)
	Note  []byte      `json:"note"`  // the checkpoint
	Proof []tlog.Hash `json:"proof"`
}

// Prove finds an event in a log and proves that it is there. Faults: NotFound.
func (k *Keeper) Prove(ctx context.Context, t tenant.ID, event uuid.UUID) (Inclusion, error) {
	n := k.name(t)
	c, b, err := k.newest(ctx, n)
	if err != nil {
		return Inclusion{}, err
	}
	for from := int64(0); from < c.Size; from += perTile {
		es, err := k.entries(ctx, n, c, from, min(perTile, c.Size-from))
		if err != nil {
			return Inclusion{}, err
		}
		for i, e := range es {
			if e.ID != event {
				continue
			}
			p := Inclusion{Log: n.Origin(), Seq: from + int64(i), Event: event.String(), Entry: e.encode(nil), Note: b}
			p.Proof, err = tlog.ProveRecord(c.Size, p.Seq, k.hashes(ctx, n, c, nil))
			return p, err
		}
	}
	return Inclusion{}, fault.New(fault.NotFound, "the log has no such event")
}

// Check verifies an inclusion offline.
func (p Inclusion) Check(v Verifiers) error {
	n, keys, err := named(p.Log, v)
	if err != nil {
		return err
	}
	o, err := keys.open(n, p.Note)
	if err != nil {
		return err
	}
	if len(p.Entry) != entrySize {
		return fault.New(fault.Invalid, "not an entry of a log")
	}
	e := decode(p.Entry)
	if e.ID.String() != p.Event || p.Seq < 0 || p.Seq >= o.Size {
		return fault.New(fault.Invalid, "the proof is of another event")
	}
	if tlog.CheckRecord(p.Proof, o.Size, o.Root, p.Seq, e.Leaf(n.Tenant)) != nil {
		return fault.New(fault.Invalid, "the proof does not lead to the signed root")
	}
	return nil
}

// Follow checks that a log goes on from a note that was remembered (empty = the first look), and gives the one to remember now.
func (p Progress) Follow(v Verifiers, remembered []byte) (note []byte, err error) {
	n, keys, err := named(p.Log, v)
	if err != nil {
		return nil, err
	}
	if len(p.Note) == 0 {
		if len(remembered) > 0 {
			return nil, fault.New(fault.Conflict, "the log of %s is gone", p.Log)
		}
		return nil, nil
	}
	next, err := keys.open(n, p.Note)
	if err != nil {
		return nil, err
	}
	if len(remembered) == 0 {
		return p.Note, nil
	}
	old, err := keys.open(n, remembered)
	if err != nil {
		return nil, err
	}
	switch {
	case next.Size < old.Size:
		return nil, fault.New(fault.Conflict, "%s was cut: %d events, and %d before", p.Log, next.Size, old.Size)
	case next.Size == old.Size && next.Root != old.Root, next.Size > old.Size && tlog.CheckTree(p.Proof, next.Size, next.Root, old.Size, old.Root) != nil:
		return nil, fault.New(fault.Conflict, "%s does not go on from the %d events that were seen before", p.Log, old.Size)
	}
	return p.Note, nil
}

// SizeOf reads the size out of a note, unverified: for asking what comes after it.
func SizeOf(b []byte) int64 {
	c, err := parse(textOf(b))
	if err != nil {
		return 0
	}
	return c.Size
}
