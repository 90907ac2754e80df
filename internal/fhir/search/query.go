package search

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir"
)

// Limits of a query. What is over a limit is refused, never cut silently; _count alone is lowered to the maximum, as R4
// allows (search.html#count).
const (
	DefaultCount = 50
	MaxCount     = 1000
	maxTerms     = 50
	maxValues    = 200 // of one parameter
	maxAllValues = 500 // of all: each is a list that the database goes through
	maxValue     = 2048
	maxIncludes  = 20
	maxPairs     = 100 // parameters of any sort
)

// Query is a parsed search of one resource type.
type Query struct {
	Type        *fhir.Type
	Set         *Set
	Terms       []Term
	Sort        []SortKey
	Count       int
	CountOnly   bool // _count=0 or _summary=count: the total and nothing else
	Total       bool // _total=accurate or estimate: count all
	Includes    []Include
	RevIncludes []Include
	Cursor      string
	Applied     url.Values // what was understood, for the self link
	order       []string
}

// SortKey is one key of _sort.
type SortKey struct {
	Param *Param
	Desc  bool
}

// Include is one _include or _revinclude.
type Include struct {
	Param  *Param
	Target string // only this type, "" = any
}

// Term is one parameter of the query: all terms must hold, any of a term's values may.
type Term struct {
	Param    *Param
	Modifier Modifier
	Type     string // of a reference, from :Type or a chain
	Values   []Value
	Chain    *Term  // judged on the resource that the reference points at; Type names its type
	base     string // absolute references to it are local
}

// Modifier is the suffix of a parameter's name.
type Modifier uint8

// The modifiers that are served.
const (
	None Modifier = iota
	Exact
	Missing
	Not
)

// Options are what a caller adds to a query's text.
type Options struct {
	Base    string    // the tenant's FHIR base: absolute references to it are local
	Lenient bool      // ignore unknown parameters (Prefer: handling=lenient)
	Now     time.Time // for ap on dates
}

// Parse reads the query part of a search URL or the body of a POST _search. Errors are Invalid or NotSupported faults that
// name the parameter, never its value.
func Parse(t *fhir.Type, raw string, o Options) (*Query, error) {
	q := &Query{Type: t, Set: For(t), Count: DefaultCount, Applied: url.Values{}}
	pairs, err := Pairs(raw)
	if err != nil {
		return nil, err
	}
	for _, p := range pairs {
		known, err := q.parameter(p[0], p[1], o)
		if err != nil {
			return nil, err
		}
		if !known && !o.Lenient {
			return nil, bad(fault.NotSupported, p[0], "unknown search parameter for %s", t.Name)
		}
		if known && p[0] != "_cursor" {
			if _, ok := q.Applied[p[0]]; !ok {
				q.order = append(q.order, p[0])
			}
			q.Applied.Add(p[0], p[1])
		}
	}
	return q, q.bounded()
}

// bounded refuses a query that asks for too much at once.
func (q *Query) bounded() error {
	values := 0
	for i := range q.Terms {
		t := &q.Terms[i]
		for t.Chain != nil {
			t = t.Chain
		}
		values += len(t.Values)
	}
	switch {
	case len(q.Terms) > maxTerms:
		return fault.New(fault.Invalid, "more than %d search parameters", maxTerms)
	case values > maxAllValues:
		return fault.New(fault.Invalid, "more than %d values in all search parameters together", maxAllValues)
	case len(q.Includes)+len(q.RevIncludes) > maxIncludes:
		return fault.New(fault.Invalid, "more than %d of _include and _revinclude", maxIncludes)
	}
	return nil
}

// Pairs splits a query text, keeping the order. Empty values are dropped, as R4 allows.
func Pairs(raw string) ([][2]string, error) {
	var out [][2]string
	if strings.Count(raw, "&") >= maxPairs {
		return nil, fault.New(fault.Invalid, "more than %d parameters", maxPairs)
	}
	for part := range strings.SplitSeq(raw, "&") {
		k, v, _ := strings.Cut(part, "=")
		key, err1 := url.QueryUnescape(k)
		val, err2 := url.QueryUnescape(v)
		if err1 != nil || err2 != nil || !text(key) || !text(val) {
			return nil, fault.New(fault.Invalid, "the query is not well-formed URL encoding of UTF-8 text")
		}
		if key != "" && val != "" {
			out = append(out, [2]string{key, val})
		}
	}
	return out, nil
}

