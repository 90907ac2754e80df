package plan

import (
	"slices"

	"github.com/cordon-ehr/cordon/internal/blind"
	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/fhir/search"
)

// part is one place in the index where answers of a term stand. The same part can drive (its list is walked) or probe (the
// driving row is looked up in it).
type part struct {
	kind     partKind
	tokens   []int64 // inIdx
	params   []int32 // inRef and inRange, one for each of the others
	rids     []int64 // byID, byPatient; inRef: the targets
	lo1, lo2 []int64 // inRange
	hi1, hi2 []int64
}

type partKind uint8

const (
	ofType    partKind = iota // head, by type: everything there is
	byID                      // head, by id
	byPatient                 // head, by the compartment's patient
	inIdx
	inRef
	inRange // probes only
)

// access is what one term offers: to drive, to probe, or neither (no parts): then each candidate is opened and judged.
type access struct {
	parts  []part
	rank   rank
	drives bool
	exact  bool
}

// rank orders drivers from the most to the least selective, by kind of parameter (docs/adr/0002).
type rank uint8

const (
	rankID rank = iota
	rankFolded
	rankIdentifier
	rankPatient
	rankRef
	rankIdx
	rankType
)

// maxListed bounds the lists that a driver merges.
const maxListed = 4096

// offer turns a term's lookups into what they offer.
func offer(t *search.Term, x blind.Index) access {
	if t.Param.Kind == search.ID && t.Modifier == search.None {
		p := part{kind: byID}
		for _, v := range t.Values {
			rid, _ := x.Rid(t.Param.Of, v.Text)
			p.rids = append(p.rids, rid)
		}
		return access{parts: []part{p}, rank: rankID, drives: true, exact: true}
	}
	ls, exact, ok := t.Lookups()
	if !ok {
		return access{}
	}
	switch {
	case ls[0].Bounds != nil:
		return access{parts: []part{intervals(ls, x)}}
	case t.Param.Kind == search.Reference:
		return links(t, ls, exact, x)
	}
	r := rankIdx
	if t.Param.Code == "identifier" {
		r = rankIdentifier
	}
	return access{parts: []part{postings(ls, x)}, rank: r, drives: true, exact: exact}
}

func postings(ls []search.Lookup, x blind.Index) part {
	p := part{kind: inIdx}
	for _, l := range ls {
		p.tokens = append(p.tokens, x.Token(l.Path, l.Text))
	}
	slices.Sort(p.tokens)
	p.tokens = slices.Compact(p.tokens)
	return p
}

func intervals(ls []search.Lookup, x blind.Index) part {
	p := part{kind: inRange}
	for _, l := range ls {
		b := l.Bounds
		p.params = append(p.params, l.Path.ID)
		p.lo1, p.lo2 = append(p.lo1, x.Value(b.LoMin, l.Numeric)), append(p.lo2, x.Value(b.LoMax, l.Numeric))
		p.hi1, p.hi2 = append(p.hi1, x.Value(b.HiMin, l.Numeric)), append(p.hi2, x.Value(b.HiMax, l.Numeric))
	}
	return p
}

// links serves a reference parameter: a value that is a URL is a posting, one of this server a row of ref, or of a patient's
// list.
func links(t *search.Term, ls []search.Lookup, exact bool, x blind.Index) access {
	var patients, others []int64
	var urls []search.Lookup
	for _, l := range ls {
		if l.Link.Type == "" {
			urls = append(urls, l)
			continue
		}
		rid, _ := x.Rid(fhir.ResourceType(l.Link.Type), l.Link.ID)
		if l.Link.Type == "Patient" {
			patients = append(patients, rid)
		} else {
			others = append(others, rid)
		}
	}
	a := targets(t, patients, others)
	if len(urls) > 0 {
		a.parts, a.exact = append(a.parts, postings(urls, x)), false
		a.rank = max(a.rank, rankIdx)
		a.drives = a.drives || len(patients)+len(others) == 0
	}
	a.exact = a.exact && exact
	return a
}

// targets serves a reference parameter whose targets are known by blind id. Patients of the type's own patient reference stand
// in head (over-approximate: another reference may have put the resource into that compartment), all else in ref.
func targets(t *search.Term, patients, others []int64) access {
	if t.Chain != nil && t.Type != "Patient" {
		patients, others = nil, patients
	}
	set := search.For(t.Param.Of)
	a := access{exact: true, drives: len(patients)+len(others) <= maxListed, rank: rankRef}
	ref := part{kind: inRef}
	var seen []int32
	for _, path := range t.Param.Paths {
		d := path.Domain
		if slices.Contains(seen, d.ID) {
			continue
		}
		seen = append(seen, d.ID)
		if set.Patient != nil && d.Name == set.Patient.Name && set.Patient.Single() {
			if len(patients) > 0 {
				a.parts, a.exact, a.rank = append(a.parts, part{kind: byPatient, rids: patients}), false, rankPatient
			}
		} else {
			ref.add(d.ID, patients)
		}
		ref.add(d.ID, others)
	}
	if len(ref.rids) > 0 || len(a.parts) == 0 {
		a.parts = append(a.parts, ref)
		a.rank = rankRef
	}
	return a
}

func (d *part) add(param int32, rids []int64) {
	for _, r := range rids {
		d.params, d.rids = append(d.params, param), append(d.rids, r)
	}
}
