package fhir

import "time"

// stamp is a date or time as far as it was written.
type stamp struct {
	year, month, day     int // month and day 0 when not written
	hour, minute, second int
	nano                 int
	fraction             int  // digits of the fraction of a second
	seconds              bool // seconds were written
	clock                bool // a time of day was written
	offset               int  // seconds east of UTC
}

// validDate takes a date, dateTime or instant (R4 datatypes.html): only real days, and with a time also seconds and zone.
func validDate(text []byte, p primitive) bool {
	s, rest, ok := scanDate(text)
	if !ok {
		return false
	}
	if len(rest) == 0 {
		return p != primInstant
	}
	if p == primDate || s.day == 0 || rest[0] != 'T' {
		return false
	}
	t, rest, ok := scanTime(rest[1:])
	if !ok || !t.seconds {
		return false
	}
	_, rest, ok = scanZone(rest)
	return ok && len(rest) == 0
}

// scanDate reads yyyy, yyyy-mm or yyyy-mm-dd and gives back what follows.
func scanDate(text []byte) (s stamp, rest []byte, ok bool) {
	if s.year, ok = digits(text, 0, 4); !ok || s.year == 0 {
		return s, text, false
	}
	rest = text[4:]
	if len(rest) == 0 || rest[0] != '-' {
		return s, rest, true
	}
	if s.month, ok = digits(rest, 1, 2); !ok || s.month < 1 || s.month > 12 {
		return s, rest, false
	}
	rest = rest[3:]
	if len(rest) == 0 || rest[0] != '-' {
		return s, rest, true
	}
	if s.day, ok = digits(rest, 1, 2); !ok || s.day < 1 || s.day > daysIn(s.year, s.month) {
		return s, rest, false
	}
	return s, rest[3:], true
}

// scanTime reads hh:mm:ss with any fraction. A second of 60 is legal: leap seconds.
func scanTime(text []byte) (s stamp, rest []byte, ok bool) {
	s, rest, ok = scanMinutes(text)
	if !ok || len(rest) == 0 || rest[0] != ':' {
		return s, rest, false
	}
	if s.second, ok = digits(rest, 1, 2); !ok || s.second > 60 {
		return s, rest, false
	}
	s.seconds, rest = true, rest[3:]
	if len(rest) == 0 || rest[0] != '.' {
		return s, rest, true
	}
	i, scale := 1, 100_000_000
	for ; i < len(rest) && digit(rest[i]); i++ {
		s.nano += int(rest[i]-'0') * scale
		scale /= 10
	}
	s.fraction = i - 1
	return s, rest[i:], s.fraction > 0
}

func scanMinutes(text []byte) (s stamp, rest []byte, ok bool) {
	s.clock = true
	if s.hour, ok = digits(text, 0, 2); !ok || s.hour > 23 || len(text) < 5 || text[2] != ':' {
		return s, text, false
	}
	if s.minute, ok = digits(text, 3, 2); !ok || s.minute > 59 {
		return s, text, false
	}
	return s, text[5:], true
}

// scanZone reads Z or +hh:mm up to 14:00; offset is seconds east.
func scanZone(text []byte) (offset int, rest []byte, ok bool) {
	if len(text) == 0 {
		return 0, text, false
	}
	if text[0] == 'Z' {
		return 0, text[1:], true
	}
	if text[0] != '+' && text[0] != '-' {
		return 0, text, false
	}
	s, rest, ok := scanMinutes(text[1:])
	if !ok || s.hour > 14 || s.hour == 14 && s.minute > 0 {
		return 0, text, false
	}
	offset = s.hour*3600 + s.minute*60
	if text[0] == '-' {
		offset = -offset
	}
	return offset, rest, true
}

// digits reads exactly n digits at text[at:].
func digits(text []byte, at, n int) (v int, ok bool) {
	if len(text) < at+n {
		return 0, false
	}
	for _, c := range text[at : at+n] {
		if !digit(c) {
			return 0, false
		}
		v = v*10 + int(c-'0')
	}
	return v, true
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// ParseDateTime reads a date or time at any precision (year, month, day, minute, second, fraction) and gives the
// interval it stands for: lo included, hi not. Without a zone it is UTC. It takes all of date, dateTime and instant, and
// what search adds to them: minutes without seconds, a time without a zone (R4 search.html#date).
func ParseDateTime(s string) (lo, hi time.Time, ok bool) {
	text := make([]byte, 0, 64)
	if len(s) > cap(text) {
		return lo, hi, false
	}
	text = append(text, s...)
	st, rest, ok := scanDate(text)
	if !ok {
		return lo, hi, false
	}
	if len(rest) > 0 {
		if st, ok = scanClock(st, rest); !ok {
			return lo, hi, false
		}
	}
	lo = time.Date(st.year, time.Month(max(st.month, 1)), max(st.day, 1), st.hour, st.minute, st.second, st.nano, time.UTC)
	lo = lo.Add(-time.Duration(st.offset) * time.Second)
	return lo, st.end(lo), true
}

// scanClock adds a time of day and zone to a whole date.
func scanClock(date stamp, rest []byte) (stamp, bool) {
	if date.day == 0 || rest[0] != 'T' {
		return date, false
	}
	rest = rest[1:]
	st, after, ok := scanTime(rest)
	if !ok {
		if st, after, ok = scanMinutes(rest); !ok {
			return date, false
		}
	}
	if len(after) > 0 {
		if st.offset, after, ok = scanZone(after); !ok || len(after) > 0 {
			return date, false
		}
	}
	st.year, st.month, st.day = date.year, date.month, date.day
	return st, true
}

// end is where the interval that starts at lo ends, by the precision of s.
func (s stamp) end(lo time.Time) time.Time {
	switch {
	case s.month == 0:
		return lo.AddDate(1, 0, 0)
	case s.day == 0:
		return lo.AddDate(0, 1, 0)
	case !s.clock:
		return lo.AddDate(0, 0, 1)
	case !s.seconds:
		return lo.Add(time.Minute)
	}
	step := time.Second
	for range min(s.fraction, 9) {
		step /= 10
	}
	return lo.Add(step)
}
