package synth

import "time"

// ailment is an illness with an end: what brings people to a clinic, an
// emergency department or a bed.
type ailment struct {
	code, icd code
	from, to  float64 // ages
	weight    float64
	men       float64 // weight multiplier for men; 0 is none
	hospital  bool
	nights    int    // of a stay; 0 goes home from the emergency department
	needs     uint64 // conditions, any of which must be present
	since     int    // first year, 0 for always
	fever     float64
	hypoxia   float64 // percent of saturation lost
	white     float64 // thousand leukocytes gained
	days      int
	adult     []drugKey
	child     []drugKey
	done      []code
	panels    []panelKey
	words     phrases
}

var (
	throat     = snomed("117015009", "Throat culture")
	chestXray  = snomed("399208008", "Plain chest X-ray")
	ecg        = snomed("29303009", "Electrocardiographic procedure")
	suture     = snomed("288086009", "Suture open wound")
	appendix   = snomed("80146002", "Excision of appendix")
	gallbladd  = snomed("38102005", "Cholecystectomy")
	urinalysis = snomed("167217005", "Urine examination")
	nebulized  = snomed("56251003", "Nebulizer therapy")
	stent      = snomed("415070008", "Percutaneous coronary intervention")
	hipRepair  = snomed("52734007", "Total replacement of hip")
	fluids     = snomed("430701006", "Resuscitation using intravenous fluid")
)

