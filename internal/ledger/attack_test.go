package ledger_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/ledger"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// forged is a row that somebody writes into the database, of a transaction that does not exist.
func (w *world) forged(tx uint64) ledger.Row {
	r := ledger.Row{Position: ledger.Position{Tx: tx, ID: uuid.Must(uuid.NewV7())}}
	at := time.Now()
	r.Body = fmt.Appendf(nil, `{"event_id":%q,"tenant_id":%q,"recorded":%q}`, r.Position.ID, w.t, at.UTC().Format(time.RFC3339Nano))
	r.Entry = ledger.Entry{ID: r.Position.ID, Recorded: at.UnixNano(), Body: sha256.Sum256(r.Body), Digest: ledger.Digest(nil, r.Body)}
	return r
}

// logged is a log of n events with its keeper.
func logged(t *testing.T, n int) (*world, *ledger.Keeper) {
	t.Helper()
	w := newWorld(t)
	w.add(n, time.Now())
	k := w.keeper()
	if _, err := k.Sequence(t.Context(), w.t); err != nil {
		t.Fatal(err)
	}
	return w, k
}

// found wants a problem of a kind in a verification.
func (w *world) found(t *testing.T, k *ledger.Keeper, kind string) *ledger.Report {
	t.Helper()
	r, err := k.Verify(t.Context(), w.t, opener)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(r.Problems, func(p ledger.Problem) bool { return p.Kind == kind }) {
		t.Errorf("no problem is %q: %+v", kind, r.Problems)
	}
	return r
}

// TestRowsOfTheFuture are never in a log, so they are told of: once when they are seen, and by every verification.
func TestRowsOfTheFuture(t *testing.T) {
	t.Parallel()
	for what, row := range map[string]func(w *world) ledger.Row{
		"a new row":                func(w *world) ledger.Row { return w.forged(1 << 50) },
		"a copy of the newest row": func(w *world) ledger.Row { r := w.rows[9]; r.Tx = 1 << 50; return r },
	} {
		w, k := logged(t, 10)
		w.rows = append(w.rows, row(w))
		for range 3 {
			if again, err := k.Sequence(t.Context(), w.t); again || err != nil {
				t.Errorf("%s: it is looked at again and again: %v %v", what, again, err)
			}
		}
		if !slices.Equal(w.alerts, []string{ledger.KindForged}) {
			t.Errorf("%s: alerts %v", what, w.alerts)
		}
		w.found(t, k, ledger.KindForged)
	}
}

// TestBookmarkOfTheFuture would leave every later event outside the log, where it can be removed unseen.
func TestBookmarkOfTheFuture(t *testing.T) {
	t.Parallel()
	w, k := logged(t, 10)
	w.rows[9].Tx, w.head.Last.Tx = 1<<60, 1<<60
	last := w.rows[9]
	w.rows = append(w.rows[:9:9], w.forged(100), last)
	for range 3 {
		if _, err := k.Sequence(t.Context(), w.t); err == nil {
			t.Error("the log goes on")
		}
	}
	if len(w.alerts) != 1 || len(k.Stopped()) != 1 {
		t.Errorf("alerts %v, stopped %v", w.alerts, k.Stopped())
	}
	w.found(t, k, ledger.KindForged)
	w.found(t, k, ledger.KindRolledBack) // a log that is stopped is never verified without saying why
}

// TestBookmarkIsSetRight whatever was written into it, with an alert, when rows and storage agree.
func TestBookmarkIsSetRight(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(w *world){
		"a negative size":               func(w *world) { w.head.Size = -5 },
		"another transaction":           func(w *world) { w.head.Last.Tx-- },
		"another transaction's row":     func(w *world) { w.rows[9].Tx++ },
		"another id":                    func(w *world) { w.head.Last.ID = uuid.New() },
		"a transaction that is to come": func(w *world) { w.head.Last.Tx = 1 << 60 },
		"an older row":                  func(w *world) { w.head.Last = w.rows[3].Position },
	} {
		w, k := logged(t, 10)
		change(w)
		if _, err := k.Sequence(t.Context(), w.t); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if !slices.Equal(w.alerts, []string{ledger.KindRolledBack}) {
			t.Errorf("%s: alerts %v", what, w.alerts)
		}
		w.verified(t, what, 10)
	}
	w, k := logged(t, 10)
	w.head.Cosigned = -3
	w.add(2, time.Now())
	if _, err := k.Sequence(t.Context(), w.t); err != nil || w.sizes["cordon/"+w.t.String()+"/cell"] != 12 {
		t.Errorf("a negative size of the witness: %v, it has seen %v", err, w.sizes)
	}
}

