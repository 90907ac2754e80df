package search

import (
	"strconv"

	"github.com/cockroachdb/apd/v3"
)

// Decimal is a number of a query, with the interval that its precision implies: 100 stands for 99.5 up to, not
// including, 100.5 (R4 search.html#number).
type Decimal struct{ at, lo, hi apd.Decimal }

var exact = apd.BaseContext.WithPrecision(60)

// maxDigits bounds the numbers that a query may hold: arithmetic on them must stay cheap.
const maxDigits = 40

func parseDecimal(s string) (Decimal, bool) {
	var d Decimal
	if len(s) == 0 || len(s) > maxDigits || !numeric(s) {
		return d, false
	}
	if _, _, err := d.at.SetString(s); err != nil || d.at.Form != apd.Finite || d.at.Exponent > 300 || d.at.Exponent < -300 {
		return d, false
	}
	half := apd.New(5, d.at.Exponent-1)
	if _, err := exact.Sub(&d.lo, &d.at, half); err != nil {
		return d, false
	}
	_, err := exact.Add(&d.hi, &d.at, half)
	return d, err == nil
}

// numeric keeps apd from reading Inf, NaN and other spellings.
func numeric(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return false
		}
	}
	return true
}

// approximate widens the interval to 10 % on each side (prefix ap).
func (d *Decimal) approximate() {
	var tenth apd.Decimal
	_, _ = exact.Mul(&tenth, &d.at, apd.New(1, -1))
	tenth.Negative = false
	_, _ = exact.Sub(&d.lo, &d.at, &tenth)
	_, _ = exact.Add(&d.hi, &d.at, &tenth)
}

// matches compares a resource's number, or range of numbers, with the query's. An open end is "". Only eq and ne go by the
// precision of the query; all others take its number as exact (R4 search.html#prefix).
func (d *Decimal) matches(prefix Comparator, lo, hi string) bool {
	var l, h apd.Decimal
	hasLo, hasHi := set(&l, lo), set(&h, hi)
	if !hasLo && !hasHi {
		return false
	}
	above := func(x *apd.Decimal, has bool, y *apd.Decimal) bool { return !has || x.Cmp(y) > 0 }
	below := func(x *apd.Decimal, has bool, y *apd.Decimal) bool { return !has || x.Cmp(y) < 0 }
	within := hasLo && hasHi && l.Cmp(&d.lo) >= 0 && h.Cmp(&d.hi) < 0
	switch prefix {
	case Ne:
		return !within
	case Gt:
		return above(&h, hasHi, &d.at)
	case Lt:
		return below(&l, hasLo, &d.at)
	case Ge:
		return !hasHi || h.Cmp(&d.at) >= 0
	case Le:
		return !hasLo || l.Cmp(&d.at) <= 0
	case Sa:
		return hasLo && l.Cmp(&d.at) > 0
	case Eb:
		return hasHi && h.Cmp(&d.at) < 0
	case Ap:
		return (!hasHi || h.Cmp(&d.lo) >= 0) && (!hasLo || l.Cmp(&d.hi) <= 0)
	}
	return within
}

func set(d *apd.Decimal, s string) bool {
	if s == "" || len(s) > 200 {
		return false
	}
	_, _, err := d.SetString(s)
	return err == nil
}

// numericSpan is the place of a resource's number, or range, in the index. An open end lies beyond every number.
func numericSpan(lo, hi string) Span {
	s := Span{least, most}
	if f, err := strconv.ParseFloat(lo, 64); err == nil || lo != "" {
		s.Lo = order(f)
	}
	if f, err := strconv.ParseFloat(hi, 64); err == nil || hi != "" {
		s.Hi = order(f)
	}
	return s
}

// bounds is the query's interval in the index: never narrower than what matches.
func (d *Decimal) bounds() Span {
	f := func(x *apd.Decimal) int64 {
		v, _ := strconv.ParseFloat(x.Text('E'), 64) // out of range is ±Inf, which orders right
		return order(v)
	}
	return Span{f(&d.lo), f(&d.hi)}
}
