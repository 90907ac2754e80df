package posture_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordon-ehr/cordon/internal/posture"
)

// TestWatchFailsClosed drives a watch through all that a database can answer: it allows nothing before it has looked, nothing while
// a wall is down, and nothing when it could not look for long; it repeats its report until that is taken.
func TestWatchFailsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // guards what the database answers and what was said
		var found posture.Findings
		var away, deaf error
		var said []string
		set := func(f posture.Findings, gone, silent error) {
			mu.Lock()
			defer mu.Unlock()
			found, away, deaf = f, gone, silent
		}
		w := posture.NewWatch(func(context.Context) (posture.Findings, error) {
			mu.Lock()
			defer mu.Unlock()
			return found, away
		}, posture.Expect{Database: "chart"}, 0,
			func(_ context.Context, reasons []string) error {
				mu.Lock()
				defer mu.Unlock()
				if deaf == nil {
					said = append(said, strings.Join(reasons, "+"))
				}
				return deaf
			})
		if w.OK() == nil {
			t.Error("it allows before it has looked")
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.Run(ctx) }()
		pass := func(d time.Duration, want bool, when string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if got := w.OK() == nil; got != want {
				t.Errorf("%s: allowed %v", when, got)
			}
		}
		pass(posture.Every/2, true, "all is well") // half a look ahead from here on
		set(posture.Findings{Missing: []string{"no table x"}}, nil, nil)
		pass(posture.Every, true, "a table is missing: requests on it fail by themselves")
		if w.Look(ctx) == nil {
			t.Error("readiness does not name a missing table")
		}
		down := posture.Findings{Breaches: []string{"a", "b"}}
		set(down, nil, errors.New("deaf"))
		pass(posture.Every, false, "walls are down")
		if err := w.OK(); strings.Contains(err.Error(), "a, b") {
			t.Errorf("the caller learns why: %v", err)
		}
		set(down, nil, nil)
		pass(posture.Every, false, "walls are down, and it is said")
		pass(5*posture.Every, false, "nothing changes")
		set(posture.Findings{}, nil, nil)
		pass(posture.Every, true, "all is well again")
		set(posture.Findings{}, errors.New("away"), nil)
		pass(5*posture.Every, true, "the database is away for a moment")
		pass(time.Minute, false, "the database is away for long")
		set(posture.Findings{}, nil, nil)
		pass(posture.Every, true, "it is back")
		stop()
		<-done
		if got := strings.Join(said, "|"); got != "a+b|" {
			t.Errorf("said %q", got)
		}
	})
}

// TestALateLookDoesNotCount lets a look that saw an open wall end after a later one that saw it closed again: the later one counts.
func TestALateLookDoesNotCount(t *testing.T) {
	t.Parallel()
	asked := make(chan chan posture.Findings)
	w := posture.NewWatch(func(context.Context) (posture.Findings, error) {
		answer := make(chan posture.Findings)
		asked <- answer
		return <-answer, nil
	}, posture.Expect{Database: "chart"}, time.Hour, func(context.Context, []string) error { return nil })
	ended := make(chan error)
	look := func() chan posture.Findings {
		go func() { ended <- w.Look(context.WithoutCancel(t.Context())) }()
		return <-asked
	}
	early, late := look(), look()
	late <- posture.Findings{}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	early <- posture.Findings{Breaches: []string{"row security is off"}}
	if <-ended == nil {
		t.Error("who asked early is not told what was seen")
	}
	if err := w.OK(); err != nil {
		t.Errorf("what was seen early counts: %v", err)
	}
}
