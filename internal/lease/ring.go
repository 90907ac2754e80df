package lease

import (
	"errors"
	"time"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/seal"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Ring is a grant made ready for use. It is immutable and safe for concurrent use.
type Ring struct {
	Tenant  tenant.ID
	expires time.Time
	renew   time.Time // from then on it is renewed before it is used
	// Generation counts the tenant's key operations; the ring is as of it.
	Generation int64
	record     map[int32]*seal.Key
	audit      map[int32]*seal.Key
	cursor     map[int32]*seal.Key
	Write      *seal.Key // seals new bodies
	Events     *seal.Key // seals new audit contexts
	Cursor     *seal.Key
	Index      *seal.PRF
	Shift      Shift
}

// Shift hides the absolute place of dates and numbers in the range index: order leaks, absolutes do not.
type Shift struct{ Sort, Date, Number int64 }

// Prepare makes a grant ready.
func Prepare(g Grant) (*Ring, error) {
	r := &Ring{Tenant: g.Tenant, expires: g.Expires, renew: g.Expires, Generation: g.Generation, record: keys(g.Record), audit: keys(g.Audit), cursor: keys(g.Cursor)}
	r.Write, r.Events, r.Cursor = newest(g.Record), newest(g.Audit), newest(g.Cursor)
	if n := len(g.Index); n > 0 {
		r.Index = seal.NewPRF(g.Index[n-1].Secret)
		// 60 bits of shift leave room below 2^63 for every value that record maps to.
		mask := int64(1)<<60 - 1
		r.Shift = Shift{r.Index.Sum64([]byte("shift\x00sort")) & mask, r.Index.Sum64([]byte("shift\x00date")) & mask, r.Index.Sum64([]byte("shift\x00number")) & mask}
	}
	if g.Purpose == Chart && (r.Write == nil || r.Events == nil || r.Cursor == nil || r.Index == nil) {
		return nil, fault.New(fault.Unavailable, "the tenant's keyring is incomplete")
	}
	return r, nil
}

func keys(in []Key) map[int32]*seal.Key {
	out := make(map[int32]*seal.Key, len(in))
	for _, k := range in {
		out[k.Version] = seal.NewKey(k.Secret, k.Version)
	}
	return out
}

func newest(in []Key) *seal.Key {
	if len(in) == 0 {
		return nil
	}
	k := in[len(in)-1]
	return seal.NewKey(k.Secret, k.Version)
}

// RecordKey gives the key that a stored body names.
func (r *Ring) RecordKey(version int32) (*seal.Key, error) { return pick(r.record, r.Write, version) }

// AuditKey gives the key that a stored event names.
func (r *Ring) AuditKey(version int32) (*seal.Key, error) { return pick(r.audit, r.Events, version) }

// OpenCursor opens a cursor that was sealed under the tenant's newest cursor key or an earlier one: a rotation breaks no paging.
func (r *Ring) OpenCursor(sealed []byte, at seal.Place) ([]byte, error) {
	b, err := r.Cursor.Open(nil, sealed, at)
	if err == nil {
		return b, nil
	}
	for v, k := range r.cursor {
		if v != r.Cursor.Version {
			if b, kerr := k.Open(nil, sealed, at); kerr == nil {
				return b, nil
			}
		}
	}
	return nil, err
}

// ErrNewer is why a key is missing that a later rotation made: a lease taken now has it.
var ErrNewer = errors.New("the value names a later key than the lease holds")

func pick(m map[int32]*seal.Key, newest *seal.Key, v int32) (*seal.Key, error) {
	if k, ok := m[v]; ok {
		return k, nil
	}
	const text = "a stored value names a key version that the tenant does not have"
	if newest == nil || v > newest.Version {
		return nil, fault.Wrap(fault.Internal, ErrNewer, text)
	}
	return nil, fault.New(fault.Internal, text)
}
