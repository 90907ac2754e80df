package synth

import "time"

var (
	tobaccoStatus = loinc("72166-2", "Tobacco smoking status")
	phq9          = loinc("44261-6", "Patient Health Questionnaire 9 item (PHQ-9) total score [Reported]")
	colonoscopy   = snomed("73761001", "Colonoscopy")
	mammography   = snomed("71651007", "Mammography")
	boneDensity   = snomed("312681000", "Bone density scan")
	papTest       = snomed("171149006", "Screening for malignant neoplasm of cervix")
	retinal       = snomed("134395001", "Diabetic retinopathy screening")
	footExam      = snomed("401191002", "Diabetic foot examination")
	reconcile     = snomed("430193006", "Medication reconciliation")
	delivery      = snomed("177184002", "Normal delivery procedure")
	spirometry    = snomed("127783003", "Spirometry")
)

// writeHabits writes what is asked rather than measured: smoking at wellness
// visits of adults, and the PHQ-9 of those with depression, which falls with
// treatment.
func (c *chart) writeHabits(v *visit) {
	b := c.out
	at := v.start.Add(3 * time.Minute)
	if v.kind == wellness && birthdays(c.who.birth, v.start) >= 18 {
		c.observe(b.mint(), catHabit, v.urn, at, tobaccoStatus)
		b.concept("valueCodeableConcept", smokingCodes[c.body.smoking])
		b.post("Observation")
	}
	p := c.problem(depression)
	if p == nil || v.start.Before(p.onset) || v.kind > followUp {
		return
	}
	score := 16 * (1 - 0.7*min(c.eased(p, v.start, 5), 1))
	c.observe(b.mint(), catScore, v.urn, at, phq9)
	b.quantity("valueQuantity", min(max(round(c.normal(score, 1.5), 0), 1), 27), 0, "{score}", "{score}")
	b.post("Observation")
}

// screening is an examination repeated through a span of ages.
type screening struct {
	code     code
	from, to float64 // ages
	every    float64 // years
	women    bool
}

var screenings = []screening{
	{colonoscopy, 50, 76, 10, false},
	{mammography, 45, 75, 2, true},
	{boneDensity, 65, 85, 5, true},
	{papTest, 21, 65, 3, true},
}

// writeScreenings writes the latest of each screening, done elsewhere.
func (c *chart) writeScreenings() {
	age := years(c.who.birth, c.end)
	for _, s := range screenings {
		if s.women && !c.who.female || age < s.from+0.1 || !c.chance(0.65) {
			continue
		}
		at := min(age-c.between(0.05, s.every), s.to)
		if at > s.from && age-at < 12 {
			t := c.officeHour(after(c.who.birth, at))
			if t.Before(c.end.Add(-day)) {
				c.writeProcedure("", s.code, "", t, t.Add(30*time.Minute))
			}
		}
	}
}

// writeProcedures writes what was done at a visit.
func (c *chart) writeProcedures(v *visit) {
	do := func(what code, why string) {
		start := v.start.Add(12 * time.Minute)
		took := min(v.end.Sub(start), 45*time.Minute)
		c.writeProcedure(v.urn, what, why, start, start.Add(took))
		v.done = append(v.done, what.display)
	}
	if v.ailment != nil {
		for _, what := range v.ailment.done {
			do(what, v.ailmentURN)
		}
		return
	}
	if v.birth {
		do(delivery, v.reason.urn)
		return
	}
	if p := v.reason; p != nil && p.key == diabetes {
		do([...]code{retinal, footExam}[c.IntN(2)], p.urn)
	}
	if p := v.reason; p != nil && (p.key == copd || p.key == asthma) && c.chance(0.4) {
		do(spirometry, p.urn)
	}
	if v.kind <= followUp && len(c.orders) > 2 && c.chance(0.3) {
		do(reconcile, "")
	}
}

// writeProcedure writes a completed Procedure; visit and why may be empty.
func (c *chart) writeProcedure(visit string, what code, why string, start, end time.Time) {
	b := c.out
	b.begin(b.mint(), "Procedure")
	b.str("status", "completed")
	b.concept("code", what)
	b.ref("subject", c.who.urn)
	if visit != "" {
		b.ref("encounter", visit)
	}
	b.period("performedPeriod", start, end)
	if why != "" {
		b.refs("reasonReference", why)
	}
	b.post("Procedure")
}
