package alert_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/alert"
	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// control keeps events, or fails.
type control struct {
	events []audit.Event
	away   bool
}

func (c *control) Record(_ context.Context, e audit.Event) error {
	if c.away {
		return errors.New("away")
	}
	c.events = append(c.events, e)
	return nil
}

type counter map[string]int

func (c counter) SealFailed(table string) { c[table]++ }

// TestAlarmIsBoundedAndForgetsNothing meets a thousand broken values of one tenant at once: the number knows all of them, the log of
// events some, and what they tell adds up. A neighbour's alarm is not held back by it, nor does an ended request or an absent control
// lose anything.
func TestAlarmIsBoundedAndForgetsNothing(t *testing.T) {
	t.Parallel()
	now := time.Now()
	to, n := &control{}, counter{}
	a := alert.New(to, audit.Source{Role: "cell"}, n, slog.New(slog.DiscardHandler), func() time.Time { return now })
	one, other := tenant.NewID(), tenant.NewID()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	to.away = true
	a.SealBroken(ended, one, "version", "Patient", "r")
	to.away = false
	for range 999 {
		a.SealBroken(ended, one, "version", "Patient", "r")
	}
	if len(to.events) == 0 || len(to.events) > 40 || n["version"] != 1000 {
		t.Fatalf("%d events of %d broken values", len(to.events), n["version"])
	}
	a.SealBroken(t.Context(), other, "audit", "AuditEvent", "r")
	if last := to.events[len(to.events)-1]; last.Tenant != other || !strings.Contains(last.Decision.Reason, "audit") {
		t.Errorf("the neighbour's alarm was held back: %+v", last)
	}
	now = now.Add(time.Hour)
	a.SealBroken(t.Context(), one, "version", "Patient", "r")
	told := 0
	for _, e := range to.events {
		if e.Tenant == one {
			told += e.Entity.Count
		}
	}
	if told != 1001 {
		t.Errorf("the events tell of %d values, want 1001", told)
	}
}
