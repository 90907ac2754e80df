package fhir

import (
	"strconv"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// issue reports something about the object being walked.
func (c *checker) issue(code, text string) { c.report(code, text, string(c.place())) }

// issueAt reports something about an element of the object being walked; index is -1 outside an array.
func (c *checker) issueAt(code, text, base string, index int32) {
	if c.full() {
		return
	}
	c.report(code, text, string(appendStep(append(c.place(), '.'), base, index)))
}

// unknown reports a member that t does not have.
func (c *checker) unknown(name []byte, t *Type) {
	if c.full() {
		return
	}
	c.report("structure", "no such element in "+t.Name, string(appendName(append(c.place(), '.'), name)))
}

func (c *checker) report(code, text, place string) {
	if !c.full() {
		c.issues = append(c.issues, fault.Issue{Severity: "error", Code: code, Diagnostics: text, Expression: place})
	}
}

// place writes out the path to the object being walked.
func (c *checker) place() []byte {
	b := make([]byte, 0, 128)
	if c.rootType == nil {
		b = append(b, "Resource"...)
	} else {
		b = append(b, c.rootType.Name...)
	}
	for _, s := range c.path {
		b = appendStep(append(b, '.'), s.e.Base, s.index)
	}
	return b
}

func appendStep(b []byte, base string, index int32) []byte {
	b = append(b, base...)
	if index >= 0 {
		b = append(b, '[')
		b = strconv.AppendInt(b, int64(index), 10)
		b = append(b, ']')
	}
	return b
}

// PlaceAt is the FHIRPath of the innermost element that holds a byte of the body: "Observation.subject.reference" for
// the Start of a Link. It walks down from v, a resource; "" when the byte is outside of it.
func PlaceAt(v Value, offset int) string {
	start, end := v.Span()
	if v.Kind() != Object || offset < start || offset >= end {
		return ""
	}
	t := ResourceType(v.Get("resourceType").Str())
	b := []byte("Resource")
	if t != nil {
		b = []byte(t.Name)
	}
	for index := int32(-1); ; {
		c := v.First()
		for n := int32(0); c.Valid(); c = c.Next() {
			if _, end := c.Span(); offset < end {
				index = n
				break
			}
			n++
		}
		if !c.Valid() || c.begin() > offset {
			return string(b)
		}
		if v.Kind() == Array {
			b = append(b, '[')
			b = strconv.AppendInt(b, int64(index), 10)
			b = append(b, ']')
		} else {
			var e *Element
			b, e = appendMember(append(b, '.'), c, t)
			t = nil
			if e != nil {
				t = e.Type
			}
		}
		if t != nil && t.Kind == KindResource && c.Kind() == Object {
			t = ResourceType(c.Get("resourceType").Str())
		}
		v = c
	}
}

// appendMember appends the FHIRPath name of the member c of a t, and gives its element if t has it.
func appendMember(b []byte, c Value, t *Type) ([]byte, *Element) {
	name := c.name()
	if t == nil || t.Kind == KindPrimitive {
		return appendName(b, name), nil
	}
	e := t.element(name)
	if e == nil && len(name) > 1 && name[0] == '_' {
		if e = t.element(name[1:]); e != nil {
			return append(b, e.Base...), &Element{Type: tables().element}
		}
	}
	if e == nil {
		return appendName(b, name), nil
	}
	return append(b, e.Base...), e
}

// begin is where v starts in the body, with its name if it has one.
func (v Value) begin() int {
	n := v.node()
	if n.nameEnd > 0 {
		return int(n.nameStart)
	}
	return int(n.start)
}
