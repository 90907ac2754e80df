package synth

import (
	"slices"
	"time"
)

// budget is about how many resources the visits of one patient may bring.
const budget = 92

// window is how far back the record of an adult reaches, in years.
const window = 6

// wellChildAges are the ages in years of well-child visits: the US schedule in
// infancy, thinned later.
var wellChildAges = []float64{
	1. / 12, 2. / 12, 4. / 12, 0.5, 0.75, 1, 1.25, 1.5, 2, 3, 4.1, 5, 6, 8, 10, 11.1, 12, 14, 16.1, 17,
}

// plan draws the visits of a life, in order of time and without overlap.
func (c *chart) plan() {
	c.planWellness()
	c.planDiscoveries()
	c.planFollowUps()
	c.planSickness()
	c.planHospital()
	c.planPregnancy()
	c.planDeath()
	c.settle()
}

// book adds a visit if it lies within the life and leaves a day to spare.
func (c *chart) book(v *visit) {
	if v.start.Before(c.who.birth.Add(2*day)) || v.end.After(c.end.Add(-day)) {
		return
	}
	c.visits = append(c.visits, v)
}

// office books an ambulatory visit about the given day.
func (c *chart) office(kind visitKind, about time.Time) *visit {
	start := c.officeHour(about)
	v := &visit{kind: kind, start: start, end: start.Add(time.Duration(15*(1+c.IntN(3))) * time.Minute)}
	v.site = c.home
	c.book(v)
	return v
}

func (c *chart) planWellness() {
	age := years(c.who.birth, c.end)
	for _, at := range wellChildAges {
		if at < age && (age < 18 || at > 14 && age-at < window) {
			c.office(wellness, after(c.who.birth, at).Add(c.span(0, 12*day)))
		}
	}
	if age < 18.5 {
		return
	}
	every := c.between(1.3, 2.6)
	if age >= 50 || c.has != 0 {
		every = c.between(0.95, 1.6)
	}
	for back := c.between(0.02, every); back < min(window, age-18); back += every * c.between(0.9, 1.15) {
		c.office(wellness, after(c.end, -back))
	}
}

// planDiscoveries books the visit at which a recent problem was found, and
// moves the onset on record to it.
func (c *chart) planDiscoveries() {
	for _, p := range c.problems {
		if p.key == pregnancy || years(p.onset, c.end) > 4 {
			continue
		}
		n := len(c.visits)
		v := c.office(followUp, p.onset)
		if len(c.visits) > n {
			v.reason = p
			p.onset = v.start
		}
	}
}

// planFollowUps books the regular visits for chronic problems of the last
// three years, at the pace of the most demanding one.
func (c *chart) planFollowUps() {
	var due []*problem
	for _, p := range c.problems {
		if p.recheck > 0 {
			due = append(due, p)
		}
	}
	if len(due) == 0 {
		return
	}
	pace := slices.MinFunc(due, func(a, b *problem) int { return int(a.recheck - b.recheck) }).recheck
	for back := c.between(0.02, pace/12); back < 3; back += pace / 12 * c.between(0.85, 1.25) {
		p := pick(c.dice, due)
		at := after(c.end, -back)
		if at.After(p.onset.Add(30 * day)) {
			c.office(followUp, at).reason = p
		}
	}
}

// planSickness books visits for short illnesses of the last five years.
func (c *chart) planSickness() {
	age := years(c.who.birth, c.end)
	n := c.IntN(3)
	if age < 18 {
		n = 1 + c.IntN(4)
	}
	for range n {
		at := after(c.end, -c.between(0.02, min(5, age)))
		kind := sick
		if c.chance(0.4) {
			kind = urgent
		}
		a := c.catch(at, false)
		if a == nil {
			continue
		}
		v := c.office(kind, at)
		v.ailment = a
		if kind == urgent {
			v.site = walkIn
		}
	}
}

// planHospital books an emergency visit or a stay for some.
func (c *chart) planHospital() {
	age := years(c.who.birth, c.end)
	risk := [...]float64{0.15, 0.1, 0.12, 0.2, 0.32, 0.42}[bandOf(age)]
	for c.chance(risk) {
		risk /= 3
		at := after(c.end, -c.between(0.05, min(4, age)))
		if a := c.catch(at, true); a != nil {
			c.book(c.stay(a, at))
		}
	}
}

