package synth

import (
	"fmt"
	"strings"
	"time"
)

// writeNote writes the note of a visit as a DocumentReference whose attachment
// is plain UTF-8 text. It names the patient and quotes what the visit measured.
func (c *chart) writeNote(v *visit) {
	kind := loinc("11506-3", "Progress note")
	switch {
	case v.kind == inpatient:
		kind = loinc("18842-5", "Discharge summary")
		c.discharge(v)
	case v.kind == emergency:
		kind = loinc("34111-5", "Emergency department Note")
		c.narrate(v)
	case v.kind == wellness:
		kind = loinc("34117-2", "History and physical note")
		c.checkup(v)
	case v.ailment != nil && c.chance(0.5):
		c.narrate(v)
	case v.ailment == nil && c.chance(0.5):
		c.review(v)
	default:
		c.soap(v)
	}
	b := c.out
	signed := v.end
	b.begin(b.mint(), "DocumentReference")
	b.str("status", "current")
	b.str("docStatus", "final")
	b.concept("type", kind)
	b.concepts("category", code{usCoreCategories, "clinical-note", "Clinical Note"})
	b.ref("subject", c.who.urn)
	b.moment("date", signed)
	b.arr("author")
	b.item()
	b.str("reference", v.worker.ref)
	b.str("display", v.worker.name)
	b.end()
	b.endArr()
	b.refNamed("custodian", orgRef(v.site), sites[v.site].name)
	b.one("content")
	b.obj("attachment")
	b.str("contentType", "text/plain; charset=utf-8")
	b.str("language", "en-US")
	b.base64("data", c.note)
	b.str("title", kind.display)
	b.moment("creation", signed)
	b.end()
	b.endOne()
	b.obj("context")
	b.refs("encounter", v.urn)
	b.period("period", v.start, v.end)
	b.end()
	b.post("DocumentReference")
}

const usCoreCategories = "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category"

// say appends a formatted piece to the note.
func (c *chart) say(format string, args ...any) { c.note = fmt.Appendf(c.note, format, args...) }

// head starts a note with who, when and where.
func (c *chart) head(v *visit, title string) {
	c.note = c.note[:0]
	c.say("%s\n%s, %s\nPatient: %s   DOB: %s   %s\n\n", title, sites[v.site].name,
		local(v.start).Format("January 2, 2006"), c.who.name.plain(),
		c.who.birth.Format(time.DateOnly), mrn(c.out.seed, c.out.index))
}

// person describes the patient: "61-year-old woman".
func (c *chart) person(v *visit) string {
	n := birthdays(c.who.birth, v.start)
	kind := [...]string{"man", "boy", "woman", "girl"}
	i := 0
	if c.who.female {
		i = 2
	}
	if n < 18 {
		i++
	}
	if n < 2 {
		return fmt.Sprintf("%d-month-old %s", int(months(c.who.birth, v.start)), kind[i])
	}
	return fmt.Sprintf("%d-year-old %s", n, kind[i])
}

// history lists the problems known at a visit, or says there are none.
func (c *chart) history(v *visit) string {
	var names []string
	for _, p := range c.problems {
		if p.during(v.start) && p.onset.Before(v.start) {
			names = append(names, strings.ToLower(p.code.display[:1])+p.code.display[1:])
		}
	}
	if len(names) == 0 {
		return "no chronic problems"
	}
	return strings.Join(names, ", ")
}

// story is what the visit is about.
func (v *visit) story() phrases {
	switch {
	case v.ailment != nil:
		return v.ailment.words
	case v.birth:
		return phrases{"labor at term with regular contractions", "uterus firm, lochia scant", "spontaneous delivery of a healthy newborn; postpartum visit in six weeks"}
	case v.reason != nil:
		return v.reason.words
	}
	return phrases{"no complaints today", "well-appearing, examination unremarkable", "age-appropriate counselling given"}
}

// soap is the four-part note.
func (c *chart) soap(v *visit) {
	s := v.story()
	c.head(v, "Progress Note")
	c.say("S: %s is a %s with %s. Reports %s. %s\n\n", c.who.name.plain(), c.person(v), c.history(v), s.complaint,
		pick(c.dice, []string{"Taking medicines as prescribed.", "Denies fever or weight loss.", "Sleep and appetite are fair.", "No new exposures."}))
	c.say("O: ")
	c.sayVitals(v)
	c.say("Exam: %s.\n", s.finding)
	c.sayResults(v)
	c.say("\nA: %s\n\nP: %s.\n", c.assessment(v), s.plan)
	c.sayOrders(v)
	c.sign(v)
}

// narrate is the running-text note.
func (c *chart) narrate(v *visit) {
	s := v.story()
	title := "Clinic Note"
	if v.kind == emergency {
		title = "Emergency Department Note"
	}
	c.head(v, title)
	c.say("I had the pleasure of seeing %s, a %s, who came in because of %s. ", c.who.name.plain(), c.person(v), s.complaint)
	c.say("Past history is notable for %s.\n\nOn examination: %s. ", c.history(v), s.finding)
	c.sayVitals(v)
	c.sayResults(v)
	c.say("\nImpression: %s\nWe agreed on the following: %s.\n", c.assessment(v), s.plan)
	c.sayOrders(v)
	c.sign(v)
}

// review is the note of a follow-up, problem first.
func (c *chart) review(v *visit) {
	s := v.story()
	_, about := v.because()
	c.head(v, "Follow-up Note")
	c.say("Problem: %s\nInterval history: %s, a %s, returns as planned; %s. %s\n\n", about.display, c.who.name.plain(), c.person(v), s.complaint,
		pick(c.dice, []string{"No visits elsewhere since.", "No side effects of treatment.", "Missed a dose now and then.", "Would like refills today."}))
	c.say("Other problems: %s.\n\nToday: ", c.history(v))
	c.sayVitals(v)
	c.say("%s.\n", strings.ToUpper(s.finding[:1])+s.finding[1:])
	c.sayResults(v)
	c.say("\nAssessment and plan: %s %s.\n", c.assessment(v), strings.ToUpper(s.plan[:1])+s.plan[1:])
	c.sayOrders(v)
	c.sign(v)
}