var ailments = []ailment{
	{code: snomed("3110003", "Acute otitis media"), icd: icd10("H66.90", "Otitis media, unspecified, unspecified ear"), from: 0.4, to: 8, weight: 9, fever: 1.4, days: 12,
		child: []drugKey{amoxicillinLiquid}, words: phrases{"ear pain and poor sleep for two days", "bulging, red tympanic membrane", "amoxicillin for ten days; return if fever persists"}},
	{code: snomed("54150009", "Upper respiratory infection"), icd: icd10("J06.9", "Acute upper respiratory infection, unspecified"), from: 0.2, to: 100, weight: 6, fever: 0.6, days: 9,
		adult: []drugKey{acetaminophen}, child: nil, words: phrases{"runny nose and cough for three days", "clear rhinorrhea, lungs clear", "fluids and rest; return if breathing becomes hard"}},
	{code: snomed("43878008", "Streptococcal sore throat"), icd: icd10("J02.0", "Streptococcal pharyngitis"), from: 3, to: 50, weight: 4, fever: 1.5, white: 4, days: 10,
		adult: []drugKey{amoxicillin500, azithromycin}, child: []drugKey{amoxicillinLiquid}, done: []code{throat}, words: phrases{"sore throat and fever since yesterday", "tonsillar exudate, tender anterior cervical nodes", "throat culture sent; antibiotic for ten days"}},
	{code: snomed("10509002", "Acute bronchitis"), icd: icd10("J20.9", "Acute bronchitis, unspecified"), from: 5, to: 100, weight: 5, fever: 0.4, hypoxia: 1, days: 18,
		adult: []drugKey{acetaminophen}, words: phrases{"productive cough for a week", "scattered rhonchi clearing with cough", "no antibiotic; honey and fluids; cough may last three weeks"}},
	{code: snomed("444814009", "Viral sinusitis"), icd: icd10("J01.90", "Acute sinusitis, unspecified"), from: 8, to: 90, weight: 4, fever: 0.3, days: 12,
		adult: []drugKey{acetaminophen}, words: phrases{"facial pressure and congestion for five days", "mild maxillary tenderness", "saline irrigation, analgesic; recheck if worse after ten days"}},
	{code: snomed("68566005", "Urinary tract infection"), icd: icd10("N39.0", "Urinary tract infection, site not specified"), from: 16, to: 100, weight: 4, men: 0.15, fever: 0.3, white: 1.5, days: 7,
		adult: []drugKey{nitrofurantoin, cotrimoxazole}, done: []code{urinalysis}, words: phrases{"burning urination and urgency for two days", "suprapubic tenderness, no flank pain", "antibiotic for five days; push fluids"}},
	{code: snomed("111843007", "Viral gastroenteritis"), icd: icd10("A08.4", "Viral intestinal infection, unspecified"), from: 0.5, to: 80, weight: 4, fever: 0.7, days: 5,
		words: phrases{"vomiting and loose stools since last night", "mucous membranes slightly dry, abdomen soft", "oral rehydration in small sips; return if no urine for eight hours"}},
	{code: snomed("44465007", "Sprain of ankle"), icd: icd10("S93.409A", "Sprain of unspecified ligament of unspecified ankle, initial encounter"), from: 7, to: 70, weight: 3, days: 30,
		adult: []drugKey{ibuprofen}, words: phrases{"twisted the ankle on a step", "swelling over the lateral malleolus, bears weight", "rest, ice, compression, elevation"}},
	{code: snomed("283371005", "Laceration of forearm"), icd: icd10("S51.819A", "Laceration without foreign body of unspecified forearm, initial encounter"), from: 3, to: 85, weight: 2, days: 14,
		adult: []drugKey{acetaminophen}, done: []code{suture}, words: phrases{"cut on broken glass an hour ago", "four-centimeter clean laceration, distal sensation intact", "closed with five sutures; removal in ten days"}},
	{code: snomed("40275004", "Contact dermatitis"), icd: icd10("L25.9", "Unspecified contact dermatitis, unspecified cause"), from: 2, to: 90, weight: 2, days: 14,
		adult: []drugKey{hydrocortisone}, child: []drugKey{hydrocortisone}, words: phrases{"itchy rash on the hands after gardening", "linear vesicles on red skin", "topical steroid; avoid the plant"}},
	{code: snomed("6142004", "Influenza"), icd: icd10("J11.1", "Influenza due to unidentified influenza virus with other respiratory manifestations"), from: 1, to: 100, weight: 2, fever: 2, hypoxia: 1, days: 9,
		adult: []drugKey{acetaminophen}, words: phrases{"sudden fever, aches and dry cough", "flushed, lungs clear", "home until a day without fever; fluids"}},
	{code: snomed("840539006", "COVID-19"), icd: icd10("U07.1", "COVID-19"), from: 1, to: 100, weight: 4, since: 2021, fever: 1.2, hypoxia: 2, days: 11,
		adult: []drugKey{acetaminophen}, words: phrases{"fever, cough and loss of smell", "comfortable, lungs clear", "isolation advice given; pulse oximeter at home"}},
	{code: snomed("29857009", "Chest pain"), icd: icd10("R07.9", "Chest pain, unspecified"), from: 25, to: 95, weight: 4, hospital: true, days: 2,
		done: []code{ecg, chestXray}, panels: []panelKey{panelBlood, panelMetabolic}, words: phrases{"left-sided chest pressure for an hour", "pain reproduced by palpation, heart sounds normal", "two negative troponins; outpatient stress test"}},
	{code: snomed("233604007", "Pneumonia"), icd: icd10("J18.9", "Pneumonia, unspecified organism"), from: 1, to: 100, weight: 4, hospital: true, nights: 3, fever: 2, hypoxia: 6, white: 7, days: 21,
		adult: []drugKey{levofloxacin, azithromycin}, child: []drugKey{amoxicillinLiquid}, done: []code{chestXray}, panels: []panelKey{panelBlood, panelMetabolic}, words: phrases{"fever, cough and breathlessness for four days", "crackles at the right base", "antibiotics and oxygen; chest film in six weeks"}},
	{code: snomed("85189001", "Acute appendicitis"), icd: icd10("K35.80", "Unspecified acute appendicitis"), from: 6, to: 60, weight: 2, hospital: true, nights: 1, fever: 1.2, white: 6, days: 20,
		adult: []drugKey{acetaminophen}, done: []code{appendix}, panels: []panelKey{panelBlood}, words: phrases{"pain moving from the navel to the right lower abdomen", "guarding and rebound at McBurney's point", "laparoscopic appendectomy without complication"}},
	{code: snomed("65275009", "Acute cholecystitis"), icd: icd10("K81.0", "Acute cholecystitis"), from: 25, to: 90, weight: 2, hospital: true, nights: 2, fever: 1, white: 5, days: 25,
		adult: []drugKey{acetaminophen}, done: []code{gallbladd}, panels: []panelKey{panelBlood, panelMetabolic}, words: phrases{"right upper abdominal pain after a fatty meal", "positive Murphy sign", "laparoscopic cholecystectomy; low-fat diet for two weeks"}},
	{code: snomed("22298006", "Myocardial infarction"), icd: icd10("I21.9", "Acute myocardial infarction, unspecified"), from: 45, to: 100, weight: 4, hospital: true, nights: 3, needs: 1<<coronary | 1<<hypertension | 1<<diabetes, days: 60,
		adult: []drugKey{aspirin}, done: []code{ecg, stent}, panels: []panelKey{panelBlood, panelMetabolic, panelLipid}, words: phrases{"crushing chest pain with sweating for ninety minutes", "pale and clammy, lungs clear", "stent to the left anterior descending artery; cardiac rehabilitation"}},
	{code: snomed("195951007", "Acute exacerbation of chronic obstructive airways disease"), icd: icd10("J44.1", "Chronic obstructive pulmonary disease with (acute) exacerbation"), from: 45, to: 100, weight: 12, hospital: true, nights: 3, needs: 1 << copd, fever: 0.4, hypoxia: 8, white: 3, days: 15,
		adult: []drugKey{prednisone}, done: []code{chestXray, nebulized}, panels: []panelKey{panelBlood}, words: phrases{"worse breathlessness and purulent sputum for three days", "diffuse wheeze, accessory muscles in use", "steroids, bronchodilators, antibiotic; pulmonary rehabilitation"}},
	{code: snomed("708038006", "Acute exacerbation of asthma"), icd: icd10("J45.901", "Unspecified asthma with (acute) exacerbation"), from: 2, to: 80, weight: 14, hospital: true, needs: 1 << asthma, hypoxia: 5, days: 7,
		adult: []drugKey{prednisone}, child: []drugKey{prednisone}, done: []code{nebulized}, words: phrases{"wheeze not settling with the inhaler since morning", "widespread wheeze, speaks in phrases", "three nebulizers, oral steroid for five days"}},
	{code: snomed("5913000", "Fracture of neck of femur"), icd: icd10("S72.009A", "Fracture of unspecified part of neck of unspecified femur, initial encounter for closed fracture"), from: 66, to: 105, weight: 3, hospital: true, nights: 4, days: 90,
		adult: []drugKey{acetaminophen}, done: []code{hipRepair}, panels: []panelKey{panelBlood, panelMetabolic}, words: phrases{"fell in the bathroom, cannot stand", "left leg shortened and rotated outward", "hip replacement; rehabilitation and a fall assessment"}},
	{code: snomed("62315008", "Diarrhea"), icd: icd10("R19.7", "Diarrhea, unspecified"), from: 0.3, to: 100, weight: 2, hospital: true, fever: 0.5, days: 5,
		done: []code{fluids}, panels: []panelKey{panelMetabolic}, words: phrases{"watery diarrhea for two days, light-headed", "dry mucous membranes, abdomen soft", "a liter of fluid; diet advanced"}},
}

