package record

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/fhir/search"
)

// A plan is a search as SQL over blinded entries. One list drives, in the order of its index; every other term that the
// index can answer probes it, row by row. Opaque tokens tell the planner nothing, so the order of joins is spelled out: each
// further list is a CROSS JOIN LATERAL (… LIMIT 1) (STORAGE.md §1).
type plan struct {
	q       *search.Query
	typ     *fhir.Type
	driver  driver
	probes  []probe
	exact   bool // the index finds answers only: rows may be counted without opening them
	byTime  bool // ordered by lastUpdated, not by the primary date
	asc     bool
	lo, hi  int64 // limits of the order's key, inclusive
	chained map[int]chain
}

// driver is the list that a search walks.
type driver struct {
	kind   driverKind
	tokens []int64 // driveIdx
	params []int32 // driveRef
	rids   []int64 // drivePatient, driveRef (targets), driveIDs
}

type driverKind uint8

// The drivers, from the most to the least selective by kind (STORAGE.md §7, risk 2: a static rank).
const (
	driveIDs driverKind = iota
	driveFolded
	driveIdentifier
	drivePatient
	driveRef
	driveIdx
	driveType
	driveTime
)

// probe is a further term, judged in the index.
type probe struct {
	kind     probeKind
	tokens   []int64
	params   []int32
	rids     []int64
	lo1, lo2 []int64
	hi1, hi2 []int64
	term     int
}

type probeKind uint8

const (
	probeIdx probeKind = iota
	probePatient
	probeRef
	probeRange
)

// access is what one term offers: to drive, to probe, or (neither) to be judged on the opened resource.
type access struct {
	drive driver
	can   bool
	probe *probe
	exact bool
}

// newPlan chooses the driver. chained holds, for each chained term by index, what it resolved to.
func (c *Caller) newPlan(q *search.Query, chained map[int]chain) *plan {
	p := &plan{chained: chained, q: q, typ: q.Type, exact: true, lo: math.MinInt64 >> 1, hi: math.MaxInt64 >> 1}
	p.driver = driver{kind: driveType}
	list := make([]access, len(q.Terms))
	best := -1
	for i := range q.Terms {
		if ch, ok := chained[i]; ok {
			list[i] = c.referenceAccess(&q.Terms[i], ch.rids)
		} else {
			list[i] = c.access(&q.Terms[i])
		}
		if list[i].can && list[i].drive.kind < p.driver.kind {
			best, p.driver = i, list[i].drive
		}
	}
	used := map[int]bool{best: true}
	c.fold(p, list, used)
	for i := range list {
		if list[i].probe != nil && !used[i] {
			list[i].probe.term = i
			p.probes = append(p.probes, *list[i].probe)
		}
		p.exact = p.exact && list[i].exact && (used[i] || list[i].probe != nil)
	}
	c.order(p)
	return p
}

// fold replaces a patient's list and a code's list by the one list of both, where it is kept.
func (c *Caller) fold(p *plan, list []access, used map[int]bool) {
	if p.driver.kind != drivePatient || len(p.driver.rids) > 8 {
		return
	}
	for i := range p.q.Terms {
		t := &p.q.Terms[i]
		if !t.Param.Folded() || list[i].probe == nil || list[i].probe.kind != probeIdx {
			continue
		}
		ls, _, _ := t.Lookups()
		if len(ls)*len(p.driver.rids) > 64 {
			continue
		}
		var tokens []int64
		for _, l := range ls {
			for _, pat := range p.driver.rids {
				tokens = append(tokens, c.folded(l.Path, l.Text, pat))
			}
		}
		used[i] = true
		p.driver = driver{kind: driveFolded, tokens: tokens}
		return
	}
}

// order reads _sort as far as an index serves it, and narrows the walk by a term on the same date.
func (c *Caller) order(p *plan) {
	set := p.q.Set
	if len(p.q.Sort) == 1 {
		k := p.q.Sort[0]
		p.asc = !k.Desc
		if k.Param.Kind == search.LastUpdated && p.driver.kind == driveType && len(p.probes) == 0 {
			p.byTime = true
		}
	}
	for i := range p.q.Terms {
		t := &p.q.Terms[i]
		if t.Param.Kind == search.LastUpdated && len(p.q.Sort) == 0 && p.driver.kind == driveType && len(p.probes) == 0 && len(t.Values) == 1 && t.Modifier == search.None {
			p.byTime = true
		}
	}
	for i := range p.q.Terms {
		t := &p.q.Terms[i]
		if len(t.Values) != 1 || t.Modifier != search.None || t.Values[0].Prefix == search.Ne {
			continue
		}
		v := t.Values[0].Span
		switch {
		case p.byTime && t.Param.Kind == search.LastUpdated:
			p.narrow(t.Values[0].Prefix, v.Lo, v.Hi, true)
		case !p.byTime && t.Param.Kind == search.Date && set.Primary != nil && t.Param.Paths[0].Name == set.Primary.Name && t.Param.Paths[0].Single():
			p.narrow(t.Values[0].Prefix, v.Lo+c.Ring.Shift.Sort, v.Hi+c.Ring.Shift.Sort, false)
		}
	}
	if p.byTime {
		p.driver = driver{kind: driveTime}
	}
}

