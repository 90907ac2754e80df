package limit

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

var share = Share{Light: 4, Heavy: 4, CrowdedLight: 2, CrowdedHeavy: 1, Waiting: 8}

func must(t *testing.T, g *Gate, id tenant.ID, c Class) Pass {
	t.Helper()
	p, err := g.Enter(t.Context(), id, &share, c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestFloodWaitsBehindItself has one tenant fill its slots and its queue: its next is refused, while another tenant goes straight in.
func TestFloodWaitsBehindItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(Total{Slots: 16, CrowdedHeavy: 2, Waiting: 100})
		a, b := tenant.NewID(), tenant.NewID()
		var held []Pass
		for range 4 {
			held = append(held, must(t, g, a, Heavy))
		}
		var wait sync.WaitGroup
		for range 8 {
			wait.Go(func() {
				p, err := g.Enter(t.Context(), a, &share, Heavy)
				if err != nil {
					t.Errorf("a waiter was refused: %v", err)
				}
				p.Leave()
			})
		}
		synctest.Wait()
		if _, err := g.Enter(t.Context(), a, &share, Heavy); !fault.Is(err, fault.TooMany) || ReasonOf(err) != Queue || fault.Of(err).RetryAfter == 0 {
			t.Errorf("over the queue: %v", err)
		}
		must(t, g, a, Light).Leave() // its light work does not stand behind its heavy work
		start := time.Now()
		must(t, g, b, Light).Leave()
		if time.Since(start) != 0 {
			t.Error("a neighbour waited")
		}
		for _, p := range held {
			p.Leave()
		}
		wait.Wait()
		if running, waiting := g.State(); running != 0 || waiting != 0 {
			t.Errorf("%d running, %d waiting at the end", running, waiting)
		}
	})
}

// TestCrowd has a tenant use the machine alone, less of it while another is active, and all again when it is alone.
func TestCrowd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(Total{Slots: 16, CrowdedHeavy: 1, Waiting: 100})
		a, b := tenant.NewID(), tenant.NewID()
		most := func(c Class) int {
			var held []Pass
			for {
				ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				p, err := g.Enter(ctx, a, &share, c)
				cancel()
				if err != nil {
					break
				}
				held = append(held, p)
			}
			for _, p := range held {
				p.Leave()
			}
			return len(held)
		}
		if l, h := most(Light), most(Heavy); l != 4 || h != 4 {
			t.Errorf("alone %d light and %d heavy at once, want 4 and 4", l, h)
		}
		must(t, g, b, Light).Leave()
		if l, h := most(Light), most(Heavy); l != 2 || h != 1 {
			t.Errorf("in a crowd %d light and %d heavy at once, want 2 and 1", l, h)
		}
		p := must(t, g, b, Heavy)
		time.Sleep(2 * crowd)
		if h := most(Heavy); h != 0 {
			t.Errorf("%d heavy at once beside the heavy work of another, want 0", h)
		}
		p.Leave()
		time.Sleep(crowd)
		if h := most(Heavy); h != 4 {
			t.Errorf("alone again %d heavy at once, want 4", h)
		}
	})
}

// TestTurns has a tenant with a long queue and two with short ones: who came late with little is not served last.
func TestTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(Total{Slots: 1, Waiting: 100})
		names := map[tenant.ID]string{}
		a, b, c := tenant.NewID(), tenant.NewID(), tenant.NewID()
		names[a], names[b], names[c] = "a", "b", "c"
		first := must(t, g, a, Light)
		var mu sync.Mutex // guards order
		order := ""
		var wait sync.WaitGroup
		for _, id := range []tenant.ID{a, a, a, a, b, b, c} {
			wait.Go(func() {
				p, err := g.Enter(t.Context(), id, &share, Light)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				order += names[id]
				mu.Unlock()
				p.Leave()
			})
			synctest.Wait()
		}
		first.Leave()
		wait.Wait()
		if order != "abcabaa" {
			t.Errorf("served in the order %s, want abcabaa", order)
		}
	})
}

// TestGivesUp ends waiters while slots are given back: no slot is lost, none is given twice.
func TestGivesUp(t *testing.T) {
	t.Parallel()
	g := NewGate(Total{Slots: 2, Waiting: 1000})
	many := Share{Light: 2, CrowdedLight: 1, Waiting: 1000}
	ids := []tenant.ID{tenant.NewID(), tenant.NewID(), tenant.NewID()}
	var wait sync.WaitGroup
	for i := range 300 {
		wait.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%7)*time.Millisecond)
			defer cancel()
			p, err := g.Enter(ctx, ids[i%3], &many, Light)
			if err != nil && !fault.Is(err, fault.Unavailable) {
				t.Error(err)
			}
			if running, _ := g.State(); running > 2 {
				t.Errorf("%d run at once", running)
			}
			p.Leave()
		})
	}
	wait.Wait()
	if running, waiting := g.State(); running != 0 || waiting != 0 || len(g.turns) != 0 {
		t.Errorf("%d running, %d waiting, %d turns at the end", running, waiting, len(g.turns))
	}
	a := must(t, g, ids[0], Light)
	must(t, g, ids[1], Light).Leave()
	a.Leave()
}

// TestFull refuses whoever comes when too many wait over all tenants.
func TestFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(Total{Slots: 1, Waiting: 3})
		p := must(t, g, tenant.NewID(), Light)
		var wait sync.WaitGroup
		for range 3 {
			wait.Go(func() { must(t, g, tenant.NewID(), Light).Leave() })
		}
		synctest.Wait()
		if _, err := g.Enter(t.Context(), tenant.NewID(), &share, Light); !fault.Is(err, fault.Unavailable) || ReasonOf(err) != Full {
			t.Errorf("the process is full: %v", err)
		}
		p.Leave()
		wait.Wait()
	})
}

// BenchmarkGate is what a request pays when nobody waits.
func BenchmarkGate(b *testing.B) {
	g, id := NewGate(Total{Slots: 64, Waiting: 100}), tenant.NewID()
	b.ReportAllocs()
	for b.Loop() {
		p, err := g.Enter(b.Context(), id, &share, Light)
		if err != nil {
			b.Fatal(err)
		}
		p.Leave()
	}
}
