// Package audit is the vocabulary of what happened and its way to a durable row. An event is sealed as a whole under the
// tenant's audit key where the tenant's keys are at hand (the cell); control and keys, which see no chart, store theirs
// in clear. What stands beside the sealed bytes is what a ledger needs: identity, time, key version.
//
// Fields are a superset of FHIR AuditEvent as IHE BALP profiles it.
package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/phi"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Action is FHIR AuditEvent.action: C, R, U, D or E.
type Action string

// The actions (R4 valueset-audit-event-action). A search and an operation are E (BALP).
const (
	Create  Action = "C"
	Read    Action = "R"
	Update  Action = "U"
	Delete  Action = "D"
	Execute Action = "E"
)

// Outcome is FHIR AuditEvent.outcome.
type Outcome string

// The outcomes (R4 valueset-audit-event-outcome).
const (
	Success      Outcome = "0"
	MinorFailure Outcome = "4" // refused: the caller's fault
	SeriousFail  Outcome = "8" // failed: ours
)

// Agent is who did it. The whole token is never kept: its jti is.
type Agent struct {
	Kind     string `json:"kind"` // client, operator, service, anonymous
	ID       string `json:"id,omitempty"`
	Client   string `json:"client_id,omitempty"`
	TokenID  string `json:"jti,omitempty"`
	Address  string `json:"address,omitempty"`
	UserHash string `json:"user_agent_hash,omitempty"`
}

// By is who acts, and under which request: what all events of one request share.
type By struct {
	Agent   Agent
	Request string
}

// Event begins the event of an act by an operator, seen by one role: allowed and successful until said otherwise (see Refused).
func (by By) Event(role string, t tenant.ID, kind, what string, a Action) Event {
	return New(Event{Tenant: t, Type: kind, Subtype: what, Action: a, Outcome: Success, Agent: by.Agent, Request: by.Request,
		Source: Source{Role: role}, Decision: Decision{Allow: true, Policy: "operator/1"}})
}

// Source is which part of the platform observed it.
type Source struct {
	Role string `json:"role"`
	Site string `json:"site,omitempty"` // the cell
}

// Entity is the thing touched: a resource by type, id and version, a token, a key, a tenant.
type Entity struct {
	Type     string   `json:"type,omitempty"`
	ID       phi.Text `json:"-"`
	Version  int64    `json:"version,omitempty"`
	Previous int64    `json:"previous_version,omitempty"`
	Count    int      `json:"count,omitempty"` // how many resources of this patient, for a set
}

