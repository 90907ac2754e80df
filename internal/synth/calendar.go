package synth

import "time"

// Clinic clocks run on US Eastern time. The two offsets are fixed here so that
// output does not depend on the machine's time zone database.
var (
	standardTime = time.FixedZone("EST", -5*3600)
	daylightTime = time.FixedZone("EDT", -4*3600)
)

// local returns t on the clinic's clock: daylight time from the second Sunday
// of March to the first Sunday of November, also for years before that rule.
func local(t time.Time) time.Time {
	t = t.In(standardTime)
	from := sunday(t.Year(), time.March, 8).Add(2 * time.Hour)
	to := sunday(t.Year(), time.November, 1).Add(time.Hour)
	if t.Before(from) || !t.Before(to) {
		return t
	}
	return t.In(daylightTime)
}

// sunday is the first Sunday on or after the given day.
func sunday(year int, month time.Month, dom int) time.Time {
	t := time.Date(year, month, dom, 0, 0, 0, 0, standardTime)
	return t.AddDate(0, 0, (7-int(t.Weekday()))%7)
}

// years is the length of the span in years of 365.25 days.
func years(from, to time.Time) float64 { return to.Sub(from).Hours() / (24 * 365.25) }

func months(from, to time.Time) float64 { return 12 * years(from, to) }

// after adds a number of years to t.
func after(t time.Time, y float64) time.Time {
	return t.Add(time.Duration(y * 365.25 * float64(day)).Truncate(time.Second))
}

// birthdays is the age in completed years.
func birthdays(birth, at time.Time) int {
	at = local(at)
	n := at.Year() - birth.Year()
	if at.Month() < birth.Month() || at.Month() == birth.Month() && at.Day() < birth.Day() {
		n--
	}
	return n
}

// officeHour moves t to a quarter of an hour in a clinic's working day, on the
// same day or the Monday after a weekend.
func (d dice) officeHour(t time.Time) time.Time {
	t = t.In(standardTime)
	switch t.Weekday() {
	case time.Saturday:
		t = t.AddDate(0, 0, 2)
	case time.Sunday:
		t = t.AddDate(0, 0, 1)
	}
	quarter := d.IntN(34)
	return time.Date(t.Year(), t.Month(), t.Day(), 8, 15*quarter, 0, 0, standardTime)
}

// anyHour moves t to any minute of its day.
func (d dice) anyHour(t time.Time) time.Time {
	t = t.In(standardTime)
	return time.Date(t.Year(), t.Month(), t.Day(), d.IntN(24), d.IntN(60), 0, 0, standardTime)
}