// narrow bounds the order's key by a comparison with [lo, hi]. The key is the lower end of the resource's interval; for an
// instant (point) it is both ends.
func (p *plan) narrow(prefix search.Comparator, lo, hi int64, point bool) {
	switch prefix {
	case search.Eq:
		p.lo, p.hi = max(p.lo, lo), min(p.hi, hi)
	case search.Sa:
		p.lo = max(p.lo, lo)
	case search.Lt, search.Le, search.Ap, search.Eb:
		p.hi = min(p.hi, hi)
	case search.Gt, search.Ge:
		if point {
			p.lo = max(p.lo, lo)
		}
	}
}

// access turns a term's lookups into what they offer.
func (c *Caller) access(t *search.Term) access {
	if t.Param.Kind == search.ID && t.Modifier == search.None {
		d := driver{kind: driveIDs}
		for _, v := range t.Values {
			rid, _ := c.rid(t.Param.Of, v.Text)
			d.rids = append(d.rids, rid)
		}
		return access{drive: d, can: true, exact: true}
	}
	ls, exact, ok := t.Lookups()
	if !ok {
		return access{}
	}
	switch {
	case ls[0].Bounds != nil:
		return access{probe: c.rangeProbe(ls), exact: false}
	case t.Param.Kind == search.Reference:
		return c.linkAccess(t, ls, exact)
	}
	var tokens []int64
	for _, l := range ls {
		tokens = append(tokens, c.token(l.Path, l.Text))
	}
	slices.Sort(tokens)
	tokens = slices.Compact(tokens)
	k := driveIdx
	if t.Param.Code == "identifier" {
		k = driveIdentifier
	}
	return access{drive: driver{kind: k, tokens: tokens}, can: true, probe: &probe{kind: probeIdx, tokens: tokens}, exact: exact}
}

// linkAccess serves a reference parameter. A value that is a URL is a posting, one of this server a row of ref or a patient's
// list; a mixture is left to Match.
func (c *Caller) linkAccess(t *search.Term, ls []search.Lookup, exact bool) access {
	var rids []int64
	var tokens []int64
	for _, l := range ls {
		if l.Link.Type == "" {
			tokens = append(tokens, c.token(l.Path, l.Text))
			continue
		}
		rid, _ := c.rid(fhir.ResourceType(l.Link.Type), l.Link.ID)
		rids = append(rids, rid)
	}
	if len(tokens) > 0 {
		if len(rids) > 0 {
			return access{}
		}
		return access{drive: driver{kind: driveIdx, tokens: tokens}, can: true, probe: &probe{kind: probeIdx, tokens: tokens}}
	}
	slices.Sort(rids)
	a := c.referenceAccess(t, slices.Compact(rids))
	a.exact = a.exact && exact
	return a
}

// referenceAccess serves a reference parameter whose targets are known by blind id.
func (c *Caller) referenceAccess(t *search.Term, rids []int64) access {
	set := search.For(t.Param.Of)
	implied, explicit := false, []int32(nil)
	for _, p := range t.Param.Paths {
		if set.Patient != nil && p.Domain.Name == set.Patient.Name && set.Patient.Single() {
			implied = true
		}
		explicit = append(explicit, p.Domain.ID)
	}
	slices.Sort(explicit)
	explicit = slices.Compact(explicit)
	if implied && len(explicit) == 1 && onlyPatients(t) {
		return access{drive: driver{kind: drivePatient, rids: rids}, can: true, probe: &probe{kind: probePatient, rids: rids}}
	}
	if implied { // the same parameter may also point elsewhere: two indexes, so Match alone would be exact
		return access{}
	}
	var params []int32
	var targets []int64
	for _, p := range explicit {
		for _, r := range rids {
			params, targets = append(params, p), append(targets, r)
		}
	}
	return access{drive: driver{kind: driveRef, params: params, rids: targets}, can: len(rids) <= maxListed,
		probe: &probe{kind: probeRef, params: params, rids: targets}, exact: true}
}

