package ledger_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/ledger"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// world is one tenant's log with everything around it in memory: rows, bookmark, storage, and the witness's memory.
type world struct {
	t         tenant.ID
	mu        sync.Mutex // guards the rest
	rows      []ledger.Row
	head      ledger.Head
	objects   map[string][]byte
	seen      map[string][]byte
	sizes     map[string]int64
	left      int // operations until everything fails; negative = never
	alerts    []string
	signing   map[string]ledger.Signing
	verifiers ledger.Verifiers
}

var errCrash = errors.New("the process died here")

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: tenant.NewID(), objects: map[string][]byte{}, seen: map[string][]byte{}, sizes: map[string]int64{}, left: -1, signing: map[string]ledger.Signing{}}
	var public []string
	for _, role := range []string{"cell", "control", "keys"} {
		private, _, err := ledger.NewKey("test/" + role)
		if err != nil {
			t.Fatal(err)
		}
		if w.signing[role], err = ledger.ParseKey(private); err != nil {
			t.Fatal(err)
		}
		public = append(public, w.signing[role].Public)
	}
	var err error
	if w.verifiers, err = ledger.ParseVerifiers(public...); err != nil {
		t.Fatal(err)
	}
	return w
}

// step counts an operation of the outside world; w.mu is held.
func (w *world) step() error {
	if w.left == 0 {
		return errCrash
	}
	w.left--
	return nil
}

func (w *world) keeper() *ledger.Keeper {
	alert := func(_ tenant.ID, _ string, b *ledger.Broken) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.alerts = append(w.alerts, b.Kind)
	}
	watcher := &ledger.Watcher{Heads: w, Signing: w.signing["control"], Verifiers: w.verifiers, Streams: []string{"cell"}, Alert: alert}
	return ledger.NewKeeper(ledger.Config{Stream: "cell", Store: w, Source: w, Signing: w.signing["cell"], Verifiers: w.verifiers, Witness: watcher, Alert: alert,
		Interval: time.Millisecond, Log: slog.New(slog.DiscardHandler)})
}

func (w *world) add(n int, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range n {
		r := ledger.Row{Position: ledger.Position{Tx: uint64(len(w.rows)/3 + 10), ID: uuid.Must(uuid.NewV7())}}
		r.Body = fmt.Appendf(nil, `{"event_id":%q,"tenant_id":%q,"recorded":%q}`, r.Position.ID, w.t, at.UTC().Format(time.RFC3339Nano))
		r.Entry = ledger.Entry{ID: r.Position.ID, Recorded: at.UnixNano(), Body: sha256.Sum256(r.Body), Digest: ledger.Digest(nil, r.Body)}
		w.rows = append(w.rows, r)
	}
}

func opener(r ledger.Row) (ledger.Opened, error) { return ledger.Opened{JSON: r.Body}, nil }

func (w *world) Logs(context.Context) ([]tenant.ID, error) { return []tenant.ID{w.t}, nil }

func (w *world) Boundary(context.Context, tenant.ID) (settled, newest uint64, err error) {
	return 1 << 40, 1 << 40, nil
}

func (w *world) Rows(_ context.Context, _ tenant.ID, after ledger.Position, including bool, n int) (out []ledger.Row, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.rows {
		c := bytes.Compare(r.Position.ID[:], after.ID[:])
		if r.Tx > after.Tx || r.Tx == after.Tx && (c > 0 || c == 0 && including) {
			out = append(out, r)
		}
	}
	return out[:min(n, len(out))], nil
}

func (w *world) Head(context.Context, tenant.ID) (ledger.Head, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.head, nil
}

func (w *world) Advance(_ context.Context, _ tenant.ID, from int64, to ledger.Head) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.step(); err != nil {
		return false, err
	}
	if w.head.Size != from {
		return false, nil
	}
	w.head = to
	return true, nil
}

func (w *world) Put(_ context.Context, key string, data []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.step(); err != nil {
		return err
	}
	if _, ok := w.objects[key]; ok {
		return fault.New(fault.Conflict, "taken")
	}
	w.objects[key] = bytes.Clone(data)
	return nil
}

func (w *world) Get(_ context.Context, key string) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if b, ok := w.objects[key]; ok {
		return b, nil
	}
	return nil, fault.New(fault.NotFound, "absent")
}

func (w *world) List(_ context.Context, prefix, after string) (out []string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range slices.Sorted(maps.Keys(w.objects)) {
		if strings.HasPrefix(k, prefix) && k > after {
			out = append(out, k)
		}
	}
	return out, nil
}

