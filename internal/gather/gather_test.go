package gather_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordon-ehr/cordon/internal/gather"
)

// seen keeps the sizes of groups in the order in which they began.
type seen struct {
	mu    sync.Mutex // guards sizes
	sizes []int
}

func (s *seen) add(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sizes = append(s.sizes, n)
}

func hand(t *testing.T, w *gather.Workers[int], n int) {
	t.Helper()
	for i := range n {
		if err := w.Hand(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWorkGathersWhileAGroupRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s seen
		w := gather.New(gather.Config{Busy: 1, Most: 4}, func(g []int) { s.add(len(g)); time.Sleep(time.Second) })
		hand(t, w, 1)
		synctest.Wait()
		hand(t, w, 6)
		w.Close()
		if len(s.sizes) != 3 || s.sizes[0] != 1 || s.sizes[1] != 4 || s.sizes[2] != 2 {
			t.Errorf("groups of %v", s.sizes)
		}
		if err := w.Hand(t.Context(), 1); !errors.Is(err, gather.ErrClosed) {
			t.Errorf("late work: %v", err)
		}
	})
}

// A group that a disk or a lock holds up must not hold up the rest.
func TestASlowGroupStopsNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var took time.Duration
		w := gather.New(gather.Config{Busy: 1, Workers: 2, Patience: 3 * time.Millisecond, Most: 4}, func(g []int) {
			if g[0] == 0 {
				time.Sleep(time.Minute)
				return
			}
			took = time.Since(start)
		})
		_ = w.Hand(t.Context(), 0)
		synctest.Wait()
		_ = w.Hand(t.Context(), 1)
		w.Close()
		if took != 3*time.Millisecond {
			t.Errorf("the second waited %v for the first", took)
		}
	})
}

func TestFullAndGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		block := make(chan struct{})
		w := gather.New(gather.Config{Busy: 1, Most: 1}, func([]int) { <-block })
		hand(t, w, 1)
		synctest.Wait()
		hand(t, w, 4)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Hand(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("more than it can hold: %v", err)
		}
		close(block)
		w.Close()
	})
}

// What was done is not kept alive while its worker is idle.
func TestIdleWorkersHoldNothing(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	w := gather.New(gather.Config{Busy: 1, Most: 4}, func([]*[1 << 16]byte) {})
	defer w.Close()
	func() {
		work := new([1 << 16]byte)
		runtime.AddCleanup(work, func(c chan struct{}) { close(c) }, done)
		if err := w.Hand(t.Context(), work); err != nil {
			t.Fatal(err)
		}
	}()
	for range 200 {
		runtime.GC()
		select {
		case <-done:
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
	t.Error("an idle worker keeps what it has done")
}
