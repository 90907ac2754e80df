package record

import (
	"context"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/fhir/search"
	"github.com/cordon-ehr/cordon/internal/plan"
)

// maxChained bounds how many resources the inner search of a chain may find.
const maxChained = 1000

// chain is what the inner search of a chained term found.
type chain struct {
	rids []int64
	ids  map[search.Link]bool // what Match compares a hit's references with
}

// chains runs the inner search of each chained term. Whoever chains learns something of the target, so the caller must be
// allowed to search it.
func (s *Service) chains(ctx context.Context, c *Caller, read run, q *search.Query) (map[int]chain, error) {
	var out map[int]chain
	for i := range q.Terms {
		t := &q.Terms[i]
		if t.Chain == nil {
			continue
		}
		target := fhir.ResourceType(t.Type)
		if err := s.allow(ctx, c, doSearch, target, ""); err != nil {
			return nil, err
		}
		inner := &search.Query{Type: target, Set: search.For(target), Terms: []search.Term{*t.Chain}}
		found := chain{ids: map[search.Link]bool{}}
		err := s.all(ctx, c, read, c.plan(inner, nil), maxChained, func(h *hit) {
			found.rids = append(found.rids, h.rid)
			found.ids[search.Link{Type: t.Type, ID: h.ID.Reveal()}] = true
		})
		if err != nil {
			if fault.Is(err, fault.Unprocessable) {
				return nil, fault.New(fault.Unprocessable, "a chained parameter finds more than %d resources; narrow it", maxChained)
			}
			return nil, err
		}
		if out == nil {
			out = map[int]chain{}
		}
		out[i] = found
	}
	return out, nil
}

// planned is a query's plan with what its chains found.
type planned struct {
	*plan.Plan
	chained map[int]chain
}

func (c *Caller) plan(q *search.Query, chained map[int]chain) *planned {
	rids := make(map[int][]int64, len(chained))
	for i, ch := range chained {
		rids[i] = ch.rids
	}
	return &planned{plan.New(q, c.index(), rids), chained}
}

// linked judges the chained terms on an opened hit.
func (p *planned) linked(root fhir.Value, base string) bool {
	for i, ch := range p.chained {
		hit := false
		p.Query.Terms[i].Param.Links(root, base, func(l search.Link) { hit = hit || ch.ids[l] })
		if !hit {
			return false
		}
	}
	return true
}
