package synth

// allergen is something people react to.
type allergen struct {
	code     code
	category string // AllergyIntolerance.category
	weight   float64
	class    uint64 // of medicines it rules out
	grave    bool
	reaction []code
}

var (
	hives    = snomed("126485001", "Urticaria")
	rash     = snomed("271807003", "Eruption of skin")
	swelling = snomed("41291007", "Angioedema")
	shock    = snomed("39579001", "Anaphylaxis")
	wheezing = snomed("56018004", "Wheezing")
	nausea   = snomed("422587007", "Nausea")
	itching  = snomed("418290006", "Itching")
)

var allergens = []allergen{
	{rxnorm("7980", "penicillin G"), "medication", 9, classPenicillin, false, []code{hives, rash}},
	{rxnorm("723", "amoxicillin"), "medication", 4, classPenicillin, false, []code{rash, hives}},
	{rxnorm("10180", "sulfamethoxazole"), "medication", 5, classSulfa, false, []code{rash, itching}},
	{rxnorm("5640", "ibuprofen"), "medication", 2, classNSAID | classAspirin, false, []code{hives, wheezing}},
	{rxnorm("1191", "aspirin"), "medication", 2, classNSAID | classAspirin, false, []code{wheezing, hives}},
	{rxnorm("2670", "codeine"), "medication", 3, 0, false, []code{nausea, itching}},
	{rxnorm("29046", "lisinopril"), "medication", 2, classACE, true, []code{swelling}},
	{snomed("91935009", "Allergy to peanut"), "food", 4, 0, true, []code{shock, hives}},
	{snomed("300913006", "Allergy to shellfish"), "food", 4, 0, true, []code{hives, swelling}},
	{snomed("91930004", "Allergy to egg protein"), "food", 2, 0, false, []code{rash}},
	{snomed("418689008", "Allergy to grass pollen"), "environment", 5, 0, false, []code{itching, wheezing}},
	{snomed("232350006", "Allergy to dust mite protein"), "environment", 4, 0, false, []code{wheezing}},
	{snomed("300916003", "Latex allergy"), "environment", 2, 0, false, []code{rash, itching}},
}

var noKnownAllergy = snomed("716186003", "No known allergy")

// sensitize draws the patient's allergies and what they rule out; most have
// none.
func (c *chart) sensitize() []*allergen {
	var out []*allergen
	for p := 0.34; c.chance(p); p /= 2.2 {
		a := &allergens[c.weighted(len(allergens), func(i int) float64 { return allergens[i].weight })]
		taken := false
		for _, b := range out {
			taken = taken || a == b
		}
		if !taken {
			out = append(out, a)
			c.avoid |= a.class
		}
	}
	return out
}

// writeAllergies writes them, or for some that there are none.
func (c *chart) writeAllergies(found []*allergen) {
	if len(found) == 0 {
		if c.chance(0.5) {
			c.openAllergy(noKnownAllergy)
			c.out.ref("patient", c.who.urn)
			c.out.post("AllergyIntolerance")
		}
		return
	}
	age := years(c.who.birth, c.end)
	b := c.out
	for _, a := range found {
		noted := after(c.who.birth, c.between(0.3, 0.95)*age)
		c.openAllergy(a.code)
		b.str("type", "allergy")
		b.strs("category", a.category)
		severity := [...]string{"mild", "moderate"}[c.IntN(2)]
		if a.grave {
			b.str("criticality", "high")
			severity = "severe"
		} else {
			b.str("criticality", "low")
		}
		b.ref("patient", c.who.urn)
		b.date("recordedDate", local(noted))
		b.one("reaction")
		b.concepts("manifestation", pick(c.dice, a.reaction))
		b.str("severity", severity)
		b.endOne()
		b.post("AllergyIntolerance")
	}
}

func (c *chart) openAllergy(what code) {
	b := c.out
	b.begin(b.mint(), "AllergyIntolerance")
	b.concept("clinicalStatus", hl7("allergyintolerance-clinical", "active", "Active"))
	b.concept("verificationStatus", hl7("allergyintolerance-verification", "confirmed", "Confirmed"))
	b.concept("code", what)
}
