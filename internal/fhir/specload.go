package fhir

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// The tables are text, written by cmd/specgen (the line formats are at its writers), and read on first use. What they
// say is part of the program: a line that cannot be read is a broken build, and panics.

//go:embed spec/types.txt
var typesText string

//go:embed spec/search.txt
var searchText string

//go:embed spec/compartment.txt
var compartmentText string

// spec is the compiled types.
type spec struct {
	types     map[string]*Type
	resources []*Type // index is ID-1

	element   *Type // Element: what a primitive's companion object is
	reference *Type
	extension *Type

	extensionSlot, valueSlot uint64 // bits of Extension.extension and Extension.value[x]
}

var (
	tables           = sync.OnceValue(loadTypes)
	searchTable      = sync.OnceValue(loadSearch)
	compartmentTable = sync.OnceValue(loadCompartment)
)

// block is the lines of one type.
type block struct {
	t     *Type
	lines []string
	done  bool
}

func loadTypes() *spec {
	s := &spec{types: make(map[string]*Type, 1024)}
	blocks := make(map[string]*block, 1024)
	var order []*block
	for line := range strings.Lines(typesText) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "T\t"):
			b := &block{t: parseType(line)}
			s.types[b.t.Name], blocks[b.t.Name] = b.t, b
			order = append(order, b)
		case strings.HasPrefix(line, "E\t"):
			b := order[len(order)-1]
			b.lines = append(b.lines, line)
		}
	}
	for _, b := range order {
		s.build(b, blocks)
	}
	for _, b := range order {
		if b.t.Kind == KindResource && !b.t.Abstract {
			s.resources = append(s.resources, b.t)
		}
	}
	slices.SortFunc(s.resources, func(a, b *Type) int { return strings.Compare(a.Name, b.Name) })
	for i, t := range s.resources {
		t.ID = int16(i + 1)
	}
	s.element, s.reference, s.extension = s.types["Element"], s.types["Reference"], s.types["Extension"]
	s.extensionSlot = 1 << s.extension.Element("extension").slot
	s.valueSlot = 1 << s.extension.Element("valueString").slot
	return s
}

// parseType reads "T name kind base flags".
func parseType(line string) *Type {
	f := strings.Split(line, "\t")
	t := &Type{Name: f[1], Base: undash(f[3]), Abstract: f[4] == "a"}
	switch f[2] {
	case "primitive":
		t.Kind, t.prim = KindPrimitive, primitiveNamed(f[1])
	case "complex":
		t.Kind = KindComplex
	case "backbone":
		t.Kind = KindBackbone
	case "resource":
		t.Kind = KindResource
	default:
		panic("fhir: broken type table: kind of " + t.Name)
	}
	return t
}

// build gives b's type its elements: those of its base, which is built first, changed and continued by its own lines.
func (s *spec) build(b *block, blocks map[string]*block) {
	if b.done || b.t.Kind == KindPrimitive {
		return
	}
	b.done = true
	t := b.t
	if base := blocks[t.Base]; base != nil {
		s.build(base, blocks)
		t.Elements = append(make([]Element, 0, len(base.t.Elements)+len(b.lines)+8), base.t.Elements...)
	}
	inherited := len(t.Elements)
	for _, line := range b.lines {
		t.Elements = s.addElement(t.Elements, inherited, line)
	}
	t.byName = make(map[string]uint16, len(t.Elements))
	for i := range t.Elements {
		e := &t.Elements[i]
		if n := len(t.slots); n == 0 || t.slots[n-1] != e.Base {
			t.slots = append(t.slots, e.Base)
		}
		e.slot = uint8(len(t.slots) - 1)
		if e.Min > 0 {
			t.required |= 1 << e.slot
		}
		t.byName[e.Name] = uint16(i)
	}
	if len(t.slots) > maxSlots {
		panic("fhir: broken type table: too many elements in " + t.Name)
	}
}

// addElement reads "E name min max flags types valueset", one element for each type of a choice, over those of the
// same name among the first, inherited, ones.
func (s *spec) addElement(all []Element, inherited int, line string) []Element {
	f := strings.Split(line, "\t")
	base, choice := strings.CutSuffix(f[1], "[x]")
	e := Element{Base: base, Choice: choice, Max: -1, ValueSet: undash(f[6]), RequiredBinding: f[6] != "-"}
	e.Min = number(f[2])
	if f[3] != "*" {
		e.Max = number(f[3])
	}
	for _, c := range f[4] {
		e.Summary = e.Summary || c == 's'
		e.Modifier = e.Modifier || c == 'm'
		e.attribute = e.attribute || c == 'x'
	}
	for one := range strings.SplitSeq(f[5], "|") {
		name, targets, _ := strings.Cut(strings.TrimSuffix(one, ")"), "(")
		e.Name, e.Targets, e.Type = base, nil, s.types[name]
		if e.Type == nil {
			panic(fmt.Sprintf("fhir: broken type table: type %q", name))
		}
		if targets != "" {
			e.Targets = strings.Split(targets, ",")
		}
		if choice {
			e.Name = base + strings.ToUpper(name[:1]) + name[1:]
		}
		e.attribute = e.attribute || name == "xhtml"
		if i := slices.IndexFunc(all[:inherited], func(x Element) bool { return x.Name == e.Name }); i >= 0 {
			all[i] = e
		} else {
			all = append(all, e)
		}
	}
	return all
}

// loadSearch reads "P code type bases targets url expression" and "C definition expression".
func loadSearch() []SearchParam {
	out := make([]SearchParam, 0, 1400)
	for line := range strings.Lines(searchText) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		switch f[0] {
		case "P":
			out = append(out, SearchParam{Code: f[1], Type: f[2], Bases: strings.Split(f[3], ","), URL: f[5],
				Expression: undash(f[6])})
			if f[4] != "-" {
				out[len(out)-1].Targets = strings.Split(f[4], ",")
			}
		case "C":
			p := &out[len(out)-1]
			p.Components = append(p.Components, SearchComponent{Definition: f[1], Expression: f[2]})
		}
	}
	return out
}

func loadCompartment() map[string][]string {
	out := make(map[string][]string, 80)
	for line := range strings.Lines(compartmentText) {
		if name, params, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t"); ok {
			out[name] = strings.Split(params, ",")
		}
	}
	return out
}

func undash(s string) string {
	if s == "-" {
		return ""
	}
	return s
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic("fhir: broken type table: " + err.Error())
	}
	return n
}
