package record

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/fhir/search"
	"github.com/cordon-ehr/cordon/internal/phi"
	"github.com/cordon-ehr/cordon/internal/placement"
)

// maxGathered bounds what is sorted in memory.
const maxGathered = 10_000

// maxSortText bounds what of a text orders: a cursor holds it, and stands in a URL. Ties are broken by the blind id.
const maxSortText = 200

// sortKey is one value of _sort; here, where an order is made in memory, resources without one come last.
type sortKey struct {
	Has  bool   `json:"h,omitempty"`
	Num  int64  `json:"n,omitempty"`
	Text string `json:"t,omitempty"`
}

func sortKeys(root fhir.Value, q *search.Query) []sortKey {
	keys := make([]sortKey, len(q.Sort))
	for i, k := range q.Sort {
		n, t, has := k.Param.SortValue(root, k.Desc)
		keys[i] = sortKey{has, n, strings.ToValidUTF8(t[:min(len(t), maxSortText)], "")} // a cursor is JSON: no half characters
	}
	return keys
}

func compareKeys(a, b []sortKey, by []search.SortKey) int {
	for i := range by {
		if a[i].Has != b[i].Has {
			if a[i].Has {
				return -1
			}
			return 1
		}
		c := cmp.Or(cmp.Compare(a[i].Num, b[i].Num), strings.Compare(a[i].Text, b[i].Text))
		if by[i].Desc {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

// gather sorts all matches in memory, for orders that no index keeps. A page begins after the keys of the last one's end, so
// paging stays right when resources come and go.
func (s *Service) gather(ctx context.Context, c *Caller, read run, pl *planned, page *Page) error {
	after, err := c.openSortCursor(pl.Query)
	if err != nil {
		return err
	}
	var hits []hit
	if err := s.all(ctx, c, read, pl, maxGathered, func(h *hit) {
		kept := *h
		kept.Body = nil // ten thousand keys are small, as many bodies are not
		hits = append(hits, kept)
	}); err != nil {
		return err
	}
	order := func(a, b *hit) int {
		return cmp.Or(compareKeys(a.keys, b.keys, pl.Query.Sort), cmp.Compare(a.rid, b.rid))
	}
	slices.SortFunc(hits, func(a, b hit) int { return order(&a, &b) })
	var rids []int64
	for i := range hits {
		if after != nil && order(&hits[i], after) <= 0 {
			continue
		}
		if len(rids) == pl.Query.Count {
			page.Next = c.sealSortCursor(pl.Query, after)
			break
		}
		rids = append(rids, hits[i].rid)
		after = &hits[i]
	}
	// What was changed since it was ordered is judged again.
	page.Matches, err = s.bodies(ctx, c, read, rids, func(_ *Resource, root fhir.Value) bool { return pl.Query.Match(root) && pl.linked(root, c.Base) })
	return err
}

// bodies reads resources by blind id, in that order, and gives those that keep wants; what was deleted meanwhile is left out.
func (s *Service) bodies(ctx context.Context, c *Caller, read run, rids []int64, keep func(*Resource, fhir.Value) bool) ([]Resource, error) {
	if len(rids) == 0 {
		return nil, nil
	}
	var rows []stored
	err := read(ctx, func(b *placement.Batch) {
		b.Queue(bodiesSQL, rids).Query(func(r pgx.Rows) (err error) {
			rows, err = collect(r)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	var out []Resource
	for i := range rows {
		r, err := c.open(&rows[i], "", 0)
		if err != nil {
			return nil, err
		}
		if r.Deleted {
			continue
		}
		wanted := false
		err = r.look(func(root fhir.Value) {
			r.learn(root)
			wanted = keep(&r, root)
		})
		if err != nil {
			return nil, err
		}
		if wanted {
			out = append(out, r)
		}
	}
	return out, nil
}

// learn takes a resource's id from its body: index rows do not know it.
func (r *Resource) learn(root fhir.Value) { r.ID = phi.Text(root.Get("id").Str()) }
