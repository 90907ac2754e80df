package fhir

import (
	"bytes"
	"strings"
)

// The elements and attributes of narrative (R4 narrative.html#xhtml, invariant txt-1): no scripts, forms, frames, styles
// by link, or events can get through, because nothing outside these lists does.
const (
	xhtmlElements = " a abbr acronym b big blockquote br caption cite code col colgroup dd dfn div dl dt em h1 h2 h3 h4 h5 " +
		"h6 hr i img li ol p pre q samp small span strong sub sup table tbody td tfoot th thead tr tt ul var "
	xhtmlAttributes = " abbr accesskey align alt axis bgcolor border cellhalign cellpadding cellspacing cellvalign char " +
		"charoff charset cite class colspan compact coords dir frame headers height href hreflang hspace id lang longdesc " +
		"name nowrap rel rev rowspan rules scope shape span src start style summary tabindex title type valign value " +
		"vspace width xml:lang xml:space xmlns "
	maxXHTMLDepth = 128
)

// validXHTML reports whether text is one well-formed div of narrative.
func validXHTML(text []byte) bool {
	x := xhtml{rest: bytes.TrimSpace(text)}
	for first := true; first || x.depth > 0; first = false {
		if !x.text() || !x.markup(first) {
			return false
		}
	}
	return len(x.rest) == 0
}

// xhtml is a scanner over well-formed markup; open holds the names of the open elements.
type xhtml struct {
	rest  []byte
	open  [maxXHTMLDepth][]byte
	depth int
}

// text steps over character data up to the next '<'; a '&' in it must start an entity.
func (x *xhtml) text() bool {
	n := bytes.IndexByte(x.rest, '<')
	if n < 0 {
		return false
	}
	ok := entities(x.rest[:n])
	x.rest = x.rest[n:]
	return ok
}

// markup takes one tag or comment. The first must be <div>.
func (x *xhtml) markup(first bool) bool {
	if body, ok := bytes.CutPrefix(x.rest, []byte("<!--")); ok {
		n := bytes.Index(body, []byte("--"))
		if first || n < 0 || !bytes.HasPrefix(body[n:], []byte("-->")) {
			return false
		}
		x.rest = body[n+3:]
		return true
	}
	if body, ok := bytes.CutPrefix(x.rest, []byte("</")); ok {
		name, after := word(body)
		after = bytes.TrimLeft(after, " \t\r\n")
		if x.depth == 0 || !bytes.Equal(name, x.open[x.depth-1]) || len(after) == 0 || after[0] != '>' {
			return false
		}
		x.depth--
		x.rest = after[1:]
		return true
	}
	name, after := word(x.rest[1:])
	if !listed(xhtmlElements, name) || first && string(name) != "div" {
		return false
	}
	return x.attributes(name, after)
}

// attributes takes the rest of a start tag.
func (x *xhtml) attributes(name, rest []byte) bool {
	for {
		trimmed := bytes.TrimLeft(rest, " \t\r\n")
		switch {
		case bytes.HasPrefix(trimmed, []byte("/>")):
			x.rest = trimmed[2:]
			return true
		case bytes.HasPrefix(trimmed, []byte(">")):
			if x.depth == maxXHTMLDepth {
				return false
			}
			x.open[x.depth] = name
			x.depth++
			x.rest = trimmed[1:]
			return true
		case len(trimmed) == len(rest):
			return false // no space before the attribute, or the text ends
		}
		attr, after := word(trimmed)
		value, after, ok := quoted(after)
		if !ok || !listed(xhtmlAttributes, attr) || !entities(value) {
			return false
		}
		if (string(attr) == "href" || string(attr) == "src") && active(value) {
			return false
		}
		rest = after
	}
}

// word cuts a name off the front.
func word(b []byte) (name, rest []byte) {
	n := 0
	for n < len(b) && (letter(b[n]) || digit(b[n]) || b[n] == ':' || b[n] == '-' || b[n] == '_') {
		n++
	}
	return b[:n], b[n:]
}

// quoted cuts ="value" off the front.
func quoted(b []byte) (value, rest []byte, ok bool) {
	b = bytes.TrimLeft(b, " \t\r\n")
	if len(b) == 0 || b[0] != '=' {
		return nil, nil, false
	}
	b = bytes.TrimLeft(b[1:], " \t\r\n")
	if len(b) == 0 || b[0] != '"' && b[0] != '\'' {
		return nil, nil, false
	}
	n := bytes.IndexByte(b[1:], b[0])
	if n < 0 || bytes.IndexByte(b[1:n+1], '<') >= 0 {
		return nil, nil, false
	}
	return b[1 : n+1], b[n+2:], true
}

func listed(list string, name []byte) bool {
	if len(name) == 0 || len(name) > 16 {
		return false
	}
	var key [18]byte
	k := append(append(append(key[:0], ' '), name...), ' ')
	return strings.Contains(list, string(k))
}

// entities reports whether every '&' starts an entity or character reference.
func entities(text []byte) bool {
	for {
		n := bytes.IndexByte(text, '&')
		if n < 0 {
			return true
		}
		text = bytes.TrimPrefix(text[n+1:], []byte("#"))
		name, rest := word(text)
		if len(name) == 0 || len(name) > 16 || len(rest) == 0 || rest[0] != ';' {
			return false
		}
		text = rest
	}
}

// active reports whether an address would run something. Browsers decode character references and drop white space
// before they look at the scheme, so a reference before the scheme's end is refused: no honest address has one there.
func active(value []byte) bool {
	var scheme []byte
	for i, c := range value {
		switch {
		case c == '/' || c == '?' || c == '#' && i == 0:
			return false
		case c == '&':
			return true
		case c == ':':
			switch string(bytes.ToLower(scheme)) {
			case "javascript", "vbscript":
				return true
			case "data":
				return !bytes.HasPrefix(bytes.TrimLeft(value[i+1:], " "), []byte("image/"))
			}
			return false
		case c > ' ':
			scheme = append(scheme, c)
		}
	}
	return false
}
