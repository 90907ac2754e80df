package test

import (
	"encoding/json"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// naiveAll splits a query; naivePairs leaves only what selects.
func naiveAll(t testing.TB, query string) (out [][2]string) {
	t.Helper()
	for part := range strings.SplitSeq(query, "&") {
		k, v, _ := strings.Cut(part, "=")
		key, err1 := url.QueryUnescape(k)
		val, err2 := url.QueryUnescape(v)
		if err1 != nil || err2 != nil {
			t.Fatalf("bad query in the test: %q", query)
		}
		if val != "" {
			out = append(out, [2]string{key, val})
		}
	}
	return out
}

func naivePairs(t testing.TB, query string) (out [][2]string) {
	t.Helper()
	control := " _count _sort _total _summary _include _revinclude _format "
	for _, p := range naiveAll(t, query) {
		if !strings.Contains(control, " "+p[0]+" ") {
			out = append(out, p)
		}
	}
	return out
}

func splitUnescaped(s string, sep rune) (out []string) {
	var cur strings.Builder
	escaped := false
	for _, r := range s {
		switch {
		case !escaped && r == sep:
			out = append(out, cur.String())
			cur.Reset()
			continue
		case !escaped && r == '\\':
			escaped = true
		default:
			escaped = false
		}
		cur.WriteRune(r)
	}
	return append(out, cur.String())
}

func unescape(s string) string {
	return strings.NewReplacer(`\,`, `,`, `\|`, `|`, `\$`, `$`, `\\`, `\`).Replace(s)
}

// coding is one token value; bare when its element has no place for a system.
type coding struct {
	system, code string
	bare         bool
}

func codings(v any) (out []coding) {
	switch x := v.(type) {
	case string:
		return []coding{{code: x, bare: true}}
	case bool:
		if x {
			return []coding{{code: "true", bare: true}}
		}
		return []coding{{code: "false", bare: true}}
	case map[string]any:
		system, _ := x["system"].(string)
		if list, ok := x["coding"].([]any); ok {
			for _, e := range list {
				out = append(out, codings(e)...)
			}
		} else if code, ok := x["code"].(string); ok {
			out = append(out, coding{system: system, code: code})
		} else if value, ok := x["value"].(string); ok {
			// A ContactPoint's system is its kind, not a namespace.
			kind := strings.Contains(" phone fax email pager url sms other ", " "+system+" ")
			out = append(out, coding{system: system, code: value, bare: kind})
		}
	}
	return out
}

func matchToken(v any, want string) bool {
	parts := splitUnescaped(want, '|')
	for _, c := range codings(v) {
		switch {
		case len(parts) == 1:
			if c.code == unescape(parts[0]) {
				return true
			}
		case parts[1] == "": // system|
			if c.system == unescape(parts[0]) {
				return true
			}
		case c.code != unescape(parts[1]):
		case c.bare || c.system == unescape(parts[0]):
			return true
		}
	}
	return false
}

// foldText drops case, accents and superfluous space.
func foldText(s string) string {
	var b strings.Builder
	for _, r := range norm.NFD.String(s) {
		if !unicode.Is(unicode.Mn, r) {
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// matchString compares a string, or any text part of a name or address.
func matchString(v any, want string, exact bool) bool {
	switch x := v.(type) {
	case string:
		if exact {
			return x == want
		}
		return strings.HasPrefix(foldText(x), foldText(want))
	case []any:
		for _, e := range x {
			if matchString(e, want, exact) {
				return true
			}
		}
	case map[string]any:
		for _, part := range []string{"family", "given", "prefix", "suffix", "text", "line", "city", "district", "state", "postalCode", "country"} {
			if matchString(x[part], want, exact) {
				return true
			}
		}
	}
	return false
}

// comparePrefix splits off eq, ne, gt, lt, ge, le, sa, eb, ap.
func comparePrefix(s string) (string, string) {
	if len(s) > 2 && strings.Contains(" eq ne gt lt ge le sa eb ap ", " "+s[:2]+" ") {
		return s[:2], s[2:]
	}
	return "eq", s
}

// interval of time: from lo up to, not including, hi.
type interval struct{ lo, hi time.Time }

var (
	everBefore = time.Date(-9000, 1, 1, 0, 0, 0, 0, time.UTC)
	everAfter  = time.Date(19000, 1, 1, 0, 0, 0, 0, time.UTC)
)

func timeInterval(s string) (interval, bool) {
	s = strings.Replace(s, " ", "+", 1) // a + that the URL did not escape
	for _, f := range []struct {
		layout  string
		y, m, d int
	}{{"2006", 1, 0, 0}, {"2006-01", 0, 1, 0}, {"2006-01-02", 0, 0, 1}} {
		if lo, err := time.Parse(f.layout, s); err == nil {
			return interval{lo, lo.AddDate(f.y, f.m, f.d)}, true
		}
	}
	width := time.Second
	if _, frac, ok := strings.Cut(s, "."); ok {
		for i := 0; i < len(frac) && frac[i] >= '0' && frac[i] <= '9'; i++ {
			width /= 10
		}
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
		if lo, err := time.Parse(layout, s); err == nil {
			return interval{lo, lo.Add(width)}, true
		}
	}
	for _, layout := range []string{"2006-01-02T15:04Z07:00", "2006-01-02T15:04"} {
		if lo, err := time.Parse(layout, s); err == nil {
			return interval{lo, lo.Add(time.Minute)}, true
		}
	}
	return interval{}, false
}

// intervalOf reads a date, a Period (an end that is absent is open) or the outer limits of a Timing.
func intervalOf(v any) (interval, bool) {
	switch x := v.(type) {
	case string:
		return timeInterval(x)
	case map[string]any:
		if _, timing := x["repeat"]; timing || x["event"] != nil {
			return timingLimits(x)
		}
		start, ok1 := timeInterval(str(x["start"]))
		end, ok2 := timeInterval(str(x["end"]))
		if !ok1 {
			start.lo = everBefore
		}
		if !ok2 {
			end.hi = everAfter
		}
		return interval{start.lo, end.hi}, ok1 || ok2
	}
	return interval{}, false
}

func timingLimits(x map[string]any) (out interval, ok bool) {
	all := append(down([]any{x}, "event"), down(down([]any{x}, "repeat"), "boundsPeriod")...)
	for _, e := range all {
		if i, is := intervalOf(e); is {
			if !ok || i.lo.Before(out.lo) {
				out.lo = i.lo
			}
			if !ok || i.hi.After(out.hi) {
				out.hi = i.hi
			}
			ok = true
		}
	}
	return out, ok
}

func str(v any) string { s, _ := v.(string); return s }

func matchDate(v any, want string, now time.Time) bool {
	s, ok := intervalOf(v)
	prefix, rest := comparePrefix(want)
	q, ok2 := timeInterval(rest)
	if !ok || !ok2 {
		return false
	}
	within := !s.lo.Before(q.lo) && !s.hi.After(q.hi)
	switch prefix {
	case "ne":
		return !within
	case "gt":
		return s.hi.After(q.hi)
	case "lt":
		return s.lo.Before(q.lo)
	case "ge":
		return within || s.hi.After(q.hi)
	case "le":
		return within || s.lo.Before(q.lo)
	case "sa":
		return !s.lo.Before(q.hi)
	case "eb":
		return !s.hi.After(q.lo)
	case "ap":
		off := now.Sub(q.lo.Add(q.hi.Sub(q.lo)/2)).Abs() / 10
		return s.hi.After(q.lo.Add(-off)) && s.lo.Before(q.hi.Add(off))
	}
	return within
}

// matchQuantity compares a number, a Quantity or a Range with [prefix]number[|system|code].
func matchQuantity(v any, want string) bool {
	prefix, rest := comparePrefix(want)
	parts := splitUnescaped(rest, '|')
	lo, hi, unit := numbersOf(v)
	if lo == nil && hi == nil {
		return false
	}
	if len(parts) == 3 && parts[2] != "" {
		code, sys := unescape(parts[2]), unescape(parts[1])
		if sys != "" && (str(unit["system"]) != sys || str(unit["code"]) != code) || sys == "" && str(unit["code"]) != code && str(unit["unit"]) != code {
			return false
		}
	}
	at, _ := new(big.Rat).SetString(parts[0])
	half := halfStep(parts[0])
	from, to := new(big.Rat).Sub(at, half), new(big.Rat).Add(at, half)
	within := lo != nil && hi != nil && lo.Cmp(from) >= 0 && hi.Cmp(to) < 0
	switch prefix {
	case "ne":
		return !within
	case "gt":
		return hi == nil || hi.Cmp(at) > 0
	case "ge":
		return hi == nil || hi.Cmp(at) >= 0
	case "lt":
		return lo == nil || lo.Cmp(at) < 0
	case "le":
		return lo == nil || lo.Cmp(at) <= 0
	case "sa":
		return lo != nil && lo.Cmp(at) > 0
	case "eb":
		return hi != nil && hi.Cmp(at) < 0
	case "ap":
		tenth := new(big.Rat).Mul(new(big.Rat).Abs(at), big.NewRat(1, 10))
		return (hi == nil || hi.Cmp(new(big.Rat).Sub(at, tenth)) >= 0) && (lo == nil || lo.Cmp(new(big.Rat).Add(at, tenth)) <= 0)
	}
	return within
}

// halfStep is half of a number's last written digit: 100 stands for [99.5, 100.5).
func halfStep(s string) *big.Rat {
	out := big.NewRat(1, 2)
	_, frac, _ := strings.Cut(s, ".")
	for range frac {
		out.Mul(out, big.NewRat(1, 10))
	}
	return out
}

// numbersOf gives the ends of a number, Quantity or Range; nil is open.
func numbersOf(v any) (lo, hi *big.Rat, unit map[string]any) {
	rat := func(x any) *big.Rat {
		if s, ok := x.(json.Number); ok {
			r, _ := new(big.Rat).SetString(s.String())
			return r
		}
		return nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		return rat(v), rat(v), nil
	}
	low, isLow := m["low"].(map[string]any)
	high, isHigh := m["high"].(map[string]any)
	if !isLow && !isHigh {
		return rat(m["value"]), rat(m["value"]), m
	}
	if unit = low; !isLow {
		unit = high
	}
	return rat(low["value"]), rat(high["value"]), unit
}
