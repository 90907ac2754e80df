package synth

// drugKey names a medicine.
type drugKey int

const (
	noDrug drugKey = iota
	acetaminophen
	albuterol
	alendronate
	amlodipine
	amoxicillin500
	amoxicillinLiquid
	apixaban
	aspirin
	atorvastatin
	azithromycin
	carvedilol
	cetirizine
	cotrimoxazole
	donepezil
	empagliflozin
	escitalopram
	ferrousSulfate
	fluoxetine
	fluticasone
	fluticasoneSalmeterol
	folicAcid
	furosemide
	glipizide
	hydrochlorothiazide
	hydrocortisone
	ibuprofen
	levofloxacin
	levothyroxine75
	levothyroxine100
	lisinopril
	loratadine
	losartan
	metformin
	metforminXR
	metoprolol
	naproxen
	nitrofurantoin
	omeprazole
	prednisone
	rosuvastatin
	sertraline
	simvastatin
	sumatriptan
	tiotropium
)

// Classes of medicine, as bits: by them allergies, kidneys, anticoagulants and
// pregnancy rule medicines out.
const (
	classPenicillin uint64 = 1 << iota
	classSulfa
	classNSAID
	classACE
	classAspirin
	classSSRI
	classBeta
	classTeratogen
)

// single are the classes of which nobody takes two at once.
const single = classNSAID | classSSRI | classBeta

// form is how a medicine is taken.
type form struct {
	unit, ucum string
	route      code
}

var (
	byMouth  = snomed("26643006", "Oral route")
	inhaled  = snomed("447694001", "Respiratory tract route")
	onSkin   = snomed("6064005", "Topical route")
	tablet   = form{"tablet", "{tbl}", byMouth}
	capsule  = form{"capsule", "{capsule}", byMouth}
	liquid   = form{"mL", "mL", byMouth}
	puff     = form{"puff", "{puff}", inhaled}
	smearing = form{"application", "{application}", onSkin}
)

// drug is one medicine with the way it is usually ordered.
type drug struct {
	code   code
	form   form
	dose   float64
	times  int     // per period
	period float64 // days
	prn    bool
	days   int // of a course; 0 goes on
	class  uint64
	text   string
}

