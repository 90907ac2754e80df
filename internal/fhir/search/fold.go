package search

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Fold makes a string comparable as R4 wants strings compared (search.html#string): case and accents do not count, runs of
// white space are one space, and leading and trailing ones none.
func Fold(s string) string {
	if isPlain(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	space := false
	for _, r := range norm.NFKD.String(s) {
		switch {
		case unicode.Is(unicode.Mn, r):
		case unicode.IsSpace(r):
			space = b.Len() > 0
		default:
			if space {
				b.WriteByte(' ')
				space = false
			}
			b.WriteRune(unicode.ToLower(unicode.ToUpper(r))) // through upper case, so that ſ and ς fold as well
		}
	}
	return b.String()
}

// isPlain reports whether s folds to itself: lower-case ASCII with single inner spaces.
func isPlain(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c >= utf8.RuneSelf || (c >= 'A' && c <= 'Z') || c < ' ' {
			return false
		}
		if c == ' ' && (i == 0 || i == len(s)-1 || s[i-1] == ' ') {
			return false
		}
	}
	return true
}

// prefixLengths are the lengths, in characters, at which a folded string is posted. A longer query uses the longest one and
// is verified; every added length costs a posting per string.
var prefixLengths = []int{1, 2, 3, 4, 6, 8}

// Prefix gives the posted prefix that serves a folded query string.
func Prefix(folded string) string {
	cut, n := 0, 0
	for i := range folded {
		for _, l := range prefixLengths {
			if n == l {
				cut = i
			}
		}
		n++
	}
	if cut == 0 || slices.Contains(prefixLengths, n) {
		return folded
	}
	return folded[:cut]
}

// prefixes calls yield for each posted prefix of a folded string.
func prefixes(folded string, yield func(string)) {
	n := 0
	for i := range folded {
		for _, l := range prefixLengths {
			if n == l {
				yield(folded[:i])
			}
		}
		n++
	}
	for _, l := range prefixLengths {
		if n == l {
			yield(folded)
		}
	}
}
