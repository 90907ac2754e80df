package fhir

import "unicode/utf8"

// primitive numbers the primitive types for the switch in valid.
type primitive uint8

const (
	primNone primitive = iota
	primBoolean
	primInteger
	primUnsignedInt
	primPositiveInt
	primDecimal
	primString
	primMarkdown
	primID
	primCode
	primURI
	primURL
	primCanonical
	primOID
	primUUID
	primBase64
	primDate
	primDateTime
	primInstant
	primTime
	primXHTML
)

func primitiveNamed(name string) primitive {
	names := [...]string{primBoolean: "boolean", primInteger: "integer", primUnsignedInt: "unsignedInt",
		primPositiveInt: "positiveInt", primDecimal: "decimal", primString: "string", primMarkdown: "markdown",
		primID: "id", primCode: "code", primURI: "uri", primURL: "url", primCanonical: "canonical", primOID: "oid",
		primUUID: "uuid", primBase64: "base64Binary", primDate: "date", primDateTime: "dateTime",
		primInstant: "instant", primTime: "time", primXHTML: "xhtml"}
	for p, n := range names {
		if n == name && p > 0 {
			return primitive(p)
		}
	}
	panic("fhir: broken type table: primitive " + name)
}

// kind is the JSON kind that carries p (R4 json.html#primitive).
func (p primitive) kind() Kind {
	switch p {
	case primBoolean:
		return Bool
	case primInteger, primUnsignedInt, primPositiveInt, primDecimal:
		return Number
	default:
		return String
	}
}

// valid reports whether text (a string without quotes and escapes, or a literal as written) is a p. The grammar is that
// of R4 datatypes.html, written as scanners because these run for every leaf of every write.
func (p primitive) valid(text []byte) bool {
	switch p {
	case primBoolean:
		return true
	case primInteger:
		return validInteger(text, -1<<31)
	case primUnsignedInt:
		return validInteger(text, 0)
	case primPositiveInt:
		return validInteger(text, 1)
	case primDecimal:
		return validDecimal(text)
	case primString, primMarkdown:
		return validString(text)
	case primID:
		return validID(text)
	case primCode:
		return validCode(text)
	case primURI, primURL, primCanonical:
		return validURI(text)
	case primOID:
		return validOID(text)
	case primUUID:
		return validUUID(text)
	case primBase64:
		return validBase64(text)
	case primDate, primDateTime, primInstant:
		return validDate(text, p)
	case primTime:
		_, rest, ok := scanTime(text)
		return ok && len(rest) == 0
	case primXHTML:
		return validXHTML(text)
	}
	return false
}

// validInteger takes a JSON number without fraction, exponent or "-0", in 32 bits.
func validInteger(text []byte, least int64) bool {
	digits := text
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		digits = text[1:]
	}
	if len(digits) == 0 || len(digits) > 10 {
		return false
	}
	var n int64
	for _, c := range digits {
		if !digit(c) {
			return false
		}
		n = n*10 + int64(c-'0')
	}
	if negative {
		if n == 0 {
			return false
		}
		n = -n
	}
	return n >= least && n <= 1<<31-1
}

// A decimal may be any JSON number, but one that no arithmetic could hold is a mistake or an attack on what indexes it.
const (
	maxDecimal  = 128 // characters
	maxExponent = 3   // digits
)

func validDecimal(text []byte) bool {
	if len(text) > maxDecimal {
		return false
	}
	for i, c := range text {
		if c == 'e' || c == 'E' {
			exp := text[i+1:]
			if len(exp) > 0 && (exp[0] == '-' || exp[0] == '+') {
				exp = exp[1:]
			}
			return len(exp) <= maxExponent
		}
	}
	return true
}

// maxText is the most characters of a string (R4 datatypes.html#string).
const maxText = 1 << 20

func validString(text []byte) bool {
	if len(text) > maxText && utf8.RuneCount(text) > maxText {
		return false
	}
	for _, c := range text {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' {
			return false
		}
	}
	return len(text) > 0
}

// ValidID reports whether s is a FHIR id: 1 to 64 letters, digits, '-' and '.'.
func ValidID(s string) bool { return validID(s) }

func validID[T string | []byte](s T) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; !digit(c) && !letter(c) && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

// validCode takes no white space at the ends and single white space inside.
func validCode(text []byte) bool {
	before := true
	for _, c := range text {
		now := space(c)
		if now && before || c < ' ' && !now {
			return false
		}
		before = now
	}
	return !before
}

func validURI(text []byte) bool {
	for _, c := range text {
		if c <= ' ' {
			return false
		}
	}
	return len(text) > 0
}

// validOID takes urn:oid:[0-2](.(0|[1-9][0-9]*))+
func validOID(text []byte) bool {
	const prefix = "urn:oid:"
	if len(text) < len(prefix)+3 || string(text[:len(prefix)]) != prefix {
		return false
	}
	text = text[len(prefix):]
	if text[0] < '0' || text[0] > '2' {
		return false
	}
	for text = text[1:]; len(text) > 0; {
		if text[0] != '.' || len(text) == 1 {
			return false
		}
		n := 1
		for n < len(text) && digit(text[n]) {
			n++
		}
		if n == 1 || text[1] == '0' && n > 2 {
			return false
		}
		text = text[n:]
	}
	return true
}

// validUUID takes urn:uuid: and a lower-case UUID.
func validUUID(text []byte) bool {
	const prefix = "urn:uuid:"
	if len(text) != len(prefix)+36 || string(text[:len(prefix)]) != prefix {
		return false
	}
	for i, c := range text[len(prefix):] {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if !digit(c) && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// validBase64 takes groups of four with white space anywhere; padding only at the end.
func validBase64(text []byte) bool {
	n, pad := 0, 0
	for _, c := range text {
		switch {
		case letter(c) || digit(c) || c == '+' || c == '/':
			if pad > 0 {
				return false
			}
			n++
		case c == '=':
			pad++
		case !space(c):
			return false
		}
	}
	return n > 0 && pad <= 2 && (n+pad)%4 == 0
}

func digit(c byte) bool  { return c >= '0' && c <= '9' }
func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func space(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'
}
