package search

import "math"

// Lookup is one place in the index where resources that answer a term are found. A term is served by any of its lookups.
type Lookup struct {
	Path    *Path // the domain whose entries are read
	Text    string
	Link    Link // set: a reference to a resource of this server
	Bounds  *Bounds
	Numeric bool
}

// Bounds limit the ends of an interval, all inclusive.
type Bounds struct{ LoMin, LoMax, HiMin, HiMax int64 }

const least, most = math.MinInt64 >> 2, math.MaxInt64 >> 2

// Lookups gives the places to look. ok is false when the index cannot find the answers (negations, :missing, system| alone):
// Match judges every candidate of the other terms then. exact is true when the index finds answers only.
func (t *Term) Lookups() (out []Lookup, exact, ok bool) {
	if t.Modifier == Not || t.Modifier == Missing || t.Chain != nil || t.Param.Paths[0].exists {
		return nil, false, false
	}
	exact = true
	for i := range t.Values {
		v := &t.Values[i]
		for j, p := range t.Param.Paths {
			if repeated(t.Param.Paths[:j], p) {
				continue
			}
			l, sure, can := t.lookup(v, p)
			if !can {
				return nil, false, false
			}
			exact = exact && sure && !p.Filtered()
			out = append(out, l...)
		}
	}
	return out, exact, len(out) > 0
}

func repeated(before []*Path, p *Path) bool {
	for _, b := range before {
		if b.Domain.ID == p.Domain.ID {
			return true
		}
	}
	return false
}

func (t *Term) lookup(v *Value, p *Path) (out []Lookup, exact, ok bool) {
	l := Lookup{Path: p.Domain}
	switch t.Param.Kind {
	case Token:
		if l.Text = cut(v.Text); l.Text == "" {
			return nil, false, false
		}
		return []Lookup{l}, !v.HasSystem && !v.NoSystem && l.Text == v.Text, true
	case String:
		if l.Text = Prefix(v.Folded); l.Text == "" {
			return nil, false, false
		}
		return []Lookup{l}, t.Modifier == None && l.Text == v.Folded, true
	case URI:
		l.Text = cut(v.Text)
		return []Lookup{l}, l.Text == v.Text, true
	case Reference:
		return t.referenceLookups(v, l)
	case Date, Number, Quantity:
		q := v.Span
		if l.Numeric = t.Param.Kind != Date; l.Numeric {
			q = v.Number.bounds()
		}
		if l.Bounds = bounds(v.Prefix, q); l.Bounds == nil {
			return nil, false, false
		}
		return []Lookup{l}, false, true
	}
	return nil, false, false
}

func (t *Term) referenceLookups(v *Value, l Lookup) ([]Lookup, bool, bool) {
	if v.Link.URL != "" {
		l.Text = cut(v.Link.URL)
		return []Lookup{l}, false, true
	}
	types := t.Param.Targets
	if v.Link.Type != "" {
		types = []string{v.Link.Type}
	}
	if len(types) == 0 || len(types) > 30 {
		return nil, false, false
	}
	var out []Lookup
	for _, typ := range types {
		l.Link = Link{Type: typ, ID: v.Link.ID}
		out = append(out, l)
	}
	return out, true, true
}

// bounds turns a comparison into limits that every match keeps; ne has none.
func bounds(p Comparator, q Span) *Bounds {
	b := Bounds{least, most, least, most}
	switch p {
	case Ne:
		return nil
	case Gt, Ge:
		b.HiMin = q.Lo
	case Lt, Le:
		b.LoMax = q.Hi
	case Sa:
		b.LoMin = q.Lo
	case Eb:
		b.HiMax = q.Hi
	case Ap:
		b.HiMin, b.LoMax = q.Lo, q.Hi
	default:
		b = Bounds{q.Lo, q.Hi, q.Lo, q.Hi}
	}
	return &b
}

func cut(s string) string {
	if len(s) > maxText {
		return s[:maxText]
	}
	return s
}
