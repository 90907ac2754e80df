package audit

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Entry is the rows of one request of one tenant. T is whatever names the tenant to the sink: a scope, a number.
type Entry[T any] struct {
	For  T
	Rows []Row
}

// Sink makes entries durable in one transaction: all or none.
type Sink[T any] interface {
	AppendAudit(ctx context.Context, entries []Entry[T]) error
}

// Flusher commits events of many requests together (group commit): each worker takes what has gathered and writes it in
// one transaction, while the requests wait. It is safe for concurrent use.
type Flusher[T any] struct {
	in      chan *waiting[T]
	gate    sync.RWMutex // held for reading while an entry is handed over; Close takes it
	closed  bool         // guarded by gate
	sink    Sink[T]
	wait    sync.WaitGroup
	timeout time.Duration
	counted func(int)
}

type waiting[T any] struct {
	entry Entry[T]
	done  chan error
}

// maxGroup bounds one transaction of a flusher.
const maxGroup = 256

// NewFlusher starts workers; Close ends them. counted hears how many events became durable.
func NewFlusher[T any](sink Sink[T], workers int, counted func(int)) *Flusher[T] {
	f := &Flusher[T]{in: make(chan *waiting[T], 4*maxGroup), sink: sink, timeout: 10 * time.Second, counted: counted}
	for range workers {
		f.wait.Go(f.work)
	}
	return f
}

// Record returns nil when the rows are committed. On any error the caller must disclose nothing.
func (f *Flusher[T]) Record(ctx context.Context, to T, rows []Row) error {
	if len(rows) == 0 {
		return nil
	}
	w := &waiting[T]{entry: Entry[T]{to, rows}, done: make(chan error, 1)}
	if err := f.hand(ctx, w); err != nil {
		return Unwritable(err)
	}
	select {
	case err := <-w.done:
		return Unwritable(err)
	case <-ctx.Done():
		return Unwritable(ctx.Err())
	}
}

// errClosed is why a late entry is refused: the process is ending.
var errClosed = errors.New("the flusher is closed")

// hand gives an entry to the workers.
func (f *Flusher[T]) hand(ctx context.Context, w *waiting[T]) error {
	f.gate.RLock()
	defer f.gate.RUnlock()
	if f.closed {
		return errClosed
	}
	select {
	case f.in <- w:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close refuses further entries and waits until everything accepted is written.
func (f *Flusher[T]) Close() {
	f.gate.Lock()
	f.closed = true
	close(f.in)
	f.gate.Unlock()
	f.wait.Wait()
}

func (f *Flusher[T]) work() {
	group := make([]*waiting[T], 0, maxGroup)
	entries := make([]Entry[T], 0, maxGroup)
	for w := range f.in {
		group, entries = append(group[:0], w), append(entries[:0], w.entry)
	gather:
		for len(group) < maxGroup {
			select {
			case more, ok := <-f.in:
				if !ok {
					break gather
				}
				group, entries = append(group, more), append(entries, more.entry)
			default:
				break gather
			}
		}
		f.flush(group, entries)
	}
}

// flush writes a group. When a group fails, its members are tried one by one, so that one bad entry fails alone.
func (f *Flusher[T]) flush(group []*waiting[T], entries []Entry[T]) {
	ctx, cancel := context.WithTimeout(context.Background(), f.timeout)
	defer cancel()
	err := f.sink.AppendAudit(ctx, entries)
	for i, w := range group {
		each := err
		if err != nil && len(group) > 1 {
			each = f.sink.AppendAudit(ctx, entries[i:i+1])
		}
		if each == nil {
			f.counted(len(w.entry.Rows))
		}
		w.done <- each
	}
}
