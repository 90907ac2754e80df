package audit

import (
	"strconv"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/phi"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Position is the place of an event in the order of its database: by transaction, then id. Nothing slips in before a position whose
// transaction is below the oldest one still running.
type Position struct {
	XID uint64
	ID  uuid.UUID
}

// FeedAsk is a call for a page of a tenant's events in the order of their database: what must miss nothing follows it. An ask for no
// tenant asks how far the database can be read, and nothing else.
type FeedAsk struct {
	Tenant tenant.ID
	Ticket string   // control's signed permission, where events are sealed
	By     By       // who reads
	From   uint64   // transactions from this one on
	Until  uint64   // and below this one; 0 = below the oldest still running, which the answer tells
	After  Position // of these, what is after this one
	Limit  int      // at most PageLimit
}

// FeedPage is the answer. With fewer events than the limit there are no more below Until.
type FeedPage struct {
	Events []Plain
	Last   Position
	Until  uint64
}

// Minimal gives the event without what could be of a patient: the patient is a pseudonym (pseudonym/ and 16 hex digits; the blind id
// that stands beside the row, keyed per tenant, the same for all events of one patient), queries and ids of resources are
// left out. What happened, to which type, by whom and with which outcome remains.
func (e Event) Minimal(patient int64) Event {
	e.Patient = ""
	if patient != 0 {
		e.Patient = phi.Text(pseudonym + hex16(uint64(patient)))
	}
	e.Entity.ID, e.Query, e.Resources = "", "", nil
	return e
}

// Streamed tells whether the event is that a stream of events was read.
func (e Event) Streamed() bool { return e.Type == "audit" && e.Subtype == "stream" }

const pseudonym = "pseudonym/"

func hex16(n uint64) string {
	s := strconv.FormatUint(n, 16)
	return "0000000000000000"[len(s):] + s
}

// WhoAsk is a call for the newest events of one patient.
type WhoAsk struct {
	Tenant  tenant.ID
	Ticket  string // control's signed permission
	By      By
	Patient string // FHIR id; it goes nowhere but to the cell
	Range   Range
}
