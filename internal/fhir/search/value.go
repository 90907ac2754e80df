package search

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/cordon-ehr/cordon/internal/fhir"
)

// Code is one token value of a resource: a coding, identifier, code, boolean or contact point.
type Code struct {
	System string // "" when the value has none or its element implies it
	Code   string
	Bare   bool // the element has no system of its own (code, boolean, ContactPoint): any system in a query is implied
}

// codes gives the token values at v.
func codes(v fhir.Value, leaf *fhir.Type, yield func(Code)) {
	switch leaf.Name {
	case "CodeableConcept":
		for c := range v.Get("coding").Elems() {
			yield(Code{System: c.Get("system").Str(), Code: c.Get("code").Str()})
		}
	case "Coding":
		yield(Code{System: v.Get("system").Str(), Code: v.Get("code").Str()})
	case "Identifier":
		yield(Code{System: v.Get("system").Str(), Code: v.Get("value").Str()})
	case "ContactPoint":
		yield(Code{Code: v.Get("value").Str(), Bare: true})
	default:
		switch v.Kind() {
		case fhir.String:
			yield(Code{Code: v.Str(), Bare: true})
		case fhir.Bool, fhir.Number:
			yield(Code{Code: string(v.Raw()), Bare: true})
		}
	}
}

// tokens gives the token values of a path; deceased-like paths answer true or false by existence.
func (p *Path) tokens(root fhir.Value, filter bool, yield func(Code)) {
	p.each(root, filter, func(v fhir.Value) {
		if v.Kind() == fhir.Object || p.Leaf.Kind == fhir.KindPrimitive {
			codes(v, p.Leaf, yield)
		}
	})
}

// deceased gives the one answer of an exists-and-not-false parameter.
func deceased(paths []*Path, root fhir.Value) string {
	found := false
	for _, p := range paths {
		p.each(root, true, func(v fhir.Value) { found = found || v.Kind() != fhir.Bool || v.Bool() })
	}
	return strconv.FormatBool(found)
}

var nameParts = []string{"family", "given", "prefix", "suffix", "text"}
var addressParts = []string{"line", "city", "district", "state", "postalCode", "country", "text"}

// texts gives the string values at v.
func texts(v fhir.Value, leaf *fhir.Type, yield func(string)) {
	var parts []string
	switch leaf.Name {
	case "HumanName":
		parts = nameParts
	case "Address":
		parts = addressParts
	default:
		if v.Kind() == fhir.String {
			yield(v.Str())
		}
		return
	}
	for _, name := range parts {
		m := v.Get(name)
		if m.Kind() == fhir.Array {
			for e := range m.Elems() {
				if e.Kind() == fhir.String {
					yield(e.Str())
				}
			}
		} else if m.Kind() == fhir.String {
			yield(m.Str())
		}
	}
}

// Link is where a reference points: a resource of this server by type and id, or something else by URL.
type Link struct{ Type, ID, URL string }

// ParseLink reads a literal reference. base is the server's own FHIR base, "" if unknown.
func ParseLink(s, base string) Link {
	rest := s
	if base != "" {
		rest = strings.TrimPrefix(s, base+"/")
	}
	if typ, id, ok := strings.Cut(rest, "/"); ok {
		id, _, _ = strings.Cut(id, "/_history/")
		if fhir.ResourceType(typ) != nil && fhir.ValidID(id) {
			return Link{Type: typ, ID: id}
		}
	}
	return Link{URL: s}
}

// links gives the reference values at v.
func links(v fhir.Value, leaf *fhir.Type, base string, yield func(Link)) {
	if leaf.Name == "Reference" {
		v = v.Get("reference")
	}
	if v.Kind() != fhir.String {
		return
	}
	s := v.Str()
	if strings.HasPrefix(s, "#") || s == "" {
		return
	}
	yield(ParseLink(s, base))
}

// refTarget gives the resource type that a Reference points at, "" if it cannot be told.
func refTarget(v fhir.Value) string {
	ref := v.Get("reference").Str()
	if t := ParseLink(ref, "").Type; t != "" {
		return t
	}
	if t := restTarget(ref); t != "" {
		return t
	}
	return v.Get("type").Str()
}

