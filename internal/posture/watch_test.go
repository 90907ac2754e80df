package posture_test

import (
	"context"
	"errors"
	"strings"
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
		var found posture.Findings
		var away, deaf error
		var said []string
		w := posture.NewWatch(func(context.Context) (posture.Findings, error) { return found, away }, posture.Expect{Database: "chart"}, 0,
			func(_ context.Context, reasons []string) error {
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
		pass(0, true, "all is well")
		found = posture.Findings{Missing: []string{"no table x"}}
		pass(posture.Every, true, "a table is missing: requests on it fail by themselves")
		if w.Look(ctx) == nil {
			t.Error("readiness does not name a missing table")
		}
		found, deaf = posture.Findings{Breaches: []string{"a", "b"}}, errors.New("deaf")
		pass(posture.Every, false, "walls are down")
		if err := w.OK(); strings.Contains(err.Error(), "a, b") {
			t.Errorf("the caller learns why: %v", err)
		}
		deaf = nil
		pass(posture.Every, false, "walls are down, and it is said")
		pass(5*posture.Every, false, "nothing changes")
		found = posture.Findings{}
		pass(posture.Every, true, "all is well again")
		away = errors.New("away")
		pass(5*posture.Every, true, "the database is away for a moment")
		pass(time.Minute, false, "the database is away for long")
		away = nil
		pass(posture.Every, true, "it is back")
		if got := strings.Join(said, "|"); got != "a+b|" {
			t.Errorf("said %q", got)
		}
		stop()
		<-done
	})
}
