package ledger

import (
	"context"
	"maps"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// tiles reads a log's tiles out of storage as tlog wants them. What it gives is checked against the tree's root by
// tlog.TileHashReader.
type tiles struct {
	ctx   context.Context //nolint:containedctx // lives as long as one call
	store Store
	name  Name
	cache *cache
}

func (*tiles) Height() int                     { return height }
func (*tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// ReadTiles implements tlog.TileReader.
func (r *tiles) ReadTiles(want []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(want))
	for i, t := range want {
		b, err := r.read(t)
		if err != nil {
			return nil, err
		}
		if t.L > 0 {
			out[i] = b
			continue
		}
		entries, err := decodeAll(b)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			h := e.Leaf(r.name.Tenant)
			out[i] = append(out[i], h[:]...)
		}
	}
	return out, nil
}

// read gives a tile's object. A full tile may stand in for a partial one.
func (r *tiles) read(t tlog.Tile) ([]byte, error) {
	key := r.name.tileKey(t)
	if b, ok := r.cache.get(key); ok {
		return b, nil
	}
	b, err := r.store.Get(r.ctx, key)
	if fault.Is(err, fault.NotFound) {
		return nil, &Broken{Kind: KindStorage, Detail: "an object of the log is missing", Object: key}
	}
	if err == nil {
		r.cache.put(key, b)
	}
	return b, err
}

// cache keeps tiles that were read or written lately; what it gives is checked as if it came from storage.
type cache struct {
	mu sync.Mutex // guards m
	m  map[string][]byte
}

const cached = 512 // tiles of at most 25 kB

func (c *cache) get(key string) ([]byte, bool) {
	if c == nil {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	b, ok := c.m[key]
	return b, ok
}

func (c *cache) put(key string, b []byte) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil || len(c.m) >= cached {
		c.m = map[string][]byte{}
	}
	c.m[key] = b
}

// hashes reads the hashes of the tree of a checkpoint.
func (k *Keeper) hashes(ctx context.Context, n Name, c Checkpoint, use *cache) tlog.HashReader {
	return tlog.TileHashReader(tlog.Tree{N: c.Size, Hash: c.Root}, &tiles{ctx, k.store, n, use})
}

// growth is a tree that grows by entries: the hashes it adds, over those of the tree before.
type growth struct {
	n     Name
	from  int64
	size  int64
	added map[int64]tlog.Hash
	old   tlog.HashReader
	tail  []byte // encoded entries since the last full tile
	full  map[tlog.Tile][]byte
}

// ReadHashes implements tlog.HashReader.
func (g *growth) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	var missing []int64
	for i, x := range indexes {
		if h, ok := g.added[x]; ok {
			out[i] = h
		} else {
			missing = append(missing, x)
		}
	}
	if len(missing) == 0 {
		return out, nil
	}
	got, err := g.old.ReadHashes(missing)
	if err != nil {
		return nil, err
	}
	for i, x := range indexes {
		if h, ok := g.added[x]; ok {
			out[i] = h
			continue
		}
		out[i], g.added[x] = got[0], got[0]
		got = got[1:]
	}
	return out, nil
}

// grow begins at the tree of a checkpoint; the zero Checkpoint is the empty tree.
func (k *Keeper) grow(ctx context.Context, n Name, c Checkpoint) (*growth, error) {
	g := &growth{n: n, from: c.Size, size: c.Size, added: map[int64]tlog.Hash{}, full: map[tlog.Tile][]byte{}}
	if c.Size == 0 {
		g.old = tlog.HashReaderFunc(func([]int64) ([]tlog.Hash, error) {
			return nil, fault.New(fault.Internal, "an empty tree has no hashes")
		})
		return g, nil
	}
	g.old = k.hashes(ctx, n, c, k.cache)
	if w := c.Size % perTile; w != 0 {
		b, err := (&tiles{ctx, k.store, n, k.cache}).read(tlog.Tile{H: height, N: c.Size / perTile, W: int(w)})
		if err != nil {
			return nil, err
		}
		if int64(len(b)) != w*entrySize {
			return nil, &Broken{Kind: KindStorage, Detail: "a tile of entries is altered", Object: n.tileKey(tlog.Tile{H: height, N: c.Size / perTile, W: int(w)})}
		}
		g.tail = append(g.tail, b...)
	}
	// All that growing needs of the tree before is its right edge: read, and checked against the root, at once.
	_, err := g.ReadHashes(edge(c.Size))
	return g, err
}

// edge gives where the roots of the complete subtrees of a tree stand, largest first.
func edge(size int64) (out []int64) {
	start := int64(0)
	for level := 62; level >= 0; level-- {
		if size>>level&1 == 1 {
			out = append(out, tlog.StoredHashIndex(level, start>>level))
			start += 1 << level
		}
	}
	return out
}

// add appends an entry.
func (g *growth) add(e Entry) error {
	hs, err := tlog.StoredHashesForRecordHash(g.size, e.Leaf(g.n.Tenant), g)
	if err != nil {
		return err
	}
	at := tlog.StoredHashIndex(0, g.size)
	for i, h := range hs {
		g.added[at+int64(i)] = h
	}
	g.tail = e.encode(g.tail)
	if g.size++; g.size%perTile == 0 {
		g.full[tlog.Tile{H: height, N: g.size/perTile - 1, W: perTile}] = g.tail
		g.tail = nil
	}
	return nil
}

// root is the root of the tree as it is.
func (g *growth) root() (tlog.Hash, error) { return tlog.TreeHash(g.size, g) }

// objects gives the tiles that the growth made, by key.
func (g *growth) objects() (map[string][]byte, error) {
	out := map[string][]byte{}
	lowest := maps.Clone(g.full)
	if w := g.size % perTile; w != 0 {
		lowest[tlog.Tile{H: height, N: g.size / perTile, W: int(w)}] = g.tail
	}
	for t, b := range lowest {
		out[g.n.tileKey(t)] = b
	}
	for _, t := range tlog.NewTiles(height, g.from, g.size) {
		if t.L == 0 {
			continue
		}
		b, err := tlog.ReadTileData(t, g)
		if err != nil {
			return nil, err
		}
		out[g.n.tileKey(t)] = b
	}
	return out, nil
}

// entryTile is the tile of entries with a number, in a tree of a size.
func entryTile(number, size int64) tlog.Tile {
	return tlog.Tile{H: height, N: number, W: int(min(size-number*perTile, perTile))}
}