// restTarget gives the type that an absolute URL names by its form, …/Type/id (R4 references.html#literal): of this server
// or of another.
func restTarget(ref string) string {
	if !strings.HasPrefix(ref, "https://") && !strings.HasPrefix(ref, "http://") {
		return ""
	}
	ref, _, _ = strings.Cut(ref, "/_history/")
	at := strings.LastIndexByte(ref, '/')
	typ := ref[strings.LastIndexByte(ref[:at], '/')+1 : at]
	if fhir.ResourceType(typ) == nil || !fhir.ValidID(ref[at+1:]) {
		return ""
	}
	return typ
}

// Span is an interval of time in Unix microseconds, or of numbers: from Lo to Hi, both inclusive.
type Span struct{ Lo, Hi int64 }

const (
	dawn = math.MinInt64 >> 3 // an open beginning; room is left for the shift
	dusk = math.MaxInt64 >> 3
)

// spans gives the time intervals at v.
func spans(v fhir.Value, leaf *fhir.Type, yield func(Span)) {
	switch leaf.Name {
	case "date", "dateTime", "instant":
		if s, ok := timeSpan(v.Str()); ok {
			yield(s)
		}
	case "Period":
		if s, ok := periodSpan(v); ok {
			yield(s)
		}
	case "Timing":
		if s, ok := timingSpan(v); ok {
			yield(s)
		}
	}
}

func periodSpan(v fhir.Value) (Span, bool) {
	s := Span{dawn, dusk}
	lo, okLo := timeSpan(v.Get("start").Str())
	hi, okHi := timeSpan(v.Get("end").Str())
	if okLo {
		s.Lo = lo.Lo
	}
	if okHi {
		s.Hi = hi.Hi
	}
	if s.Lo > s.Hi { // against R4's invariant per-1, but nothing refuses it: what lies between is what it says
		s.Lo, s.Hi = s.Hi, s.Lo
	}
	return s, okLo || okHi
}

// timingSpan gives the outer limits of a schedule, which are all of it that counts in a search (R4 search.html#date).
func timingSpan(v fhir.Value) (out Span, ok bool) {
	widen := func(s Span, is bool) {
		switch {
		case !is:
		case !ok:
			out, ok = s, true
		default:
			out = Span{min(out.Lo, s.Lo), max(out.Hi, s.Hi)}
		}
	}
	for e := range v.Get("event").Elems() {
		widen(timeSpan(e.Str()))
	}
	widen(periodSpan(v.Get("repeat").Get("boundsPeriod")))
	return out, ok
}

// timeSpan is the interval that a date of any precision stands for.
func timeSpan(s string) (Span, bool) {
	if s == "" {
		return Span{}, false
	}
	lo, hi, ok := fhir.ParseDateTime(s)
	if !ok {
		return Span{}, false
	}
	from := micros(lo)
	return Span{from, max(from, micros(hi)-1)}, true // what is shorter than a microsecond is one
}

func micros(t time.Time) int64 { return t.UnixMicro() }

// quantities gives the numbers at v, with their unit.
func quantities(v fhir.Value, leaf *fhir.Type, yield func(lo, hi, system, code, unit string)) {
	one := func(q fhir.Value) string {
		if n := q.Get("value"); n.Kind() == fhir.Number {
			return string(n.Raw())
		}
		return ""
	}
	switch {
	case v.Kind() == fhir.Number:
		yield(string(v.Raw()), string(v.Raw()), "", "", "")
	case v.Kind() != fhir.Object:
	case leaf.Name == "Range":
		lo, hi := v.Get("low"), v.Get("high")
		unit := lo // both ends have the same one
		if !lo.Valid() {
			unit = hi
		}
		yield(one(lo), one(hi), unit.Get("system").Str(), unit.Get("code").Str(), unit.Get("unit").Str())
	case leaf.Name == "Money":
		n := one(v)
		yield(n, n, "urn:iso:std:iso:4217", v.Get("currency").Str(), "")
	case leaf.Name == "SampledData":
	default:
		if n := one(v); n != "" {
			yield(n, n, v.Get("system").Str(), v.Get("code").Str(), v.Get("unit").Str())
		}
	}
}

// order maps a number to an int64 that sorts alike. Neighbours beyond 51 bits of precision may meet: the index answers too
// much there, and Match decides.
func order(f float64) int64 {
	b := int64(math.Float64bits(f))
	if b < 0 {
		b = math.MinInt64 - b // negative floats sort downwards by their bits
	}
	return b >> 2
}
