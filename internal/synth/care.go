package synth

import "time"

// regimen is the plan of care for a chronic problem.
type regimen struct {
	key        conditionKey
	plan       code
	activities []code
}

var (
	exercise  = snomed("229065009", "Exercise therapy")
	saltDiet  = snomed("183063000", "Low salt diet education")
	sugarDiet = snomed("160670007", "Diabetic diet")
	goodDiet  = snomed("226234005", "Healthy diet")
	breathing = snomed("53950000", "Respiratory therapy")
	talking   = snomed("228557008", "Cognitive and behavioral therapy")
)

var regimens = []regimen{
	{heartFailure, snomed("735984001", "Heart failure self management plan"), []code{saltDiet, exercise}},
	{diabetes, snomed("698360004", "Diabetes self management plan"), []code{sugarDiet, exercise}},
	{copd, snomed("412776001", "Chronic obstructive pulmonary disease clinical management plan"), []code{breathing, exercise}},
	{hypertension, snomed("412779008", "Hypertension clinical management plan"), []code{saltDiet, goodDiet}},
	{asthma, snomed("699728000", "Asthma self management"), []code{breathing}},
	{depression, snomed("718347000", "Mental health care plan"), []code{talking, exercise}},
}

// writeCare writes a care team and up to two plans for those with a chronic
// problem that has a regimen.
func (c *chart) writeCare() {
	team := ""
	plans := 0
	for i := range regimens {
		r := &regimens[i]
		p := c.problem(r.key)
		if p == nil || plans == 2 {
			continue
		}
		if team == "" {
			team = c.writeTeam(p)
		}
		c.writeCarePlan(r, p, team)
		plans++
	}
}

func (c *chart) writeTeam(p *problem) string {
	b := c.out
	urn := b.mint()
	doctor := c.staff[c.doctor]
	b.begin(urn, "CareTeam")
	b.str("status", c.lasting("active", "inactive"))
	b.str("name", "Care team of "+c.who.name.plain())
	b.ref("subject", c.who.urn)
	b.period("period", c.lately(p), c.who.death)
	b.arr("participant")
	b.item()
	b.concepts("role", snomed("116154003", "Patient"))
	b.refNamed("member", c.who.urn, c.who.name.plain())
	b.end()
	b.item()
	b.concepts("role", snomed("223366009", "Healthcare professional"))
	b.refNamed("member", doctor.ref, doctor.name)
	b.end()
	b.endArr()
	b.refs("managingOrganization", orgRef(c.home))
	b.post("CareTeam")
	return urn
}

func (c *chart) writeCarePlan(r *regimen, p *problem, team string) {
	b := c.out
	b.begin(b.mint(), "CarePlan")
	b.str("status", c.lasting("active", "completed"))
	b.str("intent", "plan")
	b.concepts("category", r.plan)
	b.str("title", r.plan.display)
	b.ref("subject", c.who.urn)
	b.period("period", c.lately(p), c.who.death)
	b.refs("careTeam", team)
	b.refs("addresses", p.urn)
	b.arr("activity")
	for _, a := range r.activities {
		b.item()
		b.obj("detail")
		b.concept("code", a)
		b.str("status", c.lasting("in-progress", "stopped"))
		b.end()
		b.end()
	}
	b.endArr()
	b.post("CarePlan")
}

// lately is when the present care of a problem began: plans are renewed.
func (c *chart) lately(p *problem) time.Time {
	if early := after(c.end, -2.5); p.onset.Before(early) {
		return early
	}
	return p.onset
}

// lasting chooses a status by whether the patient lives.
func (c *chart) lasting(alive, dead string) string {
	if c.who.death.IsZero() {
		return alive
	}
	return dead
}