// onlyPatients reports whether every value of a term names a patient.
func onlyPatients(t *search.Term) bool {
	if t.Chain != nil {
		return t.Type == "Patient"
	}
	ls, _, ok := t.Lookups()
	for _, l := range ls {
		ok = ok && l.Link.Type == "Patient"
	}
	return ok
}

// maxListed bounds the lists that a driver merges.
const maxListed = 4096

func (c *Caller) rangeProbe(ls []search.Lookup) *probe {
	p := &probe{kind: probeRange}
	for _, l := range ls {
		b := l.Bounds
		p.params = append(p.params, l.Path.ID)
		p.lo1, p.lo2 = append(p.lo1, c.shift(b.LoMin, l.Numeric)), append(p.lo2, c.shift(b.LoMax, l.Numeric))
		p.hi1, p.hi2 = append(p.hi1, c.shift(b.HiMin, l.Numeric)), append(p.hi2, c.shift(b.HiMax, l.Numeric))
	}
	return p
}

// args collects a statement's parameters; $1 is the tenant.
type args struct{ list []any }

func (a *args) add(v any) string {
	a.list = append(a.list, v)
	return fmt.Sprintf("$%d", len(a.list)+1)
}

// probeSQL is the lateral list of one probe against the driving row i(sort, rid).
func (p *probe) sql(a *args, n int) string {
	var in string
	switch p.kind {
	case probeIdx:
		in = fmt.Sprintf("SELECT 1 FROM unnest(%s::int8[]) AS t(k) CROSS JOIN LATERAL (SELECT 1 FROM idx j WHERE j.tenant = $1 AND j.token = t.k AND j.sort = i.sort AND j.rid = i.rid LIMIT 1) z LIMIT 1", a.add(p.tokens))
		if len(p.tokens) == 1 {
			a.list = a.list[:len(a.list)-1]
			in = fmt.Sprintf("SELECT 1 FROM idx j WHERE j.tenant = $1 AND j.token = %s AND j.sort = i.sort AND j.rid = i.rid LIMIT 1", a.add(p.tokens[0]))
		}
	case probePatient:
		in = fmt.Sprintf("SELECT 1 FROM head h WHERE h.tenant = $1 AND h.rid = i.rid AND h.pat = ANY(%s::int8[]) LIMIT 1", a.add(p.rids))
	case probeRef:
		in = fmt.Sprintf("SELECT 1 FROM unnest(%s::int4[], %s::int8[]) AS t(p, d) CROSS JOIN LATERAL (SELECT 1 FROM ref j WHERE j.tenant = $1 AND j.param = t.p AND j.dst = t.d AND j.sort = i.sort AND j.rid = i.rid LIMIT 1) z LIMIT 1", a.add(p.params), a.add(p.rids))
	case probeRange:
		in = fmt.Sprintf("SELECT 1 FROM unnest(%s::int4[], %s::int8[], %s::int8[], %s::int8[], %s::int8[]) AS t(p, l1, l2, h1, h2) CROSS JOIN LATERAL (SELECT 1 FROM range r WHERE r.tenant = $1 AND r.param = t.p AND r.rid = i.rid AND r.lo >= t.l1 AND r.lo <= t.l2 AND r.hi >= t.h1 AND r.hi <= t.h2 LIMIT 1) z LIMIT 1",
			a.add(p.params), a.add(p.lo1), a.add(p.lo2), a.add(p.hi1), a.add(p.hi2))
	}
	return fmt.Sprintf(" CROSS JOIN LATERAL (%s) q%d", in, n)
}

