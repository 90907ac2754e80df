package tally

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// log is a recorder that can fail.
type log struct {
	mu     sync.Mutex // guards events
	events []audit.Event
	down   atomic.Bool
}

func (l *log) Record(_ context.Context, e audit.Event) error {
	if l.down.Load() {
		return audit.Unwritable(errors.New("down"))
	}
	time.Sleep(time.Millisecond)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
	return nil
}

// count gives rows, and the refusals that they stand for.
func (l *log) count() (rows, refusals int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		refusals += max(1, e.Entity.Count)
	}
	return len(l.events), refusals
}

func refusal(at tenant.ID, address, reason string) audit.Event {
	return audit.New(audit.Event{Tenant: at, Type: "rest", Subtype: "refused", Request: "r", Agent: audit.Agent{Kind: "anonymous", Address: address, UserHash: "u"},
		Source: audit.Source{Role: "edge"}, Decision: audit.Decision{Reason: reason}})
}

// TestFloodIsCounted sends thousands of refusals: few rows, and the number of all of them; each was durable before it was answered.
func TestFloodIsCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &log{}
		y := New(l, Config{Each: 10}, time.Now)
		at := tenant.NewID()
		var wait sync.WaitGroup
		for range 5000 {
			wait.Go(func() {
				if err := y.Record(t.Context(), refusal(at, "1.2.3.4", "expired")); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		if rows, n := l.count(); rows != 11 || n != 5000 {
			t.Errorf("%d rows for %d refusals, want 11 for 5000", rows, n)
		}
		last := l.events[10]
		if last.Entity.Count != 4990 || last.Request != "" || last.Agent.UserHash != "" || last.Agent.Address != "1.2.3.4" || last.Decision.Reason != "expired" || last.Tenant != at {
			t.Errorf("the event of the rest: %+v", last)
		}
		var wire map[string]any
		if err := json.Unmarshal(last.Marshal(), &wire); err != nil || wire["entity"].(map[string]any)["count"] != 4990.0 {
			t.Errorf("the number is not in the stored event: %s", last.Marshal())
		}
		// Others are told apart, and a second later each is an event of its own again.
		for _, e := range []audit.Event{refusal(at, "1.2.3.5", "expired"), refusal(at, "1.2.3.4", "bad signature"), refusal(tenant.NewID(), "1.2.3.4", "expired")} {
			start := time.Now()
			if err := y.Record(t.Context(), e); err != nil || time.Since(start) > 100*time.Millisecond {
				t.Errorf("another refusal: %v after %v", err, time.Since(start))
			}
		}
		time.Sleep(time.Second)
		if err := y.Record(t.Context(), refusal(at, "1.2.3.4", "expired")); err != nil {
			t.Error(err)
		}
		if rows, n := l.count(); rows != 15 || n != 5004 {
			t.Errorf("%d rows for %d refusals, want 15 for 5004", rows, n)
		}
	})
}

// TestManyAddresses has a flood come from everywhere: rows stay few, the number stays right.
func TestManyAddresses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &log{}
		y := New(l, Config{Each: 10, All: 50, Kinds: 100}, time.Now)
		at := tenant.NewID()
		var wait sync.WaitGroup
		for i := range 20_000 {
			wait.Go(func() {
				if err := y.Record(t.Context(), refusal(at, fmt.Sprint("10.0.0.", i), "expired")); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		if rows, n := l.count(); rows > 160 || n != 20_000 {
			t.Errorf("%d rows for %d refusals, want at most 160 for 20,000", rows, n)
		}
	})
}

