package synth

import "time"

// visitKind is a kind of encounter.
type visitKind int

const (
	wellness visitKind = iota
	followUp
	sick
	urgent
	prenatal
	emergency
	inpatient
)

func (k visitKind) atHospital() bool { return k >= emergency }

// visitKinds gives each kind its class and type, and about how many resources
// one brings, by which the plan is kept to a size.
var visitKinds = [...]struct {
	class, kind code
	cost        int
}{
	wellness:  {code{sysActCode, "AMB", "ambulatory"}, snomed("162673000", "General examination of patient"), 17},
	followUp:  {code{sysActCode, "AMB", "ambulatory"}, snomed("390906007", "Follow-up encounter"), 15},
	sick:      {code{sysActCode, "AMB", "ambulatory"}, snomed("185345009", "Encounter for symptom"), 8},
	urgent:    {code{sysActCode, "AMB", "ambulatory"}, snomed("702927004", "Urgent care clinic"), 8},
	prenatal:  {code{sysActCode, "AMB", "ambulatory"}, snomed("424619006", "Prenatal visit"), 6},
	emergency: {code{sysActCode, "EMER", "emergency"}, snomed("50849002", "Emergency room admission"), 18},
	inpatient: {code{sysActCode, "IMP", "inpatient encounter"}, snomed("32485007", "Hospital admission"), 24},
}

var wellChild = snomed("410620009", "Well child visit")

// visit is one encounter and what happened in it.
type visit struct {
	kind       visitKind
	urn        string
	start, end time.Time
	site       int
	worker     worker
	ailment    *ailment
	ailmentURN string
	reason     *problem
	fatal      bool // ends in death
	birth      bool // a child is born
	vitals     vitals
	results    []result
	ordered    []string // display of medicines, for the note
	done       []string // display of procedures, for the note
}

// writeVisit writes an encounter and everything that hangs on it.
func (c *chart) writeVisit(v *visit) {
	c.writeEncounter(v)
	if v.ailment != nil {
		ended := v.start.Add(time.Duration(v.ailment.days) * day)
		if ended.Before(v.end) {
			ended = v.end
		}
		if ended.After(c.end) || v.fatal {
			ended = time.Time{}
		}
		c.writeCondition(v.ailmentURN, catDiagnosis, v.ailment.code, v.ailment.icd, v.urn, v.start, ended)
	}
	c.measure(v)
	c.writeVitals(v, v.start.Add(5*time.Minute))
	c.writeHabits(v)
	c.writeLabs(v)
	c.writeProcedures(v)
	for _, o := range c.orders {
		if o.visit == v {
			c.writeOrder(o)
			v.ordered = append(v.ordered, o.drug.code.display)
		}
	}
	if v.kind == inpatient && !v.fatal {
		c.recover(v)
		c.writeVitals(v, v.end.Add(-2*time.Hour))
	}
	c.writeNote(v)
}

func (c *chart) writeEncounter(v *visit) {
	b := c.out
	k := visitKinds[v.kind]
	if v.kind == wellness && birthdays(c.who.birth, v.start) < 18 {
		k.kind = wellChild
	}
	b.begin(v.urn, "Encounter")
	b.str("status", "finished")
	b.obj("class")
	b.coding(k.class)
	b.end()
	b.concepts("type", k.kind)
	b.refNamed("subject", c.who.urn, c.who.name.plain())
	b.one("participant")
	b.concepts("type", hl7("v3-ParticipationType", "PPRF", "primary performer"))
	b.period("period", v.start, v.end)
	b.refNamed("individual", v.worker.ref, v.worker.name)
	b.endOne()
	b.period("period", v.start, v.end)
	urn, reason := v.because()
	if urn != "" {
		b.concepts("reasonCode", reason)
		b.one("diagnosis")
		b.ref("condition", urn)
		if v.kind.atHospital() {
			b.concept("use", hl7("diagnosis-role", "DD", "Discharge diagnosis"))
		}
		b.endOne()
	}
	if v.kind == inpatient {
		b.obj("hospitalization")
		out := hl7("discharge-disposition", "home", "Home")
		if v.fatal {
			out = hl7("discharge-disposition", "exp", "Expired")
		}
		b.concept("dischargeDisposition", out)
		b.end()
	}
	b.one("location")
	b.refNamed("location", locationRef(v.site), sites[v.site].name)
	b.endOne()
	b.refNamed("serviceProvider", orgRef(v.site), sites[v.site].name)
	b.post("Encounter")
}

// because is the condition a visit is about, if any.
func (v *visit) because() (urn string, what code) {
	switch {
	case v.ailment != nil:
		return v.ailmentURN, v.ailment.code
	case v.reason != nil:
		return v.reason.urn, v.reason.code
	}
	return "", code{}
}
