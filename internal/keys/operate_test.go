package keys_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/cordontest"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/keys"
	"github.com/cordon-ehr/cordon/internal/lease"
	"github.com/cordon-ehr/cordon/internal/rpc"
	"github.com/cordon-ehr/cordon/internal/telemetry"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

func versions(k rpc.Keyring) string {
	var out []string
	for _, s := range k.Secrets {
		out = append(out, fmt.Sprintf("%s/%d=%s", s.Kind, s.Version, s.State))
	}
	return strings.Join(out, " ")
}

// TestRotateData seals under the new version from the next lease on; the old one still opens.
func TestRotateData(t *testing.T) {
	t.Parallel()
	h := newHouse(t, cordontest.Shared(t), keys.Limits{})
	id := h.tenant(t)
	before, err := h.chart(t, id)
	if err != nil {
		t.Fatal(err)
	}
	k, err := h.RotateKeys(t.Context(), id, "data", alice)
	if want := "data/1=retired data/2=active index/1=active sign/1=active"; err != nil || versions(k) != want || k.Generation != 2 {
		t.Fatalf("%s %d %v", versions(k), k.Generation, err)
	}
	after, err := h.chart(t, id)
	if err != nil || len(after.Record) != 2 || after.Record[0] != before.Record[0] || after.Record[1].Version != 2 || after.Record[1].Secret == before.Record[0].Secret ||
		after.Index[0] != before.Index[0] || after.Generation != 2 {
		t.Errorf("%+v, was %+v: %v", after, before, err)
	}
	for _, kind := range []string{"index", "", "kek", "data'"} {
		if _, err := h.RotateKeys(t.Context(), id, kind, alice); !fault.Is(err, fault.Invalid) {
			t.Errorf("kind %q: %v", kind, err)
		}
	}
	if _, err := h.RotateKeys(t.Context(), tenant.NewID(), "data", alice); !fault.Is(err, fault.NotFound) {
		t.Errorf("an unknown tenant: %v", err)
	}
}

// TestRotateSign publishes the new key before it signs, and lets tokens of the old one verify until the last of them has expired.
func TestRotateSign(t *testing.T) {
	t.Parallel()
	h := newHouse(t, cordontest.Shared(t), keys.Limits{})
	id := h.tenant(t)
	second := h.another()
	kids := func(want string) {
		t.Helper()
		for _, b := range []*keys.Broker{h.Broker, second} {
			set, err := b.PublicKeys(t.Context(), id)
			got := ""
			for _, k := range set.Keys {
				got += k.KeyID
			}
			if err != nil || got != want {
				t.Errorf("published %s, want %s: %v", got, want, err)
			}
		}
	}
	live := func(token string, want bool) {
		t.Helper()
		for _, b := range []*keys.Broker{h.Broker, second} {
			if _, err := b.Lease(t.Context(), lease.Request{Tenant: id, Purpose: lease.Chart, Proof: token}); (err == nil) != want {
				t.Errorf("a lease against the token: %v, want %v", err, want)
			}
		}
	}
	kids("1")
	old := h.token(t, id, time.Hour)
	k, err := h.RotateKeys(t.Context(), id, "sign", alice)
	if want := "data/1=active index/1=active sign/1=active sign/2=next"; err != nil || versions(k) != want {
		t.Fatalf("%s %v", versions(k), err)
	}
	kids("12")
	if again, err := h.RotateKeys(t.Context(), id, "sign", alice); err != nil || versions(again) != versions(k) || again.Generation != k.Generation { // cut off and given again
		t.Errorf("%s %v", versions(again), err)
	}
	between := h.token(t, id, time.Hour)
	if !strings.HasPrefix(between, old[:40]) {
		t.Error("the next key signs before it is put to use")
	}
	live(between, true)
	k, err = h.ActivateKeys(t.Context(), id, alice)
	if want := "data/1=active index/1=active sign/1=retired sign/2=active"; err != nil || versions(k) != want || k.Due == nil || time.Until(*k.Due) > 10*time.Minute {
		t.Fatalf("%s %v %v", versions(k), k.Due, err)
	}
	if again, err := h.ActivateKeys(t.Context(), id, alice); err != nil || again.Generation != k.Generation {
		t.Errorf("put to use again: %v", err)
	}
	fresh := h.token(t, id, time.Hour)
	if strings.HasPrefix(fresh, old[:40]) {
		t.Error("the old key signs on")
	}
	kids("12")
	live(old, true)
	live(fresh, true)
	h.pass(9 * time.Minute)
	live(old, true)
	h.pass(2 * time.Minute) // the database's clock goes on beside it
	live(old, false)
	live(between, false)
	live(fresh, true)
	kids("2")
}