func (w *world) Seen(_ context.Context, origin string) ([]byte, int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[origin], w.sizes[origin], nil
}

func (w *world) Remember(_ context.Context, origin string, from int64, c ledger.Checkpoint, note []byte, _ time.Time) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.step(); err != nil {
		return false, err
	}
	if w.sizes[origin] != from {
		return false, nil
	}
	w.seen[origin], w.sizes[origin] = note, c.Size
	return true, nil
}

// verified wants a log without problems.
func (w *world) verified(t *testing.T, what string, size int64) *ledger.Report {
	t.Helper()
	r, err := w.keeper().Verify(t.Context(), w.t, opener)
	if err != nil || len(r.Problems) > 0 || r.Size != size {
		t.Fatalf("%s: size %d, want %d: %v %+v", what, r.Size, size, err, r.Problems)
	}
	return r
}

// TestResumesAtEveryStep lets the process die after each operation on the world, with logs that end in the middle of tiles, at
// their edges and over several: the next process goes on, and the log is whole.
func TestResumesAtEveryStep(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 255, 256, 257, 700} {
		for crash := 0; ; crash++ {
			w := newWorld(t)
			w.add(size, time.Now())
			if _, err := w.keeper().Sequence(t.Context(), w.t); err != nil {
				t.Fatal(err)
			}
			w.add(300, time.Now())
			w.left = crash
			_, err := w.keeper().Sequence(t.Context(), w.t)
			if err != nil && !errors.Is(err, errCrash) {
				t.Fatalf("%d events, death after %d operations: %v", size, crash, err)
			}
			done := w.left > 0
			w.left = -1
			w.add(5, time.Now())
			w.verified(t, fmt.Sprintf("%d events, death after %d operations", size, crash), int64(size+305))
			if w.sizes["cordon/"+w.t.String()+"/cell"] != int64(size+305) {
				t.Errorf("%d events, death after %d operations: the witness has seen %v", size, crash, w.sizes)
			}
			if done {
				break
			}
		}
	}
}

// TestProcessesDoNotFork runs several keepers over one log that grows.
func TestProcessesDoNotFork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var wait sync.WaitGroup
	for range 4 {
		k := w.keeper()
		wait.Go(func() {
			for range 40 {
				w.add(3, time.Now())
				if _, err := k.Sequence(t.Context(), w.t); err != nil && !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.Unavailable) {
					t.Errorf("sequence: %v", err)
				}
			}
		})
	}
	wait.Wait()
	w.verified(t, "after all", 480)
	if len(w.alerts) > 0 {
		t.Errorf("alerts: %v", w.alerts)
	}
}

// TestStopsOverAnotherHistory takes rows back, and gives others in their place: nothing is signed, an alert is raised, once, and
// when the rows are back the log goes on.
func TestStopsOverAnotherHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add(50, time.Now())
	k := w.keeper()
	if _, err := k.Sequence(t.Context(), w.t); err != nil {
		t.Fatal(err)
	}
	old, head := slices.Clone(w.rows), w.head
	w.add(50, time.Now())
	if _, err := k.Sequence(t.Context(), w.t); err != nil {
		t.Fatal(err)
	}
	whole, objects, longest := w.rows, len(w.objects), w.head
	for what, then := range map[string]func(){
		"rolled back":                        func() { w.rows, w.head = slices.Clone(old), head },
		"rolled back, then others":           func() { w.rows, w.head = slices.Clone(old), head; w.add(80, time.Now()) },
		"rows rolled back, the bookmark not": func() { w.rows = slices.Clone(old) },
		"the bookmark alone removed":         func() { w.rows, w.head = slices.Clone(old), ledger.Head{} },
	} {
		w.rows, w.head, w.alerts = whole, longest, nil
		then()
		fresh := w.keeper()
		for range 3 {
			for _, k := range []*ledger.Keeper{k, fresh} {
				if _, err := k.Sequence(t.Context(), w.t); err == nil {
					t.Errorf("%s: it went on", what)
				}
			}
		}
		if len(w.objects) != objects || len(w.alerts) != 2 || len(fresh.Stopped()) != 1 {
			t.Errorf("%s: %d objects after %d, alerts %v", what, len(w.objects), objects, w.alerts)
		}
		w.rows, w.head = whole, longest
		if _, err := k.Sequence(t.Context(), w.t); err != nil || len(k.Stopped()) != 0 {
			t.Errorf("%s: with the rows back it does not go on: %v", what, err)
		}
	}
}

