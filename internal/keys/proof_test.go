package keys_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"path/filepath"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/authn"
	"github.com/cordon-ehr/cordon/internal/cordontest"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/keyring"
	"github.com/cordon-ehr/cordon/internal/keys"
	"github.com/cordon-ehr/cordon/internal/lease"
	"github.com/cordon-ehr/cordon/internal/pg"
	"github.com/cordon-ehr/cordon/internal/posture"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// proofHouse is a broker with two tenants' keys, and everything that can sign.
type proofHouse struct {
	*keys.Broker
	now          time.Time
	alpha, bravo tenant.ID
	sign         map[tenant.ID]*ecdsa.PrivateKey
	control      *ecdsa.PrivateKey
}

func newProofHouse(t *testing.T) *proofHouse {
	t.Helper()
	pool, err := pg.Open(t.Context(), cordontest.Shared(t).RoleDSN(t, "cordon_keys", "cordon_keyring"), 4, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	kms, err := keyring.OpenFileKMS(filepath.Join(t.TempDir(), "kms"), "")
	if err != nil {
		t.Fatal(err)
	}
	h := &proofHouse{now: time.Now(), alpha: tenant.NewID(), bravo: tenant.NewID(), sign: map[tenant.ID]*ecdsa.PrivateKey{}, control: freshKey(t)}
	store := keyring.NewStore(pool, kms, make([]byte, 32))
	h.Broker = keys.NewBroker(store, keys.Config{Control: &h.control.PublicKey, Local: "cell/" + tenant.NewID().String(),
		Posture: posture.Options{Volatile: true, Every: time.Hour}}, func() time.Time { return h.now })
	if err := h.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range []tenant.ID{h.alpha, h.bravo} {
		if err := h.Mint(t.Context(), id, audit.By{Agent: audit.Agent{Kind: "operator", ID: "alice"}}); err != nil {
			t.Fatal(err)
		}
		secrets, _, err := store.Secrets(t.Context(), id, keyring.Sign)
		if err != nil {
			t.Fatal(err)
		}
		if h.sign[id], err = keyring.SigningKey(secrets[0].Secret); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func freshKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (h *proofHouse) claims(of tenant.ID) authn.Claims {
	return authn.Claims{Issuer: "i", Audience: "a", Subject: "c", Client: "c", Scope: "system/*.r", Tenant: of.String(), TokenID: "j", Issued: h.now.Unix(), Expires: h.now.Add(time.Minute).Unix()}
}

func (h *proofHouse) ticket(of tenant.ID, p lease.Purpose, life time.Duration) lease.Ticket {
	return lease.Ticket{Tenant: of.String(), Purpose: p, Operator: "alice", ID: "j", Expires: h.now.Add(life).Unix()}
}

// TestLeaseNeedsProof asks the broker for keys with proofs that are wrong in one way each: a cell's word alone unwraps nothing, and
// a proof of one tenant or one purpose is none of another.
func TestLeaseNeedsProof(t *testing.T) {
	t.Parallel()
	h := newProofHouse(t)
	good := h.claims(h.alpha)
	expired, foreign := good, h.claims(h.bravo)
	expired.Expires = h.now.Unix()
	alpha, bravo, stranger := h.sign[h.alpha], h.sign[h.bravo], freshKey(t)
	for name, c := range map[string]struct {
		purpose lease.Purpose
		proof   string
		ok      bool
	}{
		"a live token":                {lease.Chart, signed(t, alpha, authn.TokenType, "1", good), true},
		"a live ticket":               {lease.Audit, signed(t, h.control, lease.TicketType, "", h.ticket(h.alpha, lease.Audit, time.Minute)), true},
		"nothing":                     {lease.Chart, "", false},
		"junk":                        {lease.Chart, "a.b.c", false},
		"the neighbour's token":       {lease.Chart, signed(t, bravo, authn.TokenType, "1", foreign), false},
		"the neighbour's key":         {lease.Chart, signed(t, bravo, authn.TokenType, "1", good), false},
		"own key, neighbour's claims": {lease.Chart, signed(t, alpha, authn.TokenType, "1", foreign), false},
		"a stranger's key":            {lease.Chart, signed(t, stranger, authn.TokenType, "1", good), false},
		"an expired token":            {lease.Chart, signed(t, alpha, authn.TokenType, "1", expired), false},
		"another key id":              {lease.Chart, signed(t, alpha, authn.TokenType, "2", good), false},
		"another type":                {lease.Chart, signed(t, alpha, "JWT", "1", good), false},
		"a token for the log":         {lease.Audit, signed(t, alpha, authn.TokenType, "1", good), false},
		"a ticket for the chart":      {lease.Chart, signed(t, h.control, lease.TicketType, "", h.ticket(h.alpha, lease.Chart, time.Minute)), false},
		"a chart's ticket":            {lease.Audit, signed(t, h.control, lease.TicketType, "", h.ticket(h.alpha, lease.Chart, time.Minute)), false},
		"the neighbour's ticket":      {lease.Audit, signed(t, h.control, lease.TicketType, "", h.ticket(h.bravo, lease.Audit, time.Minute)), false},
		"an expired ticket":           {lease.Audit, signed(t, h.control, lease.TicketType, "", h.ticket(h.alpha, lease.Audit, 0)), false},
		"a stranger's ticket":         {lease.Audit, signed(t, stranger, lease.TicketType, "", h.ticket(h.alpha, lease.Audit, time.Minute)), false},
		"the tenant's ticket":         {lease.Audit, signed(t, alpha, lease.TicketType, "1", h.ticket(h.alpha, lease.Audit, time.Minute)), false},
	} {
		g, err := h.Lease(t.Context(), lease.Request{Tenant: h.alpha, Purpose: c.purpose, Proof: c.proof})
		if c.ok && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !c.ok && (!fault.Is(err, fault.Unauthenticated) || len(g.Record)+len(g.Audit)+len(g.Cursor)+len(g.Index) > 0) {
			t.Errorf("%s opens: %v", name, err)
		}
	}
	if _, err := h.Lease(t.Context(), lease.Request{Purpose: lease.Chart, Proof: signed(t, alpha, authn.TokenType, "1", good)}); !fault.Is(err, fault.Forbidden) {
		t.Errorf("no tenant: %v", err)
	}
}

// TestGrantsHoldWhatTheirPurposeNeeds compares the keys of two tenants and two purposes: no two are the same, and the log's lease
// opens no chart.
func TestGrantsHoldWhatTheirPurposeNeeds(t *testing.T) {
	t.Parallel()
	h := newProofHouse(t)
	seen := map[string]string{}
	for name, id := range map[string]tenant.ID{"alpha": h.alpha, "bravo": h.bravo} {
		g, err := h.Lease(t.Context(), lease.Request{Tenant: id, Purpose: lease.Chart, Proof: signed(t, h.sign[id], authn.TokenType, "1", h.claims(id))})
		if err != nil {
			t.Fatal(err)
		}
		for use, list := range map[string][]lease.Key{"record": g.Record, "audit": g.Audit, "cursor": g.Cursor, "index": g.Index} {
			if len(list) != 1 {
				t.Fatalf("%d keys of %s", len(list), use)
			}
			if other, twice := seen[string(list[0].Secret.Reveal())]; twice {
				t.Errorf("the %s key of %s is the %s", use, name, other)
			}
			seen[string(list[0].Secret.Reveal())] = use + " key of " + name
		}
		log, err := h.Lease(t.Context(), lease.Request{Tenant: id, Purpose: lease.Audit, Proof: signed(t, h.control, lease.TicketType, "", h.ticket(id, lease.Audit, time.Minute))})
		if err != nil || len(log.Record)+len(log.Cursor)+len(log.Index) != 0 || len(log.Audit) != 1 {
			t.Errorf("a lease for the log of %s holds %d record, %d cursor and %d index keys: %v", name, len(log.Record), len(log.Cursor), len(log.Index), err)
		}
	}
}

// TestSignForItsTenantOnly asks the broker to sign another tenant's claims.
func TestSignForItsTenantOnly(t *testing.T) {
	t.Parallel()
	h := newProofHouse(t)
	if raw, err := h.Sign(context.Background(), h.alpha, h.claims(h.bravo)); !fault.Is(err, fault.Forbidden) {
		t.Errorf("alpha's key signs bravo's claims: %q, %v", raw, err)
	}
	if _, err := h.Sign(t.Context(), h.alpha, h.claims(h.alpha)); err != nil {
		t.Error(err)
	}
}
