package fhir

import "strings"

// companion checks the value of "_name": what a primitive cannot carry itself, its id and extensions (R4
// json.html#primitive). Whether it lines up with "name" is for pairs.
func (c *checker) companion(m Value, e *Element) {
	if e.Max == 1 {
		c.companionObject(m, e, -1)
		return
	}
	if m.Kind() != Array {
		c.issueAt("structure", "the companion of an array must be an array", e.Base, -1)
		return
	}
	if m.Len() == 0 {
		c.issueAt("structure", "an array must not be empty", e.Base, -1)
	}
	index := int32(0)
	for v := m.First(); v.d != nil && !c.full(); v = v.Next() {
		if v.Kind() != Null {
			c.companionObject(v, e, index)
		}
		index++
	}
}

func (c *checker) companionObject(v Value, e *Element, index int32) {
	if v.Kind() != Object {
		c.issueAt("structure", "the companion of a primitive must be an object", e.Base, index)
		return
	}
	c.path = append(c.path, step{e, index})
	c.object(v, c.spec.element)
	c.path = c.path[:len(c.path)-1]
}

// pairs lines up the arrays of primitives in v with those of their companions: same length, and at each place at least
// one of the two is not null.
func (c *checker) pairs(v Value, t *Type) {
	for m := v.First(); m.d != nil && !c.full(); m = m.Next() {
		if m.Kind() != Array {
			continue
		}
		name := m.Name()
		if e := t.Element(name); e != nil {
			if e.Type.Kind == KindPrimitive && v.Get("_"+name).Kind() != Array {
				c.holes(m, e)
			}
			continue
		}
		base, found := strings.CutPrefix(name, "_")
		e := t.Element(base)
		if !found || e == nil || e.Max == 1 || e.Type.Kind != KindPrimitive {
			continue
		}
		if values := v.Get(e.Name); values.Kind() == Array {
			c.pair(values, m, e)
		} else {
			c.holes(m, e)
		}
	}
}

// holes refuses nulls in an array that has no other half to explain them.
func (c *checker) holes(m Value, e *Element) {
	index := int32(0)
	for v := m.First(); v.d != nil && !c.full(); v = v.Next() {
		if v.Kind() == Null {
			c.issueAt("structure", "null is allowed only where the other of name and _name has a value", e.Base, index)
		}
		index++
	}
}

func (c *checker) pair(values, companions Value, e *Element) {
	if values.Len() != companions.Len() {
		c.issueAt("structure", "name and _name must be arrays of the same length", e.Base, -1)
		return
	}
	index := int32(0)
	b := companions.First()
	for a := values.First(); a.d != nil && !c.full(); a, b = a.Next(), b.Next() {
		if a.Kind() == Null && b.Kind() == Null {
			c.issueAt("structure", "null is allowed only where the other of name and _name has a value", e.Base, index)
		}
		index++
	}
}