// TestCopyOfTheDatabaseIsAFork runs a second platform on an older copy of the database, over the same storage.
func TestCopyOfTheDatabaseIsAFork(t *testing.T) {
	t.Parallel()
	for _, more := range []int{5, 10, 15} {
		w := newWorld(t)
		w.add(50, time.Now())
		a := w.keeper()
		if _, err := a.Sequence(t.Context(), w.t); err != nil {
			t.Fatal(err)
		}
		other := &world{t: w.t, rows: slices.Clone(w.rows), head: w.head, objects: w.objects, seen: w.seen, sizes: w.sizes, left: -1, signing: w.signing, verifiers: w.verifiers}
		b := other.keeper()
		if _, err := b.Sequence(t.Context(), w.t); err != nil {
			t.Fatal(err)
		}
		w.add(10, time.Now())
		other.add(more, time.Now())
		if _, err := a.Sequence(t.Context(), w.t); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := b.Sequence(t.Context(), w.t); err == nil {
				t.Errorf("a second history of %d events goes on", 50+more)
			}
		}
		if len(other.alerts) == 0 || len(b.Stopped()) != 1 {
			t.Errorf("a second history of %d events: alerts %v", 50+more, other.alerts)
		}
	}
}

// TestWitnessRefuses lets a log whose storage and database were both replaced ask the witness.
func TestWitnessRefuses(t *testing.T) {
	t.Parallel()
	for what, replaced := range map[string]int{"longer": 90, "of the same size": 60, "shorter": 30} {
		w := newWorld(t)
		w.add(60, time.Now())
		if _, err := w.keeper().Sequence(t.Context(), w.t); err != nil {
			t.Fatal(err)
		}
		w.rows, w.head, w.objects = nil, ledger.Head{}, map[string][]byte{}
		w.add(replaced, time.Now())
		if _, err := w.keeper().Sequence(t.Context(), w.t); err == nil {
			t.Errorf("another history, %s, was cosigned", what)
		}
		if len(w.alerts) == 0 {
			t.Errorf("another history, %s: no alert", what)
		}
		if r, err := w.keeper().Verify(t.Context(), w.t, opener); err != nil || len(r.Problems) == 0 {
			t.Errorf("another history, %s, is verified: %v", what, err)
		}
		if got := w.sizes["cordon/"+w.t.String()+"/cell"]; got != 60 {
			t.Errorf("another history, %s: the witness remembers %d", what, got)
		}
	}
}

// TestClockThatStepsBack is told of, and changes nothing of the order.
func TestClockThatStepsBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add(5, time.Now())
	w.add(1, time.Now().Add(-time.Hour))
	w.add(5, time.Now().Add(10*365*24*time.Hour))
	r := w.verified(t, "clock", 11)
	if len(r.Warnings) != 1 || r.Warnings[0].Kind != "clock" || *r.Warnings[0].Seq != 5 {
		t.Errorf("%+v", r.Warnings)
	}
}

// TestForgedRowsRaiseAlerts before anybody verifies.
func TestForgedRowsRaiseAlerts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add(3, time.Now())
	var alerts []string
	k := ledger.NewKeeper(ledger.Config{Stream: "cell", Store: w, Source: w, Signing: w.signing["cell"], Verifiers: w.verifiers, Log: slog.New(slog.DiscardHandler),
		Alert: func(_ tenant.ID, _ string, b *ledger.Broken) { alerts = append(alerts, b.Kind+" "+b.Event) },
		Genuine: func(tenant.ID) ledger.Opener {
			return func(r ledger.Row) (ledger.Opened, error) {
				if r.Position.ID == w.rows[1].Position.ID {
					return ledger.Opened{}, errCrash
				}
				return ledger.Opened{}, nil
			}
		}})
	if _, err := k.Sequence(t.Context(), w.t); err != nil {
		t.Fatal(err)
	}
	if want := "forged " + w.rows[1].Position.ID.String(); !slices.Equal(alerts, []string{want}) {
		t.Errorf("alerts %v, want %s", alerts, want)
	}
}

// TestWitnessThatForgets is told of; it learns again.
func TestWitnessThatForgets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add(10, time.Now())
	k := w.keeper()
	if _, err := k.Sequence(t.Context(), w.t); err != nil {
		t.Fatal(err)
	}
	clear(w.seen)
	clear(w.sizes)
	w.add(10, time.Now())
	if _, err := k.Sequence(t.Context(), w.t); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(w.alerts, []string{"witness"}) || w.sizes["cordon/"+w.t.String()+"/cell"] != 20 {
		t.Errorf("alerts %v, sizes %v", w.alerts, w.sizes)
	}
}
