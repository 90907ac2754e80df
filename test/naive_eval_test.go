package test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// naive is a copy of a tenant's resources, and judges searches by reading all of them. It shares no code with the server: the
// rules are those of FHIR R4 search.html, written down a second time.
type naive struct {
	base string                      // the tenant's FHIR base: absolute references to it are local
	all  map[string]map[string]any   // by Type/id
	of   map[string][]map[string]any // by type
}

func newNaive(base string) *naive {
	return &naive{base: base, all: map[string]map[string]any{}, of: map[string][]map[string]any{}}
}

func (n *naive) add(r map[string]any) {
	n.all[keyOf(r)] = r
	typ := r["resourceType"].(string)
	n.of[typ] = append(n.of[typ], r)
}

func keyOf(r map[string]any) string { return fmt.Sprintf("%s/%s", r["resourceType"], r["id"]) }

type naiveParam struct {
	kind  byte // t s r d n q u
	paths []string
}

func parseNaiveParams(in map[string]string) map[string]map[string]naiveParam {
	all := "_id t id; _lastUpdated d meta.lastUpdated; _profile u meta.profile; _security t meta.security; _source u meta.source; _tag t meta.tag; "
	out := map[string]map[string]naiveParam{}
	for typ, text := range in {
		out[typ] = map[string]naiveParam{}
		for one := range strings.SplitSeq(all+text, ";") {
			f := strings.Fields(one)
			out[typ][f[0]] = naiveParam{f[1][0], f[2:]}
		}
	}
	return out
}

// find gives the resources of a type that answer a query, by Type/id. Parameters that do not select are skipped.
func (n *naive) find(t testing.TB, typ, query string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, r := range n.of[typ] {
		ok := true
		for _, p := range naivePairs(t, query) {
			ok = ok && n.holds(t, r, p[0], p[1])
		}
		if ok {
			out[keyOf(r)] = true
		}
	}
	return out
}

// holds judges one parameter.
func (n *naive) holds(t testing.TB, r map[string]any, name, value string) bool {
	t.Helper()
	head, rest, chained := strings.Cut(name, ".")
	code, mod, _ := strings.Cut(head, ":")
	p, ok := naiveParams[r["resourceType"].(string)][code]
	if !ok {
		if chained {
			return false // the target's type has no such parameter
		}
		t.Fatalf("the judge does not know %s of %s", code, r["resourceType"])
	}
	vals := n.values(r, p)
	switch {
	case chained:
		return n.chained(t, vals, mod, rest, value)
	case mod == "missing":
		return n.missing(r, p) == (value == "true")
	}
	for _, v := range vals {
		for _, want := range splitUnescaped(value, ',') {
			if n.matches(p.kind, mod, v, want) {
				return mod != "not"
			}
		}
	}
	return mod == "not"
}

func (n *naive) chained(t testing.TB, vals []any, typ, rest, value string) bool {
	t.Helper()
	for _, v := range vals {
		to := n.link(v)
		target := n.all[to.local]
		if target == nil || (typ != "" && target["resourceType"] != typ) {
			continue
		}
		code, _, _ := strings.Cut(rest, ":")
		if _, ok := naiveParams[target["resourceType"].(string)][code]; ok && n.holds(t, target, rest, value) {
			return true
		}
	}
	return false
}

func (n *naive) missing(r map[string]any, p naiveParam) bool {
	if p.paths[0] == "deceased!" {
		return len(down([]any{r}, "deceased*")) == 0
	}
	return len(n.values(r, p)) == 0
}

// values gives all that stands at a parameter's paths.
func (n *naive) values(r map[string]any, p naiveParam) (out []any) {
	for _, path := range p.paths {
		if path == "deceased!" {
			out = append(out, deceasedRule(r))
			continue
		}
		path, target, _ := strings.Cut(path, ">")
		at := []any{r}
		for s := range strings.SplitSeq(path, ".") {
			at = down(at, s)
		}
		for _, v := range at {
			if target == "" || n.targetType(v) == target {
				out = append(out, v)
			}
		}
	}
	return out
}

// deceasedRule is Patient.deceased.exists() and Patient.deceased != false.
func deceasedRule(r map[string]any) any {
	_, at := r["deceasedDateTime"]
	return at || r["deceasedBoolean"] == true
}

// step goes one property down, through arrays.
func down(from []any, name string) (out []any) {
	name, filter, _ := strings.Cut(name, "{")
	base, choice := strings.CutSuffix(name, "*")
	for _, f := range from {
		m, ok := f.(map[string]any)
		if !ok {
			continue
		}
		for k, v := range m {
			if k != name && (!choice || !strings.HasPrefix(k, base) || len(k) == len(base) || k[len(base)] > 'Z') {
				continue
			}
			list, ok := v.([]any)
			if !ok {
				list = []any{v}
			}
			for _, e := range list {
				if e != nil && passes(e, filter) {
					out = append(out, e)
				}
			}
		}
	}
	return out
}

