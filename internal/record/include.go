package record

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/authz"
	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/fhir/search"
	"github.com/cordon-ehr/cordon/internal/placement"
)

// maxIncluded bounds the included resources of one page; what is over it is left out and said so (Page.Cut).
const maxIncluded = 1000

const (
	bodiesSQL = `SELECT v.rid, v.lu, v.ver, v.keyver, v.type, v.op, v.body FROM unnest($2::int8[]) WITH ORDINALITY AS k(rid, n)
CROSS JOIN LATERAL (SELECT rid, lu, ver, keyver, type, op, body FROM version v WHERE v.tenant = $1 AND v.rid = k.rid ORDER BY v.ver DESC LIMIT 1) v ORDER BY k.n`
	revPatientSQL = `SELECT v.rid, v.lu, v.ver, v.keyver, v.type, v.op, v.body FROM unnest($2::int8[]) AS k(d)
CROSS JOIN LATERAL (SELECT h.rid FROM head h WHERE h.tenant = $1 AND h.pat = k.d AND h.pat <> 0 AND h.type = $3 AND h.live ORDER BY h.sort DESC, h.rid DESC LIMIT $4) i
CROSS JOIN LATERAL (SELECT rid, lu, ver, keyver, type, op, body FROM version v WHERE v.tenant = $1 AND v.rid = i.rid ORDER BY v.ver DESC LIMIT 1) v LIMIT $4`
	revRefSQL = `SELECT v.rid, v.lu, v.ver, v.keyver, v.type, v.op, v.body FROM unnest($2::int4[], $3::int8[]) AS k(p, d)
CROSS JOIN LATERAL (SELECT r.rid FROM ref r WHERE r.tenant = $1 AND r.param = k.p AND r.dst = k.d ORDER BY r.sort DESC, r.rid DESC LIMIT $4) i
CROSS JOIN LATERAL (SELECT rid, lu, ver, keyver, type, op, body FROM version v WHERE v.tenant = $1 AND v.rid = i.rid ORDER BY v.ver DESC LIMIT 1) v LIMIT $4`
)

// include adds what _include and _revinclude ask for, of types that the caller may read, each resource once. It is one more
// round trip, however many there are.
func (s *Service) include(ctx context.Context, c *Caller, read run, q *search.Query, page *Page) error {
	if len(q.Includes)+len(q.RevIncludes) == 0 || len(page.Matches) == 0 {
		return nil
	}
	seen := map[string]bool{}
	for i := range page.Matches {
		seen[key(&page.Matches[i])] = true
	}
	wanted, err := c.targets(q, page.Matches, seen)
	if err != nil {
		return err
	}
	if len(wanted) > maxIncluded {
		wanted, page.Cut = wanted[:maxIncluded], true
	}
	var rows []stored
	err = read(ctx, func(b *placement.Batch) {
		rows = rows[:0]
		add := func(r pgx.Rows) error {
			got, err := collect(r)
			rows = append(rows, got...)
			page.Cut = page.Cut || len(got) > maxIncluded // the query's own limit: rows of it may be the same or refused below
			return err
		}
		if len(wanted) > 0 {
			b.Queue(bodiesSQL, wanted).Query(add)
		}
		for _, in := range q.RevIncludes {
			// What points at a match was not named by anyone: to find it is to search its type.
			if c.mayRead(in.Param.Of.Name) && c.maySearch(in.Param.Of.Name) {
				c.queueReverse(b, in, page.Matches, add)
			}
		}
	})
	if err != nil {
		return err
	}
	return c.addIncluded(q, rows, seen, page)
}

// mayRead reports whether resources of a type may come along with others. Of the trail, none does.
func (c *Caller) mayRead(typ string) bool {
	return typ != TrailType && c.Scope.Principal().Scopes.Decide(authz.Read, typ).Allow
}

