package lease_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/lease"
	"github.com/cordon-ehr/cordon/internal/seal"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// broker counts its grants; err, when set, is its answer.
type broker struct {
	mu    sync.Mutex // guards the rest
	calls int
	err   error
	now   time.Time
}

func (b *broker) Lease(_ context.Context, r lease.Request) (lease.Grant, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	k := []lease.Key{{Version: 1, Secret: seal.NewSecret()}}
	return lease.Grant{Tenant: r.Tenant, Purpose: r.Purpose, Expires: b.now.Add(5 * time.Minute), Record: k, Audit: k, Cursor: k, Index: k}, b.err
}

func (b *broker) set(now time.Time, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now, b.err = now, err
}

func TestCacheLivesByTheLease(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	b := &broker{now: start}
	c := lease.NewCache(b, func() time.Time { return b.now })
	id := tenant.NewID()
	ask := func() error { _, err := c.For(t.Context(), lease.Need{Tenant: id, Token: "token"}); return err }
	for range 3 {
		if err := ask(); err != nil {
			t.Fatal(err)
		}
	}
	if b.calls != 1 {
		t.Errorf("%d grants for one lease", b.calls)
	}
	b.set(start.Add(4*time.Minute+50*time.Second), nil) // about to expire: renewed
	if err := ask(); err != nil || b.calls != 2 {
		t.Errorf("renewal: %v, %d grants", err, b.calls)
	}
	away := fault.New(fault.Unavailable, "away")
	b.set(start.Add(9*time.Minute+45*time.Second), away) // the broker is away, the lease still good
	if err := ask(); err != nil {
		t.Errorf("an absence was not ridden out: %v", err)
	}
	b.set(start.Add(10*time.Minute), away)
	if err := ask(); !fault.Is(err, fault.Unavailable) {
		t.Errorf("an expired lease was used: %v", err)
	}
}

func TestARefusalIsObeyedAtOnce(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	b := &broker{now: start}
	c := lease.NewCache(b, func() time.Time { return b.now })
	id := tenant.NewID()
	if _, err := c.For(t.Context(), lease.Need{Tenant: id, Token: "token"}); err != nil {
		t.Fatal(err)
	}
	b.set(start.Add(4*time.Minute+45*time.Second), fault.New(fault.Locked, "disabled"))
	if _, err := c.For(t.Context(), lease.Need{Tenant: id, Token: "token"}); !fault.Is(err, fault.Locked) {
		t.Errorf("a refused lease went on: %v", err)
	}
}

func TestAnAuditGrantHoldsNoChartKey(t *testing.T) {
	t.Parallel()
	r, err := lease.Prepare(lease.Grant{Purpose: lease.Audit, Audit: []lease.Key{{Version: 1, Secret: seal.NewSecret()}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.RecordKey(1); err == nil || r.Write != nil || r.Index != nil {
		t.Error("an audit lease opens charts")
	}
	if _, err := lease.Prepare(lease.Grant{Purpose: lease.Chart}); err == nil {
		t.Error("an empty grant was made ready")
	}
}
