package synth

import (
	"math"
	"time"
)

// result is one laboratory value as the note quotes it.
type result struct {
	name   string
	value  float64
	digits int
	unit   string
	flag   string // N, L or H
}

// writeLabs draws and writes the panels a visit calls for.
func (c *chart) writeLabs(v *visit) {
	want := c.wanted(v)
	if want == 0 {
		return
	}
	values := c.assay(v)
	for k := range nPanels {
		if want&(1<<k) != 0 {
			c.writePanel(v, &panels[k], &values)
		}
	}
}

// wanted chooses the panels of a visit, as bits.
func (c *chart) wanted(v *visit) uint {
	var want uint
	age := years(c.who.birth, v.start)
	ask := func(ks []panelKey) {
		for _, k := range ks {
			want |= 1 << k
		}
	}
	switch {
	case v.ailment != nil:
		ask(v.ailment.panels)
	case v.kind == prenatal:
		if week := v.start.Sub(v.reason.onset) / (7 * day); week < 12 || week > 26 && week < 30 {
			want = 1 << panelBlood
		}
	case v.birth:
		want = 1 << panelBlood
	case v.kind == followUp && v.reason != nil:
		ask(v.reason.panels)
	case v.kind == wellness && age >= 18:
		if c.chance(0.25 + age/200) {
			want |= 1 << panelComplete
		}
		if age >= 35 && c.chance(0.45) {
			want |= 1 << panelLipid
		}
		if c.chance(0.25) {
			want |= 1 << panelBlood
		}
		if age >= 40 && c.chance(0.3) || c.has&(1<<prediabetes|1<<diabetes) != 0 {
			want |= 1 << panelA1c
		}
	case v.kind == wellness && age > 0.9 && age < 1.1:
		want = 1 << panelBlood
	}
	if want&(1<<panelComplete) != 0 {
		want &^= 1 << panelMetabolic
	}
	return want
}

// assay draws every analyte at once, so that related ones agree: glucose with
// HbA1c, LDL with total cholesterol, creatinine with eGFR, hematocrit and MCV
// with hemoglobin.
func (c *chart) assay(v *visit) (out [nAnalytes]float64) {
	t := v.start
	a1c := c.normal(c.hba1c(t), 0.15)
	out[hba1c] = a1c
	out[glucose] = max(c.normal(0.93*(28.7*a1c-46.7), 6), 64)
	c.assaySalts(v, &out)
	c.assayFats(t, &out)
	c.assayBlood(v, &out)
	c.assayThyroid(t, &out)
	out[urineAlbumin] = c.between(3, 24)
	if p := c.problem(kidneyDisease); p != nil && t.After(p.onset) {
		out[urineAlbumin] = c.between(35, 280)
	} else if p := c.problem(diabetes); p != nil && t.After(p.onset) {
		out[urineAlbumin] = c.between(8, 55)
	}
	for k := range out {
		out[k] = round(out[k], analytes[k].digits)
	}
	if age := years(c.who.birth, t); age >= 18 {
		out[egfr] = round(ckdEPI(out[creatinine], age, c.who.female), 0)
	}
	return out
}

// assaySalts draws electrolytes, kidney and liver values.
func (c *chart) assaySalts(v *visit, out *[nAnalytes]float64) {
	age := years(c.who.birth, v.start)
	out[sodium] = c.normal(140, 1.8)
	out[potassium] = c.normal(4.2, 0.25)
	out[chloride] = c.normal(103, 1.6)
	out[bicarbonate] = c.normal(25.5, 1.4)
	out[calcium] = c.normal(9.5, 0.25)
	out[protein] = c.normal(7.1, 0.3)
	out[albumin] = c.normal(4.3, 0.22)
	out[bilirubin] = c.between(0.3, 1)
	out[alkaline] = c.normal(74, 14)
	out[alt] = c.normal(24, 6)
	out[ast] = c.normal(23, 5)
	if age < 18 {
		out[creatinine] = 0.28 + 0.03*age
		out[urea] = c.normal(12, 2)
		out[alkaline] = c.normal(220, 30)
		return
	}
	gfr := max(c.normal(c.filtration(v.start), 2.5), 16)
	if v.fatal {
		gfr *= 0.6
		out[bicarbonate] -= 6
		out[potassium] += 0.8
	}
	out[creatinine] = creatinineOf(gfr, age, c.who.female)
	out[urea] = c.normal(14, 2) + max(60-gfr, 0)*0.5
	out[potassium] += max(55-gfr, 0) * 0.012
	if p := c.problem(obesity); p != nil {
		out[alt] += c.between(0, 22)
	}
}

// assayFats draws lipids that satisfy the Friedewald equation.
func (c *chart) assayFats(t time.Time, out *[nAnalytes]float64) {
	ldl, tri := c.body.ldl, c.body.fat
	if p := c.problem(lipids); p != nil {
		ldl += 48 * c.ramp(p, t)
		tri += 45 * c.ramp(p, t)
		ldl *= 1 - 0.42*min(c.eased(p, t, 1.5), 1.1)
		tri *= 1 - 0.18*min(c.eased(p, t, 1.5), 1.1)
	} else {
		ldl = min(ldl, 135)
	}
	out[ldlCholesterol] = round(max(c.normal(ldl, 6), 38), 0)
	out[triglycerides] = round(max(c.normal(tri, 14), 45), 0)
	out[hdlCholesterol] = round(max(c.normal(c.body.hdl, 2.5), 26), 0)
	out[cholesterol] = out[ldlCholesterol] + out[hdlCholesterol] + out[triglycerides]/5
}

