package lease_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/lease"
	"github.com/cordon-ehr/cordon/internal/seal"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// flaky is a broker whose answer a test sets; it runs in synctest's time.
type flaky struct {
	mu         sync.Mutex // guards the rest
	calls      int
	err        error
	generation int64
	versions   int32
	slow       time.Duration
	life       time.Duration
}

func (b *flaky) Lease(ctx context.Context, r lease.Request) (lease.Grant, error) {
	b.mu.Lock()
	b.calls++
	slow, err, life := b.slow, b.err, b.life
	g := lease.Grant{Tenant: r.Tenant, Purpose: r.Purpose, Generation: b.generation, Expires: time.Now().Add(life)}
	for v := int32(1); v <= b.versions; v++ {
		g.Record = append(g.Record, lease.Key{Version: v, Secret: seal.NewSecret()})
	}
	b.mu.Unlock()
	g.Audit, g.Cursor, g.Index = g.Record, g.Record, g.Record
	select {
	case <-time.After(slow):
		return g, err
	case <-ctx.Done():
		return g, fault.Wrap(fault.Unavailable, ctx.Err(), "too slow")
	}
}

func (b *flaky) set(f func()) { b.mu.Lock(); defer b.mu.Unlock(); f() }

func (b *flaky) took() int { b.mu.Lock(); defer b.mu.Unlock(); n := b.calls; b.calls = 0; return n }

// TestAnAbsentBrokerIsNotKnockedAt sends many requests of two tenants at a broker that is away: each tenant asks now and then, all are told
// when to come again, and all is well as soon as it is back.
func TestAnAbsentBrokerIsNotKnockedAt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &flaky{versions: 1, life: 5 * time.Minute, err: fault.New(fault.Unavailable, "away")}
		c := lease.NewCache(b, time.Now)
		ids := []tenant.ID{tenant.NewID(), tenant.NewID()}
		burst := func(want fault.Kind) {
			var wg sync.WaitGroup
			for _, id := range ids {
				for range 50 {
					wg.Go(func() {
						_, err := c.For(t.Context(), lease.Need{Tenant: id, Token: "t"})
						if !fault.Is(err, want) || fault.Of(err).RetryAfter < time.Second {
							t.Errorf("%v", err)
						}
					})
				}
			}
			wg.Wait()
		}
		burst(fault.Unavailable)
		if n := b.took(); n != 2 {
			t.Errorf("%d calls of one burst of two tenants", n)
		}
		for range 600 { // a minute of bursts
			burst(fault.Unavailable)
			time.Sleep(100 * time.Millisecond)
		}
		if n := b.took(); n < 20 || n > 80 {
			t.Errorf("%d calls in a minute for two tenants", n)
		}
		b.set(func() { b.err = nil })
		time.Sleep(4 * time.Second)
		if _, err := c.For(t.Context(), lease.Need{Tenant: ids[0], Token: "t"}); err != nil {
			t.Errorf("back again: %v", err)
		}
	})
}

// TestALeaseRidesOutAnAbsence uses a good lease to its end while the broker fails, or hangs: requests are not held up by it.
func TestALeaseRidesOutAnAbsence(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(*flaky){"fails": func(b *flaky) { b.err = fault.New(fault.Unavailable, "away") }, "hangs": func(b *flaky) { b.slow = time.Hour }} {
		synctest.Test(t, func(t *testing.T) {
			b := &flaky{versions: 1, life: time.Minute}
			c := lease.NewCache(b, time.Now)
			need := lease.Need{Tenant: tenant.NewID(), Token: "t"}
			if _, err := c.For(t.Context(), need); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			b.set(func() { away(b) })
			for time.Since(start) < 58*time.Second {
				asked := time.Now()
				if _, err := c.For(t.Context(), need); err != nil {
					t.Fatalf("%s: after %s: %v", name, time.Since(start), err)
				}
				if took := time.Since(asked); took > time.Second {
					t.Fatalf("%s: a request with a good lease waited %s", name, took)
				}
				time.Sleep(500 * time.Millisecond)
			}
			time.Sleep(3 * time.Second)
			if _, err := c.For(t.Context(), need); !fault.Is(err, fault.Unavailable) {
				t.Errorf("%s: after its end: %v", name, err)
			}
			b.set(func() { b.err, b.slow = nil, 0 })
			time.Sleep(15 * time.Second)
			if _, err := c.For(t.Context(), need); err != nil {
				t.Errorf("%s: back again: %v", name, err)
			}
		})
	}
}

