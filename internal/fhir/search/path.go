package search

import (
	"fmt"
	"hash/crc32"
	"regexp"
	"strings"

	"github.com/cordon-ehr/cordon/internal/fhir"
)

// Path leads from a resource to the values of a parameter. Steps are JSON properties: a choice has one path per type.
type Path struct {
	ID   int32  // stable: resource type and property path
	Name string // "Observation.component.code"
	// Entries names what is indexed under ID: the path itself, or the choice that it is a type of ("Observation.effective[x]").
	Entries string
	Leaf    *fhir.Type
	steps   []string
	// The filter of the published expression, judged on the value (target type) or on its parent object.
	target   string // where(resolve() is Patient)
	key, val string // where(system='phone')
	keyAt    int    // the step whose objects the key is on
	index    int    // [n] on step keyAt, or -1
	exists   bool   // deceased: true when present and not false
	single   bool   // no step repeats
	last     *fhir.Element
	Domain   *Path // whose index entries serve this path; itself unless a wider path covers it
}

// Filtered reports whether the path takes only a part of what its domain indexes.
func (p *Path) Filtered() bool {
	return p.target != "" || p.key != "" || p.index >= 0 || p.Domain.Name != p.Name
}

// Single reports whether a resource has at most one value here.
func (p *Path) Single() bool {
	return p.single && p.Domain.Name == p.Name && p.key == "" && p.index < 0
}

// reaches reports whether a reference here may point at a resource type.
func (p *Path) reaches(typ string) bool {
	if p.target != "" {
		return p.target == typ
	}
	return p.last == nil || p.last.Allows(typ)
}

func pathID(t *fhir.Type, name string) int32 {
	return int32(t.ID)<<23 | int32(crc32.ChecksumIEEE([]byte(name))&0x7fffff)
}

var (
	whereResolve = regexp.MustCompile(`^where\(resolve\(\) is (\w+)\)$`)
	whereEquals  = regexp.MustCompile(`^where\((\w+)='([^']*)'\)$`)
	ofType       = regexp.MustCompile(`^ofType\((\w+)\)$`)
	indexed      = regexp.MustCompile(`^(\w+)\[(\d+)\]$`)
)

// compile turns the published FHIRPath of a parameter into the paths that start at type t. The registry of R4 uses a small
// part of FHIRPath: unions, property steps, ofType, [n] and two forms of where.
func compile(expr string, t *fhir.Type) ([]*Path, error) {
	if strings.HasSuffix(expr, " != false") { // Patient.deceased.exists() and Patient.deceased != false
		expr = strings.TrimSuffix(expr[:strings.Index(expr, " and ")], ".exists()")
		ps, err := compile(expr, t)
		for _, p := range ps {
			p.exists = true
		}
		return ps, err
	}
	var out []*Path
	for alt := range strings.SplitSeq(expr, "|") {
		alt = strings.TrimSpace(alt)
		alt = strings.TrimSuffix(strings.TrimPrefix(alt, "("), ")")
		if strings.Count(alt, "(") > strings.Count(alt, ")") {
			alt += ")"
		}
		steps := splitSteps(alt)
		switch steps[0] {
		case t.Name, "Resource", "DomainResource":
			steps = steps[1:]
		default:
			if fhir.ResourceType(steps[0]) != nil {
				continue // of another type that shares the parameter
			}
		}
		ps, err := follow(&Path{index: -1, single: true}, t, t, steps)
		if err != nil {
			return nil, fmt.Errorf("search expression %q on %s: %w", alt, t.Name, err)
		}
		out = append(out, ps...)
	}
	return out, nil
}

// splitSteps cuts at dots outside parentheses.
func splitSteps(s string) []string {
	var out []string
	depth, from := 0, 0
	for i := range len(s) {
		switch s[i] {
		case '(':
			depth++
		case ')':
			depth--
		case '.':
			if depth == 0 {
				out, from = append(out, s[from:i]), i+1
			}
		}
	}
	return append(out, s[from:])
}

// follow extends p by the remaining steps; a choice without ofType branches.
func follow(p *Path, root, at *fhir.Type, rest []string) ([]*Path, error) {
	if len(rest) == 0 {
		p.Leaf, p.Name = at, root.Name+"."+strings.Join(p.steps, ".")
		p.Entries = p.Name
		p.ID = pathID(root, p.Entries)
		return []*Path{p}, nil
	}
	step, rest := rest[0], rest[1:]
	if m := whereResolve.FindStringSubmatch(step); m != nil {
		p.target = m[1]
		return follow(p, root, at, rest)
	}
	if m := whereEquals.FindStringSubmatch(step); m != nil {
		p.key, p.val, p.keyAt = m[1], m[2], len(p.steps)
		return follow(p, root, at, rest)
	}
	if m := indexed.FindStringSubmatch(step); m != nil {
		if m[2] != "0" {
			return nil, fmt.Errorf("index %s", m[2])
		}
		step, p.index, p.keyAt = m[1], 0, len(p.steps)+1
	}
	els := at.Variants(step)
	if len(rest) > 0 && len(els) > 1 {
		if m := ofType.FindStringSubmatch(rest[0]); m != nil {
			els, rest = only(els, m[1]), rest[1:]
		}
	}
	if len(els) == 0 {
		return nil, fmt.Errorf("no element %s in %s", step, at.Name)
	}
	var out []*Path
	for _, e := range els {
		next := *p
		next.steps = append(append([]string(nil), p.steps...), e.Name)
		next.single, next.last = p.single && e.Max == 1, e
		ps, err := follow(&next, root, e.Type, rest)
		if err != nil {
			if len(els) > 1 {
				continue // this type of the choice does not have the step
			}
			return nil, err
		}
		out = append(out, ps...)
	}
	return out, nil
}

func only(els []*fhir.Element, typ string) []*fhir.Element {
	for _, e := range els {
		if e.Type.Name == typ {
			return []*fhir.Element{e}
		}
	}
	return nil
}

// each calls yield for every value at the path. With filter unset the filters of the expression are ignored: what the index
// holds.
func (p *Path) each(v fhir.Value, filter bool, yield func(fhir.Value)) {
	p.walk(v, 0, filter, yield)
}

func (p *Path) walk(v fhir.Value, depth int, filter bool, yield func(fhir.Value)) {
	if v.Kind() == fhir.Array {
		n := 0
		for e := range v.Elems() {
			if filter && p.index >= 0 && depth == p.keyAt && n != p.index {
				break
			}
			n++
			p.walk(e, depth, filter, yield)
		}
		return
	}
	if filter && p.key != "" && depth == p.keyAt && v.Get(p.key).Str() != p.val {
		return
	}
	if depth == len(p.steps) {
		if v.Valid() && (!filter || p.target == "" || refTarget(v) == p.target) {
			yield(v)
		}
		return
	}
	if next := v.Get(p.steps[depth]); next.Valid() {
		p.walk(next, depth+1, filter, yield)
	}
}