// checkup is the note of a wellness visit, for children with growth.
func (c *chart) checkup(v *visit) {
	n := birthdays(c.who.birth, v.start)
	if n < 18 {
		c.head(v, "Well Child Visit")
		c.say("%s, a %s, is here with a parent for a routine check. %s\n\n", c.who.name.given, c.person(v),
			pick(c.dice, []string{"Eating and sleeping well.", "Parent has no concerns.", "Active, likes to be read to.", "Screen time discussed."}))
		c.say("Growth: ")
		c.sayVitals(v)
		c.say("Development appropriate for age. Skin, heart, lungs and abdomen normal.\n\nPlan: immunizations by schedule, %s.\n",
			pick(c.dice, []string{"car seat safety reviewed", "water safety reviewed", "dental visit advised", "healthy snacks discussed"}))
		c.sign(v)
		return
	}
	c.head(v, "Annual Wellness Visit")
	c.say("%s is a %s seen for a wellness visit.\nProblems: %s.\nTobacco: %s.\n\nVitals: ", c.who.name.plain(), c.person(v),
		c.history(v), strings.ToLower(smokingCodes[c.body.smoking].display))
	c.sayVitals(v)
	c.sayResults(v)
	c.say("\nExam: well-appearing, heart regular, lungs clear, abdomen soft.\n\nPlan:\n- %s\n- %s\n",
		pick(c.dice, []string{"screening reviewed and up to date", "colon cancer screening discussed", "advance directive discussed"}),
		pick(c.dice, []string{"150 minutes of activity a week", "vaccines reviewed", "follow up in one year"}))
	c.sayOrders(v)
	c.sign(v)
}

// discharge is the summary of a stay.
func (c *chart) discharge(v *visit) {
	s := v.story()
	c.head(v, "Discharge Summary")
	c.say("Admitted: %s   Discharged: %s\n\n", local(v.start).Format("2006-01-02 15:04"), local(v.end).Format("2006-01-02 15:04"))
	c.say("%s is a %s with %s, admitted with %s. On admission: %s. ", c.who.name.plain(), c.person(v), c.history(v), s.complaint, s.finding)
	c.sayResults(v)
	for _, d := range v.done {
		c.say("Procedure: %s.\n", d)
	}
	if v.fatal {
		c.say("\nHospital course: despite treatment %s declined. Comfort measures were begun with the family present; death was pronounced at %s.\n",
			c.who.name.plain(), local(v.end).Format("15:04"))
		c.sign(v)
		return
	}
	c.say("\nHospital course: %s.\nBefore discharge: ", s.plan)
	c.sayVitals(v)
	c.sayOrders(v)
	c.sign(v)
}

// assessment names what the visit is about, with a judgement where there is a
// number to judge by.
func (c *chart) assessment(v *visit) string {
	_, what := v.because()
	if what.display == "" {
		return "Healthy."
	}
	var a strings.Builder
	a.WriteString(what.display)
	switch m := &v.vitals; {
	case v.reason != nil && v.reason.key == hypertension && m.sys >= 140:
		a.WriteString(", above goal")
	case v.reason != nil && v.reason.key == hypertension:
		a.WriteString(", at goal")
	}
	for _, r := range v.results {
		if r.name == "HbA1c" && r.value >= 6.5 {
			fmt.Fprintf(&a, ", HbA1c %.1f%%", r.value)
		}
	}
	return a.String() + "."
}

// sayVitals quotes what was measured, in one line.
func (c *chart) sayVitals(v *visit) {
	m := &v.vitals
	sep := ""
	item := func(format string, args ...any) {
		c.note = append(c.note, sep...)
		c.say(format, args...)
		sep = ", "
	}
	if m.sys > 0 {
		item("BP %.0f/%.0f mmHg", m.sys, m.dia)
	}
	if m.pulse > 0 {
		item("HR %.0f", m.pulse)
	}
	if m.temp > 0 {
		item("T %.1f C", m.temp)
	}
	if m.spo2 > 0 {
		item("SpO2 %.0f%%", m.spo2)
	}
	if m.kg > 0 {
		item("weight %.1f kg", m.kg)
	}
	if m.cm > 0 {
		item("height %.1f cm", m.cm)
	}
	if m.bmi > 0 {
		item("BMI %.1f", m.bmi)
	}
	if sep == "" {
		item("vital signs not taken")
	}
	c.say(".\n")
}

// sayResults quotes the abnormal results and counts the rest.
func (c *chart) sayResults(v *visit) {
	if len(v.results) == 0 {
		return
	}
	c.say("Labs:")
	normal := 0
	for _, r := range v.results {
		if r.flag == "N" && len(v.results) > 2 {
			normal++
			continue
		}
		c.say(" %s %.*f %s (%s);", r.name, r.digits, r.value, r.unit, r.flag)
	}
	switch {
	case normal == len(v.results):
		c.say(" all %d results within range.\n", normal)
	case normal > 0:
		c.say(" %d further results within range.\n", normal)
	default:
		c.say("\n")
	}
}

func (c *chart) sayOrders(v *visit) {
	for _, name := range v.ordered {
		c.say("Ordered: %s.\n", name)
	}
}

func (c *chart) sign(v *visit) {
	c.say("\nElectronically signed by %s\n", v.worker.name)
}
