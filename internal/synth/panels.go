package synth

// analyteKey names a laboratory measurement.
type analyteKey int

const (
	glucose analyteKey = iota
	urea
	creatinine
	egfr
	sodium
	potassium
	chloride
	bicarbonate
	calcium
	protein
	albumin
	bilirubin
	alkaline
	alt
	ast
	cholesterol
	hdlCholesterol
	ldlCholesterol
	triglycerides
	leukocytes
	erythrocytes
	hemoglobin
	hematocrit
	mcvIndex
	platelets
	hba1c
	thyrotropin
	urineAlbumin
	nAnalytes
)

// normals is a reference range; a zero bound is open.
type normals struct{ low, high float64 }

// analyte is one measurement: its unit is both shown and UCUM.
type analyte struct {
	code   code
	name   string // as notes call it
	unit   string
	digits int
	men    normals
	women  normals // zero is as for men
	child  normals // under 14; zero is as for adults
}

// bounds is the reference range for a person.
func (a *analyte) bounds(female bool, age float64) (low, high float64) {
	r := a.men
	if female && a.women != (normals{}) {
		r = a.women
	}
	if age < 14 && a.child != (normals{}) {
		r = a.child
	}
	return r.low, r.high
}

var analytes = [nAnalytes]analyte{
	glucose:        {code: loinc("2345-7", "Glucose [Mass/volume] in Serum or Plasma"), name: "glucose", unit: "mg/dL", men: normals{65, 99}},
	urea:           {code: loinc("3094-0", "Urea nitrogen [Mass/volume] in Serum or Plasma"), name: "BUN", unit: "mg/dL", men: normals{7, 25}},
	creatinine:     {code: loinc("2160-0", "Creatinine [Mass/volume] in Serum or Plasma"), name: "creatinine", unit: "mg/dL", digits: 2, men: normals{0.70, 1.30}, women: normals{0.50, 1.05}, child: normals{0.20, 0.80}},
	egfr:           {code: loinc("98979-8", "Glomerular filtration rate [Volume Rate/Area] in Serum, Plasma or Blood by Creatinine-based formula (CKD-EPI 2021)/1.73 sq M"), name: "eGFR", unit: "mL/min/{1.73_m2}", men: normals{60, 0}},
	sodium:         {code: loinc("2951-2", "Sodium [Moles/volume] in Serum or Plasma"), name: "sodium", unit: "mmol/L", men: normals{135, 146}},
	potassium:      {code: loinc("2823-3", "Potassium [Moles/volume] in Serum or Plasma"), name: "potassium", unit: "mmol/L", digits: 1, men: normals{3.5, 5.3}},
	chloride:       {code: loinc("2075-0", "Chloride [Moles/volume] in Serum or Plasma"), name: "chloride", unit: "mmol/L", men: normals{98, 110}},
	bicarbonate:    {code: loinc("2028-9", "Carbon dioxide, total [Moles/volume] in Serum or Plasma"), name: "CO2", unit: "mmol/L", men: normals{20, 32}},
	calcium:        {code: loinc("17861-6", "Calcium [Mass/volume] in Serum or Plasma"), name: "calcium", unit: "mg/dL", digits: 1, men: normals{8.6, 10.3}},
	protein:        {code: loinc("2885-2", "Protein [Mass/volume] in Serum or Plasma"), name: "total protein", unit: "g/dL", digits: 1, men: normals{6.1, 8.1}},
	albumin:        {code: loinc("1751-7", "Albumin [Mass/volume] in Serum or Plasma"), name: "albumin", unit: "g/dL", digits: 1, men: normals{3.6, 5.1}},
	bilirubin:      {code: loinc("1975-2", "Bilirubin.total [Mass/volume] in Serum or Plasma"), name: "bilirubin", unit: "mg/dL", digits: 1, men: normals{0.2, 1.2}},
	alkaline:       {code: loinc("6768-6", "Alkaline phosphatase [Enzymatic activity/volume] in Serum or Plasma"), name: "ALP", unit: "U/L", men: normals{35, 144}, child: normals{100, 350}},
	alt:            {code: loinc("1742-6", "Alanine aminotransferase [Enzymatic activity/volume] in Serum or Plasma"), name: "ALT", unit: "U/L", men: normals{6, 46}, women: normals{6, 36}},
	ast:            {code: loinc("1920-8", "Aspartate aminotransferase [Enzymatic activity/volume] in Serum or Plasma"), name: "AST", unit: "U/L", men: normals{10, 40}},
	cholesterol:    {code: loinc("2093-3", "Cholesterol [Mass/volume] in Serum or Plasma"), name: "total cholesterol", unit: "mg/dL", men: normals{0, 199}},
	hdlCholesterol: {code: loinc("2085-9", "Cholesterol in HDL [Mass/volume] in Serum or Plasma"), name: "HDL", unit: "mg/dL", men: normals{40, 0}, women: normals{50, 0}},
	ldlCholesterol: {code: loinc("13457-7", "Cholesterol in LDL [Mass/volume] in Serum or Plasma by calculation"), name: "LDL", unit: "mg/dL", men: normals{0, 129}},
	triglycerides:  {code: loinc("2571-8", "Triglyceride [Mass/volume] in Serum or Plasma"), name: "triglycerides", unit: "mg/dL", men: normals{0, 149}},
	leukocytes:     {code: loinc("6690-2", "Leukocytes [#/volume] in Blood by Automated count"), name: "WBC", unit: "10*3/uL", digits: 1, men: normals{3.8, 10.8}, child: normals{5.0, 14.5}},
	erythrocytes:   {code: loinc("789-8", "Erythrocytes [#/volume] in Blood by Automated count"), name: "RBC", unit: "10*6/uL", digits: 2, men: normals{4.20, 5.80}, women: normals{3.80, 5.10}, child: normals{3.90, 5.30}},
	hemoglobin:     {code: loinc("718-7", "Hemoglobin [Mass/volume] in Blood"), name: "hemoglobin", unit: "g/dL", digits: 1, men: normals{13.2, 17.1}, women: normals{11.7, 15.5}, child: normals{11.0, 14.5}},
	hematocrit:     {code: loinc("4544-3", "Hematocrit [Volume Fraction] of Blood by Automated count"), name: "hematocrit", unit: "%", digits: 1, men: normals{38.5, 50.0}, women: normals{35.0, 45.0}, child: normals{33.0, 43.0}},
	mcvIndex:       {code: loinc("787-2", "MCV [Entitic volume] by Automated count"), name: "MCV", unit: "fL", men: normals{80, 100}, child: normals{72, 92}},
	platelets:      {code: loinc("777-3", "Platelets [#/volume] in Blood by Automated count"), name: "platelets", unit: "10*3/uL", men: normals{140, 400}},
	hba1c:          {code: loinc("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood"), name: "HbA1c", unit: "%", digits: 1, men: normals{4.0, 5.6}},
	thyrotropin:    {code: loinc("3016-3", "Thyrotropin [Units/volume] in Serum or Plasma"), name: "TSH", unit: "m[IU]/L", digits: 2, men: normals{0.40, 4.50}},
	urineAlbumin:   {code: loinc("9318-7", "Albumin/Creatinine [Mass Ratio] in Urine"), name: "urine albumin/creatinine", unit: "mg/g", men: normals{0, 29}},
}