// Decision is what authorization said.
type Decision struct {
	Allow  bool   `json:"allow"`
	Policy string `json:"policy,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// Event is one thing that happened. ID and Recorded are set by New.
type Event struct {
	ID          uuid.UUID
	Tenant      tenant.ID // zero = of the platform
	Recorded    time.Time // server clock, UTC; see New
	Type        string    // rest, token, key, tenant, client, audit, security
	Subtype     string    // read, search-type, transaction, issue, lease, …
	Action      Action
	Outcome     Outcome
	OutcomeDesc string // reason of a failure: a constant text, no PHI
	Agent       Agent
	Source      Source
	Patient     phi.Text // Patient/id, when known: one event per patient touched
	Entity      Entity
	Resources   []phi.Text // of a transaction: every Type/id/_history/version of this patient
	Query       phi.Text   // the raw query of a search: parameters, never results
	Request     string     // X-Request-Id
	Purpose     string     // purposeOfEvent
	Decision    Decision
	Before      string // of a change of something that is no resource: the state it was in, a constant word
	After       string // and the one it came to
}

// Refused turns the event into that of a refusal; outcome and reason are constant texts.
func (e Event) Refused(outcome, reason string) Event {
	e.Outcome, e.OutcomeDesc = MinorFailure, outcome
	e.Decision.Allow, e.Decision.Reason = false, reason
	return e
}

// New stamps a copy of e with a fresh time-ordered id (UUID version 7), and with the time that the id holds, to 256 ns: the ids
// of a process only ever grow, so that a clock set back cannot make a later event look earlier, and whoever
// looks for a time finds it among the ids. Whether e is whole is judged where its row is made: see Check.
func New(e Event) Event {
	e.ID = uuid.Must(uuid.NewV7())
	e.Recorded = TimeOf(e.ID)
	return e
}

// TimeOf is the moment in a time-ordered id, in the precision that New writes there.
func TimeOf(id uuid.UUID) time.Time {
	ms := int64(binary.BigEndian.Uint64(id[:8]) >> 16)
	fraction := int64(binary.BigEndian.Uint16(id[6:8])&0xfff) << 8
	return time.UnixMilli(ms).Add(time.Duration(min(fraction, int64(time.Millisecond)-1))).UTC()
}

// FirstAt is the least time-ordered id of a moment's millisecond: every event from that moment on has a greater one.
func FirstAt(at time.Time) (id uuid.UUID) {
	binary.BigEndian.PutUint64(id[:8], uint64(max(0, at.UnixMilli()))<<16)
	return id
}

// wire is the stored form. It reveals what Event masks: it goes only into a sealed row or to a reader that was allowed.
type wire struct {
	ID          uuid.UUID  `json:"event_id"`
	Tenant      string     `json:"tenant_id"`
	Recorded    time.Time  `json:"recorded"`
	Type        string     `json:"type"`
	Subtype     string     `json:"subtype"`
	Action      Action     `json:"action"`
	Outcome     Outcome    `json:"outcome"`
	OutcomeDesc string     `json:"outcome_desc,omitempty"`
	Agent       Agent      `json:"agent"`
	Source      Source     `json:"source"`
	Patient     string     `json:"patient,omitempty"`
	Entity      wireEntity `json:"entity"`
	Resources   []string   `json:"resources,omitempty"`
	Query       []byte     `json:"query,omitempty"` // base64 in JSON
	Request     string     `json:"request_id,omitempty"`
	Purpose     string     `json:"purpose,omitempty"`
	Decision    Decision   `json:"decision"`
	Before      string     `json:"before,omitempty"`
	After       string     `json:"after,omitempty"`
}

type wireEntity struct {
	Entity
	Reference string `json:"reference,omitempty"`
}

func reveal(in []phi.Text) []string {
	out := make([]string, len(in))
	for i, t := range in {
		out[i] = t.Reveal()
	}
	return out
}

// Marshal gives the event's canonical bytes.
func (e Event) Marshal() []byte {
	w := wire{e.ID, e.Tenant.String(), e.Recorded, e.Type, e.Subtype, e.Action, e.Outcome, e.OutcomeDesc, e.Agent, e.Source,
		e.Patient.Reveal(), wireEntity{Entity: e.Entity}, reveal(e.Resources), []byte(e.Query.Reveal()), e.Request, e.Purpose, e.Decision,
		e.Before, e.After}
	if id := e.Entity.ID.Reveal(); id != "" {
		w.Entity.Reference = e.Entity.Type + "/" + id
	}
	b, err := json.Marshal(w)
	if err != nil {
		panic("audit: internal error: an event is always JSON") // what err says may quote the event
	}
	return b
}

// LedgerAlert is the event of a log that stopped, or of a row in it that nobody wrote. kind and detail are constants of the code.
func LedgerAlert(t tenant.ID, from Source, stream, kind, event string) Event {
	e := Event{Tenant: t, Type: "security", Subtype: "ledger-alert", Action: Execute, Outcome: SeriousFail, OutcomeDesc: stream + ": " + kind,
		Agent: Agent{Kind: "service", ID: from.Role}, Source: from, Decision: Decision{Policy: "ledger/1", Reason: kind}}
	if event != "" {
		e.Decision.Reason += ": event " + event // no entity: control keeps no event about a resource
	}
	return New(e)
}

// LogUse is the event of an operator who verifies or exports a tenant's log.
func LogUse(t tenant.ID, from Source, subtype string, by By) Event {
	return New(Event{Tenant: t, Type: "audit", Subtype: subtype, Action: Read, Outcome: Success, Agent: by.Agent, Source: from, Request: by.Request,
		Decision: Decision{Allow: true, Policy: "operator/1"}})
}

// HashUserAgent makes the short form in which a user agent is kept: it tells two devices apart and carries no text of the
// caller.
func HashUserAgent(ua string) string {
	if ua == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(ua))
	return hex.EncodeToString(sum[:8])
}
