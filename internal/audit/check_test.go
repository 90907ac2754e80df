package audit_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/seal"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// TestNotWholeIsNotStored takes one field at a time out of an event: neither a sealed nor a clear row is made of the rest, and the
// fault says what is missing.
func TestNotWholeIsNotStored(t *testing.T) {
	t.Parallel()
	k := seal.NewKey(seal.NewSecret(), 1)
	for what, spoil := range map[string]func(*audit.Event){
		"id and time": func(e *audit.Event) { e.ID = uuid.Nil },
		"type":        func(e *audit.Event) { e.Type = "" },
		"subtype":     func(e *audit.Event) { e.Subtype = "Not a word" },
		"action":      func(e *audit.Event) { e.Action = "" },
		"outcome":     func(e *audit.Event) { e.Outcome = "" },
		"reason":      func(e *audit.Event) { e.Outcome = audit.MinorFailure },
		"agent's kind": func(e *audit.Event) {
			e.Agent.Kind = ""
		},
		"agent's id": func(e *audit.Event) { e.Agent.ID = "" },
		"source":     func(e *audit.Event) { e.Source.Role = "" },
		"tenant":     func(e *audit.Event) { e.Tenant = tenant.ID{} },
		"policy":     func(e *audit.Event) { e.Decision.Policy = "" },
	} {
		e := event()
		spoil(&e)
		_, err := audit.Seal(e, k, 0)
		_, cerr := audit.Clear(e)
		for _, err := range []error{err, cerr} {
			if !fault.Is(err, fault.Internal) || !strings.Contains(err.Error(), what) {
				t.Errorf("without %s: %v", what, err)
			}
		}
	}
	if err := event().Check(); err != nil {
		t.Error(err)
	}
	platform := event()
	platform.Tenant, platform.Source.Role, platform.Agent = tenant.ID{}, "control", audit.Agent{Kind: audit.Anonymous}
	if err := platform.Check(); err != nil {
		t.Error(err)
	}
}

// TestTimeIsThatOfTheID makes events from many goroutines: ids and times only grow, and a time finds its place among the ids.
func TestTimeIsThatOfTheID(t *testing.T) {
	t.Parallel()
	began := time.Now()
	last := event()
	for range 10_000 {
		e := event()
		if e.ID.String() <= last.ID.String() || e.Recorded.Before(last.Recorded) || !e.Recorded.Equal(audit.TimeOf(e.ID)) {
			t.Fatalf("%s %s after %s %s", e.ID, e.Recorded, last.ID, last.Recorded)
		}
		last = e
	}
	if d := last.Recorded.Sub(began); d < -time.Microsecond || d > time.Since(began)+time.Millisecond {
		t.Errorf("recorded %s after the test began", d)
	}
	if first := audit.FirstAt(last.Recorded); first.String() > last.ID.String() || audit.FirstAt(last.Recorded.Add(time.Millisecond)).String() <= last.ID.String() {
		t.Errorf("%s is not the first of %s", first, last.ID)
	}
}

// old is an event as an early release stored it: its time is not that of its id, and it has no state before and after.
const old = `{"event_id":"019aa7f4-90a3-7d1c-a4f5-3a1b2c3d4e5f","tenant_id":"6b0c3a58-9d0e-4a55-8a2f-0a8f4f2b9c11","recorded":"2025-11-21T20:30:00.123456789Z","type":"rest","subtype":"update","action":"U",` +
	`"outcome":"0","agent":{"kind":"client","id":"c1","client_id":"c1","jti":"j1","address":"127.0.0.1","user_agent_hash":"00"},"source":{"role":"cell","site":"cell1"},"patient":"Patient/ada",` +
	`"entity":{"type":"Observation","version":3,"previous_version":2,"reference":"Observation/o1"},"resources":["Observation/o1/_history/3"],"query":"bmFtZT1hZGE=","request_id":"r1","decision":{"allow":true,"policy":"smart-scopes/1","reason":"system/*.cruds"}}`

// TestParse reads what was stored before and what is stored now, to the byte.
func TestParse(t *testing.T) {
	t.Parallel()
	now := event()
	now.Before, now.After = "active", "suspended"
	for _, text := range []string{old, string(now.Marshal()), string(event().Marshal())} {
		e, err := audit.Parse([]byte(text))
		if err != nil || string(e.Marshal()) != text {
			t.Errorf("%v\n%s\n%s", err, text, e.Marshal())
		}
	}
	if _, err := audit.Parse([]byte("{")); err == nil {
		t.Error("half an event is read")
	}
}

// TestMinimal leaves nothing of a patient.
func TestMinimal(t *testing.T) {
	t.Parallel()
	e, err := audit.Parse([]byte(old))
	if err != nil {
		t.Fatal(err)
	}
	got := string(e.Minimal(-2).Marshal())
	for _, phi := range []string{"ada", "o1\"", "bmFtZT1hZGE", "_history"} {
		if strings.Contains(got, phi) {
			t.Errorf("%q in %s", phi, got)
		}
	}
	if !strings.Contains(got, `"patient":"pseudonym/fffffffffffffffe"`) || !strings.Contains(got, `"type":"Observation"`) || strings.Contains(string(e.Minimal(0).Marshal()), "pseudonym") {
		t.Error(got)
	}
}
