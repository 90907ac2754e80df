package search

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir"
)

// Comparator is the comparison of a date, number or quantity (R4 search.html#prefix).
type Comparator uint8

// The prefixes.
const (
	Eq Comparator = iota
	Ne
	Gt
	Lt
	Ge
	Le
	Sa
	Eb
	Ap
)

var prefixNames = map[string]Comparator{"eq": Eq, "ne": Ne, "gt": Gt, "lt": Lt, "ge": Ge, "le": Le, "sa": Sa, "eb": Eb, "ap": Ap}

// Value is one of the alternatives of a term.
type Value struct {
	Prefix    Comparator
	Text      string // code, string as given, URI
	Folded    string // of a string
	System    string
	HasSystem bool
	NoSystem  bool // |code
	Link      Link // of a reference; Type "" when only an id was given
	Span      Span // of a date
	Number    *Decimal
	Yes       bool // of :missing
}

func text(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// term reads one parameter; nil when its name is unknown.
func (s *Set) term(name, value string, o Options, chains bool) (*Term, error) {
	head, rest, chained := strings.Cut(name, ".")
	code, mod, hasMod := strings.Cut(head, ":")
	p := s.ByCode[code]
	if p == nil {
		return nil, nil
	}
	t := &Term{Param: p, base: o.Base}
	if chained {
		if p.Kind != Reference || !chains {
			return nil, bad(fault.NotSupported, name, "a chain goes over one reference parameter")
		}
		return t, t.chain(name, mod, rest, value, o)
	}
	if err := t.modifier(name, mod, hasMod); err != nil {
		return nil, err
	}
	for _, v := range splitValues(value) {
		val, err := t.value(v, o)
		if err != nil {
			return nil, bad(fault.Invalid, name, "%s", err.Error())
		}
		t.Values = append(t.Values, val)
	}
	if len(t.Values) > maxValues {
		return nil, bad(fault.Invalid, name, "has more than %d values", maxValues)
	}
	return t, nil
}

func (t *Term) modifier(name, mod string, has bool) error {
	if !has {
		return nil
	}
	switch {
	case mod == "missing":
		t.Modifier = Missing
	case mod == "exact" && t.Param.Kind == String:
		t.Modifier = Exact
	case mod == "not" && t.Param.Kind == Token:
		t.Modifier = Not
	case t.Param.Kind == Reference && fhir.ResourceType(mod) != nil:
		t.Type = mod
	default:
		return bad(fault.NotSupported, name, "this modifier is not served on a %s parameter", t.Param.Kind)
	}
	return nil
}

// chain reads patient.name or subject:Patient.name: one level.
func (t *Term) chain(name, typ, rest, value string, o Options) error {
	if typ == "" {
		if len(t.Param.Targets) == 1 {
			typ = t.Param.Targets[0]
		} else if typ = t.onlyTargetWith(rest); typ == "" {
			return bad(fault.Invalid, name, "may point at several types: write %s:Type.parameter", t.Param.Code)
		}
	}
	target := fhir.ResourceType(typ)
	if target == nil {
		return bad(fault.Invalid, name, "names an unknown resource type")
	}
	inner, err := For(target).term(rest, value, o, false)
	if err != nil {
		return err
	}
	if inner == nil {
		return bad(fault.NotSupported, name, "unknown search parameter for %s", typ)
	}
	t.Type, t.Chain = typ, inner
	return nil
}

// onlyTargetWith finds the one target type that has the chained parameter; patient's targets hold Group, say.
func (t *Term) onlyTargetWith(rest string) string {
	for _, p := range t.Param.Paths {
		if p.target != "" {
			return p.target
		}
	}
	code, _, _ := strings.Cut(rest, ":")
	found := ""
	for _, typ := range t.Param.Targets {
		if rt := fhir.ResourceType(typ); rt != nil && For(rt).ByCode[code] != nil {
			if found != "" {
				return ""
			}
			found = typ
		}
	}
	return found
}

// wrong is why a value cannot be read: a constant text.
type wrong string

func (w wrong) Error() string { return string(w) }

func (t *Term) value(s string, o Options) (Value, error) {
	if len(s) > maxValue {
		return Value{}, wrong("a value is too long")
	}
	if t.Modifier == Missing {
		if s != "true" && s != "false" {
			return Value{}, wrong(":missing is true or false")
		}
		return Value{Yes: s == "true"}, nil
	}
	switch t.Param.Kind {
	case Token:
		return tokenValue(s), nil
	case ID:
		if !fhir.ValidID(s) {
			return Value{}, wrong("not an id")
		}
		return Value{Text: s}, nil
	case String:
		u := unescape(s)
		return Value{Text: u, Folded: Fold(u)}, nil
	case URI:
		return Value{Text: unescape(s)}, nil
	case Reference:
		return t.reference(unescape(s), o)
	case Date, LastUpdated:
		return dateValue(s, o.Now)
	}
	return t.number(s)
}

func tokenValue(s string) Value {
	parts := splitUnescaped(s, '|')
	if len(parts) == 1 {
		return Value{Text: unescape(s)}
	}
	v := Value{System: unescape(parts[0]), Text: unescape(strings.Join(parts[1:], "|"))}
	v.HasSystem, v.NoSystem = v.System != "", v.System == ""
	return v
}

func (t *Term) reference(s string, o Options) (Value, error) {
	l := ParseLink(s, o.Base)
	if l.URL != "" && fhir.ValidID(s) {
		l = Link{Type: t.Type, ID: s}
		if l.Type == "" && len(t.Param.Targets) == 1 {
			l.Type = t.Param.Targets[0]
		}
		for _, p := range t.Param.Paths {
			if l.Type == "" && p.target != "" {
				l.Type = p.target
			}
		}
	} else if t.Type != "" && l.Type != "" && l.Type != t.Type {
		return Value{}, wrong("the reference is of another type than the modifier")
	}
	return Value{Link: l}, nil
}

func prefixed(s string) (Comparator, string) {
	if len(s) > 2 && s[0] >= 'a' && s[0] <= 'z' {
		if p, ok := prefixNames[s[:2]]; ok {
			return p, s[2:]
		}
	}
	return Eq, s
}

func dateValue(s string, now time.Time) (Value, error) {
	p, rest := prefixed(s)
	// A + that was not escaped in the URL arrives as a space.
	span, ok := timeSpan(strings.Replace(rest, " ", "+", 1))
	if !ok {
		return Value{}, wrong("not a date: [prefix]YYYY[-MM[-DD[Thh:mm[:ss][zone]]]]")
	}
	if p == Ap {
		far := now.UnixMicro() - (span.Lo+span.Hi)/2
		if far < 0 {
			far = -far
		}
		span = Span{span.Lo - far/10, span.Hi + far/10}
	}
	return Value{Prefix: p, Span: span}, nil
}

func (t *Term) number(s string) (Value, error) {
	p, rest := prefixed(s)
	v := Value{Prefix: p}
	if t.Param.Kind == Quantity {
		parts := splitUnescaped(rest, '|')
		rest = parts[0]
		switch len(parts) {
		case 1:
		case 3:
			v.System, v.Text = unescape(parts[1]), unescape(parts[2])
			v.HasSystem = v.System != ""
		default:
			return v, wrong("a quantity is [prefix]number or [prefix]number|system|code")
		}
	}
	d, ok := parseDecimal(rest)
	if !ok {
		return v, wrong("not a number: [prefix]number")
	}
	if p == Ap {
		d.approximate()
	}
	v.Number = &d
	return v, nil
}

// splitValues cuts at commas that are not escaped.
func splitValues(s string) []string { return splitUnescaped(s, ',') }

func splitUnescaped(s string, sep byte) []string {
	var out []string
	from := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case sep:
			out, from = append(out, s[from:i]), i+1
		}
	}
	return append(out, s[from:])
}

// unescape takes the backslashes of R4 search.html#escaping away.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && strings.IndexByte(`,|$\`, s[i+1]) >= 0 {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
