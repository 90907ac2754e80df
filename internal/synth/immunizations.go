package synth

import (
	"fmt"
	"time"
)

// dose is one line of the childhood schedule.
type dose struct {
	vaccine code
	age     float64 // years
	number  int
	since   int // first year given, 0 for always
}

var (
	hepB       = cvx("08", "Hep B, adolescent or pediatric")
	rotavirus  = cvx("119", "rotavirus, monovalent")
	dtap       = cvx("20", "DTaP")
	hib        = cvx("49", "Hib (PRP-OMP)")
	pcv13      = cvx("133", "Pneumococcal conjugate PCV 13")
	pcv15      = cvx("215", "Pneumococcal conjugate PCV15, polysaccharide CRM197 conjugate, adjuvant, PF")
	polio      = cvx("10", "IPV")
	mmr        = cvx("03", "MMR")
	varicella  = cvx("21", "varicella")
	hepA       = cvx("83", "Hep A, ped/adol, 2 dose")
	tdap       = cvx("115", "Tdap")
	hpv9       = cvx("165", "HPV9")
	meningo    = cvx("114", "meningococcal MCV4P")
	flu        = cvx("140", "Influenza, seasonal, injectable, preservative free")
	fluQuad    = cvx("150", "influenza, injectable, quadrivalent, preservative free")
	zoster     = cvx("187", "zoster recombinant")
	pcv20      = cvx("216", "Pneumococcal conjugate PCV20, polysaccharide CRM197 conjugate, adjuvant, PF")
	ppsv23     = cvx("33", "pneumococcal polysaccharide PPV23")
	covid      = cvx("208", "COVID-19, mRNA, LNP-S, PF, 30 mcg/0.3 mL dose")
	covid2     = cvx("300", "COVID-19, mRNA, LNP-S, bivalent, PF, 30 mcg/0.3 mL dose")
	covid3     = cvx("309", "COVID-19, mRNA, LNP-S, PF, tris-sucrose, 30 mcg/0.3 mL")
	leftArm    = hl7("v3-ActSite", "LA", "left arm")
	leftThigh  = hl7("v3-ActSite", "LT", "left thigh")
	intoMuscle = hl7("v3-RouteOfAdministration", "IM", "Injection, intramuscular")
	swallowed  = hl7("v3-RouteOfAdministration", "PO", "Swallow, oral")
)

// childhood is the US schedule for the first sixteen years.
var childhood = []dose{
	{hepB, 0.01, 1, 0}, {hepB, 0.08, 2, 0},
	{rotavirus, 0.16, 1, 2008}, {dtap, 0.16, 1, 0}, {hib, 0.16, 1, 0}, {pcv13, 0.16, 1, 2010}, {polio, 0.16, 1, 0},
	{rotavirus, 0.33, 2, 2008}, {dtap, 0.33, 2, 0}, {hib, 0.33, 2, 0}, {pcv13, 0.33, 2, 2010}, {polio, 0.33, 2, 0},
	{hepB, 0.5, 3, 0}, {dtap, 0.5, 3, 0}, {pcv13, 0.5, 3, 2010}, {polio, 0.5, 3, 0},
	{hib, 1, 3, 0}, {pcv13, 1, 4, 2010}, {mmr, 1, 1, 0}, {varicella, 1, 1, 0}, {hepA, 1, 1, 0},
	{dtap, 1.25, 4, 0}, {hepA, 1.5, 2, 0},
	{dtap, 4, 5, 0}, {polio, 4, 4, 0}, {mmr, 4, 2, 0}, {varicella, 4, 2, 0},
	{tdap, 11, 1, 0}, {meningo, 11, 1, 0}, {hpv9, 11, 1, 2015}, {hpv9, 12, 2, 2015}, {meningo, 16, 2, 0},
}

// shot is one immunization about to be written.
type shot struct {
	vaccine code
	number  int // in its series, 0 for none
	at      time.Time
	visit   *visit
}

// writeImmunizations writes the childhood series of those born within reach of
// the record, and what adults get.
func (c *chart) writeImmunizations() {
	age := years(c.who.birth, c.end)
	if age < 20 {
		c.vaccinateChild()
	} else {
		c.vaccinateAdult(age)
	}
	c.vaccinateSeasons(age)
}

// vaccinateChild gives each dose at the first well visit after it is due, or a
// few weeks late elsewhere when the record holds no visit near.
func (c *chart) vaccinateChild() {
	for _, d := range childhood {
		due := after(c.who.birth, d.age)
		if due.Year() < d.since || c.chance(0.03) {
			continue
		}
		s := shot{vaccine: d.vaccine, number: d.number, at: c.officeHour(due.Add(c.span(day, 30*day)))}
		if d.vaccine == pcv13 && due.Year() >= 2023 {
			s.vaccine = pcv15
		}
		if d.age < 0.05 {
			s.at = c.who.birth.Add(30 * time.Hour)
		}
		for _, v := range c.visits {
			if wait := v.start.Sub(due); v.kind == wellness && wait > -4*day && wait < 60*day {
				s.at, s.visit = v.start.Add(9*time.Minute), v
				break
			}
		}
		c.writeShot(s)
	}
}

