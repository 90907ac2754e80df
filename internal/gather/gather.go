// Package gather does the work of many callers in groups: while a worker is busy with one group, the next gathers. Under load a
// transaction serves many requests; alone, a request does not wait.
package gather

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrClosed is why late work is refused: the process is ending.
var ErrClosed = errors.New("the workers are closed")

// Config says how groups are made.
type Config struct {
	Busy     int           // how many groups run at once as long as they are quick
	Workers  int           // how many run at most; 0 = Busy
	Patience time.Duration // a group that takes longer (a cold disk, a lock) no longer counts as busy; 0 = every group counts to its end
	Most     int           // work in one group
}

// Workers run groups of work. They are safe for concurrent use.
type Workers[T any] struct {
	cfg    Config
	in     chan T
	turns  chan struct{} // who holds one may gather
	gate   sync.RWMutex  // held for reading while work is handed over; Close takes it
	closed bool          // guarded by gate
	run    func([]T)
	wait   sync.WaitGroup
}

// New starts the workers. run must not keep the slice.
func New[T any](cfg Config, run func([]T)) *Workers[T] {
	cfg.Workers = max(cfg.Workers, cfg.Busy)
	w := &Workers[T]{cfg: cfg, in: make(chan T, 4*cfg.Most), turns: make(chan struct{}, cfg.Busy), run: run}
	for range cfg.Busy {
		w.turns <- struct{}{}
	}
	for range cfg.Workers {
		w.wait.Go(w.work)
	}
	return w
}

// Hand gives work to the workers. When it returns nil, run will see it; how run tells its caller is theirs to agree.
func (w *Workers[T]) Hand(ctx context.Context, work T) error {
	w.gate.RLock()
	defer w.gate.RUnlock()
	if w.closed {
		return ErrClosed
	}
	select {
	case w.in <- work:
		return nil
	default:
	}
	select {
	case w.in <- work:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close refuses further work and waits until everything accepted is done.
func (w *Workers[T]) Close() {
	w.gate.Lock()
	w.closed = true
	close(w.in)
	w.gate.Unlock()
	w.wait.Wait()
}

func (w *Workers[T]) work() {
	group := make([]T, 0, w.cfg.Most)
	for {
		<-w.turns
		first, ok := <-w.in
		if !ok {
			w.turns <- struct{}{}
			return
		}
		w.group(w.gather(append(group[:0], first)))
		clear(group[:cap(group)]) // what was done is not kept alive by an idle worker
	}
}

// gather takes what is there.
func (w *Workers[T]) gather(group []T) []T {
	for len(group) < w.cfg.Most {
		select {
		case more, ok := <-w.in:
			if !ok {
				return group
			}
			group = append(group, more)
		default:
			return group
		}
	}
	return group
}

// group runs one group and gives the turn back, at the latest when patience ends.
func (w *Workers[T]) group(group []T) {
	done := sync.OnceFunc(func() { w.turns <- struct{}{} })
	defer done()
	if w.cfg.Patience > 0 {
		defer time.AfterFunc(w.cfg.Patience, done).Stop()
	}
	w.run(group)
}