// TestNoEventNoOperation takes the audit table away: nothing happens to any key.
func TestNoEventNoOperation(t *testing.T) {
	t.Parallel()
	h := newHouse(t, cordontest.Own(t), keys.Limits{Refused: 1})
	id, off := h.tenant(t), h.tenant(t)
	if _, err := h.DisableKeys(t.Context(), off, alice); err != nil {
		t.Fatal(err)
	}
	if _, err := h.RotateKeys(t.Context(), id, "sign", alice); err != nil {
		t.Fatal(err)
	}
	su := h.p.SuperuserOn(t, "cordon_keyring")
	state := func() (out string) {
		for _, table := range []string{"kek", "secret", "custody", "stop"} {
			var s string
			if err := su.QueryRow(t.Context(), `SELECT coalesce(string_agg(x::text, ' ' ORDER BY x::text), '') FROM `+table+` x`).Scan(&s); err != nil {
				t.Fatal(err)
			}
			out += s + "\n"
		}
		return out
	}
	token := h.token(t, id, time.Minute)
	before := state()
	if _, err := su.Exec(t.Context(), "ALTER TABLE audit RENAME TO away"); err != nil {
		t.Fatal(err)
	}
	for what, run := range map[string]func(context.Context) error{
		"disable":  func(ctx context.Context) error { _, err := h.DisableKeys(ctx, id, alice); return err },
		"enable":   func(ctx context.Context) error { _, err := h.EnableKeys(ctx, off, alice); return err },
		"rotate":   func(ctx context.Context) error { _, err := h.RotateKeys(ctx, id, "data", alice); return err },
		"activate": func(ctx context.Context) error { _, err := h.ActivateKeys(ctx, id, alice); return err },
		"mint":     func(ctx context.Context) error { return h.Mint(ctx, tenant.NewID(), alice) },
		"lease": func(ctx context.Context) error {
			_, err := h.Lease(ctx, lease.Request{Tenant: id, Purpose: lease.Chart, Proof: token})
			return err
		},
		"refusal": func(ctx context.Context) error {
			_, err := h.Lease(ctx, lease.Request{Tenant: id, Purpose: lease.Chart, Proof: "junk"})
			return err
		},
	} {
		if err := run(t.Context()); !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s without an audit: %v", what, err)
		}
	}
	if after := state(); after != before {
		t.Errorf("without an audit keys changed:\n%s\n%s", before, after)
	}
	if _, err := su.Exec(t.Context(), "ALTER TABLE away RENAME TO audit"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.DisableKeys(t.Context(), id, alice); err != nil {
		t.Error(err)
	}
}

// TestAnIdentityThatAsksForTooMuchIsStopped loops over tenants with one identity: first with no proofs, then with good ones. It is
// stopped at the limit, in every broker process, with one alert; others go on; an operator resumes it, or its time ends.
func TestAnIdentityThatAsksForTooMuchIsStopped(t *testing.T) {
	t.Parallel()
	h := newHouse(t, cordontest.Shared(t), keys.Limits{Refused: 3, Granted: 4})
	h.cfg.Metrics = telemetry.NewMetrics()
	h.Broker = h.another()
	second := h.another()
	var ids []tenant.ID
	var tokens []string
	for range 6 {
		id := h.tenant(t)
		ids, tokens = append(ids, id), append(tokens, h.token(t, id, time.Hour))
	}
	ask := func(b *keys.Broker, as string, i int, proof string) error {
		_, err := b.Lease(rpc.WithPeer(t.Context(), as), lease.Request{Tenant: ids[i], Purpose: lease.Chart, Proof: proof})
		return err
	}
	for n, how := range []func(i int) string{func(int) string { return "junk" }, func(i int) string { return tokens[i] }} {
		evil, honest := "cell/evil-"+tenant.NewID().String(), "cell/honest-"+tenant.NewID().String()
		limit := []int{3, 4}[n]
		for range 3 { // the same tenants over and over are no more tenants
			for i := range limit {
				if err := ask(h.Broker, evil, i, how(i)); fault.Is(err, fault.Unavailable) {
					t.Fatalf("stopped below the limit: %v", err)
				}
			}
		}
		if err := ask(h.Broker, evil, 5, how(5)); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "stopped") {
			t.Errorf("beyond the limit: %v", err)
		}
		for _, b := range []*keys.Broker{h.Broker, second} {
			for range 2 {
				if err := ask(b, evil, 0, tokens[0]); !fault.Is(err, fault.Unavailable) || fault.Of(err).RetryAfter == 0 {
					t.Errorf("stopped, with a good token: %v", err)
				}
			}
			if err := ask(b, honest, 0, tokens[0]); err != nil {
				t.Errorf("another identity: %v", err)
			}
		}
		alerts := 0
		for _, e := range h.events(t, tenant.ID{}) {
			if e.Type == "security" && e.Subtype == "identity-stopped" && e.Agent.ID == evil && e.After == "stopped" && e.Decision.Reason != "" {
				alerts++
			}
		}
		if lines := strings.Count(h.logs.String(), evil); alerts != 1 || lines != 1 {
			t.Errorf("%d alerts and %d lines, want one of each", alerts, lines)
		}
		if stops, err := h.Stops(t.Context()); err != nil || !strings.Contains(fmt.Sprint(stops), evil) {
			t.Errorf("listed: %v %v", stops, err)
		}
		if err := second.ResumeIdentity(t.Context(), evil, alice); err != nil {
			t.Fatal(err)
		}
		if err := second.ResumeIdentity(t.Context(), evil, alice); !fault.Is(err, fault.NotFound) {
			t.Errorf("resumed again: %v", err)
		}
		for i := range limit {
			if err := ask(h.Broker, evil, i, tokens[i]); err != nil {
				t.Errorf("resumed: %v", err)
			}
		}
	}
}

// TestAStopEndsByItself when it was given a time; and what was asked long ago does not count.
func TestAStopEndsByItself(t *testing.T) {
	t.Parallel()
	h := newHouse(t, cordontest.Shared(t), keys.Limits{Refused: 2, Window: time.Minute, Stop: 300 * time.Millisecond})
	ask := func() error {
		_, err := h.Lease(t.Context(), lease.Request{Tenant: h.tenant(t), Purpose: lease.Chart, Proof: "junk"})
		return err
	}
	for range 5 {
		if err := ask(); !fault.Is(err, fault.Unauthenticated) {
			t.Fatalf("one a minute: %v", err)
		}
		h.pass(time.Minute)
	}
	for range 3 {
		_ = ask()
	}
	for range 2 { // stopped, free, stopped again
		cordontest.Eventually(t, "the stop ends", func() bool { return fault.Is(ask(), fault.Unauthenticated) })
		cordontest.Eventually(t, "it is stopped again", func() bool { return fault.Is(ask(), fault.Unavailable) })
	}
}