// Encode gives the query that was understood, in its order.
func (q *Query) Encode() string {
	var b strings.Builder
	for _, k := range q.order {
		for _, v := range q.Applied[k] {
			if b.Len() > 0 {
				b.WriteByte('&')
			}
			b.WriteString(url.QueryEscape(k) + "=" + url.QueryEscape(v))
		}
	}
	return b.String()
}

func (q *Query) parameter(name, value string, o Options) (bool, error) {
	switch name {
	case "_count":
		return true, q.count(value)
	case "_cursor":
		q.Cursor = value
		return true, nil
	case "_sort":
		return true, q.sort(value)
	case "_total":
		if value != "none" && value != "accurate" && value != "estimate" {
			return true, bad(fault.Invalid, name, "is none, estimate or accurate")
		}
		q.Total = value != "none"
		return true, nil
	case "_summary":
		if value != "count" && value != "false" {
			return true, bad(fault.NotSupported, name, "count and false are served")
		}
		q.CountOnly = value == "count"
		return true, nil
	case "_include", "_revinclude":
		return true, q.include(name, value)
	case "_format", "_pretty":
		return true, nil // judged by the face, for every interaction
	}
	term, err := q.Set.term(name, value, o, true)
	if err != nil || term == nil {
		return false, err
	}
	q.Terms = append(q.Terms, *term)
	return true, nil
}

func (q *Query) count(value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return bad(fault.Invalid, "_count", "is a whole number from 0")
	}
	q.Count, q.CountOnly = min(n, MaxCount), q.CountOnly || n == 0
	return nil
}

func (q *Query) sort(value string) error {
	for key := range strings.SplitSeq(value, ",") {
		code, desc := strings.CutPrefix(key, "-")
		p := q.Set.ByCode[code]
		if p == nil {
			return bad(fault.Invalid, "_sort", "names a parameter that %s does not have", q.Type.Name)
		}
		q.Sort = append(q.Sort, SortKey{p, desc})
	}
	if len(q.Sort) > 4 {
		return bad(fault.Invalid, "_sort", "has at most 4 keys")
	}
	return nil
}

func (q *Query) include(name, value string) error {
	parts := strings.Split(value, ":")
	if len(parts) < 2 || len(parts) > 3 {
		return bad(fault.Invalid, name, "reads Type:parameter or Type:parameter:TargetType")
	}
	t := fhir.ResourceType(parts[0])
	if t == nil {
		return bad(fault.Invalid, name, "names an unknown resource type")
	}
	p := For(t).ByCode[parts[1]]
	if p == nil || p.Kind != Reference {
		return bad(fault.Invalid, name, "names no reference parameter of %s", t.Name)
	}
	in := Include{Param: p}
	if len(parts) == 3 {
		if fhir.ResourceType(parts[2]) == nil {
			return bad(fault.Invalid, name, "names an unknown target type")
		}
		in.Target = parts[2]
	}
	if name == "_include" {
		if t != q.Type {
			return bad(fault.Invalid, name, "starts at %s, which this search does not return", t.Name)
		}
		q.Includes = append(q.Includes, in)
		return nil
	}
	if in.Target != "" && in.Target != q.Type.Name {
		return bad(fault.Invalid, name, "points at another type than this search returns")
	}
	q.RevIncludes = append(q.RevIncludes, in)
	return nil
}

// bad makes a fault that names the parameter. A name is cut and cleaned: it is the caller's text.
func bad(k fault.Kind, param, format string, args ...any) error {
	f := fault.New(k, format, args...)
	f.Text = "search parameter " + CleanName(param) + ": " + f.Text
	return f
}

// CleanName makes a caller's parameter name fit to be shown: letters, digits and -_.: only, at most 64.
func CleanName(s string) string {
	var b strings.Builder
	for _, r := range s {
		if b.Len() >= 64 {
			break
		}
		if r == '-' || r == '_' || r == '.' || r == ':' || (r >= '0' && r <= '9') || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') {
			b.WriteRune(r)
		} else {
			b.WriteByte('?')
		}
	}
	return b.String()
}