func (c *Caller) maySearch(typ string) bool {
	return c.Scope.Principal().Scopes.Decide(authz.Search, typ).Allow
}

func key(r *Resource) string { return r.Type.Name + "/" + r.ID.Reveal() }

// targets gives the blind ids that the matches' references point at, each once.
func (c *Caller) targets(q *search.Query, matches []Resource, seen map[string]bool) ([]int64, error) {
	var out []int64
	if len(q.Includes) == 0 {
		return nil, nil
	}
	asked := map[search.Link]bool{}
	for i := range matches {
		err := matches[i].look(func(root fhir.Value) {
			for _, in := range q.Includes {
				in.Param.Links(root, c.Base, func(l search.Link) {
					if l.Type == "" || asked[l] || seen[l.Type+"/"+l.ID] || (in.Target != "" && l.Type != in.Target) || !c.mayRead(l.Type) {
						return
					}
					asked[l] = true
					rid, _ := c.rid(fhir.ResourceType(l.Type), l.ID)
					out = append(out, rid)
				})
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// queueReverse adds the query of one _revinclude.
func (c *Caller) queueReverse(b *placement.Batch, in search.Include, matches []Resource, add func(pgx.Rows) error) {
	set := search.For(in.Param.Of)
	rids := make([]int64, len(matches))
	for i := range matches {
		rids[i], _ = c.rid(matches[i].Type, matches[i].ID.Reveal())
	}
	var params []int32
	var dsts []int64
	for _, p := range in.Param.Paths {
		if set.Patient != nil && p.Domain.Name == set.Patient.Name && set.Patient.Single() && matches[0].Type.Name == "Patient" {
			b.Queue(revPatientSQL, rids, in.Param.Of.ID, maxIncluded+1).Query(add)
			continue
		}
		for _, r := range rids {
			params, dsts = append(params, p.Domain.ID), append(dsts, r)
		}
	}
	if len(params) > 0 {
		b.Queue(revRefSQL, params, dsts, maxIncluded+1).Query(add)
	}
}

// addIncluded opens the rows and keeps those that an include really asks for.
func (c *Caller) addIncluded(q *search.Query, rows []stored, seen map[string]bool, page *Page) error {
	matched := map[search.Link]bool{}
	for i := range page.Matches {
		matched[search.Link{Type: page.Matches[i].Type.Name, ID: page.Matches[i].ID.Reveal()}] = true
	}
	for i := range rows {
		r, err := c.open(&rows[i], "", 0)
		if err != nil {
			return err
		}
		if r.Deleted {
			continue
		}
		ok := false
		err = r.look(func(root fhir.Value) {
			r.learn(root)
			ok = rows[i].reverse(q, root, c.Base, matched)
		})
		if err != nil {
			return err
		}
		if !ok || seen[key(&r)] {
			continue
		}
		if len(page.Included) == maxIncluded {
			page.Cut = true
			return nil
		}
		seen[key(&r)] = true
		page.Included = append(page.Included, r)
	}
	return nil
}

// reverse verifies a row that came by _revinclude: it must point at a match. Rows that came by _include were asked for by id.
func (v *stored) reverse(q *search.Query, root fhir.Value, base string, matched map[search.Link]bool) bool {
	for _, in := range q.RevIncludes {
		if in.Param.Of.ID == v.typ {
			hit := false
			in.Param.Links(root, base, func(l search.Link) { hit = hit || matched[l] })
			if hit {
				return true
			}
		}
	}
	return len(q.Includes) > 0 && includable(q, v.typ)
}

func includable(q *search.Query, typ int16) bool {
	t := fhir.TypeByID(typ)
	for _, in := range q.Includes {
		if in.Target == t.Name {
			return true
		}
		if in.Target == "" && (len(in.Param.Targets) == 0 || slices.Contains(in.Param.Targets, t.Name) || slices.Contains(in.Param.Targets, "Resource")) {
			return true
		}
	}
	return false
}
