package search

import (
	"strings"

	"github.com/cordon-ehr/cordon/internal/fhir"
)

// Match judges a resource against every term of the query but chains, which speak of other resources.
func (q *Query) Match(root fhir.Value) bool {
	for i := range q.Terms {
		if q.Terms[i].Chain == nil && !q.Terms[i].Match(root) {
			return false
		}
	}
	return true
}

// Match judges a resource against one term.
func (t *Term) Match(root fhir.Value) bool {
	if t.Modifier == Missing {
		has := t.present(root)
		for _, v := range t.Values {
			if v.Yes != has {
				return true
			}
		}
		return false
	}
	for i := range t.Values {
		if t.one(root, &t.Values[i]) {
			return t.Modifier != Not
		}
	}
	return t.Modifier == Not
}

// present reports whether the resource has any value of the parameter.
func (t *Term) present(root fhir.Value) bool {
	found := false
	for _, p := range t.Param.Paths {
		p.each(root, true, func(fhir.Value) { found = true })
	}
	return found
}

func (t *Term) one(root fhir.Value, v *Value) bool {
	p := t.Param
	if p.Paths[0].exists {
		return (v.Text == deceased(p.Paths, root)) && !v.HasSystem
	}
	hit := false
	for _, path := range p.Paths {
		if hit {
			return true
		}
		switch p.Kind {
		case Token, ID:
			path.tokens(root, true, func(c Code) { hit = hit || v.code(c) })
		case String:
			path.each(root, true, func(e fhir.Value) {
				texts(e, path.Leaf, func(s string) { hit = hit || t.text(v, s) })
			})
		case URI:
			path.each(root, true, func(e fhir.Value) { hit = hit || e.Str() == v.Text })
		case Reference:
			path.each(root, true, func(e fhir.Value) { links(e, path.Leaf, t.base, func(l Link) { hit = hit || t.link(v, l) }) })
		case Date, LastUpdated:
			path.each(root, true, func(e fhir.Value) { spans(e, path.Leaf, func(s Span) { hit = hit || v.time(s) }) })
		case Number, Quantity:
			path.each(root, true, func(e fhir.Value) {
				quantities(e, path.Leaf, func(lo, hi, sys, code, unit string) {
					hit = hit || (v.unit(sys, code, unit) && v.Number.matches(v.Prefix, lo, hi))
				})
			})
		}
	}
	return hit
}

func (v *Value) code(c Code) bool {
	if v.Text != "" && c.Code != v.Text {
		return false
	}
	switch {
	case c.Bare:
		return v.Text != "" || v.HasSystem
	case v.HasSystem:
		return c.System == v.System
	case v.NoSystem:
		return c.System == ""
	}
	return v.Text != ""
}

func (t *Term) text(v *Value, s string) bool {
	if t.Modifier == Exact {
		return s == v.Text
	}
	return strings.HasPrefix(Fold(s), v.Folded)
}

func (t *Term) link(v *Value, l Link) bool {
	if v.Link.URL != "" || l.URL != "" {
		bare, _, ok := cutVersion(l.URL)
		return v.Link.URL != "" && (l.URL == v.Link.URL || ok && bare == v.Link.URL)
	}
	return l.ID == v.Link.ID && (v.Link.Type == "" || l.Type == v.Link.Type) && (t.Type == "" || l.Type == t.Type)
}

// cutVersion splits a canonical at its version: url|1.0.
func cutVersion(s string) (url, version string, ok bool) { return strings.Cut(s, "|") }

// time compares an interval of the resource with that of the query (R4 search.html#date).
func (v *Value) time(s Span) bool {
	q := v.Span
	within := s.Lo >= q.Lo && s.Hi <= q.Hi
	switch v.Prefix {
	case Ne:
		return !within
	case Gt:
		return s.Hi > q.Hi
	case Lt:
		return s.Lo < q.Lo
	case Ge:
		return s.Hi > q.Hi || within
	case Le:
		return s.Lo < q.Lo || within
	case Sa:
		return s.Lo > q.Hi
	case Eb:
		return s.Hi < q.Lo
	case Ap:
		return s.Hi >= q.Lo && s.Lo <= q.Hi
	}
	return within
}

func (v *Value) unit(system, code, unit string) bool {
	if v.Text == "" {
		return true
	}
	if v.HasSystem {
		return v.System == system && v.Text == code
	}
	return v.Text == code || v.Text == unit
}
