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
	writers chan struct{} // two write numbers at once: a flood must not take the recorder's connections
	mu      sync.Mutex    // guards the rest
	all     window
	kinds   map[kind]*bucket
	open    map[*batch]struct{} // what is not durable yet
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
	rest    *batch // what gathers; nil when nothing does
	writing int    // batches that are being written; they may come back to be rest
}

// batch are refusals that will be one event. first and n are guarded by the tally until the batch is taken to be written.
type batch struct {
	first audit.Event
	n     int
	done  chan struct{} // closed when err is set
	err   error
}

// counts adds one more to a number. Of many requests none speaks for all, so what is not the same of all is left out.
func (b *batch) counts(e *audit.Event, n int) {
	if b.n += n; b.n == n {
		return
	}
	who := &b.first.Agent
	b.first.Request, who.UserHash = "", ""
	for _, v := range []struct {
		all *string
		one string
	}{{&who.ID, e.Agent.ID}, {&who.Client, e.Agent.Client}, {&who.TokenID, e.Agent.TokenID}} {
		if *v.all != v.one {
			*v.all = ""
		}
	}
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
	return &Tally{to: to, cfg: cfg, now: now, writers: make(chan struct{}, 2), kinds: map[kind]*bucket{}, open: map[*batch]struct{}{}}
}

// Record returns nil when the refusal is durable, by itself or in a number: then it may be answered. In a flood that takes up to an interval,
// which slows down who asks again and again. On error the caller must learn nothing but that. A refusal counts also when its caller
// leaves and ctx ends.
func (t *Tally) Record(ctx context.Context, e audit.Event) error {
	of, b, alone := t.add(e, true)
	if alone {
		t.put(context.WithoutCancel(ctx), of, b, e)
		return b.err
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

// add gives the batch that counts e, of its kind. alone says that e is to be put by itself, by the caller.
func (t *Tally) add(e audit.Event, single bool) (of *bucket, in *batch, alone bool) {
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
		in := t.batch(e)
		in.n = 1
		b.writing++
		return b, in, true
	}
	t.gather(b, &e, 1, t.cfg.Interval)
	return b, b.rest, false
}

// batch makes an empty batch, open until it is put. The caller holds the lock.
func (t *Tally) batch(first audit.Event) *batch {
	b := &batch{first: first, done: make(chan struct{})}
	t.open[b] = struct{}{}
	return b
}

// gather counts n refusals as e in what gathers of a kind, which is written after a while. The caller holds the lock.
func (t *Tally) gather(b *bucket, e *audit.Event, n int, after time.Duration) {
	if b.rest == nil {
		b.rest = t.batch(*e)
		time.AfterFunc(after, func() { t.write(b) })
	}
	b.rest.counts(e, n)
}

// forget drops the kinds of seconds ago.
func (t *Tally) forget(now time.Time) {
	for k, b := range t.kinds {
		if b.rest == nil && b.writing == 0 && now.Sub(b.since) >= time.Second {
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
	b.writing++
	t.mu.Unlock()
	e := rest.first
	e.Entity.Count = rest.n
	t.put(context.Background(), b, rest, audit.New(e))
}

// put writes a batch as e. What could not be written stays in the number of its kind: its callers learned that it could not, but they were here.
func (t *Tally) put(ctx context.Context, of *bucket, b *batch, e audit.Event) {
	ctx, cancel := context.WithTimeout(ctx, writing)
	defer cancel()
	b.err = t.to.Record(ctx, e)
	t.mu.Lock()
	defer t.mu.Unlock()
	if b.err != nil {
		t.gather(of, &b.first, b.n, 4*t.cfg.Interval)
	}
	of.writing--
	delete(t.open, b)
	close(b.done)
}

// Close waits until all that was counted is written, or ctx ends.
func (t *Tally) Close(ctx context.Context) {
	for {
		var next *batch
		t.mu.Lock()
		for next = range t.open {
			break
		}
		t.mu.Unlock()
		if next == nil {
			return
		}
		select {
		case <-next.done:
		case <-ctx.Done():
			return
		}
	}
}
