package limit

import (
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
		d := NewDoor[string](5)
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
	grow(&h2, 40, "")
	h2.Release()
	h3.Release()
	if b.Used() != 0 || len(b.tenants) != 0 {
		t.Errorf("%d held by %d at the end", b.Used(), len(b.tenants))
	}
	var none Hold
	grow(&none, 1<<40, "")
	none.Release()
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