// TestGenerations renews a lease before it is used when the directory names a later generation, and when a stored value names a later
// key.
func TestGenerations(t *testing.T) {
	t.Parallel()
	b := &flaky{versions: 1, generation: 1, life: time.Minute}
	c := lease.NewCache(b, time.Now)
	need := lease.Need{Tenant: tenant.NewID(), Token: "t", Generation: 1}
	first, err := c.For(t.Context(), need)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.RecordKey(2); !errors.Is(err, lease.ErrNewer) {
		t.Errorf("a later key: %v", err)
	}
	if _, err := first.RecordKey(0); err == nil || errors.Is(err, lease.ErrNewer) {
		t.Errorf("a key that never was: %v", err)
	}
	b.set(func() { b.versions, b.generation = 2, 2 })
	newer, err := c.Renew(t.Context(), need, first)
	if err != nil || newer.Write.Version != 2 {
		t.Fatalf("renewed: %v", err)
	}
	if again, err := c.Renew(t.Context(), need, first); err != nil || again != newer || b.took() != 2 {
		t.Errorf("renewed twice: %v", err)
	}
	b.set(func() { b.versions, b.generation = 3, 3 })
	need.Generation = 3
	r, err := c.For(t.Context(), need)
	if err != nil || r.Generation != 3 || r.Write.Version != 3 || b.took() != 1 {
		t.Errorf("the directory knew: %+v %v", r, err)
	}
	if _, err := c.For(t.Context(), need); err != nil || b.took() != 0 {
		t.Errorf("once it is renewed: %v", err)
	}
}

// TestDroppedWhileOnItsWay drops keys while the broker answers: they are neither used nor kept.
func TestDroppedWhileOnItsWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &flaky{versions: 1, life: time.Minute, slow: time.Second}
		c := lease.NewCache(b, time.Now)
		need := lease.Need{Tenant: tenant.NewID(), Token: "t"}
		got := make(chan error, 1)
		go func() { _, err := c.For(t.Context(), need); got <- err }()
		time.Sleep(500 * time.Millisecond)
		c.Drop(need.Tenant)
		if err := <-got; !fault.Is(err, fault.Locked) {
			t.Errorf("dropped on its way: %v", err)
		}
		b.took()
		if _, err := c.For(t.Context(), need); err != nil || b.took() != 1 {
			t.Errorf("it was kept: %v", err)
		}
	})
}

// TestOneExpiredTokenSpoilsNothing refuses one caller whose token has just ended: the others' lease stays.
func TestOneExpiredTokenSpoilsNothing(t *testing.T) {
	t.Parallel()
	b := &flaky{versions: 1, generation: 1, life: time.Minute}
	c := lease.NewCache(b, time.Now)
	need := lease.Need{Tenant: tenant.NewID(), Token: "t"}
	if _, err := c.For(t.Context(), need); err != nil {
		t.Fatal(err)
	}
	b.set(func() { b.err = fault.New(fault.Unauthenticated, "expired") })
	need.Generation = 2
	if _, err := c.For(t.Context(), need); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("%v", err)
	}
	need.Generation = 1
	if _, err := c.For(t.Context(), need); err != nil {
		t.Errorf("the others: %v", err)
	}
}

// TestCursorsOutliveARotation opens a cursor that was sealed under the key before.
func TestCursorsOutliveARotation(t *testing.T) {
	t.Parallel()
	k := []lease.Key{{Version: 1, Secret: seal.NewSecret()}, {Version: 2, Secret: seal.NewSecret()}}
	old, err := lease.Prepare(lease.Grant{Purpose: lease.Chart, Record: k[:1], Audit: k[:1], Cursor: k[:1], Index: k[:1]})
	if err != nil {
		t.Fatal(err)
	}
	r, err := lease.Prepare(lease.Grant{Purpose: lease.Chart, Record: k, Audit: k, Cursor: k, Index: k[:1]})
	if err != nil {
		t.Fatal(err)
	}
	at := seal.Place{Tenant: tenant.NewID(), Table: "cursor"}
	for _, by := range []*seal.Key{old.Cursor, r.Cursor} {
		if b, err := r.OpenCursor(by.Seal(nil, []byte("here"), at), at); err != nil || string(b) != "here" {
			t.Errorf("version %d: %v", by.Version, err)
		}
	}
	if _, err := old.OpenCursor(r.Cursor.Seal(nil, []byte("x"), at), at); err == nil {
		t.Error("an earlier lease opens a later cursor")
	}
}