// stay is an emergency visit or admission for an ailment.
func (c *chart) stay(a *ailment, at time.Time) *visit {
	start := c.anyHour(at)
	v := &visit{kind: emergency, start: start, ailment: a, site: hospitals + c.IntN(nHospitals)}
	v.end = start.Add(c.span(2*time.Hour, 8*time.Hour).Truncate(time.Minute))
	if a.nights > 0 {
		v.kind = inpatient
		nights := time.Duration(a.nights+c.IntN(3)) * day
		v.end = start.Add(nights + c.span(0, 6*time.Hour).Truncate(time.Minute))
	}
	return v
}

// planPregnancy books prenatal visits and, when it is over, the birth.
func (c *chart) planPregnancy() {
	p := c.problem(pregnancy)
	if p == nil {
		return
	}
	for _, week := range []int{8, 16, 24, 28, 34, 37, 39} {
		at := p.onset.Add(time.Duration(7*week) * day)
		if p.ended.IsZero() || at.Before(p.ended.Add(-4*day)) {
			v := c.office(prenatal, at)
			v.reason = p
		}
	}
	if p.ended.IsZero() {
		return
	}
	start := p.ended.Add(-c.span(3*time.Hour, 14*time.Hour)).Truncate(time.Minute)
	v := &visit{kind: inpatient, start: start, end: p.ended.Add(c.span(26*time.Hour, 50*time.Hour)).Truncate(time.Minute)}
	v.reason, v.birth, v.site = p, true, hospitals+c.IntN(nHospitals)
	c.book(v)
}

// planDeath books the last stay of most of the dead.
func (c *chart) planDeath() {
	if c.who.death.IsZero() || !c.chance(0.65) {
		return
	}
	a := c.catch(c.who.death.Add(-10*day), true)
	if a == nil || a.nights == 0 {
		a = &sepsis
	}
	v := c.stay(a, c.who.death.Add(-c.span(2*day, 9*day)))
	v.end = c.who.death
	v.kind, v.fatal = inpatient, true
	if v.start.After(c.who.birth.Add(2*day)) && v.end.Sub(v.start) > day {
		c.visits = append(c.visits, v)
	}
}

// settle puts the visits in order, drops those that collide or burst the
// budget, oldest first, and gives the rest their identity and staff.
func (c *chart) settle() {
	slices.SortStableFunc(c.visits, func(a, b *visit) int { return a.start.Compare(b.start) })
	kept := c.visits[:0]
	for _, v := range c.visits {
		for n := len(kept); n > 0 && v.start.Before(kept[n-1].end.Add(day)); n = len(kept) {
			if !v.kind.atHospital() || kept[n-1].kind.atHospital() && !v.fatal {
				v = nil
				break
			}
			kept = kept[:n-1]
		}
		if v != nil {
			kept = append(kept, v)
		}
	}
	c.visits = c.trim(kept)
	for _, v := range c.visits {
		v.urn = c.out.mint()
		if v.ailment != nil {
			v.ailmentURN = c.out.mint()
		}
		v.worker = c.staff[c.attend(v)]
		if p := v.reason; p != nil && p.foundAt == "" && v.start.Equal(p.onset) {
			p.foundAt = v.urn
		}
	}
}

// trim keeps hospital and pregnancy visits and, of the others, the latest that
// fit the budget.
func (c *chart) trim(all []*visit) []*visit {
	left := budget
	for _, v := range all {
		if v.kind >= prenatal {
			left -= visitKinds[v.kind].cost
		}
	}
	keep := make([]bool, len(all))
	routine := 0
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].kind >= prenatal {
			keep[i] = true
			continue
		}
		cost := visitKinds[all[i].kind].cost
		if birthdays(c.who.birth, all[i].start) < 18 {
			cost = min(cost, 6)
		}
		if left -= cost; left >= 0 || routine < 2 {
			keep[i] = true
			routine++
		}
	}
	kept := all[:0]
	for i, v := range all {
		if keep[i] {
			kept = append(kept, v)
		}
	}
	return kept
}

// attend chooses who sees the patient, a position in staff.
func (c *chart) attend(v *visit) int {
	switch {
	case v.site >= hospitals:
		at := clinics*postsPerClinic + 2 + (v.site-hospitals)*postsPerHospital
		switch {
		case v.birth:
			return at + 2
		case v.kind == inpatient:
			return at + 1
		}
		return at
	case v.site == walkIn:
		return clinics*postsPerClinic + c.IntN(2)
	case v.kind == prenatal:
		return c.home*postsPerClinic + postObstetric
	case birthdays(c.who.birth, v.start) < 18:
		return c.home*postsPerClinic + postPediatric
	}
	return c.doctor
}
