package lease

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Cache holds a cell's leases. A lease that has expired is never used; one that is about to expire, or is of an earlier
// generation of keys than the directory names, is renewed with the next live token. It is safe for concurrent use.
type Cache struct {
	broker Broker
	now    func() time.Time
	mu     sync.RWMutex // guards the maps
	rings  map[tenant.ID]*Ring
	drops  map[tenant.ID]uint64 // counts Drop: a grant that was asked for before is not kept
	away   map[tenant.ID]absence
	flight singleflight.Group
}

// absence is a broker that could not answer for a tenant: until then it is not asked again.
type absence struct {
	until time.Time
	wait  time.Duration
	err   error
}

// Need is what a request needs keys for.
type Need struct {
	Tenant     tenant.ID
	Token      string // the caller's live token
	Request    string // id of the request, for the event
	Generation int64  // of the tenant's keys, as the directory names it; 0 = any
}

// NewCache makes an empty cache over a broker.
func NewCache(b Broker, now func() time.Time) *Cache {
	return &Cache{broker: b, now: now, rings: map[tenant.ID]*Ring{}, drops: map[tenant.ID]uint64{}, away: map[tenant.ID]absence{}}
}

const (
	// fetchTimeout bounds a call of the broker, which a whole tenant may be waiting for.
	fetchTimeout = 10 * time.Second
	// renewAhead is how long before its end a lease is renewed in the foreground, so that no request starts on a dying one; of a
	// short lease it is the last fifth.
	renewAhead = 20 * time.Second
	// patience is how long a request that has a good lease waits for a better one.
	patience = time.Second
	// A broker that is away is asked again for a tenant after minAway, then after twice as long each time, up to maxAway.
	minAway = 250 * time.Millisecond
	maxAway = 2 * time.Second
)

// For gives the tenant's keys, against the caller's live token.
func (c *Cache) For(ctx context.Context, n Need) (*Ring, error) {
	r, good, err := c.look(n)
	if good {
		return r, nil
	}
	alive := r != nil && c.now().Before(r.expires)
	if err != nil {
		if alive {
			return r, nil
		}
		return nil, err
	}
	ring, err := c.wait(ctx, n, alive)
	if err == nil {
		return ring, nil
	}
	switch {
	case fault.Is(err, fault.Unauthenticated): // this caller's token has just ended: that says nothing of the tenant
	case !fault.Is(err, fault.Unavailable): // a refusal is obeyed at once
		c.Drop(n.Tenant)
	case alive: // a broker that is away is ridden out until the lease really ends
		return r, nil
	}
	return nil, err
}

// look gives the tenant's ring, whether it is good as it is, and, when the broker is not to be asked now, why.
func (c *Cache) look(n Need) (r *Ring, good bool, err error) {
	c.mu.RLock()
	r, gone := c.rings[n.Tenant], c.away[n.Tenant]
	c.mu.RUnlock()
	now := c.now()
	if now.Before(gone.until) {
		err = gone.fault(now)
	}
	return r, r != nil && now.Before(r.renew) && r.Generation >= n.Generation, err
}

// Renew gives keys as of now, when a stored value names a later version than r holds: another process took up a rotation before this one.
func (c *Cache) Renew(ctx context.Context, n Need, r *Ring) (*Ring, error) {
	n.Generation = max(n.Generation, r.Generation+1)
	got, err := c.wait(ctx, n, false)
	if err == nil && got.Generation <= r.Generation { // it was on its way before
		return c.fetch(ctx, n)
	}
	return got, err
}

// wait lets one caller fetch for all that wait: its own cancellation must not fail the others. When its token was refused, the
// others try their own. Who has a good lease waits a moment only.
func (c *Cache) wait(ctx context.Context, n Need, alive bool) (*Ring, error) {
	var enough <-chan time.Time
	if alive {
		t := time.NewTimer(patience)
		defer t.Stop()
		enough = t.C
	}
	var got singleflight.Result
	select {
	case got = <-c.flight.DoChan(n.Tenant.String(), func() (any, error) { return c.fetch(context.WithoutCancel(ctx), n) }):
	case <-enough:
		return nil, fault.New(fault.Unavailable, "the keys are not renewed yet")
	case <-ctx.Done():
		return nil, fault.Wrap(fault.Unavailable, ctx.Err(), "the request was ended before its keys came")
	}
	if got.Err == nil {
		return got.Val.(*Ring), nil
	}
	if got.Shared && fault.Is(got.Err, fault.Unauthenticated) {
		return c.fetch(ctx, n)
	}
	return nil, got.Err
}

// fetch asks the broker and keeps the answer, unless the keys were dropped meanwhile. It looks again before: who came late to one
// flight must not begin another.
func (c *Cache) fetch(ctx context.Context, n Need) (*Ring, error) {
	if r, good, err := c.look(n); good {
		return r, nil
	} else if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	c.mu.RLock()
	drops := c.drops[n.Tenant]
	c.mu.RUnlock()
	g, err := c.broker.Lease(ctx, Request{Tenant: n.Tenant, Purpose: Chart, Proof: n.Token, Request: n.Request})
	if err != nil {
		return nil, c.failed(n.Tenant, err)
	}
	if g.Tenant != n.Tenant || g.Purpose != Chart {
		return nil, fault.New(fault.Unavailable, "the broker answered for another tenant or purpose")
	}
	ring, err := Prepare(g)
	if err != nil {
		return nil, err
	}
	now := c.now()
	ring.renew = g.Expires.Add(-min(renewAhead, g.Expires.Sub(now)/5))
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.away, n.Tenant)
	if c.drops[n.Tenant] != drops {
		return nil, tenant.KeysDisabled()
	}
	c.rings[n.Tenant] = ring
	return ring, nil
}

// failed remembers that the broker could not answer, so that not every request of the tenant knocks.
func (c *Cache) failed(id tenant.ID, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !fault.Is(err, fault.Unavailable) {
		delete(c.away, id)
		return err
	}
	a := absence{wait: min(max(minAway, 2*c.away[id].wait), maxAway), err: err}
	a.until = c.now().Add(a.wait)
	c.away[id] = a
	return a.fault(c.now())
}

// fault is the broker's own with the time after which it is asked again.
func (a absence) fault(now time.Time) error {
	f := fault.Wrap(fault.Unavailable, a.err, "%s", fault.Of(a.err).Text)
	f.RetryAfter = max(a.until.Sub(now), time.Second, fault.Of(a.err).RetryAfter)
	return f
}

// Drop forgets a tenant's keys, and those that are on their way.
func (c *Cache) Drop(id tenant.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.rings, id)
	delete(c.away, id)
	c.drops[id]++
}
