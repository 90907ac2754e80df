package plan

import (
	"fmt"
	"strings"
)

// Position is a place in a list; a page goes on after it.
type Position struct{ Key, Rid int64 }

// args collects a statement's parameters; $1 is the tenant.
type args struct{ list []any }

func (a *args) add(v any) string {
	a.list = append(a.list, v)
	return fmt.Sprintf("$%d", len(a.list)+1)
}

// Page gives the statement that reads at most n candidates after a position (nil = from the start), with their current
// bodies: columns key, rid, lu, ver, keyver, type, op, body.
func (p *Plan) Page(after *Position, n int) (sql string, params []any) {
	var a args
	sql = fmt.Sprintf("SELECT c.sort, v.rid, v.lu, v.ver, v.keyver, v.type, v.op, v.body FROM (%s) c CROSS JOIN LATERAL (SELECT rid, lu, ver, keyver, type, op, body FROM version v WHERE v.tenant = $1 AND v.rid = c.rid ORDER BY v.ver DESC LIMIT 1) v%s",
		p.candidates(&a, after, n), p.orderBy("c.sort", "c.rid"))
	return sql, a.list
}

// Count gives the statement that counts all candidates.
func (p *Plan) Count() (sql string, params []any) {
	var a args
	sql = fmt.Sprintf("SELECT count(*) FROM (SELECT DISTINCT z.rid FROM (%s) z) y", p.candidates(&a, nil, 0))
	return sql, a.list
}

// candidates gives at most n (sort, rid) in the plan's order after a position; n = 0 is all. Several lists are merged: each
// gives its first n, and of those the first n count.
func (p *Plan) candidates(a *args, after *Position, n int) string {
	if p.byTime {
		return p.byUpdate(a, after, n)
	}
	var lists []string
	for i := range p.driver.parts {
		lists = append(lists, p.list(&p.driver.parts[i], a, after, n))
	}
	if len(lists) == 1 && !p.driver.parts[0].several() {
		return lists[0]
	}
	s := fmt.Sprintf("SELECT DISTINCT o.sort, o.rid FROM (%s) o", strings.Join(lists, " UNION ALL "))
	if n > 0 {
		s += p.orderBy("o.sort", "o.rid") + " LIMIT " + a.add(n)
	}
	return s
}

// several reports whether a part is more than one list.
func (d *part) several() bool {
	switch d.kind {
	case inIdx:
		return len(d.tokens) != 1
	case byPatient:
		return len(d.rids) != 1
	case ofType:
		return false
	}
	return true
}

// list walks one part. Its driving row is i(sort, rid); a part of several lists is walked list by list.
func (p *Plan) list(d *part, a *args, after *Position, n int) string {
	keys, from, where := p.from(d, a)
	var b strings.Builder
	fmt.Fprintf(&b, "SELECT i.sort, i.rid FROM %s", from)
	for i, parts := range p.probes {
		fmt.Fprintf(&b, " CROSS JOIN LATERAL (%s) q%d", probe(parts, a), i)
	}
	b.WriteString(" WHERE " + where + p.keyset(a, "i.sort", "i.rid", after))
	if n > 0 {
		b.WriteString(p.orderBy("i.sort", "i.rid") + " LIMIT " + a.add(n))
	} else if keys != "" {
		b.WriteString(" OFFSET 0") // a fence, as LIMIT is: a count's lists were joined as PostgreSQL liked, which walked a whole tenant
	}
	switch {
	case keys != "":
		return fmt.Sprintf("SELECT l.sort, l.rid FROM %s CROSS JOIN LATERAL (%s) l", keys, b.String())
	case len(p.driver.parts) > 1:
		return "(" + b.String() + ")"
	}
	return b.String()
}

// from gives a part's table with the condition on it and, for several lists, the keys that they are of. pat <> 0 and type > 0
// choose the index (see the migration).
func (p *Plan) from(d *part, a *args) (keys, from, where string) {
	typ := p.Query.Type.ID
	switch d.kind {
	case inIdx:
		if !d.several() {
			return "", "idx i", "i.tenant = $1 AND i.token = " + a.add(d.tokens[0])
		}
		return fmt.Sprintf("unnest(%s::int8[]) AS k(k)", a.add(d.tokens)), "idx i", "i.tenant = $1 AND i.token = k.k"
	case byPatient:
		if !d.several() {
			return "", "head i", fmt.Sprintf("i.tenant = $1 AND i.pat = %s AND i.pat <> 0 AND i.type = %s AND i.live", a.add(d.rids[0]), a.add(typ))
		}
		return fmt.Sprintf("unnest(%s::int8[]) AS k(k)", a.add(d.rids)), "head i", fmt.Sprintf("i.tenant = $1 AND i.pat = k.k AND i.pat <> 0 AND i.type = %s AND i.live", a.add(typ))
	case inRef:
		return fmt.Sprintf("unnest(%s::int4[], %s::int8[]) AS k(p, d)", a.add(d.params), a.add(d.rids)), "ref i", "i.tenant = $1 AND i.param = k.p AND i.dst = k.d"
	case byID:
		return fmt.Sprintf("unnest(%s::int8[]) AS k(k)", a.add(d.rids)), "head i", fmt.Sprintf("i.tenant = $1 AND i.rid = k.k AND i.type = %s AND i.live", a.add(typ))
	}
	return "", "head i", fmt.Sprintf("i.tenant = $1 AND i.type = %s AND i.type > 0 AND i.live", a.add(typ))
}

