package keys_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/authn"
	"github.com/cordon-ehr/cordon/internal/cordontest"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/keys"
	"github.com/cordon-ehr/cordon/internal/lease"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// TestTheIdentityAloneUnwrapsNothing asks for keys with all that is no live proof of the tenant and the purpose. Each is refused,
// each refusal is recorded, and nothing of the data keys is unwrapped.
func TestTheIdentityAloneUnwrapsNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, cordontest.Shared(t), keys.Limits{Refused: 1000})
	alpha, bravo := h.tenant(t), h.tenant(t)
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := h.token(t, alpha, time.Minute)
	spent := h.token(t, alpha, 0)
	ticket := h.ticket(t, h.control, alpha, lease.Audit, time.Minute)
	for name, c := range map[string]struct {
		purpose lease.Purpose
		proof   string
		desc    string
	}{
		"nothing":                          {lease.Chart, "", "unauthenticated"},
		"junk":                             {lease.Chart, "a.b.c", "unauthenticated"},
		"another tenant's token":           {lease.Chart, h.token(t, bravo, time.Minute), "unauthenticated"},
		"an expired token":                 {lease.Chart, spent, "unauthenticated"},
		"a forged token":                   {lease.Chart, signed(t, stranger, authn.TokenType, "1", h.claims(alpha, time.Minute)), "unauthenticated"},
		"a token signed by control":        {lease.Chart, signed(t, h.control, authn.TokenType, "1", h.claims(alpha, time.Minute)), "unauthenticated"},
		"a token of another type":          {lease.Chart, signed(t, stranger, "JWT", "1", h.claims(alpha, time.Minute)), "unauthenticated"},
		"a token for the audit log":        {lease.Audit, good, "unauthenticated"},
		"a token for an unknown purpose":   {"everything", good, "unauthenticated"},
		"a ticket for a chart":             {lease.Chart, ticket, "unauthenticated"},
		"a chart ticket for a chart":       {lease.Chart, h.ticket(t, h.control, alpha, lease.Chart, time.Minute), "unauthenticated"},
		"a chart ticket for the audit log": {lease.Audit, h.ticket(t, h.control, alpha, lease.Chart, time.Minute), "unauthenticated"},
		"another tenant's ticket":          {lease.Audit, h.ticket(t, h.control, bravo, lease.Audit, time.Minute), "unauthenticated"},
		"an expired ticket":                {lease.Audit, h.ticket(t, h.control, alpha, lease.Audit, 0), "unauthenticated"},
		"a forged ticket":                  {lease.Audit, h.ticket(t, stranger, alpha, lease.Audit, time.Minute), "unauthenticated"},
	} {
		before, unwrapped := len(h.events(t, alpha)), h.kms.count()
		g, err := h.Lease(t.Context(), lease.Request{Tenant: alpha, Purpose: c.purpose, Proof: c.proof, Request: "req-" + name})
		if err == nil || fault.Of(err).Kind.String() != c.desc || len(g.Record)+len(g.Audit)+len(g.Cursor)+len(g.Index) != 0 {
			t.Errorf("%s: %v", name, err)
		}
		if h.kms.count() != unwrapped {
			t.Errorf("%s: something was unwrapped", name)
		}
		all := h.events(t, alpha)
		if len(all) != before+1 {
			t.Errorf("%s: %d events", name, len(all)-before)
			continue
		}
		if e := all[before]; e.Type != "key" || e.Subtype != "lease-"+string(c.purpose) || e.Outcome != "4" || e.Desc != c.desc || e.Request != "req-"+name || e.Source.Site != h.cfg.Local {
			t.Errorf("%s: recorded as %+v", name, e)
		}
	}
	for name, r := range map[string]lease.Request{"no tenant": {Purpose: lease.Chart, Proof: good}, "an unknown tenant": {Tenant: tenant.NewID(), Purpose: lease.Chart, Proof: good}} {
		if _, err := h.Lease(t.Context(), r); err == nil {
			t.Errorf("%s got keys", name)
		}
	}
}

