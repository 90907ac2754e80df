package fhir

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// maxName is how much of a property name goes into a place.
const maxName = 64

// fault makes a fault about an offset in a body that is being parsed: line, column, and the path as far as it is known.
func (d *Doc) fault(k fault.Kind, at int, format string, args ...any) *fault.Fault {
	at = min(max(at, 0), len(d.src))
	f := fault.New(k, format, args...)
	line := 1 + bytes.Count(d.src[:at], []byte{'\n'})
	column := 1 + utf8.RuneCount(d.src[bytes.LastIndexByte(d.src[:at], '\n')+1:at])
	f.Text += " at line " + strconv.Itoa(line) + ", column " + strconv.Itoa(column)
	path := d.openPath()
	if path != "" {
		f.Text += ", within " + path
	}
	f.Issues = []fault.Issue{{Severity: "fatal", Code: parseCode(k), Diagnostics: f.Text, Expression: path}}
	return f
}

func parseCode(k fault.Kind) string {
	if k == fault.TooLarge {
		return k.Code()
	}
	return "structure"
}

// openPath is the path of the innermost container being parsed: "name[0].period".
func (d *Doc) openPath() string {
	var b []byte
	for i, l := range d.open {
		n := d.tape[l.at]
		switch {
		case i == 0:
		case n.nameEnd > 0:
			if len(b) > 0 {
				b = append(b, '.')
			}
			b = appendName(b, d.src[n.nameStart+1:n.nameEnd-1])
		default:
			b = append(b, '[')
			b = strconv.AppendInt(b, int64(d.tape[d.open[i-1].at].count-1), 10)
			b = append(b, ']')
		}
		if len(b) > 512 {
			return string(b) + "..."
		}
	}
	return string(b)
}

// guess says more about a syntax error where it can without repeating the body.
func (d *Doc) guess(at int) string {
	if at < 0 || at >= len(d.src) {
		return ""
	}
	rest := d.src[at:]
	switch r, size := utf8.DecodeRune(rest); {
	case r == utf8.RuneError && size == 1:
		return ": not UTF-8"
	case r < ' ':
		return ": a control character must be escaped"
	case bytes.HasPrefix(rest, []byte(`\u`)):
		return ": half of a surrogate pair"
	case r == '\\':
		return ": unknown escape"
	case bytes.HasPrefix(rest, []byte("NaN")), bytes.HasPrefix(rest, []byte("Infinity")):
		return ": NaN and Infinity are not JSON numbers"
	case r == '\'':
		return ": strings take double quotes"
	case r >= '0' && r <= '9':
		return ": malformed number"
	}
	return ": unexpected character"
}

// appendName appends a property name fit for a message: letters, digits and a few marks, at most maxName of them.
func appendName(b, name []byte) []byte {
	for i, c := range name {
		if i == maxName {
			return append(b, "..."...)
		}
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_' || c == '-' {
			b = append(b, c)
		} else {
			b = append(b, '?')
		}
	}
	return b
}
