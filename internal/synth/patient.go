package synth

import (
	"fmt"
	"time"
)

// person is who the patient is.
type person struct {
	urn     string
	female  bool
	birth   time.Time // midnight of the birthday, standard time
	death   time.Time // zero while alive
	culture *culture
	name    fullName
	home    place
	street  string
	phone   string
	wed     bool
}

func gender(female bool) string {
	if female {
		return "female"
	}
	return "male"
}

// ageBands is the population's pyramid: share and youngest age of each band.
var ageBands = []struct{ share, from float64 }{
	{6, 0.05}, {14, 5}, {28, 18}, {26, 40}, {17, 60}, {9, 75},
}

// bandOf is the position of an age in ageBands, and in every table by age.
func bandOf(age float64) int {
	for i := len(ageBands) - 1; i > 0; i-- {
		if age >= ageBands[i].from {
			return i
		}
	}
	return 0
}

// bear draws a person living (or dead) on the given day.
func (d dice) bear(now time.Time, urn string) person {
	p := person{urn: urn, female: d.chance(0.51), culture: d.culture()}
	band := d.weighted(len(ageBands), func(i int) float64 { return ageBands[i].share })
	to := 96.0
	if band+1 < len(ageBands) {
		to = ageBands[band+1].from
	}
	age := d.between(ageBands[band].from, to)
	t := after(now, -age).In(standardTime)
	p.birth = time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, standardTime)
	risk := [...]float64{0.002, 0.002, 0.008, 0.03, 0.09, 0.22}
	if back := d.between(0.05, 6); d.chance(risk[band]) && back < age-0.2 {
		p.death = after(now, -back)
	}
	p.name = d.name(p.culture, p.female)
	p.home = pick(d, places)
	p.street = d.streetAddress()
	p.phone = d.phone(p.home)
	p.wed = age > 24 && d.chance(0.55)
	return p
}

// mrn numbers the patients of a seed: a bijection of the index below 10^9,
// moved by the seed, so no two patients of a population share one.
func mrn(seed, index uint64) string {
	const size = 1_000_000_000
	return fmt.Sprintf("MRN%09d", (index%size*387_420_489+mix(seed)%size)%size)
}

// ssn draws a number of an area that is never issued and of a group that is no
// taxpayer number either.
func (d dice) ssn() string {
	return fmt.Sprintf("900-%02d-%04d", 1+d.IntN(49), 1+d.IntN(9999))
}

const usCore = "http://hl7.org/fhir/us/core/StructureDefinition/"

// writePatient writes the Patient entry.
func (c *chart) writePatient() {
	p, b := &c.who, c.out
	b.begin(p.urn, "Patient")
	c.writeRace()
	b.arr("identifier")
	b.item()
	b.str("use", "usual")
	b.concept("type", hl7("v2-0203", "MR", "Medical record number"))
	b.identifier(idMRN, mrn(b.seed, b.index))
	b.end()
	b.item()
	b.concept("type", hl7("v2-0203", "SS", "Social Security number"))
	b.identifier(idSSN, c.ssn())
	b.end()
	b.endArr()
	b.boolean("active", p.death.IsZero())
	c.writeNames()
	c.writeTelecom()
	b.str("gender", gender(p.female))
	b.date("birthDate", p.birth)
	if !p.death.IsZero() {
		b.moment("deceasedDateTime", p.death)
	}
	b.one("address")
	b.str("use", "home")
	b.address(p.street, p.home)
	b.endOne()
	c.writeFamily()
	b.refNamed("managingOrganization", orgRef(c.home), sites[c.home].name)
	b.post("Patient")
}

// writeRace writes the US Core race, ethnicity and birth sex extensions.
func (c *chart) writeRace() {
	p, b := &c.who, c.out
	ethnicity := code{raceWhite.system, "2186-5", "Not Hispanic or Latino"}
	if p.culture.hispanic {
		ethnicity = code{raceWhite.system, "2135-2", "Hispanic or Latino"}
	}
	b.arr("extension")
	for i, v := range [...]code{p.culture.race, ethnicity} {
		b.item()
		b.arr("extension")
		b.item()
		b.str("url", "ombCategory")
		b.obj("valueCoding")
		b.coding(v)
		b.end()
		b.end()
		b.item()
		b.str("url", "text")
		b.str("valueString", v.display)
		b.end()
		b.endArr()
		b.str("url", usCore+[...]string{"us-core-race", "us-core-ethnicity"}[i])
		b.end()
	}
	b.item()
	b.str("url", usCore+"us-core-birthsex")
	sex := "M"
	if p.female {
		sex = "F"
	}
	b.str("valueCode", sex)
	b.end()
	b.endArr()
}

