package fhir

import (
	"iter"

	"github.com/go-json-experiment/json/jsontext"
)

// Kind is the JSON kind of a Value.
type Kind uint8

// The kinds of JSON value. Invalid is that of the zero Value and of what is not there.
const (
	Invalid Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

func kindOf(k jsontext.Kind) Kind {
	switch k {
	case '{':
		return Object
	case '[':
		return Array
	case '"':
		return String
	case '0':
		return Number
	case 't', 'f':
		return Bool
	case 'n':
		return Null
	}
	return Invalid
}

// Value is one value in a Doc: a place, two words, passed by value. The zero Value is invalid and answers every question
// with nothing, so a chain of Get needs one check at its end.
type Value struct {
	d *Doc
	i int32
}

func (v Value) node() *node { return &v.d.tape[v.i] }

// Valid reports whether v is there.
func (v Value) Valid() bool { return v.d != nil }

// Kind is the JSON kind of v.
func (v Value) Kind() Kind {
	if v.d == nil {
		return Invalid
	}
	return v.node().kind
}

// Len is the number of elements of an array or members of an object, else 0.
func (v Value) Len() int {
	if v.d == nil {
		return 0
	}
	return int(v.node().count)
}

// First is the first element of an array or the first member's value of an object; with Next it is a cursor that
// costs nothing:
//
//	for c := v.First(); c.Valid(); c = c.Next() { ... }
func (v Value) First() Value {
	if v.d == nil || v.node().count == 0 {
		return Value{}
	}
	return Value{v.d, v.i + 1}
}

// Next is the value after v in its array or object, invalid after the last one.
func (v Value) Next() Value {
	if v.d == nil || v.i == 0 || v.node().flags&flagLast != 0 {
		return Value{}
	}
	return Value{v.d, v.node().next}
}

// Get returns the value of an object's member, an invalid Value if there is none. It looks at each member in turn.
func (v Value) Get(name string) Value {
	if v.Kind() != Object {
		return Value{}
	}
	for c := v.First(); c.d != nil; c = c.Next() {
		if c.NameIs(name) {
			return c
		}
	}
	return Value{}
}

// At returns an element of an array, an invalid Value out of range. It steps over those before it.
func (v Value) At(i int) Value {
	if v.Kind() != Array || i < 0 || i >= v.Len() {
		return Value{}
	}
	c := v.First()
	for ; i > 0; i-- {
		c = c.Next()
	}
	return c
}

// Elems yields the elements of an array; of anything else, nothing.
func (v Value) Elems() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if v.Kind() != Array {
			return
		}
		for c := v.First(); c.d != nil; c = c.Next() {
			if !yield(c) {
				return
			}
		}
	}
}

// Members yields the members of an object in the order of the text; of anything else, nothing. Names are copies.
func (v Value) Members() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		if v.Kind() != Object {
			return
		}
		for c := v.First(); c.d != nil; c = c.Next() {
			if !yield(c.Name(), c) {
				return
			}
		}
	}
}

// Name is the member name v stands under, a copy; "" outside an object.
func (v Value) Name() string { return string(v.name()) }

// NameIs reports whether v stands under a member name, without allocating for it.
func (v Value) NameIs(name string) bool {
	if v.d == nil || v.node().nameEnd == 0 {
		return false
	}
	return string(v.name()) == name
}

// name is the member name without quotes and escapes: part of the body, or, when it has escapes, a copy.
func (v Value) name() []byte {
	if v.d == nil {
		return nil
	}
	n := v.node()
	if n.nameEnd == 0 {
		return nil
	}
	raw := v.d.src[n.nameStart:n.nameEnd]
	if n.flags&flagNameEscaped == 0 {
		return raw[1 : len(raw)-1]
	}
	return unquote(nil, raw)
}

// Str is the text of a string, unescaped; "" for other kinds. It is a copy and stays good after Release.
func (v Value) Str() string { return string(v.text(nil)) }

// Is reports whether v is a string with this text, without allocating for it.
func (v Value) Is(text string) bool { return v.Kind() == String && string(v.text(nil)) == text }

// AppendStr appends the text of a string, unescaped.
func (v Value) AppendStr(dst []byte) []byte {
	if v.Kind() == String && v.node().flags&flagEscaped != 0 {
		return unquote(dst, v.Raw())
	}
	return append(dst, v.text(nil)...)
}

// text is the unescaped text: part of the body, or, when it has escapes, written over scratch.
func (v Value) text(scratch []byte) []byte {
	if v.Kind() != String {
		return nil
	}
	n := v.node()
	raw := v.d.src[n.start:n.end]
	if n.flags&flagEscaped == 0 {
		return raw[1 : len(raw)-1]
	}
	return unquote(scratch[:0], raw)
}

// unquote appends the text of a string literal that the decoder has accepted.
func unquote(dst, raw []byte) []byte {
	out, _ := jsontext.AppendUnquote(dst, raw) // cannot fail: Parse refuses what it would
	return out
}

// Bool is the value of a JSON boolean, false for other kinds.
func (v Value) Bool() bool {
	return v.Kind() == Bool && v.d.src[v.node().start] == 't'
}

// Raw is the value as written, a part of the body: a string with its quotes, a number digit for digit.
func (v Value) Raw() []byte {
	if v.d == nil {
		return nil
	}
	n := v.node()
	return v.d.src[n.start:n.end:n.end]
}

// Span is where Raw stands in the body.
func (v Value) Span() (start, end int) {
	if v.d == nil {
		return 0, 0
	}
	n := v.node()
	return int(n.start), int(n.end)
}

// MemberSpan is where a whole member stands in the body, from the quote of its name to the end of its value, without the
// comma on either side.
func (v Value) MemberSpan(name string) (start, end int, ok bool) {
	m := v.Get(name)
	if m.d == nil {
		return 0, 0, false
	}
	n := m.node()
	return int(n.nameStart), int(n.end), true
}
