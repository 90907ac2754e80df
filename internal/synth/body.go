package synth

import (
	"math"
	"time"
)

// body is what a person's measurements vary around. Values are those of a
// healthy life; problems are laid over them at the time of measuring.
type body struct {
	tall, heavy float64 // standard scores on the growth curves
	drift       float64 // BMI gained each adult year until 60
	sys, dia    float64 // blood pressure at 20
	pulse       float64
	glycated    float64 // HbA1c without diabetes
	peak        float64 // HbA1c when diabetes is found
	ldl, hdl    float64
	fat         float64 // triglycerides
	hemoglobin  float64
	kidney      float64 // added to eGFR
	thyroid     float64 // TSH
	response    float64 // how well treatment works, about 1
	smoking     smoking
}

// smoking is a habit and its SNOMED CT status.
type smoking int

const (
	neverSmoked smoking = iota
	formerSmoker
	dailySmoker
)

var smokingCodes = [...]code{
	neverSmoked:  snomed("266919005", "Never smoked tobacco"),
	formerSmoker: snomed("8517006", "Ex-smoker"),
	dailySmoker:  snomed("449868002", "Smokes tobacco daily"),
}

// grow draws a body.
func (d dice) grow(p *person) body {
	tall := d.normal(0, 1)
	v := body{
		tall:     tall,
		heavy:    0.4*tall + d.normal(0, 0.95),
		drift:    max(d.normal(0.15, 0.13), -0.03),
		sys:      d.normal(113, 7),
		dia:      d.normal(71, 5),
		pulse:    d.normal(72, 7),
		glycated: d.normal(5.3, 0.2),
		peak:     d.between(7.2, 10.2),
		ldl:      d.normal(105, 18),
		hdl:      d.normal(50, 9),
		fat:      d.between(70, 160),
		kidney:   d.normal(0, 7),
		thyroid:  d.between(0.9, 3.2),
		response: d.between(0.75, 1.1),
	}
	v.hemoglobin = d.normal(15, 0.7)
	if p.female {
		v.hemoglobin = d.normal(13.5, 0.6)
		v.hdl += 8
	}
	switch u := d.Float64(); {
	case u < 0.13:
		v.smoking = dailySmoker
	case u < 0.36:
		v.smoking = formerSmoker
	}
	return v
}

// point is one knot of a growth curve: medians of height and weight.
type point struct{ age, cm, kg float64 }

// Growth curves after the CDC medians, thinned to straight pieces.
var (
	boys = []point{
		{0, 50, 3.5}, {0.25, 61, 6.2}, {0.5, 67.3, 7.9}, {1, 75.7, 10}, {1.5, 82.3, 11.3}, {2, 87, 12.6},
		{3, 95.5, 14.4}, {4, 102.5, 16.3}, {5, 109, 18.5}, {6, 115.5, 20.7}, {7, 122, 23}, {8, 128, 25.6},
		{9, 133.5, 28.6}, {10, 138.5, 32}, {11, 143.5, 36}, {12, 149, 40.5}, {13, 156, 45.6}, {14, 163.5, 51},
		{15, 170, 56.5}, {16, 173.5, 61}, {17, 175.3, 65}, {18, 176.2, 67.5}, {20, 176.8, 70.5},
	}
	girls = []point{
		{0, 49.3, 3.4}, {0.25, 59.5, 5.6}, {0.5, 65.6, 7.2}, {1, 74, 9.3}, {1.5, 80.7, 10.7}, {2, 85.5, 12},
		{3, 94.2, 13.9}, {4, 101, 15.9}, {5, 108, 18}, {6, 115, 20.3}, {7, 121.5, 22.8}, {8, 127.8, 25.8},
		{9, 133, 29}, {10, 138, 33}, {11, 144, 37}, {12, 151, 41.8}, {13, 157, 46}, {14, 160.5, 49.5},
		{15, 162, 52}, {16, 162.5, 54}, {17, 163, 55}, {18, 163.1, 56.5}, {20, 163.3, 58},
	}
)

