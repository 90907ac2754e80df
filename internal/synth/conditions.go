package synth

// conditionKey names a chronic condition; the keys fit a bit set.
type conditionKey uint

const (
	rhinitis conditionKey = iota
	asthma
	eczema
	migraine
	depression
	anxiety
	hypothyroidism
	lipids
	prediabetes
	diabetes
	hypertension
	kidneyDisease
	copd
	coronary
	fibrillation
	heartFailure
	reflux
	osteoarthritis
	osteoporosis
	backPain
	anemia
	dementia
	obesity
	pregnancy
)

// risk multiplies a probability where a companion is present.
type risk struct {
	key   conditionKey
	times float64
}

type sex int

const (
	anySex sex = iota
	womenOnly
)

// condition is what the package knows of a chronic condition.
type condition struct {
	key       conditionKey
	code, icd code
	from      float64    // youngest onset in years
	rates     [6]float64 // share of people affected, by ageBands
	with      []risk
	excludes  uint64  // conditions it does not stand beside
	tobacco   float64 // multiplier for those who smoke or smoked; 0 is none
	sex       sex
	recheck   float64 // months between visits for it, 0 for none
	panels    []panelKey
	steps     [][]drugKey // medicines: one of each step, later steps for some
	words     phrases
}

// phrases is what a note says of a condition.
type phrases struct{ complaint, finding, plan string }

func (k *condition) afflicts(female bool) bool { return k.sex == anySex || female }