func (c *chart) writeNames() {
	p, b := &c.who, c.out
	b.arr("name")
	b.item()
	b.str("use", "official")
	b.str("text", p.name.plain())
	b.str("family", p.name.family)
	if p.name.middle != "" {
		b.strs("given", p.name.given, p.name.middle)
	} else {
		b.strs("given", p.name.given)
	}
	b.end()
	if p.name.native != "" {
		b.item()
		b.str("use", "usual")
		b.str("text", p.name.native)
		b.end()
	}
	if p.wed && p.female && c.chance(0.4) {
		b.item()
		b.str("use", "maiden")
		b.str("family", c.name(p.culture, true).family)
		b.strs("given", p.name.given)
		b.end()
	}
	b.endArr()
}

func (c *chart) writeTelecom() {
	b := c.out
	b.arr("telecom")
	b.item()
	b.str("system", "phone")
	b.str("value", c.who.phone)
	b.str("use", "home")
	b.end()
	if c.chance(0.7) {
		b.item()
		b.str("system", "email")
		b.str("value", fmt.Sprintf("patient%d@cordon.example", b.index))
		b.end()
	}
	b.endArr()
}

// writeFamily writes marital status, a contact and the languages spoken.
func (c *chart) writeFamily() {
	p, b := &c.who, c.out
	age := years(p.birth, c.end)
	status := hl7("v3-MaritalStatus", "S", "Never Married")
	kin := hl7("v3-RoleCode", "SIB", "sibling")
	switch {
	case p.wed && age > 70 && c.chance(0.3):
		status = hl7("v3-MaritalStatus", "W", "Widowed")
		kin = hl7("v3-RoleCode", "CHILD", "child")
	case p.wed:
		status = hl7("v3-MaritalStatus", "M", "Married")
		kin = hl7("v3-RoleCode", "SPS", "spouse")
	case age < 18:
		kin = hl7("v3-RoleCode", "PRN", "parent")
	case age > 30 && c.chance(0.3):
		status = hl7("v3-MaritalStatus", "D", "Divorced")
	}
	if age >= 18 {
		b.concept("maritalStatus", status)
	}
	b.one("contact")
	b.concepts("relationship", hl7("v2-0131", "N", "Next-of-Kin"), kin)
	b.obj("name")
	b.str("family", p.name.family)
	b.strs("given", c.name(p.culture, c.chance(0.5)).given)
	b.end()
	b.one("telecom")
	b.str("system", "phone")
	b.str("value", c.phone(p.home))
	b.endOne()
	b.endOne()
	tongue := english
	if p.culture.language != english && c.chance(0.35) {
		tongue = p.culture.language
	}
	b.one("communication")
	b.concept("language", tongue)
	b.boolean("preferred", true)
	b.endOne()
	doctor := c.staff[c.doctor]
	b.arr("generalPractitioner")
	b.item()
	b.str("reference", doctor.ref)
	b.str("display", doctor.name)
	b.end()
	b.endArr()
}

// writeCoverage writes the insurance that pays at the end.
func (c *chart) writeCoverage() {
	b := c.out
	age := years(c.who.birth, c.end)
	payer := c.IntN(2)
	kind := hl7("v3-ActCode", "EHCPOL", "extended healthcare")
	switch {
	case age >= 65:
		payer = payerSenior
		kind = hl7("v3-ActCode", "PUBLICPOL", "public healthcare")
	case c.chance(0.2):
		payer = payerAssistive
		kind = hl7("v3-ActCode", "PUBLICPOL", "public healthcare")
	}
	from := after(c.end, -c.between(0, min(age, 4)))
	b.begin(b.mint(), "Coverage")
	member := fmt.Sprintf("M%08d", c.IntN(100_000_000))
	b.one("identifier")
	b.identifier(idMember, member)
	b.endOne()
	b.str("status", "active")
	b.concept("type", kind)
	b.str("subscriberId", member)
	b.ref("beneficiary", c.who.urn)
	if age >= 18 {
		b.concept("relationship", hl7("subscriber-relationship", "self", "Self"))
	} else {
		b.concept("relationship", hl7("subscriber-relationship", "child", "Child"))
	}
	b.obj("period")
	b.date("start", from)
	b.end()
	b.arr("payor")
	b.item()
	b.str("reference", payerRef(payer))
	b.str("display", payers[payer])
	b.end()
	b.endArr()
	b.post("Coverage")
}