// panelKey names a group of analytes ordered together.
type panelKey int

const (
	panelBlood panelKey = iota
	panelMetabolic
	panelComplete
	panelLipid
	panelA1c
	panelThyroid
	panelAlbumin
	nPanels
)

type panel struct {
	code    code
	members []analyteKey
}

var panels = [nPanels]panel{
	panelBlood: {loinc("58410-2", "CBC panel - Blood by Automated count"),
		[]analyteKey{leukocytes, erythrocytes, hemoglobin, hematocrit, mcvIndex, platelets}},
	panelMetabolic: {loinc("24321-2", "Basic metabolic 2000 panel - Serum or Plasma"),
		[]analyteKey{glucose, urea, creatinine, egfr, sodium, potassium, chloride, bicarbonate, calcium}},
	panelComplete: {loinc("24323-8", "Comprehensive metabolic 2000 panel - Serum or Plasma"),
		[]analyteKey{glucose, urea, creatinine, egfr, sodium, potassium, chloride, bicarbonate, calcium, protein, albumin, bilirubin, alkaline, alt, ast}},
	panelLipid: {loinc("24331-1", "Lipid 1996 panel - Serum or Plasma"),
		[]analyteKey{cholesterol, triglycerides, hdlCholesterol, ldlCholesterol}},
	panelA1c:     {loinc("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood"), []analyteKey{hba1c}},
	panelThyroid: {loinc("3016-3", "Thyrotropin [Units/volume] in Serum or Plasma"), []analyteKey{thyrotropin}},
	panelAlbumin: {loinc("9318-7", "Albumin/Creatinine [Mass Ratio] in Urine"), []analyteKey{urineAlbumin}},
}
