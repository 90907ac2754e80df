package keys_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/authn"
	"github.com/cordon-ehr/cordon/internal/cordontest"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/keyring"
	"github.com/cordon-ehr/cordon/internal/keys"
	"github.com/cordon-ehr/cordon/internal/lease"
	"github.com/cordon-ehr/cordon/internal/pg"
	"github.com/cordon-ehr/cordon/internal/seal"
	"github.com/cordon-ehr/cordon/internal/telemetry"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

func TestMain(m *testing.M) { cordontest.Main(m) }

// alice is who acts.
var alice = audit.By{Agent: audit.Agent{Kind: "operator", ID: "alice"}, Request: "op-request"}

// house is a broker on a real keyring database, with a KMS that can be away and a clock that stands.
type house struct {
	*keys.Broker
	p       *cordontest.Platform
	store   *keyring.Store
	kms     *kms
	control *ecdsa.PrivateKey
	logs    *cordontest.Log
	cfg     keys.Config
	mu      sync.Mutex // guards now
	now     time.Time
}

// kms is a KMS that can be away, and counts what it unwraps.
type kms struct {
	keyring.KMS
	mu        sync.Mutex // guards the rest
	away      bool
	unwrapped int
}

func (k *kms) Unwrap(ctx context.Context, key string, wrapped []byte, at seal.Place) (seal.Secret, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.away {
		return seal.Secret{}, fault.New(fault.Unavailable, "the key service does not answer")
	}
	k.unwrapped++
	return k.KMS.Unwrap(ctx, key, wrapped, at)
}

func (k *kms) set(away bool) { k.mu.Lock(); k.away = away; k.mu.Unlock() }

func (k *kms) count() int { k.mu.Lock(); defer k.mu.Unlock(); return k.unwrapped }

func newHouse(t *testing.T, p *cordontest.Platform, limits keys.Limits) *house {
	t.Helper()
	pool, err := pg.Open(t.Context(), p.RoleDSN(t, "cordon_keys", "cordon_keyring"), 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	file, err := keyring.OpenFileKMS(filepath.Join(p.Dir, "kms.json"), "")
	if err != nil {
		t.Fatal(err)
	}
	control, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{p: p, kms: &kms{KMS: file}, control: control, logs: &cordontest.Log{}, now: time.Now()}
	h.store = keyring.NewStore(pool, h.kms)
	h.cfg = keys.Config{Control: &control.PublicKey, Local: "cell/" + uuid.NewString(), Limits: limits, Log: telemetry.NewLogger(h.logs, slog.LevelInfo)}
	h.Broker = h.another()
	return h
}

// another is a second process of the broker on the same database.
func (h *house) another() *keys.Broker { return keys.NewBroker(h.store, h.cfg, h.clock) }

func (h *house) clock() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.now }

func (h *house) pass(d time.Duration) { h.mu.Lock(); h.now = h.now.Add(d); h.mu.Unlock() }

func (h *house) tenant(t *testing.T) tenant.ID {
	t.Helper()
	id := tenant.NewID()
	if err := h.Mint(t.Context(), id, alice); err != nil {
		t.Fatal(err)
	}
	return id
}

func (h *house) claims(id tenant.ID, life time.Duration) authn.Claims {
	return authn.Claims{Issuer: "https://h/t/x", Audience: "https://h/t/x/fhir", Subject: "c", Client: "c", Scope: "system/*.rs", Tenant: id.String(), TokenID: uuid.NewString(),
		Issued: h.clock().Unix(), Expires: h.clock().Add(life).Unix()}
}

// token signs a token of the tenant.
func (h *house) token(t *testing.T, id tenant.ID, life time.Duration) string {
	t.Helper()
	raw, err := h.Sign(t.Context(), id, h.claims(id, life))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// signed signs anything by any key.
func signed(t *testing.T, key *ecdsa.PrivateKey, typ, kid string, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	sg, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		t.Fatal(err)
	}
	sig, err := sg.Sign(b)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := sig.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// ticket is control's for one job.
func (h *house) ticket(t *testing.T, key *ecdsa.PrivateKey, id tenant.ID, purpose lease.Purpose, life time.Duration) string {
	t.Helper()
	return signed(t, key, lease.TicketType, "", lease.Ticket{Tenant: id.String(), Purpose: purpose, Operator: "alice", ID: "j", Expires: h.clock().Add(life).Unix()})
}

// chart asks for a chart lease with a good token.
func (h *house) chart(t *testing.T, id tenant.ID) (lease.Grant, error) {
	t.Helper()
	return h.Lease(t.Context(), lease.Request{Tenant: id, Purpose: lease.Chart, Proof: h.token(t, id, time.Minute), Request: "r"})
}

// event is what a test reads of a recorded event.
type event struct {
	Type, Subtype, Outcome, Before, After string
	Desc                                  string                    `json:"outcome_desc"`
	Request                               string                    `json:"request_id"`
	Agent                                 struct{ Kind, ID string } `json:"agent"`
	Source                                struct{ Site string }
	Decision                              struct{ Reason string }
}

func (h *house) events(t *testing.T, id tenant.ID) (out []event) {
	t.Helper()
	err := h.Events(t.Context(), id, func(b []byte) error {
		var e event
		err := json.Unmarshal(b, &e)
		out = append(out, e)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
