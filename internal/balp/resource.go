// Package balp shows audit events as FHIR R4 AuditEvent resources, as IHE Basic Audit Log Patterns (BALP 1.1) shape them. It is pure: an
// event in, the bytes of a resource out. Where an event has the form of one of BALP's profiles, meta.profile says so;
// failures, operations and the events of tokens, keys and tenants have no profile there and claim none.
package balp

import (
	"encoding/json"

	"github.com/cordon-ehr/cordon/internal/audit"
)

// The shape of the resource: R4 AuditEvent, the elements that an event has a source for.
type resource struct {
	Type           string    `json:"resourceType"`
	ID             string    `json:"id"`
	Meta           meta      `json:"meta"`
	Kind           coding    `json:"type"`
	Subtype        []coding  `json:"subtype"`
	Action         string    `json:"action"`
	Recorded       string    `json:"recorded"`
	Outcome        string    `json:"outcome"`
	OutcomeDesc    string    `json:"outcomeDesc,omitempty"`
	PurposeOfEvent []concept `json:"purposeOfEvent,omitempty"`
	Agent          []agent   `json:"agent"`
	Source         source    `json:"source"`
	Entity         []entity  `json:"entity,omitempty"`
}

type meta struct {
	Version string   `json:"versionId"`
	Updated string   `json:"lastUpdated"`
	Profile []string `json:"profile,omitempty"`
}

type coding struct {
	System  string `json:"system"`
	Code    string `json:"code"`
	Display string `json:"display,omitempty"`
}

type concept struct {
	Coding []coding `json:"coding"`
}

type identifier struct {
	System string `json:"system,omitempty"`
	Value  string `json:"value"`
}

type reference struct {
	Reference  string      `json:"reference,omitempty"`
	Identifier *identifier `json:"identifier,omitempty"`
	Display    string      `json:"display,omitempty"`
}

type network struct {
	Address string `json:"address"`
	Type    string `json:"type"` // R4 network-type: 2 IP address, 5 URI
}

type agent struct {
	Type      *concept   `json:"type,omitempty"`
	Who       *reference `json:"who,omitempty"`
	Requestor bool       `json:"requestor"`
	Policy    []string   `json:"policy,omitempty"`
	Network   *network   `json:"network,omitempty"`
}

type source struct {
	Site     string    `json:"site,omitempty"`
	Observer reference `json:"observer"`
	Type     []coding  `json:"type"`
}

type entity struct {
	What   *reference `json:"what,omitempty"`
	Type   *coding    `json:"type,omitempty"`
	Role   *coding    `json:"role,omitempty"`
	Name   string     `json:"name,omitempty"`
	Query  []byte     `json:"query,omitempty"` // base64 in JSON
	Detail []detail   `json:"detail,omitempty"`
}

type detail struct {
	Type  string `json:"type"`
	Value string `json:"valueString"`
}

// instant is a time to the microsecond: what a search tells apart. An export has the rest.
const instant = "2006-01-02T15:04:05.000000Z"

// Render gives the AuditEvent of an event. base is the tenant's FHIR base: the server as its callers know it.
func Render(e audit.Event, base string) []byte {
	at := e.Recorded.UTC().Format(instant)
	kind, subtype := kinds(e)
	r := resource{Type: "AuditEvent", ID: e.ID.String(), Meta: meta{Version: "1", Updated: at, Profile: profile(e)}, Kind: kind, Subtype: subtype,
		Action: string(e.Action), Recorded: at, Outcome: string(e.Outcome), OutcomeDesc: e.OutcomeDesc, Agent: agents(e, base), Source: observer(e, base),
		Entity: entities(e)}
	if e.Purpose != "" {
		r.PurposeOfEvent = []concept{{[]coding{{"http://terminology.hl7.org/CodeSystem/v3-ActReason", e.Purpose, ""}}}}
	}
	b, err := json.Marshal(r)
	if err != nil {
		panic("balp: internal error: an AuditEvent is always JSON: " + err.Error())
	}
	return b
}
