package ledger

import "golang.org/x/mod/sumdb/tlog"

// frontier is the right edge of a growing tree (RFC 6962 §2.1): the roots of its complete subtrees, largest first. Verification
// computes with it, apart from the code that made the tree.
type frontier struct {
	size  int64
	edges []tlog.Hash
}

func (f *frontier) add(leaf tlog.Hash) {
	f.edges = append(f.edges, leaf)
	f.size++
	for n := f.size; n%2 == 0; n /= 2 {
		last := len(f.edges)
		f.edges = append(f.edges[:last-2], tlog.NodeHash(f.edges[last-2], f.edges[last-1]))
	}
}

func (f *frontier) root() tlog.Hash {
	if len(f.edges) == 0 {
		return tlog.Hash{}
	}
	r := f.edges[len(f.edges)-1]
	for i := len(f.edges) - 2; i >= 0; i-- {
		r = tlog.NodeHash(f.edges[i], r)
	}
	return r
}

// above gives, of the hashes of one level of tiles, those of the next: the root of each 256.
func above(level []tlog.Hash) []tlog.Hash {
	out := make([]tlog.Hash, 0, len(level)/perTile)
	for ; len(level) >= perTile; level = level[perTile:] {
		var f frontier
		for _, h := range level[:perTile] {
			f.add(h)
		}
		out = append(out, f.root())
	}
	return out
}
