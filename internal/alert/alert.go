// Package alert makes what only an attacker or a broken disk can cause an event that is durable before the request that met it
// is answered, and a number that moves. It is bounded: who reads one broken value in a loop fills neither log nor disk.
package alert

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Recorder makes an event durable: control, whose database is not the one in which the value stood.
type Recorder interface {
	Record(ctx context.Context, e audit.Event) error
}

// Counter counts every broken seal by table, whether or not it has an event of its own.
type Counter interface{ SealFailed(table string) }

// What a tenant may have of events of its own: a few at once, then one in a while that tells how many there were.
const (
	burst   = 32
	refill  = 5 * time.Second
	timeout = 3 * time.Second
	tenants = 10_000
)

// Alarm is safe for concurrent use.
type Alarm struct {
	to      Recorder
	from    audit.Source
	counter Counter
	log     *slog.Logger
	now     func() time.Time
	mu      sync.Mutex // guards buckets
	buckets map[tenant.ID]*bucket
}

type bucket struct {
	left  int
	since time.Time
	held  int // broken values that no event told of yet
}

// New makes an alarm of the role and site that from names.
func New(to Recorder, from audit.Source, c Counter, log *slog.Logger, now func() time.Time) *Alarm {
	return &Alarm{to: to, from: from, counter: c, log: log, now: now, buckets: map[tenant.ID]*bucket{}}
}

// SealBroken tells that a stored value of a tenant did not open: its table, its type, the request that met it. When it returns,
// the event is durable, or is held back and counted in a later one. The end of the request does not end it.
func (a *Alarm) SealBroken(ctx context.Context, t tenant.ID, table, kind, request string) {
	a.counter.SealFailed(table)
	count, ok := a.take(t)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	a.log.ErrorContext(ctx, "a stored value does not open in its place", slog.String("tenant", t.String()), slog.String("type", kind), slog.Int("count", count))
	if err := a.to.Record(ctx, audit.SealBroken(a.from, t, table, kind, request, count)); err != nil {
		a.log.ErrorContext(ctx, "an alert could not be recorded", slog.String("tenant", t.String()), slog.String("error", err.Error()))
		a.giveBack(t, count)
	}
}

// take allows one event, and says of how many values it tells.
func (a *Alarm) take(t tenant.ID) (count int, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	b := a.buckets[t]
	if b == nil {
		if len(a.buckets) >= tenants {
			clear(a.buckets) // what was held is in the counter
		}
		b = &bucket{left: burst, since: now}
		a.buckets[t] = b
	}
	if n := int(now.Sub(b.since) / refill); n > 0 {
		b.left, b.since = min(burst, b.left+n), b.since.Add(time.Duration(n)*refill)
	}
	b.held++
	if b.left == 0 {
		return 0, false
	}
	b.left--
	count, b.held = b.held, 0
	return count, true
}

func (a *Alarm) giveBack(t tenant.ID, count int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if b := a.buckets[t]; b != nil {
		b.held += count
	}
}