// TestALeaseHoldsWhatItsPurposeNeeds reads what each lease holds, until when, and that it was recorded.
func TestALeaseHoldsWhatItsPurposeNeeds(t *testing.T) {
	t.Parallel()
	h := newHouse(t, cordontest.Shared(t), keys.Limits{})
	id, other := h.tenant(t), h.tenant(t)
	g, err := h.chart(t, id)
	if err != nil || len(g.Record) != 1 || len(g.Audit) != 1 || len(g.Cursor) != 1 || len(g.Index) != 1 || !g.Expires.Equal(h.clock().Add(5*time.Minute)) || g.Generation != 1 {
		t.Errorf("a chart lease: %+v %v", g, err)
	}
	a, err := h.Lease(t.Context(), lease.Request{Tenant: id, Purpose: lease.Audit, Proof: h.ticket(t, h.control, id, lease.Audit, time.Minute), Request: "r2"})
	if err != nil || len(a.Record)+len(a.Cursor)+len(a.Index) != 0 || len(a.Audit) != 1 || a.Audit[0] != g.Audit[0] || a.Expires.After(h.clock().Add(time.Minute)) {
		t.Errorf("an audit lease: %+v %v", a, err)
	}
	o, err := h.chart(t, other)
	if err != nil || o.Record[0] == g.Record[0] || o.Index[0] == g.Index[0] || g.Record[0].Secret == g.Audit[0].Secret {
		t.Errorf("two tenants, or two purposes, have one key: %v", err)
	}
	all := h.events(t, id)
	if n := len(all); n != 3 || all[1].Subtype != "lease-chart" || all[1].Request != "r" || all[1].Agent.ID != "c" || all[2].Subtype != "lease-audit" || all[2].Agent.ID != "alice" || all[2].Request != "r2" {
		t.Errorf("recorded: %+v", all)
	}
}

