package fhir

import "bytes"

// scope is the resource whose contained resources a "#fragment" may name.
type scope struct {
	container   Value
	inContained bool
	byID        map[string]Value // contained resources, made when there are many
}

// manyContained is from where on looking through contained resources one by one would no longer be cheap.
const manyContained = 16

// nested checks a resource inside another.
func (c *checker) nested(v Value, e *Element) {
	contained := e.Base == "contained"
	if contained && c.scope.inContained {
		c.issue("structure", "a contained resource must not contain others (dom-2)")
		return
	}
	if contained {
		c.indexContained() // out here, so that all contained resources share it
	}
	outer := c.scope
	if contained {
		c.scope.inContained = true
	} else {
		c.scope = scope{}
	}
	c.resource(v, e.Type)
	c.scope = outer
}

// indexContained makes the index of contained resources when there are many.
func (c *checker) indexContained() {
	if c.scope.byID != nil {
		return
	}
	all := c.scope.container.Get("contained")
	if all.Len() <= manyContained {
		return
	}
	c.scope.byID = make(map[string]Value, all.Len())
	for r := range all.Elems() {
		c.scope.byID[r.Get("id").Str()] = r
	}
}

// contained finds a contained resource by id.
func (c *checker) contained(id []byte) Value {
	if c.indexContained(); c.scope.byID != nil {
		return c.scope.byID[string(id)]
	}
	for r := range c.scope.container.Get("contained").Elems() {
		if x := r.Get("id"); x.Kind() == String && bytes.Equal(x.text(nil), id) {
			return r
		}
	}
	return Value{}
}

// reference checks the literal of the Reference v, a value of e, and collects it.
func (c *checker) reference(v Value, e *Element) {
	lit := v.Get("reference")
	if lit.Kind() != String || lit.Len() == 0 && len(lit.Raw()) == 2 {
		return // absent, or object has said what is wrong
	}
	text := lit.text(c.scratch)
	if lit.node().flags&flagEscaped != 0 {
		c.scratch = text
	}
	c.links = c.collect(c.links, lit, text)
	if text[0] == '#' {
		c.fragment(text[1:], e)
		return
	}
	switch t, form := literal(text); {
	case form == formBad:
		c.issueAt("value", "is not a reference: Type/id, Type/id/_history/version, an absolute address or #id", "reference", -1)
	case form == formUnknown:
		c.issueAt("value", "names no resource type of R4", "reference", -1)
	case t != nil && !e.Allows(t.Name):
		c.issueAt("value", "may not point at a "+t.Name, "reference", -1)
	}
}

// fragment checks "#id" against the contained resources; "#" alone is the container (R4 references.html#contained).
func (c *checker) fragment(id []byte, e *Element) {
	if len(id) == 0 {
		return
	}
	r := c.contained(id)
	if !r.Valid() {
		c.issueAt("value", "points at no contained resource", "reference", -1)
		return
	}
	if t := resourceTypeNamed(r.Get("resourceType").text(nil)); t != nil && !e.Allows(t.Name) {
		c.issueAt("value", "may not point at a "+t.Name, "reference", -1)
	}
}

// form is how a reference literal is written.
type form uint8

const (
	formBad     form = iota
	formUnknown      // like Type/id, but there is no such type
	formOpaque       // an absolute address that says nothing of a type: urn:uuid:, a page on the web
	formTyped        // names a type
)

// literal reads a Reference.reference that is not a fragment (R4 references.html#literal; Type?query is http.html's
// conditional reference).
func literal(text []byte) (*Type, form) {
	if !validURI(text) {
		return nil, formBad
	}
	if n := bytes.IndexAny(text, ":/?#"); n > 0 && text[n] == ':' {
		if s := string(text[:n]); s == "http" || s == "https" {
			return absolute(text[n+1:])
		}
		return nil, formOpaque
	}
	if typ, _, query := bytes.Cut(text, []byte("?")); query {
		if bytes.IndexByte(typ, '/') >= 0 {
			return nil, formBad
		}
		return named(typ)
	}
	name, rest, ok := bytes.Cut(text, []byte("/"))
	if !ok {
		return nil, formBad
	}
	id, history, versioned := bytes.Cut(rest, []byte("/"))
	version, found := bytes.CutPrefix(history, []byte("_history/"))
	if !validID(id) || versioned && (!found || !validID(version)) {
		return nil, formBad
	}
	return named(name)
}

func named(name []byte) (*Type, form) {
	if t := resourceTypeNamed(name); t != nil {
		return t, formTyped
	}
	return nil, formUnknown
}

// absolute reads what follows http: or https:. An address that does not end in a type of R4 and an id is a legal
// reference to something else.
func absolute(text []byte) (*Type, form) {
	rest, ok := bytes.CutPrefix(text, []byte("//"))
	if !ok || len(rest) == 0 {
		return nil, formBad
	}
	id, rest := lastSegment(rest)
	if before, version := rest, id; len(version) > 0 {
		if h, b := lastSegment(before); string(h) == "_history" {
			id, rest = lastSegment(b)
		}
	}
	name, host := lastSegment(rest)
	if len(host) == 0 || !validID(id) {
		return nil, formOpaque
	}
	if t := resourceTypeNamed(name); t != nil {
		return t, formTyped
	}
	return nil, formOpaque
}

// lastSegment cuts the part after the last '/' off the end.
func lastSegment(b []byte) (segment, rest []byte) {
	n := bytes.LastIndexByte(b, '/')
	if n < 0 {
		return b, nil
	}
	return b[n+1:], b[:n]
}

// isURN reports whether a uri is one that a transaction may have to rewrite.
func isURN(text []byte) bool {
	return bytes.HasPrefix(text, []byte("urn:uuid:")) || bytes.HasPrefix(text, []byte("urn:oid:"))
}