// TestFailsClosed has the record away: nobody is answered as if it were written, and the number is written when it is back.
func TestFailsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &log{}
		y := New(l, Config{Each: 5}, time.Now)
		at := tenant.NewID()
		l.down.Store(true)
		var wait sync.WaitGroup
		for range 100 {
			wait.Go(func() {
				if err := y.Record(t.Context(), refusal(at, "1.2.3.4", "expired")); !fault.Is(err, fault.Unavailable) {
					t.Errorf("with the record away: %v", err)
				}
			})
		}
		wait.Wait()
		l.down.Store(false)
		y.Note(refusal(at, "1.2.3.4", "expired"))
		y.Close(t.Context())
		if _, n := l.count(); n != 101 { // five were to be recorded by themselves: their callers were told that they are not, and they count
			t.Errorf("%d refusals on the record, want 101", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		for range 6 {
			_ = y.Record(ctx, refusal(at, "4.4.4.4", "expired"))
		}
		y.Close(t.Context())
		if _, n := l.count(); n != 107 {
			t.Errorf("%d refusals on the record, want 107: one whose caller left counts", n)
		}
	})
}

// slow is a recorder that takes a second, fails when it is told to, and gives up with its caller.
type slow struct {
	log
	fails atomic.Int64 // so many more
}

func (s *slow) Record(ctx context.Context, e audit.Event) error {
	select {
	case <-ctx.Done():
		return audit.Unwritable(ctx.Err())
	case <-time.After(time.Second):
	}
	if s.fails.Add(-1) >= 0 {
		return audit.Unwritable(errors.New("down"))
	}
	return s.log.Record(ctx, e)
}

// TestWhoLeavesCounts has callers ask and leave at once: each of their refusals is on the record.
func TestWhoLeavesCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &slow{}
		y := New(l, Config{Each: 10}, time.Now)
		at := tenant.NewID()
		gone, leave := context.WithCancel(t.Context())
		leave()
		var wait sync.WaitGroup
		for range 25 {
			wait.Go(func() { _ = y.Record(gone, refusal(at, "1.2.3.4", "expired")) })
		}
		wait.Wait()
		y.Close(t.Context())
		if rows, n := l.count(); rows != 11 || n != 25 {
			t.Errorf("%d rows for %d refusals, want 11 for 25", rows, n)
		}
	})
}

// TestCloseWaits ends a tally at each moment of a refusal: while it is written by itself, while a number of them is, and when what was
// written failed after its kind had not been seen for long.
func TestCloseWaits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fails int64
		begin func(y *Tally)
		want  int
	}{
		"by itself": {0, func(y *Tally) {
			go func() { _ = y.Record(context.Background(), refusal(tenant.ID{}, "a", "x")) }()
			time.Sleep(time.Millisecond)
		}, 1},
		"a number": {0, func(y *Tally) {
			y.Note(refusal(tenant.ID{}, "a", "x"))
			y.Note(refusal(tenant.ID{}, "a", "x"))
			time.Sleep(500 * time.Millisecond)
		}, 2},
		"a number that failed": {1, func(y *Tally) {
			y.Note(refusal(tenant.ID{}, "a", "x"))
			time.Sleep(500 * time.Millisecond)
			y.Note(refusal(tenant.ID{}, "b", "x")) // there is no room for a second kind: those of long ago are forgotten
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := &slow{}
				l.fails.Store(c.fails)
				y := New(l, Config{Kinds: 1}, time.Now)
				c.begin(y)
				y.Close(t.Context())
				if _, n := l.count(); n != c.want {
					t.Errorf("%d refusals on the record when it is closed, want %d", n, c.want)
				}
			})
		})
	}
}

// TestNoneSpeaksForAll counts refusals of two clients in one: what differs is not of the number.
func TestNoneSpeaksForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &log{}
		y := New(l, Config{}, time.Now)
		for _, token := range []string{"t1", "t2"} {
			e := refusal(tenant.ID{}, "1.2.3.4", "rate")
			e.Agent.ID, e.Agent.Client, e.Agent.TokenID = "same", "same", token
			y.Note(e)
		}
		y.Close(t.Context())
		if who := l.events[0].Agent; who.ID != "same" || who.Client != "same" || who.TokenID != "" || who.UserHash != "" {
			t.Errorf("the number says of its callers: %+v", who)
		}
	})
}
