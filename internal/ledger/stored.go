package ledger

import (
	"bytes"
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// storedLog is a log as write-once storage holds it.
type storedLog struct {
	latest  Checkpoint
	points  []Checkpoint // all that are good, by size
	entries []Entry      // the log: as stored when good
	raw     []Entry      // as stored, as far as it is there
	good    bool         // raw gives the newest checkpoint's root
}

// stored reads and checks all of a log's objects: each checkpoint's signature and root, each tile.
func (k *Keeper) stored(ctx context.Context, n Name, r *Report) (*storedLog, error) {
	keys, err := k.store.List(ctx, n.prefix(), "")
	if err != nil {
		return nil, err
	}
	have := make(map[string]bool, len(keys))
	for _, key := range keys {
		have[key] = true
	}
	l := &storedLog{good: true}
	if err := k.points(ctx, n, r, l, keys, have); err != nil {
		return nil, err
	}
	if l.latest.Size == 0 {
		return l, nil
	}
	for tile := int64(0); tile*perTile < l.latest.Size; tile++ {
		b, err := k.object(ctx, n.tileKey(entryTile(tile, l.latest.Size)))
		if err != nil {
			return nil, err
		}
		es, err := decodeAll(b)
		if err != nil || len(es) != entryTile(tile, l.latest.Size).W {
			l.good = false
			break
		}
		l.raw = append(l.raw, es...)
	}
	l.good = l.good && rootOf(n, l.raw) == l.latest.Root
	if !l.good {
		return l, nil
	}
	l.entries = l.raw
	return l, k.tiles(ctx, n, r, l, have)
}

// object reads an object; a missing one is empty.
func (k *Keeper) object(ctx context.Context, key string) ([]byte, error) {
	b, err := k.store.Get(ctx, key)
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	return b, err
}

// points reads all checkpoints, and follows the chain of their sizes back: one that is missing is named by the one after it.
func (k *Keeper) points(ctx context.Context, n Name, r *Report, l *storedLog, keys []string, have map[string]bool) error {
	for _, key := range keys {
		size, err := sizeOf(key)
		if err != nil || key != n.checkpointKey(size) {
			continue
		}
		b, err := k.object(ctx, key)
		if err != nil {
			return err
		}
		o, err := k.keys.open(n, b)
		if err != nil || o.Size != size {
			r.add(Problem{Kind: KindSignature, Detail: "a checkpoint in storage is not good: " + told(err, "its size is another"), Object: key})
			continue
		}
		l.points, l.latest = append(l.points, o.Checkpoint), o.Checkpoint
		if have[n.cosignedKey(size)] {
			if err := k.cosignature(ctx, n, r, o); err != nil {
				return err
			}
		} else if k.cfg.Witness != nil {
			r.warn(Problem{Kind: KindWitness, Detail: fmt.Sprintf("the checkpoint at %d has no stored cosignature", size), Object: n.cosignedKey(size)})
		}
	}
	for _, c := range l.points {
		if c.Prev > 0 && !have[n.checkpointKey(c.Prev)] {
			r.add(Problem{Kind: KindStorage, Detail: fmt.Sprintf("the checkpoint at %d, which the one at %d follows, is missing", c.Prev, c.Size), Object: n.checkpointKey(c.Prev)})
		}
	}
	if k.cfg.Witness != nil && l.latest.Size > 0 && !have[n.cosignedKey(l.latest.Size)] {
		r.add(Problem{Kind: KindWitness, Detail: "the newest checkpoint has no cosignature", Object: n.cosignedKey(l.latest.Size)})
	}
	return nil
}

func told(err error, other string) string {
	if err == nil {
		return other
	}
	return fault.Of(err).Text
}

// cosignature checks a stored cosigned note: of this very checkpoint, or of another process's at the same size and root.
func (k *Keeper) cosignature(ctx context.Context, n Name, r *Report, c opened) error {
	key := n.cosignedKey(c.Size)
	b, err := k.object(ctx, key)
	if err != nil {
		return err
	}
	o, err := k.keys.open(n, b)
	if err != nil || !o.witnessd || o.Size != c.Size || o.Root != c.Root {
		r.add(Problem{Kind: KindSignature, Detail: "a cosigned checkpoint is not good: " + told(err, "it is of another checkpoint, or the witness did not sign it"), Object: key})
	}
	return nil
}

// tiles computes what every checkpoint promised and compares: its root, and the tiles that came with it.
func (k *Keeper) tiles(ctx context.Context, n Name, r *Report, l *storedLog, have map[string]bool) error {
	levels := [][]tlog.Hash{make([]tlog.Hash, len(l.entries))}
	roots := map[int64]tlog.Hash{}
	for _, c := range l.points {
		roots[c.Size] = tlog.Hash{}
	}
	var f frontier
	for i, e := range l.entries {
		levels[0][i] = e.Leaf(n.Tenant)
		f.add(levels[0][i])
		if _, want := roots[f.size]; want {
			roots[f.size] = f.root()
		}
	}
	for len(levels[len(levels)-1]) >= perTile {
		levels = append(levels, above(levels[len(levels)-1]))
	}
	for _, c := range l.points {
		if roots[c.Size] != c.Root {
			r.add(Problem{Kind: KindFork, Detail: fmt.Sprintf("the checkpoint at %d has a root that the log never had", c.Size), Object: n.checkpointKey(c.Size)})
		}
		for _, t := range tlog.NewTiles(height, c.Prev, c.Size) {
			key := n.tileKey(t)
			if !have[key] {
				r.add(Problem{Kind: KindStorage, Detail: "a tile is missing", Object: key})
				continue
			}
			b, err := k.object(ctx, key)
			if err != nil {
				return err
			}
			if !bytes.Equal(b, content(t, l.entries, levels)) {
				r.add(Problem{Kind: KindStorage, Detail: "a tile is altered", Object: key})
			}
		}
	}
	return nil
}

// content is what a tile must hold.
func content(t tlog.Tile, entries []Entry, levels [][]tlog.Hash) []byte {
	var out []byte
	from := t.N * perTile
	if t.L == 0 {
		for _, e := range entries[from : from+int64(t.W)] {
			out = e.encode(out)
		}
		return out
	}
	for _, h := range levels[t.L][from : from+int64(t.W)] {
		out = append(out, h[:]...)
	}
	return out
}