// vaccinateAdult writes the boosters and the vaccines of later life.
func (c *chart) vaccinateAdult(age float64) {
	elsewhere := func(v code, number int, at time.Time) {
		c.writeShot(shot{vaccine: v, number: number, at: c.officeHour(at)})
	}
	if c.chance(0.75) {
		elsewhere(tdap, 0, after(c.end, -c.between(0.1, min(9.5, age-19))))
	}
	if years(time.Date(2017, 11, 1, 0, 0, 0, 0, time.UTC), c.end) > 1 && age > 52 && c.chance(0.5) {
		first := after(c.end, -c.between(0.6, min(7, age-51)))
		if first.Year() > 2017 {
			elsewhere(zoster, 1, first)
			elsewhere(zoster, 2, first.Add(c.span(70*day, 160*day)))
		}
	}
	if age > 66 && c.chance(0.7) {
		at := after(c.end, -c.between(0.2, min(8, age-65.5)))
		v := pcv20
		if at.Year() < 2022 {
			v = ppsv23
		}
		elsewhere(v, 0, at)
	}
}

// vaccinateSeasons writes influenza of the last three autumns and the COVID-19
// doses of 2021 to 2023.
func (c *chart) vaccinateSeasons(age float64) {
	if c.chance(0.3 + age/250) {
		for back := 2; back >= 0; back-- {
			year := c.end.Year() - back
			at := c.officeHour(time.Date(year, time.October, 1+c.IntN(45), 12, 0, 0, 0, time.UTC))
			v := fluQuad
			if year >= 2024 || year < 2013 {
				v = flu
			}
			if years(c.who.birth, at) > 0.5 && c.chance(0.85) {
				c.writeShot(shot{vaccine: v, at: at})
			}
		}
	}
	if born := c.who.birth.Year(); born > 2008 || !c.chance(0.65) {
		return
	}
	first := time.Date(2021, time.March, 1+c.IntN(120), 12, 0, 0, 0, time.UTC)
	c.writeShot(shot{vaccine: covid, number: 1, at: c.officeHour(first)})
	c.writeShot(shot{vaccine: covid, number: 2, at: c.officeHour(first.Add(22 * day))})
	if c.chance(0.4) {
		c.writeShot(shot{vaccine: covid2, at: c.officeHour(first.Add(c.span(560*day, 640*day)))})
	}
	if c.chance(0.25) {
		c.writeShot(shot{vaccine: covid3, at: c.officeHour(first.Add(c.span(950*day, 1020*day)))})
	}
}

// writeShot writes an Immunization that falls within the life. One in fifty
// was declined.
func (c *chart) writeShot(s shot) {
	if s.at.Before(c.who.birth.Add(day)) || s.at.After(c.end.Add(-time.Hour)) {
		return
	}
	b := c.out
	declined := c.chance(0.02)
	b.begin(b.mint(), "Immunization")
	if declined {
		b.str("status", "not-done")
		b.concept("statusReason", hl7("v3-ActReason", "PATOBJ", "patient objection"))
	} else {
		b.str("status", "completed")
	}
	b.concept("vaccineCode", s.vaccine)
	b.ref("patient", c.who.urn)
	if s.visit != nil {
		b.ref("encounter", s.visit.urn)
	}
	b.moment("occurrenceDateTime", s.at)
	b.boolean("primarySource", s.visit != nil)
	if !declined {
		c.writeShotDetail(s)
	}
	if s.number > 0 {
		b.one("protocolApplied")
		b.integer("doseNumberPositiveInt", s.number)
		b.endOne()
	}
	b.post("Immunization")
}

func (c *chart) writeShotDetail(s shot) {
	b := c.out
	b.str("lotNumber", fmt.Sprintf("LT%05d", c.IntN(100_000)))
	switch {
	case s.vaccine == rotavirus:
		b.concept("route", swallowed)
		b.quantity("doseQuantity", 1, 0, "mL", "mL")
	case years(c.who.birth, s.at) < 3:
		b.concept("site", leftThigh)
		b.concept("route", intoMuscle)
		b.quantity("doseQuantity", 0.5, 1, "mL", "mL")
	default:
		b.concept("site", leftArm)
		b.concept("route", intoMuscle)
		b.quantity("doseQuantity", 0.5, 1, "mL", "mL")
	}
	if s.visit != nil {
		w := s.visit.worker
		b.one("performer")
		b.refNamed("actor", w.ref, w.name)
		b.endOne()
	}
}
