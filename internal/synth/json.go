package synth

import (
	"encoding/base64"
	"math"
	"strconv"
	"time"
)

// writer appends compact JSON to one buffer. Where a comma belongs follows
// from the last byte written, so it holds no state beside the buffer; pairing
// obj/arr with end/endArr is the caller's duty and is checked by the tests.
type writer struct {
	buf []byte
}

func (w *writer) comma() {
	if n := len(w.buf); n > 0 {
		switch w.buf[n-1] {
		case '{', '[', ':':
		default:
			w.buf = append(w.buf, ',')
		}
	}
}

// key writes a member name; names are ASCII literals of this package.
func (w *writer) key(k string) {
	w.comma()
	w.buf = append(w.buf, '"')
	w.buf = append(w.buf, k...)
	w.buf = append(w.buf, '"', ':')
}

func (w *writer) obj(k string) { w.key(k); w.buf = append(w.buf, '{') }
func (w *writer) arr(k string) { w.key(k); w.buf = append(w.buf, '[') }
func (w *writer) item()        { w.comma(); w.buf = append(w.buf, '{') }
func (w *writer) end()         { w.buf = append(w.buf, '}') }
func (w *writer) endArr()      { w.buf = append(w.buf, ']') }

// one opens an array of one object, closed by endOne.
func (w *writer) one(k string) { w.arr(k); w.item() }
func (w *writer) endOne()      { w.buf = append(w.buf, '}', ']') }

func (w *writer) str(k, v string) { w.key(k); w.text(v) }

// text writes a JSON string. Bytes from 0x80 up pass through: every text here
// is UTF-8 from this package's own tables.
func (w *writer) text(v string) {
	w.buf = append(w.buf, '"')
	for i := range len(v) {
		switch c := v[i]; {
		case c == '"' || c == '\\':
			w.buf = append(w.buf, '\\', c)
		case c < 0x20:
			const hex = "0123456789abcdef"
			w.buf = append(w.buf, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			w.buf = append(w.buf, c)
		}
	}
	w.buf = append(w.buf, '"')
}

// strs writes an array of strings.
func (w *writer) strs(k string, vs ...string) {
	w.arr(k)
	for _, v := range vs {
		w.comma()
		w.text(v)
	}
	w.endArr()
}

func (w *writer) boolean(k string, v bool) {
	w.key(k)
	w.buf = strconv.AppendBool(w.buf, v)
}

func (w *writer) integer(k string, v int) {
	w.key(k)
	w.buf = strconv.AppendInt(w.buf, int64(v), 10)
}

// decimal writes v with exactly digits places, for FHIR keeps trailing zeros
// as a statement of precision.
func (w *writer) decimal(k string, v float64, digits int) {
	w.key(k)
	w.buf = strconv.AppendFloat(w.buf, v, 'f', digits, 64)
}

func (w *writer) date(k string, t time.Time) {
	w.key(k)
	w.buf = append(w.buf, '"')
	w.buf = t.AppendFormat(w.buf, time.DateOnly)
	w.buf = append(w.buf, '"')
}

// moment writes a dateTime with seconds and the clinic's offset.
func (w *writer) moment(k string, t time.Time) {
	w.key(k)
	w.buf = append(w.buf, '"')
	w.buf = local(t).AppendFormat(w.buf, "2006-01-02T15:04:05-07:00")
	w.buf = append(w.buf, '"')
}

// period writes a Period; a zero end leaves it open.
func (w *writer) period(k string, start, end time.Time) {
	w.obj(k)
	w.moment("start", start)
	if !end.IsZero() {
		w.moment("end", end)
	}
	w.end()
}

func (w *writer) base64(k string, v []byte) {
	w.key(k)
	w.buf = append(w.buf, '"')
	w.buf = base64.StdEncoding.AppendEncode(w.buf, v)
	w.buf = append(w.buf, '"')
}

// round rounds v to the given number of places.
func round(v float64, digits int) float64 {
	p := math.Pow10(digits)
	return math.Round(v*p) / p
}
