package synth

import "time"

// order is one medicine ordered.
type order struct {
	drug  *drug
	why   string // urn of the Condition
	visit *visit // nil when it was ordered before the record begins
	at    time.Time
	until time.Time // zero while it goes on
}

// prescribe plans the medicines: for each problem the first step when it is
// found or some months later, later steps for some; for each ailment a course.
func (c *chart) prescribe() {
	c.rule()
	for _, p := range c.problems {
		at := p.onset
		if c.chance(0.2) && p.key != pregnancy {
			at = at.Add(c.span(80*day, 240*day))
		}
		for i, step := range p.steps {
			if i > 0 {
				at = at.Add(c.span(200*day, 1500*day))
				if !c.chance(0.5) {
					continue
				}
			}
			c.begin(p, c.allowed(step), at)
		}
	}
	for _, v := range c.visits {
		if v.ailment == nil {
			continue
		}
		set := v.ailment.adult
		if birthdays(c.who.birth, v.start) < 12 {
			set = v.ailment.child
		}
		if k := c.allowed(set); k != noDrug && !c.taking(k) {
			o := &order{drug: &drugs[k], why: v.ailmentURN, visit: v, at: v.start.Add(10 * time.Minute)}
			days := o.drug.days
			if days == 0 {
				days = 90
			}
			o.until = o.at.Add(time.Duration(days) * day)
			c.orders = append(c.orders, o)
		}
	}
}

// taking reports whether a medicine is a lasting one of the patient.
func (c *chart) taking(k drugKey) bool {
	for _, o := range c.orders {
		if o.drug == &drugs[k] && o.until.IsZero() {
			return true
		}
	}
	return false
}

// begin orders a lasting medicine. Treatment starts at the given time; the
// order on record is the one of the first routine visit from then on, so older
// treatment appears as renewed there.
func (c *chart) begin(p *problem, k drugKey, at time.Time) {
	if k == noDrug || !at.Before(c.end.Add(-day)) {
		return
	}
	d := &drugs[k]
	for _, other := range c.orders {
		if other.drug == d || other.drug.class&d.class&single != 0 {
			p.treatedFrom(at)
			return
		}
	}
	o := &order{drug: d, why: p.urn, at: at, until: p.ended}
	for _, v := range c.visits {
		if v.kind <= prenatal && v.ailment == nil && !v.start.Before(at) && p.during(v.start) {
			o.visit, o.at = v, v.start.Add(10*time.Minute)
			break
		}
	}
	if o.visit != nil && o.at.Sub(at) < 365*day {
		at = o.at
	} else if early := after(c.end, -2); o.visit == nil && p.ended.IsZero() && o.at.Before(early) {
		o.at = early
	}
	p.treatedFrom(at)
	c.orders = append(c.orders, o)
}

// rule sets what the patient's problems rule out beside the allergies.
func (c *chart) rule() {
	if c.has&(1<<kidneyDisease|1<<fibrillation|1<<heartFailure) != 0 {
		c.avoid |= classNSAID
	}
	if c.has&(1<<pregnancy) != 0 {
		c.avoid |= classTeratogen
	}
}

// allowed draws a medicine of a step that no allergy rules out.
func (c *chart) allowed(step []drugKey) drugKey {
	var fit [4]drugKey
	n := 0
	for _, k := range step {
		if drugs[k].class&c.avoid == 0 && n < len(fit) {
			fit[n] = k
			n++
		}
	}
	if n == 0 {
		return noDrug
	}
	return fit[c.IntN(n)]
}

var (
	forOutpatient = hl7("medicationrequest-category", "outpatient", "Outpatient")
	forInpatient  = hl7("medicationrequest-category", "inpatient", "Inpatient")
)

// writeOrder writes a MedicationRequest.
func (c *chart) writeOrder(o *order) {
	b, d := c.out, o.drug
	status := "active"
	switch {
	case !o.until.IsZero() && o.until.Before(c.end):
		status = "completed"
	case !c.who.death.IsZero():
		status = "stopped"
	}
	category, by := forOutpatient, c.staff[c.doctor]
	if v := o.visit; v != nil {
		by = v.worker
		if v.kind == inpatient {
			category = forInpatient
		}
	}
	b.begin(b.mint(), "MedicationRequest")
	b.str("status", status)
	b.str("intent", "order")
	b.concepts("category", category)
	b.concept("medicationCodeableConcept", d.code)
	b.ref("subject", c.who.urn)
	if o.visit != nil {
		b.ref("encounter", o.visit.urn)
	}
	if o.visit != nil {
		b.moment("authoredOn", o.at)
	} else {
		b.date("authoredOn", local(o.at))
	}
	b.refNamed("requester", by.ref, by.name)
	b.refs("reasonReference", o.why)
	b.writeDosage(d)
	days := d.days
	if days == 0 {
		days = 90
	}
	b.obj("dispenseRequest")
	if d.days == 0 {
		b.integer("numberOfRepeatsAllowed", 3)
	} else {
		b.integer("numberOfRepeatsAllowed", 0)
	}
	if d.form != puff && d.form != smearing {
		b.quantity("quantity", d.dose*float64(d.times)*float64(days)/d.period, 0, d.form.unit, d.form.ucum)
	}
	b.quantity("expectedSupplyDuration", float64(days), 0, "days", "d")
	b.end()
	b.post("MedicationRequest")
}

func (w *writer) writeDosage(d *drug) {
	w.one("dosageInstruction")
	w.integer("sequence", 1)
	w.str("text", d.text)
	w.obj("timing")
	w.obj("repeat")
	w.integer("frequency", d.times)
	w.decimal("period", d.period, 0)
	w.str("periodUnit", "d")
	w.end()
	w.end()
	w.boolean("asNeededBoolean", d.prn)
	w.concept("route", d.form.route)
	w.one("doseAndRate")
	w.quantity("doseQuantity", d.dose, 0, d.form.unit, d.form.ucum)
	w.endOne()
	w.endOne()
}
