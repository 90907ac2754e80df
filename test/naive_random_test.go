package test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// random asks queries made of values that stand in the data, and of their neighbours.
func (w *world) random(t *testing.T) {
	w.askRandom(t, 500)
}

// askRandom asks a number of random queries.
func (w *world) askRandom(t *testing.T, queries int) {
	t.Helper()
	g := &queryMaker{t: t, n: w.n, r: rand.New(rand.NewPCG(1, 2)), types: slices.Sorted(maps.Keys(w.n.of))}
	g.types = slices.DeleteFunc(g.types, func(typ string) bool { return naiveParams[typ] == nil })
	found, counts := 0, []string{"", "", "_count=1000", "_count=1000", "_count=200", "_count=37"}
	for range queries {
		typ, query := g.query()
		if w.most > 0 && len(w.n.find(t, typ, query)) > w.most {
			continue
		}
		got := w.judge(t, typ, strings.TrimSuffix(query+"&"+counts[g.r.IntN(len(counts))], "&"))
		if len(got.match) > 0 {
			found++
		}
		if t.Failed() && found > queries/4 {
			return // enough has been seen
		}
	}
	t.Logf("%d random queries, %d find something", queries, found)
}

// queryMaker makes random queries over a copy of the data.
type queryMaker struct {
	t     testing.TB
	n     *naive
	r     *rand.Rand
	types []string
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

func (g *queryMaker) query() (typ, query string) {
	typ = pick(g.r, g.types)
	var parts []string
	for range 1 + g.r.IntN(2) + g.r.IntN(2) {
		if p := g.param(typ, pick(g.r, g.n.of[typ]), true); p != "" {
			parts = append(parts, p)
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "_id="+url.QueryEscape(pick(g.r, g.n.of[typ])["id"].(string)))
	}
	return typ, strings.Join(parts, "&")
}

// param makes one parameter that a resource answers, or nearly.
func (g *queryMaker) param(typ string, r map[string]any, chains bool) string {
	codes := slices.Sorted(maps.Keys(naiveParams[typ]))
	for range 10 {
		code := pick(g.r, codes)
		p := naiveParams[typ][code]
		if code == "_lastUpdated" { // has its own test
			continue
		}
		if g.r.IntN(25) == 0 {
			return fmt.Sprintf("%s:missing=%t", code, g.r.IntN(2) == 0)
		}
		vals := g.n.values(r, p)
		if len(vals) == 0 {
			continue
		}
		v := pick(g.r, vals)
		if p.kind == 'r' && chains && g.r.IntN(3) == 0 {
			if c := g.chain(code, v); c != "" {
				return c
			}
		}
		name, value := g.value(code, p.kind, v)
		if value == "" {
			continue
		}
		if g.r.IntN(4) == 0 { // or the value of another resource
			if more := g.n.values(pick(g.r, g.n.of[typ]), p); len(more) > 0 {
				if n2, v2 := g.value(code, p.kind, pick(g.r, more)); n2 == name && v2 != "" {
					value += "," + v2
				}
			}
		}
		return name + "=" + url.QueryEscape(value)
	}
	return ""
}

// chain names the target's type, since a reference may point at several.
func (g *queryMaker) chain(code string, v any) string {
	target := g.n.all[g.n.link(v).local]
	if target == nil || naiveParams[target["resourceType"].(string)] == nil {
		return ""
	}
	typ := target["resourceType"].(string)
	if in := g.param(typ, target, false); in != "" && len(g.n.find(g.t, typ, in)) <= 1000 { // what the server follows
		return code + ":" + typ + "." + in
	}
	return ""
}

func (g *queryMaker) value(code string, kind byte, v any) (name, value string) {
	switch kind {
	case 't':
		return g.token(code, v)
	case 's':
		return g.string(code, v)
	case 'r':
		return g.reference(code, v)
	case 'd':
		return code, g.date(v)
	case 'u':
		return code, escapeValue(str(v))
	}
	return code, g.quantity(v, kind == 'q')
}

func escapeValue(s string) string {
	return strings.NewReplacer(`\`, `\\`, `,`, `\,`, `|`, `\|`, `$`, `\$`).Replace(s)
}

func (g *queryMaker) token(code string, v any) (string, string) {
	list := codings(v)
	if len(list) == 0 || code == "_id" && g.r.IntN(2) == 0 {
		return "", ""
	}
	c := pick(g.r, list)
	if g.r.IntN(12) == 0 && code != "_id" {
		code += ":not"
	}
	plain, system := escapeValue(c.code), escapeValue(c.system)
	switch n := g.r.IntN(6); {
	case c.bare || n < 2 || code == "_id":
		return code, plain
	case n == 2 && system != "":
		return code, system + "|"
	case n == 3:
		return code, "|" + plain
	}
	return code, system + "|" + plain
}

func (g *queryMaker) string(code string, v any) (string, string) {
	list := textsOf(v)
	if len(list) == 0 {
		return "", ""
	}
	s := pick(g.r, list)
	if g.r.IntN(6) == 0 {
		return code + ":exact", escapeValue(s)
	}
	r := []rune(s)
	r = r[:1+g.r.IntN(len(r))]
	if s = strings.TrimSpace(string(r)); g.r.IntN(2) == 0 {
		s = strings.ToUpper(s)
	}
	return code, escapeValue(s)
}

func (g *queryMaker) reference(code string, v any) (string, string) {
	l := g.n.link(v)
	if l.local == "" {
		return code, escapeCanonical(l.other)
	}
	typ, id, _ := strings.Cut(l.local, "/")
	switch g.r.IntN(4) {
	case 0:
		return code, id
	case 1:
		return code + ":" + typ, id
	case 2:
		return code, g.n.base + "/" + l.local
	}
	return code, l.local
}

// escapeCanonical leaves the | before a version, which is part of the text of a reference.
func escapeCanonical(s string) string { return strings.ReplaceAll(s, ",", `\,`) }

func (g *queryMaker) date(v any) string {
	i, ok := intervalOf(v)
	if !ok {
		return ""
	}
	at := i.lo
	if g.r.IntN(2) == 0 {
		at = i.hi
	}
	if at.Year() < 1000 || at.Year() > 3000 {
		return ""
	}
	s := at.UTC().Format(pick(g.r, []string{"2006", "2006-01", "2006-01-02", "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05.000Z07:00"}))
	return pick(g.r, []string{"", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ge", "le"}) + s
}

func (g *queryMaker) quantity(v any, unit bool) string {
	lo, hi, q := numbersOf(v)
	if lo == nil {
		lo = hi
	}
	if lo == nil || len(lo.FloatString(3)) > 30 { // the server takes numbers of up to 40 characters
		return ""
	}
	s := pick(g.r, []string{"", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"}) + lo.FloatString(g.r.IntN(4))
	if code := str(q["code"]); unit && code != "" && g.r.IntN(2) == 0 {
		return s + "|" + pick(g.r, []string{"", escapeValue(str(q["system"]))}) + "|" + escapeValue(code)
	}
	return s
}
