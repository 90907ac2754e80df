package balp

import "github.com/cordon-ehr/cordon/internal/audit"

// Code systems.
const (
	sysType     = "http://terminology.hl7.org/CodeSystem/audit-event-type"
	sysDCM      = "http://dicom.nema.org/resources/ontology/DCM"
	sysREST     = "http://hl7.org/fhir/restful-interaction"
	sysEntity   = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
	sysRole     = "http://terminology.hl7.org/CodeSystem/object-role"
	sysSource   = "http://terminology.hl7.org/CodeSystem/security-source-type"
	sysBALP     = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
	sysTake     = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
	sysCustody  = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
	sysOwn      = "https://cordon-ehr.example/fhir/CodeSystem/audit-subtype" // TYPE-SUBTYPE of the events as exported
	sysOperator = "https://cordon-ehr.example/fhir/sid/operator"
	profiles    = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
)

// interactions are the subtypes of type rest that FHIR has a code for.
var interactions = map[string]bool{"read": true, "vread": true, "update": true, "delete": true, "create": true, "history-instance": true,
	"search-type": true, "transaction": true, "batch": true}

// kinds gives type and subtype: FHIR's and DICOM's codes where they have one, and always our own words, by which one kind of event can
// be told from every other.
func kinds(e audit.Event) (coding, []coding) {
	own := coding{sysOwn, e.Type + "-" + e.Subtype, ""}
	switch e.Type {
	case "rest":
		rest := coding{sysType, "rest", "RESTful Operation"}
		switch {
		case interactions[e.Subtype]:
			return rest, restful(e.Subtype, own)
		case e.Subtype == "everything":
			return rest, []coding{{sysREST, "operation", "operation"}, own}
		}
		return rest, []coding{own}
	case "audit":
		used := coding{sysDCM, "110101", "Audit Log Used"}
		if interactions[e.Subtype] {
			return used, restful(e.Subtype, own)
		}
		return used, []coding{own}
	case "token":
		return coding{sysDCM, "110114", "User Authentication"}, []coding{{sysDCM, "110122", "Login"}, own}
	case "client":
		return coding{sysDCM, "110113", "Security Alert"}, []coding{{sysDCM, "110137", "User Security Attributes Changed"}, own}
	case "operator":
		return coding{sysDCM, "110113", "Security Alert"}, []coding{{sysDCM, "110132", "Use of Restricted Function"}, own}
	case "security":
		return coding{sysDCM, "110113", "Security Alert"}, []coding{own}
	}
	return coding{sysDCM, "110100", "Application Activity"}, []coding{own}
}

// restful gives the code of an interaction. A delete has it alone: BALP's profile allows no second one.
func restful(interaction string, own coding) []coding {
	c := coding{sysREST, interaction, interaction}
	if interaction == "delete" {
		return []coding{c}
	}
	return []coding{c, own}
}

// profile names the BALP profile that the event's resource keeps. The profiles are of successes, and of a client that is known.
func profile(e audit.Event) []string {
	if e.Type != "rest" || e.Outcome != audit.Success || e.Agent.Kind != "client" || e.Agent.Address == "" {
		return nil
	}
	name := map[string]string{"read": "Read", "vread": "Read", "create": "Create", "update": "Update", "delete": "Delete", "search-type": "Query"}[e.Subtype]
	if name == "" || (name != "Query" && e.Entity.ID == "") {
		return nil
	}
	if e.Patient != "" {
		name = "Patient" + name
	}
	return []string{profiles + name}
}
