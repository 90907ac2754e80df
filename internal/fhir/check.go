package fhir

import (
	"sync"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// maxIssues is where Check stops: a body that is wrong in a hundred places is not worth a longer list.
const maxIssues = 100

// Link is one string of a body that points elsewhere.
type Link struct {
	Start, End int    // span of the JSON string in the body, quotes included: what StampWith can replace
	Target     string // its text, unescaped; a copy
	Reference  bool   // it is a Reference.reference, not a uri
}

// Checked is what one walk over a resource found.
type Checked struct {
	Type   *Type         // of the resource; nil when resourceType is missing or unknown
	Issues []fault.Issue // all of severity error; empty means the structure is R4's; at most maxIssues
	Links  []Link        // every Reference.reference, also in contained resources, extensions and entries, in order
	URIs   []Link        // every uri, url, canonical, oid or uuid that starts with urn:uuid: or urn:oid:, in order
}

// Fault is nil when there are no issues, else a fault of kind k that carries them.
func (c Checked) Fault(k fault.Kind) *fault.Fault { return fault.Issues(k, c.Issues) }

// Check validates the structure of the resource v against R4: names, JSON types, cardinality, formats of primitives,
// choices, companions of primitives, extensions, contained resources and the types that references name. With want it
// must be of that type. Resources inside (contained, entries of a Bundle, Parameters) are checked by their own type.
func Check(v Value, want *Type) Checked {
	c := checkers.Get().(*checker)
	c.root, c.spec = v, tables()
	t := c.resource(v, want)
	out := Checked{Type: t, Issues: c.issues}
	out.Links, out.URIs = c.take()
	c.reset()
	checkers.Put(c)
	return out
}

var checkers = sync.Pool{New: func() any { return new(checker) }}

// checker is the state of one walk.
type checker struct {
	spec     *spec
	root     Value
	rootType *Type
	path     []step // from root to the object being walked
	issues   []fault.Issue
	links    []pointer
	uris     []pointer
	targets  []byte // texts of links and uris, end to end
	scratch  []byte // text of an escaped string
	scope    scope
}

// step is one element on the way down.
type step struct {
	e     *Element
	index int32 // -1 when not in an array
}

// pointer is a Link whose target is still a span of checker.targets.
type pointer struct{ start, end, from, to int }

func (c *checker) reset() {
	if cap(c.targets) > keepNodes || cap(c.links) > keepNodes || cap(c.scratch) > 1<<20 {
		*c = checker{}
		return
	}
	*c = checker{path: c.path[:0], links: c.links[:0], uris: c.uris[:0], targets: c.targets[:0], scratch: c.scratch[:0]}
}

// take copies what was collected: one string for all targets, one slice for all links.
func (c *checker) take() (links, uris []Link) {
	if len(c.links)+len(c.uris) == 0 {
		return nil, nil
	}
	text := string(c.targets)
	all := make([]Link, 0, len(c.links)+len(c.uris))
	for _, p := range c.links {
		all = append(all, Link{p.start, p.end, text[p.from:p.to], true})
	}
	for _, p := range c.uris {
		all = append(all, Link{p.start, p.end, text[p.from:p.to], false})
	}
	n := len(c.links)
	return all[:n:n], all[n:]
}

func (c *checker) collect(list []pointer, v Value, text []byte) []pointer {
	start, end := v.Span()
	from := len(c.targets)
	c.targets = append(c.targets, text...)
	return append(list, pointer{start, end, from, len(c.targets)})
}

func (c *checker) full() bool { return len(c.issues) >= maxIssues }

// resource checks v by its own resourceType and returns that type.
func (c *checker) resource(v Value, want *Type) *Type {
	if v.Kind() != Object {
		c.issue("structure", "a resource must be a JSON object")
		return nil
	}
	name := v.Get("resourceType")
	switch {
	case !name.Valid():
		c.issueAt("required", "resourceType is missing", "resourceType", -1)
		return nil
	case name.Kind() != String:
		c.issueAt("structure", "resourceType must be a JSON string", "resourceType", -1)
		return nil
	}
	c.scratch = name.AppendStr(c.scratch[:0])
	t := resourceTypeNamed(c.scratch)
	if t == nil {
		c.issueAt("not-supported", "resourceType is not a resource type of R4", "resourceType", -1)
		return nil
	}
	if len(c.path) == 0 {
		c.rootType = t
	}
	if want != nil && want != t && !want.Abstract {
		c.issueAt("invalid", "resourceType must be "+want.Name+" here", "resourceType", -1)
		return t
	}
	outer := c.scope
	if !c.scope.inContained {
		c.scope = scope{container: v}
	}
	c.object(v, t)
	c.scope = outer
	return t
}

// object checks the members of v against t.
func (c *checker) object(v Value, t *Type) {
	if v.Len() == 0 {
		c.issue("structure", "an object must not be empty")
		return
	}
	if v.Len() > 2*len(t.Elements)+64 { // surely most are unknown; what follows would not be linear in them
		c.issue("structure", "an object has far more members than "+t.Name+" has elements")
		return
	}
	var seen uint64
	paired := false // companions or nulls to line up
	for m := v.First(); m.d != nil && !c.full(); m = m.Next() {
		name := m.name()
		e := t.element(name)
		companion := false
		if e == nil && len(name) > 1 && name[0] == '_' {
			e = t.element(name[1:])
			companion = e != nil && e.Type.Kind == KindPrimitive && !e.attribute
		}
		if e == nil || name[0] == '_' && !companion {
			if t.Kind != KindResource || string(name) != "resourceType" {
				c.unknown(name, t)
			}
			continue
		}
		bit := uint64(1) << e.slot
		if seen&bit != 0 && e.Choice && !c.onlyChoice(v, t, e) {
			c.issueAt("structure", "only one type of "+e.Base+"[x] may be present", e.Base, -1)
		}
		seen |= bit
		if companion {
			paired = true
			c.companion(m, e)
		} else if c.element(m, e) {
			paired = true
		}
	}
	if missing := t.required &^ seen; missing != 0 && !c.full() {
		c.missing(missing, t)
	}
	if paired {
		c.pairs(v, t)
	}
	if t == c.spec.extension {
		c.extension(seen)
	}
}

// onlyChoice reports whether, of all types of e's choice, v holds no other than e before the place of e.
func (c *checker) onlyChoice(v Value, t *Type, e *Element) bool {
	for m := v.First(); m.d != nil; m = m.Next() {
		name := m.name()
		if len(name) > 1 && name[0] == '_' {
			name = name[1:]
		}
		if other := t.element(name); other != nil && other.slot == e.slot && other != e {
			return false
		}
	}
	return true
}

func (c *checker) missing(slots uint64, t *Type) {
	for i, name := range t.slots {
		if slots&(1<<i) != 0 {
			c.issueAt("required", "a required element is missing", name, -1)
		}
	}
}

// extension checks ext-1: a value or extensions, not both, not neither.
func (c *checker) extension(seen uint64) {
	nested, value := seen&c.spec.extensionSlot != 0, seen&c.spec.valueSlot != 0
	switch {
	case nested && value:
		c.issue("invariant", "an extension must have either a value or extensions, not both (ext-1)")
	case !nested && !value:
		c.issue("invariant", "an extension must have a value or extensions (ext-1)")
	}
}

// element checks the value of one member and reports whether it holds nulls that companions must explain.
func (c *checker) element(m Value, e *Element) (nulls bool) {
	if e.Max == 1 {
		if m.Kind() == Array {
			c.issueAt("structure", "must be a single value, not an array", e.Base, -1)
			return false
		}
		if m.Kind() == Null {
			c.issueAt("structure", "null is not allowed here", e.Base, -1)
			return false
		}
		c.value(m, e, -1)
		return false
	}
	if m.Kind() != Array {
		c.issueAt("structure", "must be an array", e.Base, -1)
		return false
	}
	if m.Len() == 0 {
		c.issueAt("structure", "an array must not be empty", e.Base, -1)
	}
	if e.Max > 0 && m.Len() > e.Max {
		c.issueAt("structure", "has more values than are allowed", e.Base, -1)
	}
	index := int32(0)
	for v := m.First(); v.d != nil && !c.full(); v = v.Next() {
		if v.Kind() != Null {
			c.value(v, e, index)
		} else if e.Type.Kind == KindPrimitive && !e.attribute {
			nulls = true
		} else {
			c.issueAt("structure", "null is not allowed here", e.Base, index)
		}
		index++
	}
	return nulls
}

// value checks one value of e that is not null.
func (c *checker) value(v Value, e *Element, index int32) {
	if e.Type.Kind == KindPrimitive {
		c.primitive(v, e, index)
		return
	}
	if v.Kind() != Object {
		c.issueAt("structure", "must be a JSON object", e.Base, index)
		return
	}
	c.path = append(c.path, step{e, index})
	switch {
	case e.Type.Kind == KindResource:
		c.nested(v, e)
	case e.Type == c.spec.reference:
		c.object(v, e.Type)
		c.reference(v, e)
	default:
		c.object(v, e.Type)
	}
	c.path = c.path[:len(c.path)-1]
}

func (c *checker) primitive(v Value, e *Element, index int32) {
	p := e.Type.prim
	if want := p.kind(); v.Kind() != want {
		c.issueAt("structure", "must be a JSON "+kindName(want)+" ("+e.Type.Name+")", e.Base, index)
		return
	}
	if p == primBoolean {
		return
	}
	text := v.Raw()
	plain := v.node().flags&flagEscaped == 0
	if v.Kind() == String {
		if text = v.text(c.scratch); !plain {
			c.scratch = text
		}
	}
	switch {
	case plain && p == primString && len(text) > 0 && len(text) <= maxText && !e.attribute:
		// the commonest case: without escapes there are no control characters, the parser refused them
	case len(text) == 0:
		c.issueAt("value", "a string must not be empty", e.Base, index)
	case !p.valid(text):
		c.issueAt("value", "is not a valid "+e.Type.Name, e.Base, index)
	case e.attribute && e.Base == "id" && !validURI(text):
		c.issueAt("value", "an element id must not hold white space", e.Base, index)
	case p >= primURI && p <= primUUID && isURN(text):
		c.uris = c.collect(c.uris, v, text)
	}
}

func kindName(k Kind) string {
	switch k {
	case Bool:
		return "boolean"
	case Number:
		return "number"
	default:
		return "string"
	}
}