// assayBlood draws the blood count.
func (c *chart) assayBlood(v *visit, out *[nAnalytes]float64) {
	t := v.start
	age := years(c.who.birth, t)
	hgb, mcv := c.body.hemoglobin, 90.0
	if age < 14 {
		hgb, mcv = 11.6+0.13*age, 78+0.6*age
	}
	if p := c.problem(anemia); p != nil {
		low := c.ramp(p, t) * (1 - min(c.eased(p, t, 3), 1))
		hgb -= 3.4 * low
		mcv -= 14 * low
	}
	if p := c.problem(pregnancy); p != nil && p.during(t) {
		hgb -= 0.18 * months(p.onset, t)
	}
	if p := c.problem(kidneyDisease); p != nil && t.After(p.onset) {
		hgb -= 0.8
	}
	out[hemoglobin] = round(c.normal(hgb, 0.25), 1)
	out[hematocrit] = round(out[hemoglobin]*c.between(2.95, 3.05), 1)
	out[mcvIndex] = round(c.normal(mcv, 1.2), 0)
	out[erythrocytes] = out[hematocrit] * 10 / out[mcvIndex]
	out[leukocytes] = max(c.normal(6.8, 1.1), 4.1)
	if age < 6 {
		out[leukocytes] += 2.2
	}
	out[platelets] = c.normal(255, 38)
	if v.ailment != nil {
		out[leukocytes] += v.ailment.white * c.between(0.7, 1.3)
	}
}

func (c *chart) assayThyroid(t time.Time, out *[nAnalytes]float64) {
	tsh := c.body.thyroid
	if p := c.problem(hypothyroidism); p != nil {
		tsh += 9 * c.ramp(p, t) * (1 - min(c.eased(p, t, 2), 0.97))
	}
	out[thyrotropin] = max(tsh*c.between(0.85, 1.15), 0.5)
}

// ckdEPI is the 2021 CKD-EPI creatinine equation.
func ckdEPI(scr, age float64, female bool) float64 {
	kappa, alpha, factor := 0.9, -0.302, 1.0
	if female {
		kappa, alpha, factor = 0.7, -0.241, 1.012
	}
	x := scr / kappa
	return 142 * math.Pow(min(x, 1), alpha) * math.Pow(max(x, 1), -1.2) * math.Pow(0.9938, age) * factor
}

// creatinineOf inverts ckdEPI.
func creatinineOf(gfr, age float64, female bool) float64 {
	kappa, alpha, factor := 0.9, -0.302, 1.0
	if female {
		kappa, alpha, factor = 0.7, -0.241, 1.012
	}
	y := gfr / (142 * math.Pow(0.9938, age) * factor)
	if y < 1 {
		return kappa * math.Pow(y, -1/1.2)
	}
	return max(kappa*math.Pow(y, 1/alpha), 0.4)
}

// writePanel writes the Observations of a panel and the DiagnosticReport over
// them. Blood is drawn during the visit; the report is issued the next morning
// or, for an emergency, within the hour, never after the life ends.
func (c *chart) writePanel(v *visit, p *panel, values *[nAnalytes]float64) {
	b := c.out
	drawn := v.start.Add(8 * time.Minute)
	issued := drawn.Add(c.span(14*time.Hour, 22*time.Hour))
	if v.kind.atHospital() {
		issued = drawn.Add(c.span(25*time.Minute, 70*time.Minute))
	}
	if issued.After(c.end) {
		issued = v.end
	}
	adult := years(c.who.birth, v.start) >= 18
	var urns []string
	for _, k := range p.members {
		if values[k] == 0 || k == egfr && !adult {
			continue
		}
		urn := b.mint()
		urns = append(urns, urn)
		c.writeResult(v, urn, drawn, issued, &analytes[k], values[k])
	}
	b.begin(b.mint(), "DiagnosticReport")
	b.str("status", "final")
	b.concepts("category", hl7("v2-0074", "LAB", "Laboratory"))
	b.concept("code", p.code)
	b.ref("subject", c.who.urn)
	b.ref("encounter", v.urn)
	b.moment("effectiveDateTime", drawn)
	b.moment("issued", issued)
	b.arr("performer")
	b.item()
	b.str("reference", orgRef(v.site))
	b.str("display", sites[v.site].name)
	b.end()
	b.endArr()
	b.arr("result")
	for _, urn := range urns {
		b.item()
		b.str("reference", urn)
		b.end()
	}
	b.endArr()
	b.post("DiagnosticReport")
}

// writeResult writes one laboratory Observation with its range and flag.
func (c *chart) writeResult(v *visit, urn string, drawn, issued time.Time, a *analyte, value float64) {
	b := c.out
	low, high := a.bounds(c.who.female, years(c.who.birth, v.start))
	flag := code{sysFlag, "N", "Normal"}
	switch {
	case value < low:
		flag = code{sysFlag, "L", "Low"}
	case high > 0 && value > high:
		flag = code{sysFlag, "H", "High"}
	}
	c.observe(urn, catLab, v.urn, drawn, a.code)
	b.moment("issued", issued)
	b.quantity("valueQuantity", value, a.digits, a.unit, a.unit)
	b.concepts("interpretation", flag)
	b.one("referenceRange")
	if low > 0 {
		b.quantity("low", low, a.digits, a.unit, a.unit)
	}
	if high > 0 {
		b.quantity("high", high, a.digits, a.unit, a.unit)
	}
	b.endOne()
	b.post("Observation")
	v.results = append(v.results, result{a.name, value, a.digits, a.unit, flag.value})
}
