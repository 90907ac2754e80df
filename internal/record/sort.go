package record

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/fhir/search"
	"github.com/cordon-ehr/cordon/internal/phi"
)

// maxGathered bounds what is sorted in memory.
const maxGathered = 10_000

// sortKey is one value of _sort; resources without one come last, whatever the direction.
type sortKey struct {
	Has  bool   `json:"h,omitempty"`
	Num  int64  `json:"n,omitempty"`
	Text string `json:"t,omitempty"`
}

func sortKeys(root fhir.Value, q *search.Query) []sortKey {
	keys := make([]sortKey, len(q.Sort))
	for i, k := range q.Sort {
		n, t, has := k.Param.SortValue(root, k.Desc)
		keys[i] = sortKey{has, n, t}
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
	if err := s.all(ctx, c, read, pl, maxGathered, func(h *hit) { hits = append(hits, *h) }); err != nil {
		return err
	}
	order := func(a, b *hit) int {
		return cmp.Or(compareKeys(a.keys, b.keys, pl.Query.Sort), cmp.Compare(a.rid, b.rid))
	}
	slices.SortFunc(hits, func(a, b hit) int { return order(&a, &b) })
	for i := range hits {
		if after != nil && order(&hits[i], after) <= 0 {
			continue
		}
		if len(page.Matches) == pl.Query.Count {
			page.Next = c.sealSortCursor(pl.Query, after)
			return nil
		}
		page.Matches = append(page.Matches, hits[i].Resource)
		after = &hits[i]
	}
	return nil
}

// learn takes a resource's id from its body: index rows do not know it.
func (r *Resource) learn(root fhir.Value) { r.ID = phi.Text(root.Get("id").Str()) }