// slow is a world in which a transaction stays open.
type slow struct {
	*world
	settled uint64
}

func (s slow) Boundary(context.Context, tenant.ID) (uint64, uint64, error) {
	return s.settled, 1 << 40, nil
}

// TestLagRaisesAnAlert once, when committed rows stay outside their log.
func TestLagRaisesAnAlert(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add(10, time.Now())
	at := time.Now()
	var alerts []string
	k := ledger.NewKeeper(ledger.Config{Stream: "cell", Store: w, Source: slow{w, 5}, Signing: w.signing["cell"], Verifiers: w.verifiers, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return at }, Alert: func(_ tenant.ID, _ string, b *ledger.Broken) { alerts = append(alerts, b.Kind) }})
	for i := range 10 {
		if again, err := k.Sequence(t.Context(), w.t); !again || err != nil {
			t.Fatal(again, err)
		}
		if i == 3 && len(alerts) > 0 {
			t.Errorf("alerts after 45 seconds: %v", alerts)
		}
		at = at.Add(15 * time.Second)
	}
	if !slices.Equal(alerts, []string{ledger.KindPending}) {
		t.Errorf("alerts %v", alerts)
	}
}

// TestHiddenStorage is not an empty log.
func TestHiddenStorage(t *testing.T) {
	t.Parallel()
	w, k := logged(t, 10)
	clear(w.objects)
	w.found(t, k, ledger.KindStorage)
}

// TestManyProblemsHideNone of another kind.
func TestManyProblemsHideNone(t *testing.T) {
	t.Parallel()
	w, k := logged(t, 200)
	for i := range 60 { // copies, sequenced for good
		r := w.rows[i]
		r.Tx = 1 << 20
		w.rows = append(w.rows, r)
	}
	if _, err := k.Sequence(t.Context(), w.t); err != nil {
		t.Fatal(err)
	}
	victim := w.rows[150].Position.ID.String()
	w.rows = slices.Delete(w.rows, 150, 151)
	r := w.found(t, k, ledger.KindDeleted)
	if !slices.ContainsFunc(r.Problems, func(p ledger.Problem) bool { return p.Event == victim }) || r.Omitted[ledger.KindDuplicate] == 0 {
		t.Errorf("%d problems, omitted %v", len(r.Problems), r.Omitted)
	}
}

// TestFloodOfForgedRows raises one alert for each checkpoint, and none for what could not be signed.
func TestFloodOfForgedRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add(500, time.Now())
	n := 0
	k := ledger.NewKeeper(ledger.Config{Stream: "cell", Store: w, Source: w, Signing: w.signing["cell"], Verifiers: w.verifiers, Log: slog.New(slog.DiscardHandler),
		Alert: func(tenant.ID, string, *ledger.Broken) { n++ },
		Genuine: func(tenant.ID) ledger.Opener {
			return func(ledger.Row) (ledger.Opened, error) { return ledger.Opened{}, errCrash }
		}})
	w.left = 0 // storage is away
	for range 5 {
		if _, err := k.Sequence(t.Context(), w.t); err == nil || n > 0 {
			t.Fatalf("%v, %d alerts", err, n)
		}
	}
	w.left = -1
	if _, err := k.Sequence(t.Context(), w.t); err != nil || n != 1 {
		t.Errorf("%v, %d alerts", err, n)
	}
}