// byUpdate walks the versions of a type by lastUpdated; only current ones count.
func (p *Plan) byUpdate(a *args, after *Position, n int) string {
	s := fmt.Sprintf("SELECT c.lu AS sort, c.rid FROM version c CROSS JOIN LATERAL (SELECT 1 FROM head h WHERE h.tenant = $1 AND h.rid = c.rid AND h.ver = c.ver AND h.live LIMIT 1) x WHERE c.tenant = $1 AND c.type = %s%s",
		a.add(p.Query.Type.ID), p.keyset(a, "c.lu", "c.rid", after))
	if n > 0 {
		s += p.orderBy("c.lu", "c.rid") + " LIMIT " + a.add(n)
	}
	return s
}

func (p *Plan) keyset(a *args, key, rid string, after *Position) string {
	s := fmt.Sprintf(" AND %s >= %s AND %s <= %s", key, a.add(p.lo), key, a.add(p.hi))
	if after == nil {
		return s
	}
	op := "<"
	if p.asc {
		op = ">"
	}
	return s + fmt.Sprintf(" AND (%s, %s) %s (%s::int8, %s::int8)", key, rid, op, a.add(after.Key), a.add(after.Rid))
}

func (p *Plan) orderBy(key, rid string) string {
	if p.asc {
		return fmt.Sprintf(" ORDER BY %s, %s", key, rid)
	}
	return fmt.Sprintf(" ORDER BY %s DESC, %s DESC", key, rid)
}

// probe looks the driving row i(sort, rid) up in any of the parts.
func probe(parts []part, a *args) string {
	if len(parts) == 1 {
		return parts[0].probe(a) + " LIMIT 1"
	}
	alts := make([]string, len(parts))
	for i := range parts {
		alts[i] = "(" + parts[i].probe(a) + " LIMIT 1)"
	}
	return "SELECT 1 FROM (" + strings.Join(alts, " UNION ALL ") + ") u LIMIT 1"
}

func (d *part) probe(a *args) string {
	switch d.kind {
	case inIdx:
		if len(d.tokens) == 1 {
			return fmt.Sprintf("SELECT 1 FROM idx j WHERE j.tenant = $1 AND j.token = %s AND j.sort = i.sort AND j.rid = i.rid", a.add(d.tokens[0]))
		}
		return fmt.Sprintf("SELECT 1 FROM unnest(%s::int8[]) AS t(k) CROSS JOIN LATERAL (SELECT 1 FROM idx j WHERE j.tenant = $1 AND j.token = t.k AND j.sort = i.sort AND j.rid = i.rid LIMIT 1) z", a.add(d.tokens))
	case inRef:
		return fmt.Sprintf("SELECT 1 FROM unnest(%s::int4[], %s::int8[]) AS t(p, d) CROSS JOIN LATERAL (SELECT 1 FROM ref j WHERE j.tenant = $1 AND j.param = t.p AND j.dst = t.d AND j.sort = i.sort AND j.rid = i.rid LIMIT 1) z", a.add(d.params), a.add(d.rids))
	case inRange:
		return fmt.Sprintf("SELECT 1 FROM unnest(%s::int4[], %s::int8[], %s::int8[], %s::int8[], %s::int8[]) AS t(p, l1, l2, h1, h2) CROSS JOIN LATERAL (SELECT 1 FROM range r WHERE r.tenant = $1 AND r.param = t.p AND r.rid = i.rid AND r.lo >= t.l1 AND r.lo <= t.l2 AND r.hi >= t.h1 AND r.hi <= t.h2 LIMIT 1) z",
			a.add(d.params), a.add(d.lo1), a.add(d.lo2), a.add(d.hi1), a.add(d.hi2))
	case byPatient:
		return fmt.Sprintf("SELECT 1 FROM head h WHERE h.tenant = $1 AND h.rid = i.rid AND h.pat = ANY(%s::int8[])", a.add(d.rids))
	}
	return fmt.Sprintf("SELECT 1 FROM head h WHERE h.tenant = $1 AND h.rid = i.rid AND h.rid = ANY(%s::int8[])", a.add(d.rids))
}
