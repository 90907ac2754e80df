package synth

import "time"

// vitals are the measurements of one visit; zero is not measured.
type vitals struct {
	cm, kg, bmi, head float64
	sys, dia          float64
	pulse, breaths    float64
	temp, spo2        float64
}

// measure takes the vitals a visit of that kind takes.
func (c *chart) measure(v *visit) {
	t := v.start
	age := years(c.who.birth, t)
	m := &v.vitals
	if v.kind != followUp || age < 18 || c.chance(0.9) {
		m.kg = round(c.weight(t)*c.scale(age), 1)
	}
	if v.kind == wellness {
		m.cm = round(c.height(t)+c.wobble(age), 1)
		if age < 2 {
			m.head = round(c.skull(age), 1)
		} else {
			m.bmi = round(m.kg/(m.cm*m.cm/1e4), 1)
		}
	}
	if age >= 3 {
		sys, dia := c.bloodPressure(t)
		m.sys, m.dia = round(c.normal(sys, 5), 0), round(c.normal(dia, 4), 0)
		m.dia = min(m.dia, m.sys-20)
	}
	if age < 18 && v.kind == wellness {
		m.pulse = 0
		return
	}
	m.pulse = round(c.normal(c.heartRate(age), 5), 0)
	if v.kind == wellness && c.chance(0.6) {
		m.breaths = round(c.normal(respiration(age), 1), 0)
	}
	if v.ailment != nil {
		c.suffer(v, age)
	} else if c.has&(1<<copd|1<<asthma|1<<heartFailure) != 0 || v.birth {
		m.spo2 = c.saturation()
	}
}

// suffer lays an illness over the vitals.
func (c *chart) suffer(v *visit, age float64) {
	a, m := v.ailment, &v.vitals
	m.temp = round(c.normal(36.8+a.fever, 0.3), 1)
	m.pulse = round(m.pulse+10*a.fever+1.5*a.hypoxia, 0)
	if a.hypoxia > 0 || v.kind.atHospital() {
		m.spo2 = round(c.saturation()-a.hypoxia*c.between(0.7, 1.2), 0)
		m.breaths = round(c.normal(respiration(age)+0.9*a.hypoxia, 1), 0)
	}
	if v.fatal && m.sys > 0 {
		m.sys, m.dia = round(m.sys*0.72, 0), round(m.dia*0.68, 0)
		m.pulse = round(m.pulse+15, 0)
	}
}

// recover brings the vitals of an admission back towards health for the
// measurement before discharge.
func (c *chart) recover(v *visit) {
	age := years(c.who.birth, v.end)
	m := &v.vitals
	m.cm, m.kg, m.bmi = 0, 0, 0
	if m.sys > 0 {
		sys, dia := c.bloodPressure(v.end)
		m.sys, m.dia = round(c.normal(sys, 4), 0), round(c.normal(dia, 3), 0)
	}
	m.pulse = round(c.normal(c.heartRate(age), 4), 0)
	m.temp = round(c.normal(36.8, 0.2), 1)
	m.spo2 = c.saturation()
	m.breaths = 0
}

// scale is the noise of weighing: a percent for adults, less for children.
func (c *chart) scale(age float64) float64 {
	if age < 18 {
		return 1 + c.normal(0, 0.003)
	}
	return 1 + c.normal(0, 0.01)
}

// wobble is the noise of measuring height; children do not shrink.
func (c *chart) wobble(age float64) float64 {
	if age < 18 {
		return 0
	}
	return c.normal(0, 0.3)
}

// skull is the head circumference of the first two years in centimetres.
func (c *chart) skull(age float64) float64 {
	cm := 35 + 11.2*min(age, 1)*(1.75-0.75*min(age, 1)) + 1.6*max(age-1, 0)
	if c.who.female {
		cm -= 0.8
	}
	return cm + 0.8*c.body.tall
}

func (c *chart) heartRate(age float64) float64 {
	switch {
	case age < 1:
		return 132
	case age < 18:
		return 112 - 2.2*age
	case c.has&(1<<fibrillation) != 0:
		return c.body.pulse + 10
	}
	return c.body.pulse
}