// sepsis is the illness of those who die of nothing else in the table.
var sepsis = ailment{code: snomed("91302008", "Sepsis"), icd: icd10("A41.9", "Sepsis, unspecified organism"), from: 0, to: 120, hospital: true, nights: 3, fever: 2.2, hypoxia: 9, white: 11, days: 20,
	done: []code{fluids, chestXray}, panels: []panelKey{panelBlood, panelMetabolic}, words: phrases{"confusion, fever and rigors", "hypotensive and tachycardic, mottled knees", "broad antibiotics and fluids; family meeting held"}}

// catch draws an illness a person of that age and history may have, or nil.
func (c *chart) catch(at time.Time, hospital bool) *ailment {
	age := years(c.who.birth, at)
	weight := func(i int) float64 {
		a := &ailments[i]
		if a.hospital != hospital || age < a.from || age > a.to || at.Year() < a.since {
			return 0
		}
		if a.needs != 0 {
			had := false
			for _, p := range c.problems {
				had = had || a.needs&(1<<p.key) != 0 && p.onset.Before(at.Add(-30*day))
			}
			if !had {
				return 0
			}
		}
		if a.men > 0 && !c.who.female {
			return a.weight * a.men
		}
		return a.weight
	}
	i := c.weighted(len(ailments), weight)
	if weight(i) == 0 {
		return nil
	}
	return &ailments[i]
}
