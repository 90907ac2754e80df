package fhir

import (
	"bytes"
	"errors"
	"io"
	"math"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// Limits bound what one body may cost. Zero values mean the default of each.
type Limits struct {
	MaxBytes  int // of the body
	MaxDepth  int // of nested objects and arrays
	MaxNodes  int // JSON values in the body; each costs 28 bytes while parsed
	MaxString int // bytes of one string as written, quotes not counted
}

// DefaultLimits are the limits of a body whose sender said nothing else.
func DefaultLimits() Limits {
	return Limits{MaxBytes: 256 << 20, MaxDepth: 64, MaxNodes: 4 << 20, MaxString: 16 << 20}
}

func (l Limits) filled() Limits {
	d := DefaultLimits()
	if l.MaxBytes <= 0 {
		l.MaxBytes = d.MaxBytes
	}
	if l.MaxDepth <= 0 {
		l.MaxDepth = d.MaxDepth
	}
	if l.MaxNodes <= 0 {
		l.MaxNodes = d.MaxNodes
	}
	if l.MaxString <= 0 {
		l.MaxString = d.MaxString
	}
	l.MaxBytes = min(l.MaxBytes, math.MaxInt32) // offsets on the tape are int32
	return l
}

// Doc is one parsed body: the bytes and a flat tape of its values. It is not safe for use by two goroutines while one
// of them calls Release; reading is.
type Doc struct {
	src  []byte
	tape []node
	text *bytes.Buffer // the decoder reads src through it, in place
	dec  *jsontext.Decoder
	open []level // containers being parsed, outermost first
	lim  Limits
}

// node is one JSON value on the tape, in the order of the text, so the parts of a container follow it.
type node struct {
	start, end         int32 // span in src; a string with its quotes
	nameStart, nameEnd int32 // span of the member name with its quotes; nameEnd 0 outside an object
	next               int32 // index of the node after this one and all its parts
	kind               Kind
	flags              uint8
	count              int32 // elements or members
}

// level is a container being parsed: its node and that of its newest part.
type level struct{ at, last int32 }

const (
	flagEscaped     = 1 << iota // the string holds a backslash
	flagNameEscaped             // the member name does
	flagLast                    // nothing follows in the same container
)

// keepNodes is the largest tape that goes back to the pool, so one huge body does not pin its memory.
const keepNodes = 1 << 18

var docs = sync.Pool{New: func() any {
	b := new(bytes.Buffer)
	return &Doc{text: b, dec: jsontext.NewDecoder(b)}
}}

// Parse reads one JSON object. The Doc keeps src: the caller must not change it before the last use of the Doc and its
// Values. It refuses, with a *fault.Fault of kind Invalid or TooLarge that names the place, whatever RFC 7493 (I-JSON)
// refuses, and NUL characters. Time is linear in len(src).
func Parse(src []byte, lim Limits) (*Doc, error) {
	lim = lim.filled()
	if len(src) > lim.MaxBytes {
		return nil, fault.New(fault.TooLarge, "body is larger than %d bytes", lim.MaxBytes)
	}
	if f := refuseStart(src); f != nil {
		return nil, f
	}
	d := docs.Get().(*Doc)
	d.src, d.lim = src, lim
	if f := d.parse(); f != nil {
		d.Release()
		return nil, f
	}
	return d, nil
}

// refuseStart gives the commonest wrong bodies a clear answer.
func refuseStart(src []byte) *fault.Fault {
	switch trimmed := bytes.TrimLeft(src, " \t\r\n"); {
	case len(trimmed) == 0:
		return fault.New(fault.Invalid, "body is empty")
	case bytes.HasPrefix(src, []byte("\xef\xbb\xbf")):
		return fault.New(fault.Invalid, "body starts with a byte order mark; send plain UTF-8 (RFC 8259 section 8.1)")
	case trimmed[0] == '<':
		return fault.New(fault.Invalid, "body is not JSON: it starts like XML")
	case trimmed[0] != '{':
		return fault.New(fault.Invalid, "body is not a JSON object")
	}
	return nil
}

// Release gives the tape back for the next Parse; once is enough. No Value of d may be used afterwards; strings and bytes got from
// Values stay good, as they are copies or parts of the caller's src.
func (d *Doc) Release() {
	if d.src == nil {
		return // released before
	}
	d.src = nil
	*d.text = bytes.Buffer{}
	d.tape, d.open = d.tape[:0], d.open[:0]
	if cap(d.tape) > keepNodes {
		d.tape = nil
	}
	d.dec.Reset(d.text)
	docs.Put(d)
}

// Bytes is the body as given to Parse.
func (d *Doc) Bytes() []byte { return d.src }

// Root is the object that is the body.
func (d *Doc) Root() Value { return Value{d, 0} }

// parse fills the tape. The decoder answers for the grammar, UTF-8 and duplicate names; this loop for the limits and NUL.
func (d *Doc) parse() *fault.Fault {
	*d.text = *bytes.NewBuffer(d.src)
	d.dec.Reset(d.text)
	var nameStart, nameEnd int32
	var nameFlag uint8
	for {
		kind := d.dec.PeekKind()
		switch kind {
		case '}', ']':
			if _, err := d.dec.ReadToken(); err != nil {
				return d.syntax(err)
			}
			if d.close() {
				return d.trailing()
			}
			continue
		case '{', '[':
			if _, err := d.dec.ReadToken(); err != nil {
				return d.syntax(err)
			}
			end := int32(d.dec.InputOffset())
			d.add(node{start: end - 1, nameStart: nameStart, nameEnd: nameEnd, kind: kindOf(kind), flags: nameFlag})
			d.open = append(d.open, level{at: int32(len(d.tape) - 1)})
		default:
			raw, err := d.dec.ReadValue()
			if err != nil {
				return d.syntax(err)
			}
			end := int32(d.dec.InputOffset())
			start := end - int32(len(raw))
			escaped := kind == '"' && bytes.IndexByte(raw, '\\') >= 0
			if kind == '"' && (len(raw)-2 > d.lim.MaxString || escaped && holdsNUL(raw)) {
				return d.badString(int(start), raw)
			}
			if nameEnd == 0 && d.tape[d.open[len(d.open)-1].at].kind == Object {
				nameStart, nameEnd, nameFlag = start, end, 0
				if escaped {
					nameFlag = flagNameEscaped
				}
				continue
			}
			n := node{start: start, end: end, nameStart: nameStart, nameEnd: nameEnd, kind: kindOf(kind), flags: nameFlag}
			if escaped {
				n.flags |= flagEscaped
			}
			d.add(n)
		}
		nameStart, nameEnd, nameFlag = 0, 0, 0
		if len(d.open) > d.lim.MaxDepth {
			return d.fault(fault.TooLarge, int(d.dec.InputOffset()), "more than %d levels of nesting", d.lim.MaxDepth)
		}
		if len(d.tape) > d.lim.MaxNodes {
			return d.fault(fault.TooLarge, int(d.dec.InputOffset()), "more than %d values", d.lim.MaxNodes)
		}
	}
}

// add appends a value and counts it in its container.
func (d *Doc) add(n node) {
	n.next = int32(len(d.tape) + 1)
	if k := len(d.open); k > 0 {
		top := &d.open[k-1]
		top.last = int32(len(d.tape))
		d.tape[top.at].count++
	}
	d.tape = append(d.tape, n)
}

// close ends the innermost container and reports whether it was the root.
func (d *Doc) close() bool {
	k := len(d.open) - 1
	top := d.open[k]
	d.open = d.open[:k]
	n := &d.tape[top.at]
	n.end, n.next = int32(d.dec.InputOffset()), int32(len(d.tape))
	if n.count > 0 {
		d.tape[top.last].flags |= flagLast
	}
	return k == 0
}

// trailing refuses anything but white space after the root.
func (d *Doc) trailing() *fault.Fault {
	end := int(d.dec.InputOffset())
	if rest := bytes.TrimLeft(d.src[end:], " \t\r\n"); len(rest) > 0 {
		return d.fault(fault.Invalid, len(d.src)-len(rest), "data after the end of the object")
	}
	return nil
}

func (d *Doc) badString(start int, raw []byte) *fault.Fault {
	if len(raw)-2 > d.lim.MaxString {
		return d.fault(fault.TooLarge, start, "string is longer than %d bytes", d.lim.MaxString)
	}
	return d.fault(fault.Invalid, start, "string holds a NUL character")
}

// holdsNUL reports whether a string literal holds the escape of U+0000; the decoder has refused a raw one.
func holdsNUL(raw []byte) bool {
	for i := bytes.IndexByte(raw, '\\'); i >= 0 && i < len(raw)-1; {
		if bytes.HasPrefix(raw[i:], []byte(`\u0000`)) {
			return true
		}
		i += 2
		next := bytes.IndexByte(raw[i:], '\\')
		if next < 0 {
			return false
		}
		i += next
	}
	return false
}

// syntax turns the decoder's error into a fault; its own text is left behind because it repeats parts of the body.
func (d *Doc) syntax(err error) *fault.Fault {
	at, what := int(d.dec.InputOffset()), "not valid JSON"
	if s, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		at = int(s.ByteOffset)
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		at, what = len(d.src), "body ends before the object does"
	case errors.Is(err, jsontext.ErrDuplicateName):
		what = "two members of one object have the same name"
	case errors.Is(err, jsontext.ErrNonStringName):
		what = "a member name is not a string"
	default:
		what = what + d.guess(at)
	}
	return d.fault(fault.Invalid, at, "%s", what)
}
