package plan

import (
	"math"
	"slices"

	"github.com/cordon-ehr/cordon/internal/blind"
	"github.com/cordon-ehr/cordon/internal/fhir/search"
)

// Plan is one search, ready to be written as SQL.
type Plan struct {
	Query  *search.Query
	driver access
	probes [][]part // all must hold; of the parts of one, any
	exact  bool
	byTime bool // ordered by lastUpdated, not by the primary date
	asc    bool
	lo, hi int64 // limits of the order's key, inclusive
}

// New chooses the driver. chained holds, for each chained term by its index, the blind ids that its inner search found.
func New(q *search.Query, x blind.Index, chained map[int][]int64) *Plan {
	p := &Plan{Query: q, exact: true, lo: math.MinInt64 >> 1, hi: math.MaxInt64 >> 1}
	p.driver = access{rank: rankType, parts: []part{{kind: ofType}}, drives: true}
	all := make([]access, len(q.Terms))
	best := -1
	for i := range q.Terms {
		if rids, ok := chained[i]; ok {
			all[i] = targets(&q.Terms[i], rids, nil)
			all[i].exact = all[i].exact && !slices.ContainsFunc(q.Terms[i].Param.Paths, (*search.Path).Filtered)
		} else {
			all[i] = offer(&q.Terms[i], x)
		}
		if all[i].drives && all[i].rank < p.driver.rank {
			best, p.driver = i, all[i]
		}
	}
	folded := p.fold(all, x)
	for i := range all {
		if i != best && i != folded && all[i].parts != nil {
			p.probes = append(p.probes, all[i].parts)
		}
		p.exact = p.exact && all[i].exact && all[i].parts != nil
	}
	p.order(x)
	return p
}

// Exact reports whether the index finds answers only: rows may be counted without opening them.
func (p *Plan) Exact() bool { return p.exact }

// fold replaces a patient's list by the one list of the patient and a code, where there is a term for it; its index is given,
// else -1.
func (p *Plan) fold(all []access, x blind.Index) int {
	if p.driver.rank != rankPatient || len(p.driver.parts[0].rids) > 8 {
		return -1
	}
	for i := range p.Query.Terms {
		t := &p.Query.Terms[i]
		if !t.Param.Folded() || len(all[i].parts) != 1 || all[i].parts[0].kind != inIdx {
			continue
		}
		ls, _, _ := t.Lookups()
		if len(ls)*len(p.driver.parts[0].rids) > 64 {
			continue
		}
		var tokens []int64
		for _, l := range ls {
			for _, patient := range p.driver.parts[0].rids {
				tokens = append(tokens, x.Folded(l.Path, l.Text, patient))
			}
		}
		p.driver = access{rank: rankFolded, parts: []part{{kind: inIdx, tokens: tokens}}}
		return i
	}
	return -1
}

// order reads _sort as far as an index serves it, and narrows the walk by a term on the same date.
func (p *Plan) order(x blind.Index) {
	bare := p.driver.rank == rankType && len(p.probes) == 0
	if len(p.Query.Sort) == 1 {
		k := p.Query.Sort[0]
		p.asc = !k.Desc
		p.byTime = bare && k.Param.Kind == search.LastUpdated
	}
	for i := range p.Query.Terms {
		if t := &p.Query.Terms[i]; bare && len(p.Query.Sort) == 0 && t.Param.Kind == search.LastUpdated && len(t.Values) == 1 && t.Modifier == search.None {
			p.byTime = true
		}
	}
	for i := range p.Query.Terms {
		t := &p.Query.Terms[i]
		if len(t.Values) != 1 || t.Modifier != search.None || t.Values[0].Prefix == search.Ne {
			continue
		}
		span := t.Values[0].Span
		switch {
		case p.byTime && t.Param.Kind == search.LastUpdated:
			p.narrow(t.Values[0].Prefix, span.Lo, span.Hi, true)
		case !p.byTime && t.Param.Kind == search.Date && p.primary(t.Param) && t.Param.Paths[0].Single():
			p.narrow(t.Values[0].Prefix, x.Sort(span.Lo, true), x.Sort(span.Hi, true), false)
		}
	}
}

// primary reports whether a parameter is the date by which the type's lists are ordered.
func (p *Plan) primary(q *search.Param) bool {
	return p.Query.Set.Primary != nil && q.Kind == search.Date && q.Paths[0].Name == p.Query.Set.Primary.Name
}

// narrow bounds the order's key by a comparison with [lo, hi]. The key is the lower end of the resource's interval; for an
// instant (point) it is both ends.
func (p *Plan) narrow(prefix search.Comparator, lo, hi int64, point bool) {
	switch prefix {
	case search.Ne:
	case search.Sa:
		p.lo = max(p.lo, lo)
	case search.Lt, search.Le, search.Ap, search.Eb:
		p.hi = min(p.hi, hi)
	case search.Gt, search.Ge:
		if point {
			p.lo = max(p.lo, lo)
		}
	default:
		p.lo, p.hi = max(p.lo, lo), min(p.hi, hi)
	}
}

// Sorted reports whether the plan's own order is the one that _sort asks for.
func (p *Plan) Sorted() bool {
	switch len(p.Query.Sort) {
	case 0:
		return true
	case 1:
		k := p.Query.Sort[0].Param
		return (p.byTime && k.Kind == search.LastUpdated) || (!p.byTime && p.primary(k))
	}
	return false
}