// TestDisabledKeysAreRefusedByEveryProcess asks two broker processes that have the tenant's signing key at hand, with a live token.
func TestDisabledKeysAreRefusedByEveryProcess(t *testing.T) {
	t.Parallel()
	h := newHouse(t, cordontest.Shared(t), keys.Limits{Refused: 1})
	id, other := h.tenant(t), h.tenant(t)
	second := h.another()
	token := h.token(t, id, time.Minute)
	ask := func(b *keys.Broker, want fault.Kind, granted bool) {
		t.Helper()
		_, chart := b.Lease(t.Context(), lease.Request{Tenant: id, Purpose: lease.Chart, Proof: token})
		_, log := b.Lease(t.Context(), lease.Request{Tenant: id, Purpose: lease.Audit, Proof: h.ticket(t, h.control, id, lease.Audit, time.Minute)})
		_, sign := b.Sign(t.Context(), id, h.claims(id, time.Minute))
		_, public := b.PublicKeys(t.Context(), id)
		for what, err := range map[string]error{"chart": chart, "audit": log, "sign": sign, "public keys": public} {
			if (err == nil) != granted || (!granted && !fault.Is(err, want)) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	ask(h.Broker, 0, true)
	ask(second, 0, true)
	k, err := h.DisableKeys(t.Context(), id, alice)
	if err != nil || k.State != "disabled" || k.Generation != 2 || len(k.Secrets) != 3 {
		t.Fatalf("%+v %v", k, err)
	}
	unwrapped := h.kms.count()
	ask(h.Broker, fault.Locked, false)
	ask(second, fault.Locked, false)
	if h.kms.count() != unwrapped {
		t.Error("keys of a disabled tenant were unwrapped")
	}
	if _, err := h.RotateKeys(t.Context(), id, "data", alice); !fault.Is(err, fault.Locked) {
		t.Errorf("rotated while disabled: %v", err)
	}
	if _, err := h.chart(t, other); err != nil { // and the refusals of a disabled tenant stop no identity: the limit is one
		t.Errorf("another tenant: %v", err)
	}
	if again, err := second.DisableKeys(t.Context(), id, alice); err != nil || again.Generation != 2 {
		t.Errorf("disabled again: %+v %v", again, err)
	}
	if k, err := second.EnableKeys(t.Context(), id, alice); err != nil || k.State != "enabled" || k.Generation != 3 {
		t.Fatalf("%+v %v", k, err)
	}
	ask(h.Broker, 0, true)
	ask(second, 0, true)
	count := map[string]int{}
	for _, e := range h.events(t, id) {
		if e.Before+e.After != "" && e.Subtype != "mint" {
			count[e.Subtype+" "+e.Before+" "+e.After+" "+e.Agent.ID+" "+e.Request]++
		}
	}
	if len(count) != 2 || count["disable enabled disabled alice op-request"] != 1 || count["enable disabled enabled alice op-request"] != 1 {
		t.Errorf("recorded: %v", count)
	}
}

// TestALeaseEndsWithoutTheDirectory is the second layer of a revocation: of a cell that hears nothing from control, the keys end
// with their lease.
func TestALeaseEndsWithoutTheDirectory(t *testing.T) {
	t.Parallel()
	h := newHouse(t, cordontest.Shared(t), keys.Limits{})
	id := h.tenant(t)
	c := lease.NewCache(h.Broker, h.clock)
	token := h.token(t, id, time.Hour)
	use := func() error {
		_, err := c.For(t.Context(), lease.Need{Tenant: id, Token: token, Generation: 1})
		return err
	}
	if err := use(); err != nil {
		t.Fatal(err)
	}
	if _, err := h.DisableKeys(t.Context(), id, alice); err != nil {
		t.Fatal(err)
	}
	for range 9 { // 4:30
		if err := use(); err != nil {
			t.Fatalf("a live lease: %v", err)
		}
		h.pass(30 * time.Second)
	}
	h.pass(30 * time.Second)
	for range 3 {
		if err := use(); !fault.Is(err, fault.Locked) {
			t.Errorf("after the lease: %v", err)
		}
	}
	if _, err := h.EnableKeys(t.Context(), id, alice); err != nil {
		t.Fatal(err)
	}
	if err := use(); err != nil {
		t.Errorf("enabled again: %v", err)
	}
}

// TestTheKMSIsAway tells an absence from a refusal, and recovers without a restart.
func TestTheKMSIsAway(t *testing.T) {
	t.Parallel()
	h := newHouse(t, cordontest.Shared(t), keys.Limits{Refused: 1})
	a, b := h.tenant(t), h.tenant(t)
	tokens := map[tenant.ID]string{a: h.token(t, a, time.Minute), b: h.token(t, b, time.Minute)}
	h.kms.set(true)
	for range 3 {
		for id, token := range tokens {
			if _, err := h.Lease(t.Context(), lease.Request{Tenant: id, Purpose: lease.Chart, Proof: token}); !fault.Is(err, fault.Unavailable) {
				t.Errorf("without a KMS: %v", err)
			}
		}
	}
	if _, err := h.RotateKeys(t.Context(), a, "data", alice); !fault.Is(err, fault.Unavailable) {
		t.Errorf("rotated without a KMS: %v", err)
	}
	if k, err := h.DisableKeys(t.Context(), a, alice); err != nil || k.State != "disabled" { // closing needs no KMS
		t.Errorf("disabled without a KMS: %v", err)
	}
	h.kms.set(false)
	if _, err := h.EnableKeys(t.Context(), a, alice); err != nil {
		t.Fatal(err)
	}
	for id := range tokens {
		if _, err := h.chart(t, id); err != nil {
			t.Errorf("with the KMS back: %v", err)
		}
	}
}

// TestAuditLeasesStopNobody reads the trails of more tenants than an identity is granted charts of: control signed for each.
func TestAuditLeasesStopNobody(t *testing.T) {
	t.Parallel()
	h := newHouse(t, cordontest.Shared(t), keys.Limits{Granted: 1})
	for range 3 {
		id := h.tenant(t)
		if _, err := h.Lease(t.Context(), lease.Request{Tenant: id, Purpose: lease.Audit, Proof: h.ticket(t, h.control, id, lease.Audit, time.Minute)}); err != nil {
			t.Fatal(err)
		}
	}
}
