package lease_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
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

// TestOneRingPerTenant asks for two tenants' keys, one after the other and at once: each gets its own, and never by the other's token.
func TestOneRingPerTenant(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &slow{proofs: map[tenant.ID][]string{}, hold: make(chan struct{})}
		c := lease.NewCache(b, time.Now)
		ids := []tenant.ID{tenant.NewID(), tenant.NewID()}
		ask := func(i int) *lease.Ring {
			r, err := c.For(t.Context(), lease.Need{Tenant: ids[i%2], Token: "token of " + ids[i%2].String()})
			if err != nil {
				t.Error(err)
			}
			return r
		}
		rings := make([]*lease.Ring, 4)
		var wait sync.WaitGroup
		for i := range rings {
			wait.Go(func() { rings[i] = ask(i) })
		}
		synctest.Wait() // all of them wait for the broker
		close(b.hold)
		wait.Wait()
		for i := range rings {
			for _, got := range []*lease.Ring{ask(i), rings[i]} {
				if got == nil || got.Tenant != ids[i%2] {
					t.Errorf("a tenant got the keys of another")
				}
			}
		}
		for id, proofs := range b.proofs {
			for _, p := range proofs {
				if p != "token of "+id.String() {
					t.Errorf("keys of %s were asked for with the %s", id, p)
				}
			}
		}
	})
}

// slow answers when hold is closed, so that callers meet.
type slow struct {
	mu     sync.Mutex // guards proofs
	proofs map[tenant.ID][]string
	hold   chan struct{}
}

func (s *slow) Lease(_ context.Context, r lease.Request) (lease.Grant, error) {
	<-s.hold
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proofs[r.Tenant] = append(s.proofs[r.Tenant], r.Proof)
	k := []lease.Key{{Version: 1, Secret: seal.NewSecret()}}
	return lease.Grant{Tenant: r.Tenant, Purpose: r.Purpose, Expires: time.Now().Add(time.Minute), Record: k, Audit: k, Cursor: k, Index: k}, nil
}

// wrong gives the keys of another tenant than was asked for, or for another purpose.
type wrong struct{ change func(*lease.Grant) }

func (w wrong) Lease(_ context.Context, r lease.Request) (lease.Grant, error) {
	k := []lease.Key{{Version: 1, Secret: seal.NewSecret()}}
	g := lease.Grant{Tenant: r.Tenant, Purpose: r.Purpose, Expires: time.Now().Add(time.Minute), Record: k, Audit: k, Cursor: k, Index: k}
	w.change(&g)
	return g, nil
}

// TestAGrantOfAnotherIsRefused has the broker answer another question than was asked.
func TestAGrantOfAnotherIsRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*lease.Grant){
		"another tenant": func(g *lease.Grant) { g.Tenant = tenant.NewID() }, "no tenant": func(g *lease.Grant) { g.Tenant = tenant.ID{} },
		"another purpose": func(g *lease.Grant) { g.Purpose = lease.Audit },
	} {
		if r, err := lease.NewCache(wrong{change}, time.Now).For(t.Context(), lease.Need{Tenant: tenant.NewID(), Token: "token"}); !fault.Is(err, fault.Unavailable) || r != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestKeysAreOfTheirVersion picks keys by the version that a stored value names: an unknown one is refused, and each is its own.
func TestKeysAreOfTheirVersion(t *testing.T) {
	t.Parallel()
	k := []lease.Key{{Version: 1, Secret: seal.NewSecret()}, {Version: 2, Secret: seal.NewSecret()}}
	r, err := lease.Prepare(lease.Grant{Tenant: tenant.NewID(), Purpose: lease.Chart, Record: k, Audit: k, Cursor: k, Index: k})
	if err != nil {
		t.Fatal(err)
	}
	at := seal.Place{Tenant: r.Tenant, Table: "version"}
	sealed := r.Write.Seal(nil, []byte("x"), at)
	one, err := r.RecordKey(1)
	if err != nil || r.Write.Version != 2 {
		t.Fatal(err, r.Write.Version)
	}
	if _, err := one.Open(nil, sealed, at); err == nil {
		t.Error("the older key opens what the newer one sealed")
	}
	for _, v := range []int32{0, 3, -1} {
		if _, err := r.RecordKey(v); err == nil {
			t.Errorf("there is a key of version %d", v)
		}
		if _, err := r.AuditKey(v); err == nil {
			t.Errorf("there is an audit key of version %d", v)
		}
	}
}