// from is one driving list named i with columns sort and rid: FROM text, WHERE text, and for several lists the unnest that
// multiplies it.
func (p *plan) from(a *args) (lists, from, where string) {
	d := &p.driver
	switch d.kind {
	case driveFolded, driveIdentifier, driveIdx:
		if len(d.tokens) == 1 {
			return "", "idx i", "i.tenant = $1 AND i.token = " + a.add(d.tokens[0])
		}
		return fmt.Sprintf("unnest(%s::int8[]) AS k(k)", a.add(d.tokens)), "idx i", "i.tenant = $1 AND i.token = k.k"
	case drivePatient:
		if len(d.rids) == 1 {
			return "", "head i", fmt.Sprintf("i.tenant = $1 AND i.pat = %s AND i.type = %s AND i.live", a.add(d.rids[0]), a.add(p.typ.ID))
		}
		return fmt.Sprintf("unnest(%s::int8[]) AS k(k)", a.add(d.rids)), "head i", fmt.Sprintf("i.tenant = $1 AND i.pat = k.k AND i.type = %s AND i.live", a.add(p.typ.ID))
	case driveRef:
		return fmt.Sprintf("unnest(%s::int4[], %s::int8[]) AS k(p, d)", a.add(d.params), a.add(d.rids)), "ref i", "i.tenant = $1 AND i.param = k.p AND i.dst = k.d"
	case driveIDs:
		return fmt.Sprintf("unnest(%s::int8[]) AS k(k)", a.add(d.rids)), "head i", fmt.Sprintf("i.tenant = $1 AND i.rid = k.k AND i.type = %s AND i.live", a.add(p.typ.ID))
	}
	return "", "head i", fmt.Sprintf("i.tenant = $1 AND i.type = %s AND i.live", a.add(p.typ.ID))
}

// position is a place in a list: after it, a page goes on.
type position struct{ key, rid int64 }

// candidates gives the SQL of at most n (sort, rid) in the plan's order after a position; n = 0 is all, for counting.
func (p *plan) candidates(a *args, after *position, n int) string {
	if p.driver.kind == driveTime {
		return p.byUpdate(a, after, n)
	}
	lists, from, where := p.from(a)
	var b strings.Builder
	fmt.Fprintf(&b, "SELECT i.sort, i.rid FROM %s", from)
	for i := range p.probes {
		b.WriteString(p.probes[i].sql(a, i))
	}
	b.WriteString(" WHERE " + where + p.keyset(a, "i.sort", "i.rid", after))
	inner := b.String()
	if n > 0 {
		inner += p.orderBy("i.sort", "i.rid") + " LIMIT " + a.add(n)
	}
	if lists == "" {
		return inner
	}
	outer := fmt.Sprintf("SELECT DISTINCT o.sort, o.rid FROM %s CROSS JOIN LATERAL (%s) o", lists, inner)
	if n > 0 {
		outer += p.orderBy("o.sort", "o.rid") + " LIMIT " + a.add(n)
	}
	return outer
}

// byUpdate walks the versions of a type by lastUpdated; only current ones count.
func (p *plan) byUpdate(a *args, after *position, n int) string {
	s := fmt.Sprintf("SELECT c.lu AS sort, c.rid FROM version c CROSS JOIN LATERAL (SELECT 1 FROM head h WHERE h.tenant = $1 AND h.rid = c.rid AND h.ver = c.ver AND h.live LIMIT 1) x WHERE c.tenant = $1 AND c.type = %s%s",
		a.add(p.typ.ID), p.keyset(a, "c.lu", "c.rid", after))
	if n > 0 {
		s += p.orderBy("c.lu", "c.rid") + " LIMIT " + a.add(n)
	}
	return s
}

func (p *plan) keyset(a *args, key, rid string, after *position) string {
	s := fmt.Sprintf(" AND %s >= %s AND %s <= %s", key, a.add(p.lo), key, a.add(p.hi))
	if after == nil {
		return s
	}
	op := "<"
	if p.asc {
		op = ">"
	}
	return s + fmt.Sprintf(" AND (%s, %s) %s (%s::int8, %s::int8)", key, rid, op, a.add(after.key), a.add(after.rid))
}

func (p *plan) orderBy(key, rid string) string {
	if p.asc {
		return fmt.Sprintf(" ORDER BY %s, %s", key, rid)
	}
	return fmt.Sprintf(" ORDER BY %s DESC, %s DESC", key, rid)
}

// page gives the SQL of candidates with their current bodies.
func (p *plan) page(a *args, after *position, n int) string {
	return fmt.Sprintf("SELECT c.sort, v.rid, v.lu, v.ver, v.keyver, v.type, v.op, v.body FROM (%s) c CROSS JOIN LATERAL (SELECT rid, lu, ver, keyver, type, op, body FROM version v WHERE v.tenant = $1 AND v.rid = c.rid ORDER BY v.ver DESC LIMIT 1) v%s",
		p.candidates(a, after, n), p.orderBy("c.sort", "c.rid"))
}

// count gives the SQL that counts all candidates.
func (p *plan) count(a *args) string {
	return fmt.Sprintf("SELECT count(*) FROM (SELECT DISTINCT z.rid FROM (%s) z) y", p.candidates(a, nil, 0))
}
