package limit

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// TestDoor goes to the bounds of rate and of number under way, of one caller and of all.
func TestDoor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := NewDoor[string](7)
		want := func(key string, perSecond float64, inFlight int, r Reason, k fault.Kind) {
			t.Helper()
			err := d.Enter(key, perSecond, inFlight)
			if ReasonOf(err) != r || (r != "" && (!fault.Is(err, k) || fault.Of(err).RetryAfter <= 0)) {
				t.Errorf("%s: %v, want %q", key, err, r)
			}
		}
		for range 3 {
			want("a", 10, 3, "", 0)
		}
		want("a", 10, 3, InFlight, fault.TooMany)
		want("b", 10, 3, "", 0)
		want("b", 10, 3, "", 0)
		want("b", 10, 3, Full, fault.Unavailable)
		d.Leave("a")
		for range 7 {
			want("a", 10, 3, "", 0)
			d.Leave("a")
		}
		want("a", 10, 3, Rate, fault.TooMany)
		time.Sleep(100 * time.Millisecond)
		want("a", 10, 3, "", 0)
		d.Leave("a")
		want("a", 10, 3, Rate, fault.TooMany)
		for range 100 {
			want("a", 0, 3, "", 0) // no rate
			d.Leave("a")
		}
		if d.Inside() != 4 {
			t.Errorf("%d inside, want 4", d.Inside())
		}
	})
}

// TestBudget goes to the bounds of one tenant's bytes and of all.
func TestBudget(t *testing.T) {
	t.Parallel()
	b := NewBudget(100)
	x, y := tenant.NewID(), tenant.NewID()
	h1, h2, h3 := b.Hold(x, 60), b.Hold(x, 60), b.Hold(y, 60)
	grow := func(h *Hold, n int64, r Reason) {
		t.Helper()
		if err := h.Grow(n); ReasonOf(err) != r {
			t.Errorf("%v, want %q", err, r)
		}
	}
	grow(&h1, 40, "")
	grow(&h2, 21, TenantBytes)
	grow(&h2, 20, "")
	grow(&h3, 41, AllBytes)
	grow(&h3, 40, "")
	if b.Used() != 100 {
		t.Errorf("%d held, want 100", b.Used())
	}
	h1.Release()
	h1.Release()
	grow(&h2, 21, AllBytes) // no more than are free
	grow(&h2, 20, "")
	h2.Release()
	h3.Release()
	if b.Used() != 0 || len(b.tenants) != 0 {
		t.Errorf("%d held by %d at the end", b.Used(), len(b.tenants))
	}
	var none Hold
	grow(&none, 1<<40, "")
	none.Release()
}

// TestFewLeaveRoom has two callers take all that they can of what many share, each by its own bounds enough for two halves: another
// gets in, and one more after that.
func TestFewLeaveRoom(t *testing.T) {
	t.Parallel()
	a, b, c, e := tenant.NewID(), tenant.NewID(), tenant.NewID(), tenant.NewID()
	t.Run("door", func(t *testing.T) {
		t.Parallel()
		d := NewDoor[tenant.ID](64)
		for _, id := range []tenant.ID{a, b, a, b} {
			for d.Enter(id, 0, 32) == nil { //nolint:revive // until it is refused
			}
		}
		for _, id := range []tenant.ID{c, e} {
			if err := d.Enter(id, 0, 32); err != nil {
				t.Errorf("with %d of 64 inside: %v", d.Inside(), err)
			}
		}
		if d.Inside() > 64 {
			t.Errorf("%d inside", d.Inside())
		}
	})
	t.Run("budget", func(t *testing.T) {
		t.Parallel()
		all := NewBudget(64 << 10)
		for _, id := range []tenant.ID{a, b} {
			h := all.Hold(id, 32<<10)
			for h.Grow(1<<10) == nil { //nolint:revive // until it is refused
			}
		}
		for _, id := range []tenant.ID{c, e} {
			h := all.Hold(id, 32<<10)
			if err := h.Grow(4 << 10); err != nil {
				t.Errorf("with %d of 65536 bytes held: %v", all.Used(), err)
			}
		}
	})
	t.Run("queue", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			g := NewGate(Total{Slots: 1, Waiting: 64})
			share := Share{Light: 1, CrowdedLight: 1, Heavy: 1, CrowdedHeavy: 1, Waiting: 32}
			first := must(t, g, tenant.NewID(), Light)
			var wait sync.WaitGroup
			enter := func(id tenant.ID, class Class) {
				wait.Go(func() {
					p, err := g.Enter(t.Context(), id, &share, class)
					if err != nil && (id == c || id == e) {
						t.Errorf("who has nobody waiting is refused: %v", err)
					}
					p.Leave()
				})
				synctest.Wait()
			}
			for range 40 {
				enter(a, Light)
				enter(a, Heavy)
			}
			for range 40 {
				enter(b, Light)
			}
			enter(c, Light)
			enter(e, Heavy)
			first.Leave()
			wait.Wait()
		})
	})
}

// TestSlowRateIsKept has a caller with a rate far below one a second come while the door forgets who is away: it does not get a fresh bucket.
func TestSlowRateIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := NewDoor[int](10_000)
		visit := func(key int) error {
			err := d.Enter(key, 0.1, 1)
			if err == nil {
				d.Leave(key)
			}
			return err
		}
		come := func(from int) { // so many others that the door forgets
			for i := range 2 * kept {
				if err := visit(from + i); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := visit(0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		come(1)
		if err := visit(0); ReasonOf(err) != Rate {
			t.Errorf("one in ten seconds came twice in three: %v", err)
		}
		time.Sleep(11 * time.Second)
		come(1 << 20)
		if n := len(d.guests); n > 2*kept+1 {
			t.Errorf("%d guests are remembered, want those who came last", n)
		}
		if err := visit(0); err != nil {
			t.Errorf("after eleven seconds: %v", err)
		}
	})
}

// TestNetwork tells callers apart by what one of them cannot choose.
func TestNetwork(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"1.2.3.4": "1.2.3.4", "::ffff:1.2.3.4": "1.2.3.4", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "2001:db8:1:2::1": "2001:db8:1:2::/64",
		"2001:db8:1:3::1": "2001:db8:1:3::/64", "fe80::1%eth0": "fe80::/64", "::1": "::/64", "": "", "x": "x",
	} {
		if got := Network(in); got != want {
			t.Errorf("%q is of %q, want %q", in, got, want)
		}
	}
}

// BenchmarkDoor is what a request pays at the edge.
func BenchmarkDoor(b *testing.B) {
	d, id := NewDoor[tenant.ID](100), tenant.NewID()
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Enter(id, 1e12, 10); err != nil {
			b.Fatal(err)
		}
		d.Leave(id)
	}
}
