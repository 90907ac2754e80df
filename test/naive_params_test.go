package test

// naiveParams are the search parameters that the judge knows, written down from HL7's R4 registry: code, kind (token, string,
// reference, date, number, quantity, uri) and the paths. "*" is a choice, {system=phone} a filter on the object, >Patient one on
// the type of the target, "!" the rule of Patient.deceased.
var naiveParams = parseNaiveParams(map[string]string{
	"Patient": `active t active; address s address; address-city s address.city; address-country s address.country;
		address-postalcode s address.postalCode; address-state s address.state; address-use t address.use;
		birthdate d birthDate; death-date d deceasedDateTime; deceased t deceased!; email t telecom{system=email};
		family s name.family; gender t gender; general-practitioner r generalPractitioner; given s name.given;
		identifier t identifier; language t communication.language; link r link.other; name s name;
		organization r managingOrganization; phone t telecom{system=phone}; phonetic s name; telecom t telecom`,
	"Practitioner": `active t active; address s address; address-city s address.city; address-country s address.country;
		address-postalcode s address.postalCode; address-state s address.state; address-use t address.use;
		communication t communication; email t telecom{system=email}; family s name.family; gender t gender;
		given s name.given; identifier t identifier; name s name; phone t telecom{system=phone}; phonetic s name;
		telecom t telecom`,
	"PractitionerRole": `active t active; date d period; email t telecom{system=email}; endpoint r endpoint; identifier t identifier;
		location r location; organization r organization; phone t telecom{system=phone}; practitioner r practitioner;
		role t code; service r healthcareService; specialty t specialty; telecom t telecom`,
	"Organization": `active t active; address s address; address-city s address.city; address-country s address.country;
		address-postalcode s address.postalCode; address-state s address.state; address-use t address.use; endpoint r endpoint;
		identifier t identifier; name s name alias; partof r partOf; phonetic s name; type t type`,
	"Location": `address s address; address-city s address.city; address-country s address.country;
		address-postalcode s address.postalCode; address-state s address.state; address-use t address.use; endpoint r endpoint;
		identifier t identifier; name s name alias; operational-status t operationalStatus;
		organization r managingOrganization; partof r partOf; status t status; type t type`,
	"Encounter": `account r account; appointment r appointment; based-on r basedOn; class t class; date d period;
		diagnosis r diagnosis.condition; episode-of-care r episodeOfCare; identifier t identifier; length q length;
		location r location.location; location-period d location.period; part-of r partOf;
		participant r participant.individual; participant-type t participant.type; patient r subject>Patient;
		practitioner r participant.individual>Practitioner; reason-code t reasonCode; reason-reference r reasonReference;
		service-provider r serviceProvider; special-arrangement t hospitalization.specialArrangement; status t status;
		subject r subject; type t type`,
	"Observation": `based-on r basedOn; category t category; code t code; combo-code t code component.code;
		combo-data-absent-reason t dataAbsentReason component.dataAbsentReason;
		combo-value-concept t valueCodeableConcept component.valueCodeableConcept;
		combo-value-quantity q valueQuantity valueSampledData component.valueQuantity component.valueSampledData;
		component-code t component.code; component-data-absent-reason t component.dataAbsentReason;
		component-value-concept t component.valueCodeableConcept;
		component-value-quantity q component.valueQuantity component.valueSampledData; data-absent-reason t dataAbsentReason;
		date d effective*; derived-from r derivedFrom; device r device; encounter r encounter; focus r focus;
		has-member r hasMember; identifier t identifier; method t method; part-of r partOf; patient r subject>Patient;
		performer r performer; specimen r specimen; status t status; subject r subject; value-concept t valueCodeableConcept;
		value-date d valueDateTime valuePeriod; value-quantity q valueQuantity valueSampledData;
		value-string s valueString valueCodeableConcept.text`,
	"Condition": `abatement-age q abatementAge abatementRange; abatement-date d abatementDateTime abatementPeriod;
		abatement-string s abatementString; asserter r asserter; body-site t bodySite; category t category;
		clinical-status t clinicalStatus; code t code; encounter r encounter; evidence t evidence.code;
		evidence-detail r evidence.detail; identifier t identifier; onset-age q onsetAge onsetRange;
		onset-date d onsetDateTime onsetPeriod; onset-info s onsetString; patient r subject>Patient;
		recorded-date d recordedDate; severity t severity; stage t stage.summary; subject r subject;
		verification-status t verificationStatus`,
	"Procedure": `based-on r basedOn; category t category; code t code; date d performed*; encounter r encounter;
		identifier t identifier; instantiates-canonical r instantiatesCanonical; instantiates-uri u instantiatesUri;
		location r location; part-of r partOf; patient r subject>Patient; performer r performer.actor;
		reason-code t reasonCode; reason-reference r reasonReference; status t status; subject r subject`,
	"MedicationRequest": `authoredon d authoredOn; category t category; code t medicationCodeableConcept; date d dosageInstruction.timing.event;
		encounter r encounter; identifier t identifier; intended-dispenser r dispenseRequest.performer;
		intended-performer r performer; intended-performertype t performerType; intent t intent;
		medication r medicationReference; patient r subject>Patient; priority t priority; requester r requester;
		status t status; subject r subject`,
	"Immunization": `date d occurrence*; identifier t identifier; location r location; lot-number s lotNumber; manufacturer r manufacturer;
		patient r patient; performer r performer.actor; reaction r reaction.detail; reaction-date d reaction.date;
		reason-code t reasonCode; reason-reference r reasonReference; series s protocolApplied.series; status t status;
		status-reason t statusReason; target-disease t protocolApplied.targetDisease; vaccine-code t vaccineCode`,
	"AllergyIntolerance": `asserter r asserter; category t category; clinical-status t clinicalStatus; code t code reaction.substance;
		criticality t criticality; date d recordedDate; identifier t identifier; last-date d lastOccurrence;
		manifestation t reaction.manifestation; onset d reaction.onset; patient r patient; recorder r recorder;
		route t reaction.exposureRoute; severity t reaction.severity; type t type; verification-status t verificationStatus`,
	"CarePlan": `activity-code t activity.detail.code; activity-date d activity.detail.scheduled*;
		activity-reference r activity.reference; based-on r basedOn; care-team r careTeam; category t category;
		condition r addresses; date d period; encounter r encounter; goal r goal; identifier t identifier;
		instantiates-canonical r instantiatesCanonical; instantiates-uri u instantiatesUri; intent t intent; part-of r partOf;
		patient r subject>Patient; performer r activity.detail.performer; replaces r replaces; status t status;
		subject r subject`,
	"CareTeam": `category t category; date d period; encounter r encounter; identifier t identifier; participant r participant.member;
		patient r subject>Patient; status t status; subject r subject`,
	"DiagnosticReport": `based-on r basedOn; category t category; code t code; conclusion t conclusionCode; date d effective*;
		encounter r encounter; identifier t identifier; issued d issued; media r media.link; patient r subject>Patient;
		performer r performer; result r result; results-interpreter r resultsInterpreter; specimen r specimen; status t status;
		subject r subject`,
	"DocumentReference": `authenticator r authenticator; author r author; category t category; contenttype t content.attachment.contentType;
		custodian r custodian; date d date; description s description; encounter r context.encounter; event t context.event;
		facility t context.facilityType; format t content.format; identifier t masterIdentifier identifier;
		language t content.attachment.language; location u content.attachment.url; patient r subject>Patient;
		period d context.period; related r context.related; relatesto r relatesTo.target; relation t relatesTo.code;
		security-label t securityLabel; setting t context.practiceSetting; status t status; subject r subject; type t type`,
	"Coverage": `beneficiary r beneficiary; class-type t class.type; class-value s class.value; dependent s dependent;
		identifier t identifier; patient r beneficiary; payor r payor; policy-holder r policyHolder; status t status;
		subscriber r subscriber; type t type`,
	"Claim": `care-team r careTeam.provider; created d created; detail-udi r item.detail.udi; encounter r item.encounter;
		enterer r enterer; facility r facility; identifier t identifier; insurer r insurer; item-udi r item.udi;
		patient r patient; payee r payee.party; priority t priority; procedure-udi r procedure.udi; provider r provider;
		status t status; subdetail-udi r item.detail.subDetail.udi; use t use`,
	"ExplanationOfBenefit": `care-team r careTeam.provider; claim r claim; coverage r insurance.coverage; created d created;
		detail-udi r item.detail.udi; disposition s disposition; encounter r item.encounter; enterer r enterer;
		facility r facility; identifier t identifier; item-udi r item.udi; patient r patient; payee r payee.party;
		procedure-udi r procedure.udi; provider r provider; status t status; subdetail-udi r item.detail.subDetail.udi`,
	"ImagingStudy": `basedon r basedOn; bodysite t series.bodySite; dicom-class t series.instance.sopClass; encounter r encounter;
		endpoint r endpoint series.endpoint; identifier t identifier; instance t series.instance.uid;
		interpreter r interpreter; modality t series.modality; patient r subject>Patient; performer r series.performer.actor;
		reason t reasonCode; referrer r referrer; series t series.uid; started d started; status t status; subject r subject`,
	"Provenance": `agent r agent.who; agent-role t agent.role; agent-type t agent.type; entity r entity.what; location r location;
		patient r target>Patient; recorded d recorded; signature-type t signature.type; target r target;
		when d occurredDateTime`,
	"Medication": `code t code; expiration-date d batch.expirationDate; form t form; identifier t identifier;
		ingredient r ingredient.itemReference; ingredient-code t ingredient.itemCodeableConcept; lot-number t batch.lotNumber;
		manufacturer r manufacturer; status t status`,
	"MedicationAdministration": `code t medicationCodeableConcept; context r context; device r device; effective-time d effective*;
		identifier t identifier; medication r medicationReference; patient r subject>Patient; performer r performer.actor;
		reason-given t reasonCode; reason-not-given t statusReason; request r request; status t status; subject r subject`,
	"Device": `device-name s deviceName.name type.coding.display type.text; identifier t identifier; location r location;
		manufacturer s manufacturer; model s modelNumber; organization r owner; patient r patient; status t status;
		type t type; udi-carrier s udiCarrier.carrierHRF; udi-di s udiCarrier.deviceIdentifier; url u url`,
	"SupplyDelivery": `identifier t identifier; patient r patient; receiver r receiver; status t status; supplier r supplier`,
	"RiskAssessment": `condition r condition; date d occurrenceDateTime; encounter r encounter; identifier t identifier; method t method;
		patient r subject>Patient; performer r performer; probability n prediction.probability*;
		risk t prediction.qualitativeRisk; subject r subject`,
	"Group": `actual t actual; characteristic t characteristic.code; code t code; exclude t characteristic.exclude;
		identifier t identifier; managing-entity r managingEntity; member r member.entity; type t type;
		value t characteristic.valueCodeableConcept characteristic.valueBoolean`,
	"List": `code t code; date d date; empty-reason t emptyReason; encounter r encounter; identifier t identifier;
		item r entry.item; notes s note.text; patient r subject>Patient; source r source; status t status; subject r subject;
		title s title`,
	"ServiceRequest": `authored d authoredOn; based-on r basedOn; body-site t bodySite; category t category; code t code;
		encounter r encounter; identifier t identifier; instantiates-canonical r instantiatesCanonical;
		instantiates-uri u instantiatesUri; intent t intent; occurrence d occurrence*; patient r subject>Patient;
		performer r performer; performer-type t performerType; priority t priority; replaces r replaces; requester r requester;
		requisition t requisition; specimen r specimen; status t status; subject r subject`,
	"Appointment": `actor r participant.actor; appointment-type t appointmentType; based-on r basedOn; date d start;
		identifier t identifier; location r participant.actor>Location; part-status t participant.status;
		patient r participant.actor>Patient; practitioner r participant.actor>Practitioner; reason-code t reasonCode;
		reason-reference r reasonReference; service-category t serviceCategory; service-type t serviceType; slot r slot;
		specialty t specialty; status t status; supporting-info r supportingInformation`,
	"ValueSet": `code t expansion.contains.code compose.include.concept.code; context t useContext.valueCodeableConcept;
		context-quantity q useContext.valueQuantity useContext.valueRange; context-type t useContext.code; date d date;
		description s description; expansion u expansion.identifier; identifier t identifier; jurisdiction t jurisdiction;
		name s name; publisher s publisher; reference u compose.include.system; status t status; title s title; url u url;
		version t version`,
	"Questionnaire": `code t item.code; context t useContext.valueCodeableConcept;
		context-quantity q useContext.valueQuantity useContext.valueRange; context-type t useContext.code; date d date;
		definition u item.definition; description s description; effective d effectivePeriod; identifier t identifier;
		jurisdiction t jurisdiction; name s name; publisher s publisher; status t status; subject-type t subjectType;
		title s title; url u url; version t version`,
	"QuestionnaireResponse": `author r author; authored d authored; based-on r basedOn; encounter r encounter; identifier t identifier;
		part-of r partOf; patient r subject>Patient; questionnaire r questionnaire; source r source; status t status;
		subject r subject`,
	"Goal": `achievement-status t achievementStatus; category t category; identifier t identifier;
		lifecycle-status t lifecycleStatus; patient r subject>Patient; start-date d startDate; subject r subject;
		target-date d target.dueDate`,
	"RelatedPerson": `active t active; address s address; address-city s address.city; address-country s address.country;
		address-postalcode s address.postalCode; address-state s address.state; address-use t address.use;
		birthdate d birthDate; email t telecom{system=email}; gender t gender; identifier t identifier; name s name;
		patient r patient; phone t telecom{system=phone}; phonetic s name; relationship t relationship; telecom t telecom`,
})

// naiveCompartment are the parameters that put a resource into a patient's compartment (R4 compartmentdefinition-patient).
var naiveCompartment = map[string]string{
	"AllergyIntolerance": "patient recorder asserter", "Appointment": "actor", "CarePlan": "patient performer", "CareTeam": "patient participant",
	"Claim": "patient payee", "Condition": "patient asserter", "Coverage": "policy-holder subscriber beneficiary payor", "DiagnosticReport": "subject",
	"DocumentReference": "subject author", "Encounter": "patient", "ExplanationOfBenefit": "patient payee", "Goal": "patient", "Group": "member",
	"ImagingStudy": "patient", "Immunization": "patient", "List": "subject source", "MedicationAdministration": "patient performer subject",
	"MedicationRequest": "subject", "Observation": "subject performer", "Patient": "link", "Procedure": "patient performer", "Provenance": "patient",
	"QuestionnaireResponse": "subject author", "RelatedPerson": "patient", "RiskAssessment": "subject", "ServiceRequest": "subject performer",
	"SupplyDelivery": "patient",
}
