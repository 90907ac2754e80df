package audit

import (
	"context"
	"time"

	"github.com/cordon-ehr/cordon/internal/gather"
)

// Entry is the rows of one request of one tenant. T is whatever names the tenant to the sink: a scope, a number.
type Entry[T any] struct {
	For  T
	Rows []Row
}

// Sink makes entries durable in one transaction: all or none. again says that they may be durable already, because the answer to an
// earlier try was lost: what is there stays once.
type Sink[T any] interface {
	AppendAudit(ctx context.Context, entries []Entry[T], again bool) error
}

// Flusher commits events of many requests together (group commit), while the requests wait. It is safe for concurrent use.
type Flusher[T any] struct {
	workers *gather.Workers[*waiting[T]]
	sink    Sink[T]
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
	f := &Flusher[T]{sink: sink, timeout: 10 * time.Second, counted: counted}
	f.workers = gather.New(gather.Config{Busy: workers, Most: maxGroup}, f.flush)
	return f
}

// Record returns nil when the rows are committed. On any error the caller must disclose nothing.
func (f *Flusher[T]) Record(ctx context.Context, to T, rows []Row) error {
	if len(rows) == 0 {
		return nil
	}
	w := &waiting[T]{entry: Entry[T]{to, rows}, done: make(chan error, 1)}
	if err := f.workers.Hand(ctx, w); err != nil {
		return Unwritable(err)
	}
	select {
	case err := <-w.done:
		return Unwritable(err)
	case <-ctx.Done():
		return Unwritable(ctx.Err())
	}
}

// Close refuses further entries and waits until everything accepted is written.
func (f *Flusher[T]) Close() { f.workers.Close() }

// flush writes a group. When a group fails, its members are tried one by one, so that one bad entry fails alone; whether
// the group was committed after all, nobody knows.
func (f *Flusher[T]) flush(group []*waiting[T]) {
	entries := make([]Entry[T], len(group))
	for i, w := range group {
		entries[i] = w.entry
	}
	ctx, cancel := context.WithTimeout(context.Background(), f.timeout)
	defer cancel()
	err := f.sink.AppendAudit(ctx, entries, false)
	for i, w := range group {
		each := err
		if err != nil && len(group) > 1 {
			each = f.sink.AppendAudit(ctx, entries[i:i+1], true)
		}
		if each == nil {
			f.counted(len(w.entry.Rows))
		}
		w.done <- each
	}
}