func passes(v any, filter string) bool {
	k, want, ok := strings.Cut(strings.TrimSuffix(filter, "}"), "=")
	return !ok || v.(map[string]any)[k] == want
}

// matches judges one value of a resource against one value of the query.
func (n *naive) matches(kind byte, mod string, v any, want string) bool {
	switch kind {
	case 't':
		return matchToken(v, want)
	case 's':
		return matchString(v, unescape(want), mod == "exact")
	case 'r':
		return n.matchLink(v, unescape(want), mod)
	case 'd':
		return matchDate(v, want, time.Now())
	case 'u':
		return v == unescape(want)
	}
	return matchQuantity(v, want)
}

// link is where a reference points: a resource of this tenant, or something else.
type link struct{ local, other string }

func (n *naive) link(v any) link {
	s, ok := v.(string) // a canonical
	if m, isMap := v.(map[string]any); isMap {
		s, ok = m["reference"].(string)
	}
	if !ok || s == "" || s[0] == '#' {
		return link{}
	}
	parts := strings.Split(strings.TrimPrefix(s, n.base+"/"), "/")
	if (len(parts) == 2 || len(parts) == 4 && parts[2] == "_history") && parts[0] != "" && parts[0][0] >= 'A' && parts[0][0] <= 'Z' {
		return link{local: parts[0] + "/" + parts[1]}
	}
	return link{other: s}
}

// targetType is what resolve() is Type finds: by the reference, or by its type element.
func (n *naive) targetType(v any) string {
	l := n.link(v)
	if typ, _, ok := strings.Cut(l.local, "/"); ok {
		return typ
	}
	if parts := strings.Split(l.other, "/"); len(parts) > 3 && strings.HasPrefix(l.other, "http") {
		return parts[len(parts)-2]
	}
	s, _ := v.(map[string]any)["type"].(string)
	return s
}

func (n *naive) matchLink(v any, want, mod string) bool {
	have := n.link(v)
	if mod != "" && !strings.HasPrefix(have.local, mod+"/") {
		return false
	}
	to := n.link(want)
	switch {
	case to.local != "":
		return have.local == to.local
	case !strings.ContainsAny(want, "/:"):
		return strings.HasSuffix(have.local, "/"+want)
	}
	bare, _, versioned := strings.Cut(have.other, "|")
	return have.other == want || (versioned && bare == want)
}

// includes gives what _include and _revinclude of a query add to its matches.
func (n *naive) includes(t testing.TB, query string, matches map[string]bool) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, p := range naiveAll(t, query) {
		part := strings.Split(p[1], ":")
		switch p[0] {
		case "_include":
			for m := range matches {
				for _, to := range n.targets(n.all[m], part[1]) {
					if len(part) < 3 || strings.HasPrefix(to, part[2]+"/") {
						out[to] = true
					}
				}
			}
		case "_revinclude":
			for _, r := range n.of[part[0]] {
				for _, to := range n.targets(r, part[1]) {
					if matches[to] {
						out[keyOf(r)] = true
					}
				}
			}
		}
	}
	maps.DeleteFunc(out, func(k string, _ bool) bool { return matches[k] })
	return out
}

// targets gives the existing resources that a reference parameter of a resource points at.
func (n *naive) targets(r map[string]any, code string) (out []string) {
	for _, v := range n.values(r, naiveParams[r["resourceType"].(string)][code]) {
		if l := n.link(v); n.all[l.local] != nil {
			out = append(out, l.local)
		}
	}
	return out
}

// everything is a patient's compartment and what its resources refer to. Other people's records are not followed.
func (n *naive) everything(patient string) map[string]bool {
	out, owned := map[string]bool{patient: true}, map[string]bool{}
	for k, r := range n.all {
		for code := range strings.FieldsSeq(naiveCompartment[r["resourceType"].(string)]) {
			for _, to := range n.targets(r, code) {
				owned[k] = owned[k] || strings.HasPrefix(to, "Patient/")
				if to == patient {
					out[k] = true
				}
			}
		}
	}
	for _, k := range slices.Collect(maps.Keys(out)) {
		for _, to := range n.allLinks(n.all[k]) {
			typ, _, _ := strings.Cut(to, "/")
			if n.all[to] != nil && !owned[to] && !slices.Contains([]string{"Patient", "Group", "RelatedPerson", "Person"}, typ) {
				out[to] = true
			}
		}
	}
	return out
}

// allLinks gives every local reference in a resource, wherever it stands.
func (n *naive) allLinks(v any) (out []string) {
	switch x := v.(type) {
	case []any:
		for _, e := range x {
			out = append(out, n.allLinks(e)...)
		}
	case map[string]any:
		if l := n.link(x); l.local != "" {
			out = append(out, l.local)
		}
		for _, e := range x {
			out = append(out, n.allLinks(e)...)
		}
	}
	return out
}

// decodeJSON decodes; numbers keep their text.
func decodeJSON(t testing.TB, b []byte) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	var out map[string]any
	if err := d.Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}
