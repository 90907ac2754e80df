// Package lease is a short-lived grant of one tenant's keys to one cell, and the cell's cache of such grants. Keys live in
// memory only, for minutes, and only those that the purpose needs; a grant is given only against a live token of that
// tenant, or a ticket that control signed for one job.
package lease

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/seal"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Purpose says what a lease is for, and so which keys it holds.
type Purpose string

// The purposes. Chart serves requests; Audit opens audit events and nothing else.
const (
	Chart Purpose = "chart"
	Audit Purpose = "audit"
)

// Request asks the broker for a grant.
type Request struct {
	Tenant  tenant.ID
	Purpose Purpose
	Proof   string // the tenant's access token, or control's ticket
}

// Key is one versioned subkey on the wire.
type Key struct {
	Version int32
	Secret  seal.Secret
}

// Grant is the broker's answer. The last key of a list is the one for new writes.
type Grant struct {
	Tenant  tenant.ID
	Purpose Purpose
	Expires time.Time
	Record  []Key // bodies of resources
	Audit   []Key // contexts of audit events
	Cursor  []Key // paging cursors
	Index   []Key // blind index
}

// Ticket are the claims of control's signed permission for one job on one tenant.
type Ticket struct {
	Tenant   string  `json:"tenant"`
	Purpose  Purpose `json:"purpose"`
	Operator string  `json:"operator"`
	ID       string  `json:"jti"`
	Expires  int64   `json:"exp"`
}

// TicketType is the JOSE typ of a ticket: no access token can stand for one, nor the other way round.
const TicketType = "cordon-ticket+jwt"

// Broker is the keys role as a cell sees it.
type Broker interface {
	// Lease gives a tenant's keys for minutes. Faults: Unauthenticated (proof not live), Forbidden (proof of another tenant or
	// purpose), Locked (keys disabled), Unavailable (KMS or database away, or audit not writable).
	Lease(ctx context.Context, r Request) (Grant, error)
}

// Ring is a grant made ready for use. It is immutable and safe for concurrent use.
type Ring struct {
	Tenant  tenant.ID
	expires time.Time
	record  map[int32]*seal.Key
	audit   map[int32]*seal.Key
	Write   *seal.Key // seals new bodies
	Events  *seal.Key // seals new audit contexts
	Cursor  *seal.Key
	Index   *seal.PRF
	Shift   Shift
}

// Shift hides the absolute place of dates and numbers in the range index: order leaks, absolutes do not.
type Shift struct{ Sort, Date, Number int64 }

// Prepare makes a grant ready.
func Prepare(g Grant) (*Ring, error) {
	r := &Ring{Tenant: g.Tenant, expires: g.Expires, record: keys(g.Record), audit: keys(g.Audit)}
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
func (r *Ring) RecordKey(version int32) (*seal.Key, error) { return pick(r.record, version) }

// AuditKey gives the key that a stored event names.
func (r *Ring) AuditKey(version int32) (*seal.Key, error) { return pick(r.audit, version) }

func pick(m map[int32]*seal.Key, v int32) (*seal.Key, error) {
	if k, ok := m[v]; ok {
		return k, nil
	}
	return nil, fault.New(fault.Internal, "a stored value names a key version that the tenant does not have")
}

// Cache holds a cell's leases. A lease that has expired is never used; one that is about to expire is renewed with the next
// live token. It is safe for concurrent use.
type Cache struct {
	broker Broker
	now    func() time.Time
	mu     sync.RWMutex // guards rings
	rings  map[tenant.ID]*Ring
	flight singleflight.Group
}

// NewCache makes an empty cache over a broker.
func NewCache(b Broker, now func() time.Time) *Cache {
	return &Cache{broker: b, now: now, rings: map[tenant.ID]*Ring{}}
}

// fetchTimeout bounds a call of the broker, which a whole tenant may be waiting for.
const fetchTimeout = 10 * time.Second

// renewAhead is how long before its end a lease is renewed in the foreground, so that no request starts on a dying one.
const renewAhead = 20 * time.Second

// For gives the tenant's keys, against the caller's live token.
func (c *Cache) For(ctx context.Context, id tenant.ID, token string) (*Ring, error) {
	c.mu.RLock()
	r := c.rings[id]
	c.mu.RUnlock()
	now := c.now()
	if r != nil && now.Before(r.expires.Add(-renewAhead)) {
		return r, nil
	}
	// One caller fetches for all that wait: its own cancellation must not fail the others. When its token was refused, the
	// others try their own.
	var got singleflight.Result
	select {
	case got = <-c.flight.DoChan(id.String(), func() (any, error) { return c.fetch(context.WithoutCancel(ctx), id, token) }):
	case <-ctx.Done():
		return nil, fault.Wrap(fault.Unavailable, ctx.Err(), "the request was ended before its keys came")
	}
	err := got.Err
	if err == nil {
		return got.Val.(*Ring), nil
	}
	if got.Shared && fault.Is(err, fault.Unauthenticated) {
		ring, ferr := c.fetch(ctx, id, token)
		if ferr == nil {
			return ring, nil
		}
		err = ferr
	}
	// A broker that is away is ridden out until the lease really ends; a refusal is obeyed at once.
	if r != nil && fault.Is(err, fault.Unavailable) && now.Before(r.expires) {
		return r, nil
	}
	if !fault.Is(err, fault.Unavailable) {
		c.Drop(id)
	}
	return nil, err
}

// fetch asks the broker and keeps the answer.
func (c *Cache) fetch(ctx context.Context, id tenant.ID, token string) (*Ring, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	g, err := c.broker.Lease(ctx, Request{Tenant: id, Purpose: Chart, Proof: token})
	if err != nil {
		return nil, err
	}
	if g.Tenant != id || g.Purpose != Chart {
		return nil, fault.New(fault.Unavailable, "the broker answered for another tenant or purpose")
	}
	ring, err := Prepare(g)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.rings[id] = ring
	c.mu.Unlock()
	return ring, nil
}

// Drop forgets a tenant's keys.
func (c *Cache) Drop(id tenant.ID) {
	c.mu.Lock()
	delete(c.rings, id)
	c.mu.Unlock()
}
