package synth

// Code systems, as FHIR R4 names them.
const (
	sysSNOMED  = "http://snomed.info/sct"
	sysICD10   = "http://hl7.org/fhir/sid/icd-10-cm"
	sysLOINC   = "http://loinc.org"
	sysRxNorm  = "http://www.nlm.nih.gov/research/umls/rxnorm"
	sysCVX     = "http://hl7.org/fhir/sid/cvx"
	sysUCUM    = "http://unitsofmeasure.org"
	sysActCode = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
	sysObsCat  = "http://terminology.hl7.org/CodeSystem/observation-category"
	sysFlag    = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
)

// Identifier systems of this package; cordon.example can belong to nobody.
const (
	idMRN      = "https://cordon.example/synth/mrn"
	idStaff    = "https://cordon.example/synth/staff"
	idOrg      = "https://cordon.example/synth/organization"
	idLocation = "https://cordon.example/synth/location"
	idMember   = "https://cordon.example/synth/member"
	idSSN      = "http://hl7.org/fhir/sid/us-ssn"
)

// code is one Coding.
type code struct{ system, value, display string }

func snomed(value, display string) code { return code{sysSNOMED, value, display} }
func icd10(value, display string) code  { return code{sysICD10, value, display} }
func loinc(value, display string) code  { return code{sysLOINC, value, display} }
func rxnorm(value, display string) code { return code{sysRxNorm, value, display} }
func cvx(value, display string) code    { return code{sysCVX, value, display} }

// hl7 is a code of an HL7 terminology named by the last step of its address.
func hl7(system, value, display string) code {
	return code{"http://terminology.hl7.org/CodeSystem/" + system, value, display}
}

// coding writes the members of one Coding into the open object.
func (w *writer) coding(c code) {
	w.str("system", c.system)
	w.str("code", c.value)
	if c.display != "" {
		w.str("display", c.display)
	}
}

// codings writes a CodeableConcept into the open object; its text is the first
// display.
func (w *writer) codings(codes ...code) {
	w.arr("coding")
	for _, c := range codes {
		w.item()
		w.coding(c)
		w.end()
	}
	w.endArr()
	if codes[0].display != "" {
		w.str("text", codes[0].display)
	}
}

// concept writes a CodeableConcept, concepts an array of one.
func (w *writer) concept(k string, codes ...code) { w.obj(k); w.codings(codes...); w.end() }

func (w *writer) concepts(k string, codes ...code) { w.one(k); w.codings(codes...); w.endOne() }

// ref writes a Reference, refs an array of one.
func (w *writer) ref(k, target string) { w.obj(k); w.str("reference", target); w.end() }

func (w *writer) refs(k, target string) { w.one(k); w.str("reference", target); w.endOne() }

// refNamed writes a Reference with a display.
func (w *writer) refNamed(k, target, display string) {
	w.obj(k)
	w.str("reference", target)
	w.str("display", display)
	w.end()
}

// quantity writes a Quantity in UCUM.
func (w *writer) quantity(k string, v float64, digits int, unit, ucum string) {
	w.obj(k)
	w.decimal("value", v, digits)
	w.str("unit", unit)
	w.str("system", sysUCUM)
	w.str("code", ucum)
	w.end()
}

// identifier writes the members of an Identifier into the open object.
func (w *writer) identifier(system, value string) {
	w.str("system", system)
	w.str("value", value)
}
