package synth

import "time"

// problem is one chronic condition in a life.
type problem struct {
	*condition
	urn     string
	onset   time.Time
	ended   time.Time // zero while it lasts
	treated time.Time // when its first medicine was ordered, zero if never
	foundAt string    // urn of the encounter that found it, if in the record
}

func (p *problem) during(t time.Time) bool {
	return !t.Before(p.onset) && (p.ended.IsZero() || t.Before(p.ended))
}

func (p *problem) treatedFrom(t time.Time) {
	if p.treated.IsZero() {
		p.treated = t
	}
}

// problem finds a problem by its key, or returns nil.
func (c *chart) problem(key conditionKey) *problem {
	if c.has&(1<<key) == 0 {
		return nil
	}
	for _, p := range c.problems {
		if p.key == key {
			return p
		}
	}
	return nil
}

func (c *chart) add(p *problem) {
	p.urn = c.out.mint()
	c.problems = append(c.problems, p)
	c.has |= 1 << p.key
}

// fallIll draws the chronic problems of a life. The table is in causal order:
// a row's companions stand above it.
func (c *chart) fallIll() {
	age := years(c.who.birth, c.end)
	for i := range conditions {
		k := &conditions[i]
		if age < k.from+0.3 || k.excludes&c.has != 0 || !k.afflicts(c.who.female) {
			continue
		}
		p := k.rates[bandOf(age)]
		for _, r := range k.with {
			if c.has&(1<<r.key) != 0 {
				p *= r.times
			}
		}
		if k.tobacco > 0 && c.body.smoking != neverSmoked {
			p *= k.tobacco
		}
		if !c.chance(min(p, 0.9)) {
			continue
		}
		// Onset leans to the later years between the youngest age and now.
		u := c.Float64()
		at := k.from + (age-0.15-k.from)*(1-u*u)
		c.add(&problem{condition: k, onset: after(c.who.birth, at)})
	}
	c.fatten(age)
	c.conceive(age)
}

// fatten records obesity where the body has it, from the year it began.
func (c *chart) fatten(age float64) {
	if age < 21 || c.bmi(age) < 30 || !c.chance(0.8) {
		return
	}
	at := 20.0
	for at < age-0.5 && c.bmi(at) < 30 {
		at += 0.5
	}
	if at = max(at, 20.2); at < age-0.1 {
		c.add(&problem{condition: &obese, onset: after(c.who.birth, at)})
	}
}

// conceive draws a pregnancy of the last three years.
func (c *chart) conceive(age float64) {
	if !c.who.female || age < 20 || age > 41 || !c.chance(0.16) {
		return
	}
	lmp := c.end.Add(-c.span(60*day, 1000*day))
	p := &problem{condition: &expecting, onset: lmp}
	if due := lmp.Add(c.span(266*day, 287*day)); due.Before(c.end.Add(-5 * day)) {
		p.ended = due
	}
	c.add(p)
}

var (
	clinicalActive   = hl7("condition-clinical", "active", "Active")
	clinicalResolved = hl7("condition-clinical", "resolved", "Resolved")
	verConfirmed     = hl7("condition-ver-status", "confirmed", "Confirmed")
	catProblem       = hl7("condition-category", "problem-list-item", "Problem List Item")
	catDiagnosis     = hl7("condition-category", "encounter-diagnosis", "Encounter Diagnosis")
)

// writeProblems writes the problem list.
func (c *chart) writeProblems() {
	for _, p := range c.problems {
		c.writeCondition(p.urn, catProblem, p.code, p.icd, p.foundAt, p.onset, p.ended)
	}
}

// writeCondition writes one Condition; encounter may be empty and ended zero.
func (c *chart) writeCondition(urn string, category, sct, icd code, encounter string, onset, ended time.Time) {
	b := c.out
	b.begin(urn, "Condition")
	status := clinicalActive
	if !ended.IsZero() {
		status = clinicalResolved
	}
	b.concept("clinicalStatus", status)
	b.concept("verificationStatus", verConfirmed)
	b.concepts("category", category)
	b.concept("code", sct, icd)
	b.ref("subject", c.who.urn)
	if encounter != "" {
		b.ref("encounter", encounter)
	}
	if encounter != "" {
		b.moment("onsetDateTime", onset)
	} else {
		b.date("onsetDateTime", local(onset))
	}
	if !ended.IsZero() {
		b.moment("abatementDateTime", ended)
	}
	b.date("recordedDate", local(onset))
	b.post("Condition")
}
