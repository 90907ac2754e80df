package posture

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// Options of a self-check. The zero value is the product's.
type Options struct {
	Every    time.Duration // how often to look; 0 = Every
	Volatile bool          // for tests: see Expect
}

// Every is how often a Watch looks when it is not told otherwise.
const Every = time.Second

// patience is how many looks may fail in a row, because the database does not answer, before the last good one counts no more.
const patience = 10

// lookTimeout bounds one look; a lock that somebody holds on a catalog must not hold the watch.
const lookTimeout = 4 * time.Second

// Report makes a change of the findings known: reasons is what is wrong now, empty when all is well again. It is repeated until
// it returns nil, so that the event is durable in the end.
type Report func(ctx context.Context, reasons []string) error

// Watch asks again and again whether a role may serve. It is safe for concurrent use.
type Watch struct {
	look   func(ctx context.Context) (Findings, error)
	expect Expect
	every  time.Duration
	report Report
	now    func() time.Time
	mu     sync.RWMutex // guards the rest
	down   error        // why the role must not serve; nil = it may
	said   string       // the reasons that were reported last
	seen   time.Time    // when a look last had an answer
	begun  uint64       // looks that began
	judged uint64       // the one of them whose findings count
}

// NewWatch makes a watch that allows nothing until it has looked. every 0 is Every.
func NewWatch(look func(ctx context.Context) (Findings, error), e Expect, every time.Duration, report Report) *Watch {
	if every == 0 {
		every = Every
	}
	return &Watch{look: look, expect: e, every: every, report: report, now: time.Now, down: fault.New(fault.Unavailable, "the walls of the %s database were not looked at yet", e.Database)}
}

// Run looks until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	t := time.NewTicker(w.every)
	defer t.Stop()
	for {
		_ = w.Look(ctx) // what it finds is kept
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// OK tells from the last look whether the role may serve, at no cost. The text is for a caller: it names no reason.
func (w *Watch) OK() error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.down != nil || w.now().Sub(w.seen) > patience*w.every+lookTimeout {
		return fault.New(fault.Unavailable, "this cannot be served now")
	}
	return nil
}

// Look looks now, and gives every reason.
func (w *Watch) Look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	w.mu.Lock()
	w.begun++
	number := w.begun
	w.mu.Unlock()
	f, err := w.look(ctx)
	if err != nil {
		return err
	}
	down := w.expect.Fault(f.Breaches)
	reasons := strings.Join(f.Breaches, ", ")
	w.mu.Lock()
	news := false
	if number > w.judged { // one that began earlier and took longer saw what is no more
		w.judged, w.down, w.seen = number, down, w.now()
		news = reasons != w.said
		w.said = reasons
	}
	w.mu.Unlock()
	if news && w.report(ctx, f.Breaches) != nil {
		w.mu.Lock()
		w.said = "\x00" // not said yet: the next look tries again
		w.mu.Unlock()
	}
	return w.expect.Fault(slices.Concat(f.Breaches, f.Missing))
}
