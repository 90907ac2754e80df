package audit_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/seal"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

func event() audit.Event {
	return audit.New(audit.Event{Tenant: tenant.NewID(), Type: "rest", Subtype: "read", Action: audit.Read, Outcome: audit.Success,
		Patient: "Patient/ada", Entity: audit.Entity{Type: "Patient", ID: "ada", Version: 3}, Query: "name=Lovelace",
		Agent: audit.Agent{Kind: "client", ID: "c1"}, Source: audit.Source{Role: "cell"}, Decision: audit.Decision{Allow: true, Policy: "p/1"}})
}

func TestSealedRows(t *testing.T) {
	t.Parallel()
	k := seal.NewKey(seal.NewSecret(), 1)
	e := event()
	r, err := audit.Seal(e, k, 5)
	if err != nil {
		t.Fatal(err)
	}
	for _, phi := range []string{"ada", "Lovelace"} {
		if bytes.Contains(r.Body, []byte(phi)) {
			t.Errorf("%q is readable in the stored event", phi)
		}
	}
	one := func(int32) (*seal.Key, error) { return k, nil }
	plain, err := r.Open(e.Tenant, one)
	if err != nil || !bytes.Equal(plain, e.Marshal()) {
		t.Fatalf("%s, %v", plain, err)
	}
	for _, want := range []string{`"patient":"Patient/ada"`, `"reference":"Patient/ada"`, `"version":3`} {
		if !strings.Contains(string(plain), want) {
			t.Errorf("%s is missing in %s", want, plain)
		}
	}
	if _, err := r.Open(tenant.NewID(), one); err == nil {
		t.Error("opens for another tenant")
	}
	later := r
	later.Recorded++
	if _, err := later.Open(e.Tenant, one); err == nil {
		t.Error("opens with another time")
	}
	for what, change := range map[string]func(*audit.Row){
		"another patient":                      func(r *audit.Row) { r.Patient++ },
		"no patient":                           func(r *audit.Row) { r.Patient = 0 },
		"no patient, as older rows, no digest": func(r *audit.Row) { r.Patient, r.Digest = 0, nil },
	} {
		other := r
		change(&other)
		if _, err := other.Open(e.Tenant, one); err == nil {
			t.Errorf("opens with %s", what)
		}
	}
	if r.Entry().Leaf(e.Tenant) == later.Entry().Leaf(e.Tenant) || r.Entry().Leaf(e.Tenant) == r.Entry().Leaf(tenant.NewID()) {
		t.Error("the ledger's leaf does not bind time and tenant")
	}
}

// sink keeps what it is given, and fails for one tenant number.
type sink struct {
	mu   sync.Mutex // guards rows
	rows int
	bad  int
	// failed says that a group of several failed.
	failed bool
}

var errBad = errors.New("bad")

func (s *sink) AppendAudit(_ context.Context, entries []audit.Entry[int], again bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(entries) == 1 && s.failed && !again {
		return errors.New("rows of a group that may be there are sent as new ones")
	}
	n := 0
	for _, e := range entries {
		if e.For == s.bad {
			s.failed = s.failed || len(entries) > 1
			return errBad
		}
		n += len(e.Rows)
	}
	s.rows += n
	return nil
}

func TestFlusherFailsOnlyWhoFails(t *testing.T) {
	t.Parallel()
	s := &sink{bad: 13}
	counted := 0
	f := audit.NewFlusher[int](s, 1, func(n int) { counted += n })
	var wait sync.WaitGroup
	for i := range 100 {
		wait.Go(func() {
			err := f.Record(context.Background(), i, []audit.Row{{}, {}})
			if (i == 13) != fault.Is(err, fault.Unavailable) {
				t.Errorf("entry %d: %v", i, err)
			}
		})
	}
	wait.Wait()
	f.Close()
	if s.rows != 198 || counted != 198 {
		t.Errorf("%d rows written, %d counted, want 198", s.rows, counted)
	}
}

func TestRecordEndsWithItsContext(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	f := audit.NewFlusher[int](slow{hold}, 1, func(int) {})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Record(ctx, 1, []audit.Row{{}}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("who gave up was told that the event is durable: %v", err)
	}
	close(hold)
	f.Close()
}

type slow struct{ hold chan struct{} }

func (s slow) AppendAudit(context.Context, []audit.Entry[int], bool) error {
	<-s.hold
	return nil
}