func respiration(age float64) float64 {
	switch {
	case age < 1:
		return 34
	case age < 18:
		return 25 - 0.5*age
	}
	return 15
}

func (c *chart) saturation() float64 {
	v := 98.0
	if c.has&(1<<copd) != 0 {
		v = 94
	}
	return min(round(c.normal(v, 0.7), 0), 100)
}

// sign is one vital sign's code and unit.
type sign struct {
	code       code
	unit, ucum string
	digits     int
}

var (
	signHeight  = sign{loinc("8302-2", "Body height"), "cm", "cm", 1}
	signWeight  = sign{loinc("29463-7", "Body weight"), "kg", "kg", 1}
	signBMI     = sign{loinc("39156-5", "Body mass index (BMI) [Ratio]"), "kg/m2", "kg/m2", 1}
	signHead    = sign{loinc("9843-4", "Head Occipital-frontal circumference"), "cm", "cm", 1}
	signPulse   = sign{loinc("8867-4", "Heart rate"), "/min", "/min", 0}
	signBreaths = sign{loinc("9279-1", "Respiratory rate"), "/min", "/min", 0}
	signTemp    = sign{loinc("8310-5", "Body temperature"), "Cel", "Cel", 1}
	signOxygen  = sign{loinc("59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry"), "%", "%", 0}

	pressure  = loinc("85354-9", "Blood pressure panel with all children optional")
	systolic  = loinc("8480-6", "Systolic blood pressure")
	diastolic = loinc("8462-4", "Diastolic blood pressure")
	oxygenAny = loinc("2708-6", "Oxygen saturation in Arterial blood")

	catVital = code{sysObsCat, "vital-signs", "Vital Signs"}
	catLab   = code{sysObsCat, "laboratory", "Laboratory"}
	catHabit = code{sysObsCat, "social-history", "Social History"}
	catScore = code{sysObsCat, "survey", "Survey"}
)

// writeVitals writes what was measured, one Observation each.
func (c *chart) writeVitals(v *visit, at time.Time) {
	m := &v.vitals
	c.writeSign(v, at, signHeight, m.cm)
	c.writeSign(v, at, signWeight, m.kg)
	c.writeSign(v, at, signBMI, m.bmi)
	c.writeSign(v, at, signHead, m.head)
	c.writePressure(v, at)
	c.writeSign(v, at, signPulse, m.pulse)
	c.writeSign(v, at, signBreaths, m.breaths)
	c.writeSign(v, at, signTemp, m.temp)
	c.writeSign(v, at, signOxygen, m.spo2)
}

// observe opens a final Observation of the patient; the caller writes its
// value and posts it.
func (c *chart) observe(urn string, category code, visit string, at time.Time, codes ...code) {
	b := c.out
	b.begin(urn, "Observation")
	b.str("status", "final")
	b.concepts("category", category)
	b.concept("code", codes...)
	b.ref("subject", c.who.urn)
	if visit != "" {
		b.ref("encounter", visit)
	}
	b.moment("effectiveDateTime", at)
}

func (c *chart) writeSign(v *visit, at time.Time, s sign, value float64) {
	if value == 0 {
		return
	}
	codes := []code{s.code, oxygenAny}
	if s.code != signOxygen.code {
		codes = codes[:1]
	}
	c.observe(c.out.mint(), catVital, v.urn, at, codes...)
	c.out.quantity("valueQuantity", value, s.digits, s.unit, s.ucum)
	c.out.post("Observation")
}

// writePressure writes the blood pressure panel with its two components.
func (c *chart) writePressure(v *visit, at time.Time) {
	if v.vitals.sys == 0 {
		return
	}
	b := c.out
	c.observe(b.mint(), catVital, v.urn, at, pressure)
	b.arr("component")
	for _, part := range [...]struct {
		code  code
		value float64
	}{{systolic, v.vitals.sys}, {diastolic, v.vitals.dia}} {
		b.item()
		b.concept("code", part.code)
		b.quantity("valueQuantity", part.value, 0, "mm[Hg]", "mm[Hg]")
		b.end()
	}
	b.endArr()
	b.post("Observation")
}