var drugs = [...]drug{
	acetaminophen:         {code: rxnorm("313782", "Acetaminophen 325 MG Oral Tablet"), form: tablet, dose: 2, times: 4, period: 1, prn: true, days: 10, text: "2 tablets by mouth every 6 hours as needed for pain or fever"},
	albuterol:             {code: rxnorm("745679", "200 ACTUAT albuterol 0.09 MG/ACTUAT Metered Dose Inhaler"), form: puff, dose: 2, times: 4, period: 1, prn: true, text: "2 puffs every 6 hours as needed for wheeze"},
	alendronate:           {code: rxnorm("904431", "alendronate sodium 70 MG Oral Tablet"), form: tablet, dose: 1, times: 1, period: 7, text: "1 tablet by mouth once a week, upright, before breakfast"},
	amlodipine:            {code: rxnorm("197361", "amlodipine 5 MG Oral Tablet"), form: tablet, dose: 1, times: 1, period: 1, text: "1 tablet by mouth daily"},
	amoxicillin500:        {code: rxnorm("308192", "Amoxicillin 500 MG Oral Tablet"), form: tablet, dose: 1, times: 2, period: 1, days: 10, class: classPenicillin, text: "1 tablet by mouth twice daily for 10 days"},
	amoxicillinLiquid:     {code: rxnorm("308189", "amoxicillin 80 MG/ML Oral Suspension"), form: liquid, dose: 6, times: 2, period: 1, days: 10, class: classPenicillin, text: "6 mL by mouth twice daily for 10 days"},
	apixaban:              {code: rxnorm("1364445", "apixaban 5 MG Oral Tablet"), form: tablet, dose: 1, times: 2, period: 1, text: "1 tablet by mouth twice daily"},
	aspirin:               {code: rxnorm("243670", "aspirin 81 MG Oral Tablet"), form: tablet, dose: 1, times: 1, period: 1, class: classAspirin, text: "1 tablet by mouth daily"},
	atorvastatin:          {code: rxnorm("617310", "atorvastatin 20 MG Oral Tablet"), form: tablet, dose: 1, times: 1, period: 1, class: classTeratogen, text: "1 tablet by mouth at bedtime"},
	azithromycin:          {code: rxnorm("308460", "azithromycin 250 MG Oral Tablet"), form: tablet, dose: 1, times: 1, period: 1, days: 5, text: "2 tablets on the first day, then 1 tablet daily for 4 days"},
	carvedilol:            {code: rxnorm("200031", "carvedilol 6.25 MG Oral Tablet"), form: tablet, dose: 1, times: 2, period: 1, class: classBeta, text: "1 tablet by mouth twice daily with food"},
	cetirizine:            {code: rxnorm("1014678", "cetirizine hydrochloride 10 MG Oral Tablet"), form: tablet, dose: 1, times: 1, period: 1, prn: true, text: "1 tablet by mouth daily as needed for allergies"},
	cotrimoxazole:         {code: rxnorm("198335", "sulfamethoxazole 800 MG / trimethoprim 160 MG Oral Tablet"), form: tablet, dose: 1, times: 2, period: 1, days: 3, class: classSulfa, text: "1 tablet by mouth twice daily for 3 days"},
	donepezil:             {code: rxnorm("997223", "Donepezil hydrochloride 10 MG Oral Tablet"), form: tablet, dose: 1, times: 1, period: 1, text: "1 tablet by mouth at bedtime"},
	empagliflozin:         {code: rxnorm("1545658", "empagliflozin 10 MG Oral Tablet"), form: tablet, dose: 1, times: 1, period: 1, text: "1 tablet by mouth each morning"},
	escitalopram:          {code: rxnorm("349332", "escitalopram 10 MG Oral Tablet"), form: tablet, dose: 1, times: 1, period: 1, class: classSSRI, text: "1 tablet by mouth daily"},
	ferrousSulfate:        {code: rxnorm("310325", "ferrous sulfate 325 MG Oral Tablet"), form: tablet, dose: 1, times: 1, period: 2, text: "1 tablet by mouth every other day"},
	fluoxetine:            {code: rxnorm("310385", "fluoxetine 20 MG Oral Capsule"), form: capsule, dose: 1, times: 1, period: 1, class: classSSRI, text: "1 capsule by mouth each morning"},
	fluticasone:           {code: rxnorm("895994", "120 ACTUAT fluticasone propionate 0.044 MG/ACTUAT Metered Dose Inhaler"), form: puff, dose: 2, times: 2, period: 1, text: "2 puffs twice daily; rinse the mouth afterwards"},
	fluticasoneSalmeterol: {code: rxnorm("896209", "60 ACTUAT fluticasone propionate 0.25 MG/ACTUAT / salmeterol 0.05 MG/ACTUAT Dry Powder Inhaler"), form: puff, dose: 1, times: 2, period: 1, text: "1 inhalation twice daily; rinse the mouth afterwards"},
	folicAcid:             {code: rxnorm("310410", "folic acid 1 MG Oral Tablet"), form: tablet, dose: 1, times: 1, period: 1, text: "1 tablet by mouth daily"},
	furosemide:            {code: rxnorm("313988", "furosemide 40 MG Oral Tablet"), form: tablet, dose: 1, times: 1, period: 1, text: "1 tablet by mouth each morning"},
	glipizide:             {code: rxnorm("310490", "glipizide 5 MG Oral Tablet"), form: tablet, dose: 1, times: 1, period: 1, text: "1 tablet by mouth before breakfast"},
	hydrochlorothiazide:   {code: rxnorm("310798", "hydrochlorothiazide 25 MG Oral Tablet"), form: tablet, dose: 1, times: 1, period: 1, text: "1 tablet by mouth each morning"},
	hydrocortisone:        {code: rxnorm("106258", "Hydrocortisone 10 MG/ML Topical Cream"), form: smearing, dose: 1, times: 2, period: 1, prn: true, days: 14, text: "thin layer to affected skin twice daily as needed"},
	ibuprofen:             {code: rxnorm("310965", "ibuprofen 200 MG Oral Tablet"), form: tablet, dose: 2, times: 3, period: 1, prn: true, days: 7, class: classNSAID, text: "2 tablets by mouth every 8 hours with food as needed for pain"},
	levofloxacin:          {code: rxnorm("199885", "levofloxacin 500 MG Oral Tablet"), form: tablet, dose: 1, times: 1, period: 1, days: 7, text: "1 tablet by mouth daily for 7 days"},
	levothyroxine75:       {code: rxnorm("966222", "levothyroxine sodium 0.075 MG Oral Tablet"), form: tablet, dose: 1, times: 1, period: 1, text: "1 tablet by mouth daily on an empty stomach"},
	levothyroxine100:      {code: rxnorm("892246", "levothyroxine sodium 0.1 MG Oral Tablet"), form: tablet, dose: 1, times: 1, period: 1, text: "1 tablet by mouth daily on an empty stomach"},
	lisinopril:            {code: rxnorm("314076", "lisinopril 10 MG Oral Tablet"), form: tablet, dose: 1, times: 1, period: 1, class: classACE | classTeratogen, text: "1 tablet by mouth daily"},
	loratadine:            {code: rxnorm("311372", "loratadine 10 MG Oral Tablet"), form: tablet, dose: 1, times: 1, period: 1, prn: true, text: "1 tablet by mouth daily as needed for allergies"},
	losartan:              {code: rxnorm("979492", "losartan potassium 50 MG Oral Tablet"), form: tablet, dose: 1, times: 1, period: 1, class: classTeratogen, text: "1 tablet by mouth daily"},
	metformin:             {code: rxnorm("861007", "metformin hydrochloride 500 MG Oral Tablet"), form: tablet, dose: 1, times: 2, period: 1, text: "1 tablet by mouth twice daily with meals"},
	metforminXR:           {code: rxnorm("860975", "24 HR metformin hydrochloride 500 MG Extended Release Oral Tablet"), form: tablet, dose: 2, times: 1, period: 1, text: "2 tablets by mouth with the evening meal"},
	metoprolol:            {code: rxnorm("866436", "24 HR metoprolol succinate 50 MG Extended Release Oral Tablet"), form: tablet, dose: 1, times: 1, period: 1, class: classBeta, text: "1 tablet by mouth daily"},
	naproxen:              {code: rxnorm("198014", "naproxen 500 MG Oral Tablet"), form: tablet, dose: 1, times: 2, period: 1, prn: true, class: classNSAID, text: "1 tablet by mouth twice daily with food as needed for pain"},
	nitrofurantoin:        {code: rxnorm("1648755", "nitrofurantoin, macrocrystals 25 MG / nitrofurantoin, monohydrate 75 MG Oral Capsule"), form: capsule, dose: 1, times: 2, period: 1, days: 5, text: "1 capsule by mouth twice daily for 5 days"},
	omeprazole:            {code: rxnorm("198051", "omeprazole 20 MG Delayed Release Oral Capsule"), form: capsule, dose: 1, times: 1, period: 1, text: "1 capsule by mouth daily before breakfast"},
	prednisone:            {code: rxnorm("312615", "prednisone 20 MG Oral Tablet"), form: tablet, dose: 2, times: 1, period: 1, days: 5, text: "2 tablets by mouth daily for 5 days"},
	rosuvastatin:          {code: rxnorm("859747", "rosuvastatin calcium 10 MG Oral Tablet"), form: tablet, dose: 1, times: 1, period: 1, class: classTeratogen, text: "1 tablet by mouth daily"},
	sertraline:            {code: rxnorm("312941", "sertraline 50 MG Oral Tablet"), form: tablet, dose: 1, times: 1, period: 1, class: classSSRI, text: "1 tablet by mouth daily"},
	simvastatin:           {code: rxnorm("312961", "simvastatin 20 MG Oral Tablet"), form: tablet, dose: 1, times: 1, period: 1, class: classTeratogen, text: "1 tablet by mouth in the evening"},
	sumatriptan:           {code: rxnorm("313161", "sumatriptan 50 MG Oral Tablet"), form: tablet, dose: 1, times: 1, period: 1, prn: true, text: "1 tablet at the start of a headache; may repeat once after 2 hours"},
	tiotropium:            {code: rxnorm("485032", "tiotropium 0.018 MG Inhalation Powder"), form: puff, dose: 1, times: 1, period: 1, text: "inhale the contents of 1 capsule daily"},
}