// TestWitnessRefusesAloud once, however often it is asked.
func TestWitnessRefusesAloud(t *testing.T) {
	t.Parallel()
	w, _ := logged(t, 60)
	w.rows, w.head, w.objects = nil, ledger.Head{}, map[string][]byte{}
	w.add(90, time.Now())
	k := w.keeper()
	for range 5 {
		if _, err := k.Sequence(t.Context(), w.t); err == nil {
			t.Fatal("another history was cosigned")
		}
	}
	if len(w.alerts) != 2 { // the witness's, and the log's own
		t.Errorf("alerts %v", w.alerts)
	}
}

// parrot is a witness that answers with the first note that it signed.
type parrot struct {
	ledger.Witness
	first ledger.Cosigned
}

func (p *parrot) Cosign(ctx context.Context, a ledger.Ask) (ledger.Cosigned, error) {
	if len(p.first.Note) > 0 {
		return p.first, nil
	}
	c, err := p.Witness.Cosign(ctx, a)
	p.first = c
	return c, err
}

// TestAnswerOfAnotherCheckpoint is no cosignature of this one.
func TestAnswerOfAnotherCheckpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := ledger.NewKeeper(ledger.Config{Stream: "cell", Store: w, Source: w, Signing: w.signing["cell"], Verifiers: w.verifiers, Log: slog.New(slog.DiscardHandler),
		Witness: &parrot{Witness: &ledger.Watcher{Heads: w, Signing: w.signing["control"], Verifiers: w.verifiers, Streams: []string{"cell"}}}})
	for _, size := range []int64{5, 10} {
		w.add(5, time.Now())
		if _, err := k.Sequence(t.Context(), w.t); err != nil || w.head.Size != size || w.head.Cosigned != 5 {
			t.Errorf("%v: %+v", err, w.head)
		}
	}
}

// export reads a log as its export has it.
func (w *world) export(t *testing.T) (x ledger.Exported) {
	t.Helper()
	err := w.keeper().Export(t.Context(), w.t, opener, func(l ledger.Line) error {
		switch {
		case l.Log != nil:
			x.LogLine = *l.Log
		case l.Event != nil:
			x.Events = append(x.Events, *l.Event)
		default:
			x.Entries = append(x.Entries, l.Entries...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// TestExportWithMore than the log has is not verified, and neither is one with a checkpoint of another history, or without one.
func TestExportWithMore(t *testing.T) {
	t.Parallel()
	w, _ := logged(t, 10)
	w.add(10, time.Now())
	whole := w.export(t)
	other, _ := logged(t, 10)
	other.t, other.signing, other.verifiers, other.head, other.objects = w.t, w.signing, w.verifiers, ledger.Head{}, map[string][]byte{}
	other.seen, other.sizes = map[string][]byte{}, map[string]int64{}
	for i := range other.rows { // rows of the same tenant, another history
		other.rows[i] = other.forged(uint64(i))
	}
	strange := other.export(t).Checkpoints[0]
	more := w.forged(1 << 20)
	for what, change := range map[string]func(x *ledger.Exported){
		"":                                func(*ledger.Exported) {},
		"a new event at the end":          func(x *ledger.Exported) { x.Events = append(x.Events, line(more)) },
		"the last event again":            func(x *ledger.Exported) { x.Events = append(x.Events, x.Events[19]) },
		"the first event again":           func(x *ledger.Exported) { x.Events = append(x.Events, x.Events[0]) },
		"a checkpoint of another history": func(x *ledger.Exported) { x.Checkpoints = [][]byte{strange, x.Checkpoints[1]} },
		"a checkpoint less":               func(x *ledger.Exported) { x.Checkpoints = x.Checkpoints[1:] },
	} {
		x := whole
		x.Events, x.Checkpoints = slices.Clone(whole.Events), slices.Clone(whole.Checkpoints)
		change(&x)
		r, err := ledger.VerifyExported(x, w.verifiers)
		if err != nil || (len(r.Problems) > 0) == (what == "") {
			t.Errorf("%q: %v %+v", what, err, r)
		}
	}
}

func line(r ledger.Row) ledger.EventLine {
	return ledger.EventLine{Seq: 20, ID: r.Entry.ID, Recorded: r.Recorded, Body: r.Entry.Body[:], Digest: r.Digest[:], Event: r.Body}
}