// median reads the growth curve; beyond its last knot it is flat.
func median(female bool, age float64) point {
	curve := boys
	if female {
		curve = girls
	}
	for i := 1; i < len(curve); i++ {
		if lo, hi := curve[i-1], curve[i]; age < hi.age {
			f := (age - lo.age) / (hi.age - lo.age)
			return point{age, lo.cm + f*(hi.cm-lo.cm), lo.kg + f*(hi.kg-lo.kg)}
		}
	}
	return curve[len(curve)-1]
}

// height in centimetres: the curve at the person's standard score, shrinking a
// little after 60.
func (c *chart) height(t time.Time) float64 {
	age := years(c.who.birth, t)
	cm := median(c.who.female, age).cm * (1 + 0.04*c.body.tall)
	return cm - 0.08*max(age-60, 0)
}

// weight in kilograms, before the noise of a measurement.
func (c *chart) weight(t time.Time) float64 {
	age := years(c.who.birth, t)
	if age < 20 {
		return median(c.who.female, age).kg * math.Exp(0.13*c.body.heavy) * c.early(age)
	}
	m := c.height(t) / 100
	kg := c.bmi(age) * m * m
	if p := c.problem(pregnancy); p != nil && p.during(t) {
		kg += 1.7 * max(months(p.onset, t)-2.5, 0)
	}
	return kg
}

// early narrows the spread of newborns towards the median.
func (c *chart) early(age float64) float64 {
	return math.Exp(-0.06 * c.body.heavy * max(1-age, 0))
}

// bmi is the adult's BMI at an age.
func (c *chart) bmi(age float64) float64 {
	grown := median(c.who.female, 20)
	m := grown.cm * (1 + 0.04*c.body.tall) / 100
	start := grown.kg * math.Exp(0.13*c.body.heavy) / (m * m)
	v := start + c.body.drift*(min(age, 60)-20) - 0.08*max(age-70, 0)
	return min(max(v, 16.5), 52)
}

// bloodPressure is the mean systolic and diastolic pressure at t: rising with
// age, raised by hypertension before it is found, falling under treatment.
func (c *chart) bloodPressure(t time.Time) (sys, dia float64) {
	age := years(c.who.birth, t)
	if age < 18 {
		return 88 + 1.5*age + 0.3*(c.body.sys-113), 52 + 0.9*age + 0.3*(c.body.dia-71)
	}
	sys = c.body.sys + 0.2*(min(age, 80)-20)
	dia = c.body.dia + 0.12*(min(age, 55)-20) - 0.2*max(age-60, 0)
	p := c.problem(hypertension)
	if p == nil {
		// A life without the diagnosis stays below it.
		return min(sys, 131), min(dia, 83)
	}
	lift := c.ramp(p, t) * (1 - 0.85*min(c.eased(p, t, 3), 1))
	return min(sys, 128) + 30*lift, min(dia, 80) + 15*lift
}

// ramp rises from 0 to 1 over the four years before a problem is found.
func (c *chart) ramp(p *problem, t time.Time) float64 {
	return min(max(1+years(p.onset, t)/4, 0), 1)
}

// eased is the share of a problem's effect that treatment has removed: none
// before it starts, approaching the person's response with the given time
// constant in months.
func (c *chart) eased(p *problem, t time.Time, tau float64) float64 {
	if p.treated.IsZero() || t.Before(p.treated) {
		return 0
	}
	return c.body.response * (1 - math.Exp(-months(p.treated, t)/tau))
}

// hba1c is the mean HbA1c at t.
func (c *chart) hba1c(t time.Time) float64 {
	v := c.body.glycated
	if p := c.problem(diabetes); p != nil {
		lift := c.ramp(p, t) * (c.body.peak - v)
		return max(v+lift*(1-0.6*min(c.eased(p, t, 4), 1.1)), 5.6)
	}
	if p := c.problem(prediabetes); p != nil {
		return v + c.ramp(p, t)*(5.95-v)
	}
	return min(v, 5.6)
}

// filtration is the mean eGFR at t.
func (c *chart) filtration(t time.Time) float64 {
	age := years(c.who.birth, t)
	v := min(max(116-0.62*(age-25)+c.body.kidney, 66), 122)
	if p := c.problem(kidneyDisease); p != nil {
		v = min(v, 59-1.4*years(p.onset, t))
		if t.After(p.onset) {
			v = min(max(v, 31), 57)
		}
	}
	return v
}
