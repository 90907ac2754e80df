// Package tally keeps refusals on the record without letting a flood of them write a flood of rows: the first ones of a kind and
// second are events of their own, the rest become one event with their number. None is lost from the number.
package tally

import (
	"context"
	"sync"
	"time"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Recorder makes one event durable: control.
type Recorder interface {
	Record(ctx context.Context, e audit.Event) error
}

// Config of a Tally; zeros mean what stands beside.
type Config struct {
	Each     int           // events of one kind and second that are recorded one by one; 20
	All      int           // the same over all kinds; 200
	Interval time.Duration // how long the rest of one kind gathers; 250 ms
	Kinds    int           // kinds that are told apart; of the rest the addresses are not kept; 1,000
}

// Tally is a Recorder before a Recorder. It is safe for concurrent use.
type Tally struct {
	to      Recorder
	cfg     Config
	now     func() time.Time
	writers chan struct{} // two write at once: a flood must not take the recorder's connections
	mu      sync.Mutex    // guards the rest
	all     window
	kinds   map[kind]*bucket
}

// kind is what makes two refusals the same.
type kind struct {
	tenant                                tenant.ID
	subtype, role, address, reason, agent string
}

// window counts what happened in one second.
type window struct {
	since time.Time
	n     int
}

func (w *window) take(now time.Time, most int) bool {
	if now.Sub(w.since) >= time.Second {
		w.since, w.n = now, 0
	}
	if w.n >= most {
		return false
	}
	w.n++
	return true
}

type bucket struct {
	window
	rest *batch // what gathers; nil when nothing does
}

// batch are refusals that will be one event. first and n are guarded by the tally until the batch is taken to be written.
type batch struct {
	first audit.Event
	n     int
	done  chan struct{} // closed when err is set
	err   error
}

// New makes a tally before a recorder.
func New(to Recorder, cfg Config, now func() time.Time) *Tally {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&cfg.Each, 20)
	set(&cfg.All, 200)
	set(&cfg.Kinds, 1000)
	if cfg.Interval == 0 {
		cfg.Interval = 250 * time.Millisecond
	}
	return &Tally{to: to, cfg: cfg, now: now, writers: make(chan struct{}, 2), kinds: map[kind]*bucket{}}
}

// Record returns nil when the refusal is durable, by itself or in a number: then it may be answered. In a flood that takes up to an interval,
// which slows down who asks again and again. On error the caller must learn nothing but that.
func (t *Tally) Record(ctx context.Context, e audit.Event) error {
	b := t.add(e, true)
	if b == nil {
		return t.to.Record(ctx, e)
	}
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return audit.Unwritable(ctx.Err())
	}
}

// Note counts a refusal that tells the caller nothing, such as a full queue: nobody waits until it is durable.
func (t *Tally) Note(e audit.Event) { t.add(e, false) }

// add gives the batch that counts e, or nil when e is to be recorded by itself.
func (t *Tally) add(e audit.Event, single bool) *batch {
	now := t.now()
	k := kind{e.Tenant, e.Subtype, e.Source.Role, e.Agent.Address, e.Decision.Reason, e.Agent.Kind}
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.kinds[k]
	if b == nil && len(t.kinds) >= t.cfg.Kinds {
		t.forget(now)
		if len(t.kinds) >= t.cfg.Kinds {
			e.Agent.Address, k.address = "", ""
			b, single = t.kinds[k], false
		}
	}
	if b == nil {
		b = &bucket{}
		t.kinds[k] = b
	}
	if single && b.take(now, t.cfg.Each) && t.all.take(now, t.cfg.All) {
		return nil
	}
	if b.rest == nil {
		b.rest = &batch{first: e, done: make(chan struct{})}
		time.AfterFunc(t.cfg.Interval, func() { t.write(b) })
	}
	b.rest.n++
	return b.rest
}

// forget drops the kinds of seconds ago.
func (t *Tally) forget(now time.Time) {
	for k, b := range t.kinds {
		if b.rest == nil && now.Sub(b.since) >= time.Second {
			delete(t.kinds, k)
		}
	}
}

// writing bounds the write of one event.
const writing = 10 * time.Second

// write makes what gathered durable. While it waits for its turn more may gather.
func (t *Tally) write(b *bucket) {
	t.writers <- struct{}{}
	defer func() { <-t.writers }()
	t.mu.Lock()
	rest := b.rest
	b.rest = nil
	t.mu.Unlock()
	e := rest.first
	if rest.n > 1 { // of many requests, none speaks for all
		e.Request, e.Agent.UserHash = "", ""
	}
	e.Entity.Count = rest.n
	ctx, cancel := context.WithTimeout(context.Background(), writing)
	defer cancel()
	rest.err = t.to.Record(ctx, audit.New(e))
	if rest.err != nil {
		t.again(b, rest)
	}
	close(rest.done)
}

// again keeps what could not be written in the number: its callers learned that it could not, but they were here.
func (t *Tally) again(b *bucket, failed *batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b.rest == nil {
		b.rest = &batch{first: failed.first, done: make(chan struct{})}
		time.AfterFunc(4*t.cfg.Interval, func() { t.write(b) })
	}
	b.rest.n += failed.n
}

// Close waits until what gathers is written, or ctx ends.
func (t *Tally) Close(ctx context.Context) {
	for {
		var rest *batch
		t.mu.Lock()
		for _, b := range t.kinds {
			if b.rest != nil {
				rest = b.rest
			}
		}
		t.mu.Unlock()
		if rest == nil {
			return
		}
		select {
		case <-rest.done:
		case <-ctx.Done():
			return
		}
	}
}
