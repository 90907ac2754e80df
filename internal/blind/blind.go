// Package blind is what the database learns of a resource: keyed hashes of ids, codes and strings, and dates and numbers under
// a secret shift. Everything that goes into an index table or a condition on one comes from here; docs/leakage.md says what it
// leaks. It does no I/O.
package blind

import (
	"encoding/binary"
	"math"

	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/fhir/search"
	"github.com/cordon-ehr/cordon/internal/lease"
)

// Index blinds for one tenant. It is cheap to copy and safe for concurrent use.
type Index struct {
	ring *lease.Ring
	base string // the tenant's FHIR base: absolute references to it are local
}

// Of gives the tenant's index under its leased keys.
func Of(ring *lease.Ring, base string) Index { return Index{ring, base} }

// Base is the tenant's FHIR base.
func (x Index) Base() string { return x.base }

// The first byte of each hashed message keeps the uses apart.
const (
	useResource  = lease.UseResource
	useToken     = 't'
	useFolded    = 'f'
	useCondition = 'l'
	useQuery     = 'c'
)

// Rid gives the blind id of a resource, and a second half that its body carries, so that a collision of the first half is
// seen (2^-64 per pair of one tenant's ids).
func (x Index) Rid(t *fhir.Type, id string) (rid, check int64) {
	var b [80]byte
	m := append(b[:0], useResource, byte(t.ID>>8), byte(t.ID))
	return x.ring.Index.Sum128(append(m, id...))
}

// PatientMessage is what a patient's blind id is the hash of, without its first byte (lease.BlindResource).
func PatientMessage(id string) []byte {
	return append([]byte{byte(patientType.ID >> 8), byte(patientType.ID)}, id...)
}

var patientType = fhir.ResourceType("Patient")

// Patient gives the blind id of a patient, 0 for none.
func (x Index) Patient(id string) int64 {
	if id == "" {
		return 0
	}
	rid, _ := x.Rid(patientType, id)
	return rid
}

// Token gives the blind form of a posting.
func (x Index) Token(p *search.Path, text string) int64 {
	var b [128]byte
	m := binary.BigEndian.AppendUint32(append(b[:0], useToken), uint32(p.ID))
	return x.ring.Index.Sum64(append(m, text...))
}

// Folded gives the blind form of a posting together with its patient.
func (x Index) Folded(p *search.Path, text string, patient int64) int64 {
	var b [128]byte
	m := binary.BigEndian.AppendUint32(append(b[:0], useFolded), uint32(p.ID))
	m = binary.BigEndian.AppendUint64(m, uint64(patient))
	return x.ring.Index.Sum64(append(m, text...))
}

// Condition gives the key of the advisory lock of a conditional interaction.
func (x Index) Condition(t *fhir.Type, query string) int64 {
	return x.ring.Index.Sum64([]byte(string(useCondition) + t.Name + "?" + query))
}

// Query gives a query's fingerprint, to which its cursors are bound.
func (x Index) Query(text string) int64 { return x.ring.Index.Sum64([]byte(string(useQuery) + text)) }

// undated is the place of resources without a primary date: at the beginning of every list, before all that have one, open
// beginnings too.
const undated = math.MinInt64 >> 2

// Sort hides a primary date, in Unix microseconds; order is kept.
func (x Index) Sort(at int64, has bool) int64 {
	if !has {
		return undated
	}
	return at + x.ring.Shift.Sort
}

// Value hides a date or number of the range table; order is kept.
func (x Index) Value(v int64, numeric bool) int64 {
	if numeric {
		return v + x.ring.Shift.Number
	}
	return v + x.ring.Shift.Date
}
