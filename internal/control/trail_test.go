package control_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/control"
	"github.com/cordon-ehr/cordon/internal/cordontest"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

func TestMain(m *testing.M) { cordontest.Main(m) }

// noKeys is a broker that has one event of its own for whoever asks: what control lets through is seen.
type noKeys struct{ control.Broker }

var brokers = audit.New(audit.Event{})

func (noKeys) EventPage(context.Context, tenant.ID, audit.Range) ([]audit.Plain, error) {
	return []audit.Plain{{ID: brokers.ID, JSON: []byte(`{}`)}}, nil
}

// TestTrailNeedsTheAuditorsToken asks control for a tenant's events as a cell would that has been taken over: without the live token of
// an auditor of that tenant it gets nothing, and the asking is recorded.
func TestTrailNeedsTheAuditorsToken(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	alpha, bravo := p.Tenant(t), p.Tenant(t)
	c, err := control.New(t.Context(), control.Config{Database: p.SuperuserDSN("cordon_control"), PublicURL: p.Info.URL}, noKeys{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	id, err := tenant.ParseID(alpha.ID)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(proof string) ([]audit.Plain, error) {
		return c.AuditPage(t.Context(), audit.Ask{Tenant: id, Proof: proof, Range: audit.Range{Newest: true, Limit: 5}})
	}
	good := p.Client(t, alpha.Slug, "system/AuditEvent.rs").Token()
	cordontest.Eventually(t, "control has its directory", func() bool { _, err := ask(good); return err == nil })
	got, err := ask(good)
	if err != nil || len(got) != 5 {
		t.Errorf("%d events for the auditor: %v", len(got), err)
	}
	for what, proof := range map[string]string{"nothing": "", "a word": uuid.NewString(), "a neighbour's token": bravo.Token(), "a nurse's token": p.Client(t, alpha.Slug, "system/Patient.rs").Token(),
		"a broken token": good[:len(good)-4] + "AAAA"} {
		got, err := ask(proof)
		if k := fault.Of(err).Kind; len(got) != 0 || (k != fault.Forbidden && k != fault.Unauthenticated) {
			t.Errorf("with %s: %d events, %v", what, len(got), err)
		}
	}
	var refused int // this control has an audit key of its own: the platform's shows nothing of what it wrote
	if err := p.SuperuserOn(t, "cordon_control").QueryRow(t.Context(), `SELECT count(*) FROM audit WHERE tenant = $1 AND position('"subtype":"refused"'::bytea IN body) > 0`, alpha.ID).Scan(&refused); err != nil {
		t.Fatal(err)
	}
	if refused < 5 {
		t.Errorf("%d refusals are recorded", refused)
	}
	if _, err := c.AuditPage(t.Context(), audit.Ask{Proof: good}); err == nil {
		t.Error("events of no tenant")
	}
}