var conditions = []condition{
	{key: rhinitis, code: snomed("367498001", "Seasonal allergic rhinitis"), icd: icd10("J30.2", "Other seasonal allergic rhinitis"),
		from: 3, rates: [6]float64{0.04, 0.12, 0.13, 0.1, 0.08, 0.05}, steps: [][]drugKey{{loratadine, cetirizine}},
		words: phrases{"sneezing and itchy eyes through the pollen season", "pale, boggy nasal mucosa", "continue the antihistamine; saline rinses"}},
	{key: asthma, code: snomed("195967001", "Asthma"), icd: icd10("J45.909", "Unspecified asthma, uncomplicated"),
		from: 2, rates: [6]float64{0.05, 0.09, 0.08, 0.07, 0.07, 0.05}, with: []risk{{rhinitis, 1.8}}, recheck: 9,
		steps: [][]drugKey{{albuterol}, {fluticasone}},
		words: phrases{"wheeze with exertion about once a week", "scattered end-expiratory wheeze", "inhaler technique reviewed; asthma action plan updated"}},
	{key: eczema, code: snomed("24079001", "Atopic dermatitis"), icd: icd10("L20.9", "Atopic dermatitis, unspecified"),
		from: 0.4, rates: [6]float64{0.1, 0.09, 0.05, 0.04, 0.03, 0.03}, steps: [][]drugKey{{hydrocortisone}},
		words: phrases{"itching in the elbow folds", "lichenified patches in both antecubital fossae", "emollient twice daily, steroid cream for flares"}},
	{key: migraine, code: snomed("37796009", "Migraine"), icd: icd10("G43.909", "Migraine, unspecified, not intractable, without status migrainosus"),
		from: 10, rates: [6]float64{0, 0.03, 0.1, 0.1, 0.05, 0.02}, steps: [][]drugKey{{sumatriptan}},
		words: phrases{"two throbbing headaches this month with photophobia", "normal neurological examination", "headache diary; triptan at onset"}},
	{key: depression, code: snomed("370143000", "Major depressive disorder"), icd: icd10("F32.9", "Major depressive disorder, single episode, unspecified"),
		from: 14, rates: [6]float64{0, 0.04, 0.11, 0.11, 0.09, 0.08}, recheck: 6, steps: [][]drugKey{{sertraline, escitalopram, fluoxetine}},
		words: phrases{"mood somewhat better, sleep still broken", "affect mildly constricted, no suicidal ideation", "continue the SSRI, counselling every other week"}},
	{key: anxiety, code: snomed("21897009", "Generalized anxiety disorder"), icd: icd10("F41.1", "Generalized anxiety disorder"),
		from: 14, rates: [6]float64{0, 0.04, 0.08, 0.07, 0.05, 0.04}, with: []risk{{depression, 3}}, steps: [][]drugKey{{escitalopram, sertraline}},
		words: phrases{"worry most days of the week", "mildly tense, speech normal", "breathing exercises; referral for cognitive behavioral therapy"}},
	{key: hypothyroidism, code: snomed("40930008", "Hypothyroidism"), icd: icd10("E03.9", "Hypothyroidism, unspecified"),
		from: 20, rates: [6]float64{0, 0, 0.03, 0.07, 0.11, 0.14}, recheck: 9, panels: []panelKey{panelThyroid}, steps: [][]drugKey{{levothyroxine75, levothyroxine100}},
		words: phrases{"less tired since the last dose change", "thyroid not enlarged, reflexes normal", "continue levothyroxine on an empty stomach; repeat TSH"}},
	{key: lipids, code: snomed("55822004", "Hyperlipidemia"), icd: icd10("E78.5", "Hyperlipidemia, unspecified"),
		from: 28, rates: [6]float64{0, 0, 0.08, 0.33, 0.5, 0.48}, recheck: 12, panels: []panelKey{panelLipid}, steps: [][]drugKey{{atorvastatin, simvastatin, rosuvastatin}},
		words: phrases{"no muscle aches on the statin", "no xanthelasma", "diet reviewed; continue the statin"}},
	{key: prediabetes, code: snomed("714628002", "Prediabetes"), icd: icd10("R73.03", "Prediabetes"),
		from: 30, rates: [6]float64{0, 0, 0.06, 0.14, 0.18, 0.16}, recheck: 12, panels: []panelKey{panelA1c},
		words: phrases{"trying to walk after dinner", "no acanthosis", "weight goal of 5 percent; repeat HbA1c in a year"}},
	{key: diabetes, code: snomed("44054006", "Type 2 diabetes mellitus"), icd: icd10("E11.9", "Type 2 diabetes mellitus without complications"),
		from: 30, rates: [6]float64{0, 0, 0.03, 0.12, 0.2, 0.21}, with: []risk{{lipids, 1.3}}, excludes: 1 << prediabetes, recheck: 5,
		panels: []panelKey{panelA1c, panelMetabolic, panelAlbumin}, steps: [][]drugKey{{metformin, metforminXR}, {glipizide, empagliflozin}},
		words: phrases{"home fasting glucose mostly under 150", "monofilament sensation intact in both feet", "continue metformin; retinal screening yearly"}},
	{key: hypertension, code: snomed("59621000", "Essential hypertension"), icd: icd10("I10", "Essential (primary) hypertension"),
		from: 28, rates: [6]float64{0, 0, 0.09, 0.35, 0.55, 0.65}, with: []risk{{diabetes, 1.4}, {lipids, 1.15}}, recheck: 6,
		panels: []panelKey{panelMetabolic}, steps: [][]drugKey{{lisinopril, losartan}, {amlodipine, hydrochlorothiazide}},
		words: phrases{"no headache, chest pain or dizziness", "regular rhythm, no edema", "low-salt diet, home readings; continue present treatment"}},
	{key: kidneyDisease, code: snomed("433144002", "Chronic kidney disease stage 3"), icd: icd10("N18.30", "Chronic kidney disease, stage 3 unspecified"),
		from: 45, rates: [6]float64{0, 0, 0, 0.03, 0.08, 0.2}, with: []risk{{diabetes, 2.2}, {hypertension, 1.5}}, recheck: 6,
		panels: []panelKey{panelMetabolic, panelAlbumin, panelBlood},
		words:  phrases{"no change in urine output", "no flank tenderness, trace ankle edema", "avoid NSAIDs; follow eGFR and urine albumin"}},
	{key: copd, code: snomed("13645005", "Chronic obstructive pulmonary disease"), icd: icd10("J44.9", "Chronic obstructive pulmonary disease, unspecified"),
		from: 45, rates: [6]float64{0, 0, 0, 0.02, 0.05, 0.06}, tobacco: 3.2, recheck: 6, steps: [][]drugKey{{tiotropium}, {fluticasoneSalmeterol}, {albuterol}},
		words: phrases{"short of breath on one flight of stairs", "prolonged expiration, distant breath sounds", "smoking status addressed; inhalers reviewed"}},
	{key: coronary, code: snomed("53741008", "Coronary arteriosclerosis"), icd: icd10("I25.10", "Atherosclerotic heart disease of native coronary artery without angina pectoris"),
		from: 45, rates: [6]float64{0, 0, 0, 0.03, 0.09, 0.16}, with: []risk{{lipids, 1.5}, {hypertension, 1.3}, {diabetes, 1.3}}, tobacco: 1.4, recheck: 8,
		panels: []panelKey{panelLipid}, steps: [][]drugKey{{aspirin}, {metoprolol}},
		words: phrases{"no angina on usual activity", "normal S1 and S2, no murmur", "continue aspirin and beta blocker"}},
	{key: fibrillation, code: snomed("49436004", "Atrial fibrillation"), icd: icd10("I48.91", "Unspecified atrial fibrillation"),
		from: 50, rates: [6]float64{0, 0, 0, 0.01, 0.05, 0.13}, with: []risk{{hypertension, 1.3}}, recheck: 8, steps: [][]drugKey{{apixaban}, {metoprolol}},
		words: phrases{"occasional palpitations, no syncope", "irregularly irregular pulse", "continue anticoagulation; no bleeding reported"}},
	{key: heartFailure, code: snomed("84114007", "Heart failure"), icd: icd10("I50.9", "Heart failure, unspecified"),
		from: 55, rates: [6]float64{0, 0, 0, 0.004, 0.025, 0.08}, with: []risk{{coronary, 2.2}, {fibrillation, 1.6}}, recheck: 4,
		panels: []panelKey{panelMetabolic}, steps: [][]drugKey{{furosemide}, {carvedilol}},
		words: phrases{"sleeps on two pillows, weight stable", "trace edema at the ankles, lungs clear", "daily weights, two-gram sodium diet"}},
	{key: reflux, code: snomed("235595009", "Gastroesophageal reflux disease"), icd: icd10("K21.9", "Gastro-esophageal reflux disease without esophagitis"),
		from: 18, rates: [6]float64{0, 0, 0.07, 0.13, 0.17, 0.17}, steps: [][]drugKey{{omeprazole}},
		words: phrases{"heartburn after late meals", "abdomen soft, no epigastric tenderness", "head of bed raised; proton pump inhibitor before breakfast"}},
	{key: osteoarthritis, code: snomed("396275006", "Osteoarthritis"), icd: icd10("M19.90", "Unspecified osteoarthritis, unspecified site"),
		from: 42, rates: [6]float64{0, 0, 0, 0.12, 0.3, 0.4}, steps: [][]drugKey{{acetaminophen, naproxen}},
		words: phrases{"knee stiffness for a quarter of an hour in the morning", "crepitus of both knees, no effusion", "strengthening exercises; analgesic as needed"}},
	{key: osteoporosis, code: snomed("64859006", "Osteoporosis"), icd: icd10("M81.0", "Age-related osteoporosis without current pathological fracture"),
		from: 55, rates: [6]float64{0, 0, 0, 0.02, 0.13, 0.25}, sex: womenOnly, steps: [][]drugKey{{alendronate}},
		words: phrases{"no falls this year", "no spinal tenderness", "calcium and vitamin D; weekly alendronate"}},
	{key: backPain, code: snomed("278860009", "Chronic low back pain"), icd: icd10("M54.50", "Low back pain, unspecified"),
		from: 20, rates: [6]float64{0, 0, 0.06, 0.12, 0.13, 0.1}, steps: [][]drugKey{{naproxen, acetaminophen}},
		words: phrases{"dull low back ache after sitting", "paraspinal tenderness, straight leg raise negative", "physical therapy; stay active"}},
	{key: anemia, code: snomed("87522002", "Iron deficiency anemia"), icd: icd10("D50.9", "Iron deficiency anemia, unspecified"),
		from: 1, rates: [6]float64{0.03, 0.02, 0.04, 0.04, 0.03, 0.06}, recheck: 6, panels: []panelKey{panelBlood}, steps: [][]drugKey{{ferrousSulfate}},
		words: phrases{"less short of breath on iron", "conjunctivae a little pale", "iron with vitamin C; repeat blood count"}},
	{key: dementia, code: snomed("26929004", "Alzheimer's disease"), icd: icd10("G30.9", "Alzheimer's disease, unspecified"),
		from: 66, rates: [6]float64{0, 0, 0, 0, 0.02, 0.13}, recheck: 8, steps: [][]drugKey{{donepezil}},
		words: phrases{"family reports more misplaced objects", "oriented to person and place", "safety at home reviewed with the caregiver"}},
}

// obese and expecting are not drawn by rates: the body and the calendar decide.
var (
	obese = condition{key: obesity, code: snomed("414916001", "Obesity"), icd: icd10("E66.9", "Obesity, unspecified"),
		words: phrases{"interested in losing weight", "no striae", "nutrition counselling; 150 minutes of activity a week"}}
	expecting = condition{key: pregnancy, code: snomed("72892002", "Normal pregnancy"), icd: icd10("Z34.90", "Encounter for supervision of normal pregnancy, unspecified, unspecified trimester"),
		steps: [][]drugKey{{folicAcid}},
		words: phrases{"no bleeding, no contractions", "fundal height consistent with dates", "prenatal vitamins; next visit as scheduled"}}
)
