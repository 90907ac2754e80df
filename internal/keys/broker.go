// Package keys is the broker: the one role that unwraps. It hands a cell one tenant's keys for minutes against that
// tenant's live token, signs that tenant's tokens for control, and records each key operation before its effect. It knows no
// FHIR, no chart and no placement.
package keys

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/maypok86/otter/v2"

	"github.com/cordon-ehr/cordon/internal/alert"
	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/auditlog"
	"github.com/cordon-ehr/cordon/internal/authn"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/keyring"
	"github.com/cordon-ehr/cordon/internal/lease"
	"github.com/cordon-ehr/cordon/internal/ledger"
	"github.com/cordon-ehr/cordon/internal/posture"
	"github.com/cordon-ehr/cordon/internal/seal"
	"github.com/cordon-ehr/cordon/internal/telemetry"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Config of the keys role.
type Config struct {
	Lease   time.Duration    // how long a grant lives; 0 = 5 minutes
	Control crypto.PublicKey // verifies control's job tickets (ECDSA P-256)
	Overlap time.Duration    // how long a retired signing key still verifies: longer than a token lives; 0 = 10 minutes
	Local   string           // the service identity of callers in this process; "" = local
	Limits  Limits           // of each service identity
	Posture posture.Options
	Metrics *telemetry.Metrics // nil = counted nowhere
	Log     *slog.Logger       // nil = nowhere
	Ledger  ledger.Role
	Alerted func(stream, kind string) // counts alerts of the ledger
}

// Broker serves leases and signatures. It is safe for concurrent use.
type Broker struct {
	store *keyring.Store
	cfg   Config
	now   func() time.Time
	sign  *otter.Cache[tenant.ID, signer]
	walls *posture.Watch
	alarm *alert.Alarm
	guard *guard
	// Set by Connect, which is called before the broker serves.
	keeper  *ledger.Keeper
	watcher *ledger.Watcher
}

// signer is a tenant's signing keys as of one generation.
type signer struct {
	generation int64
	kid        string // of the one that signs
	key        *ecdsa.PrivateKey
	verify     []verifying // all that are published, newest last
}

// verifying is the public half of a signing key.
type verifying struct {
	kid     string
	key     *ecdsa.PublicKey
	retired time.Time // zero = it was not
}

// NewBroker makes the broker over its store.
func NewBroker(store *keyring.Store, cfg Config, now func() time.Time) *Broker {
	if cfg.Lease == 0 {
		cfg.Lease = 5 * time.Minute
	}
	if cfg.Overlap == 0 {
		cfg.Overlap = 10 * time.Minute
	}
	if cfg.Metrics == nil {
		cfg.Metrics = telemetry.NewMetrics()
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Local == "" {
		cfg.Local = "local"
	}
	b := &Broker{store: store, cfg: cfg, now: now, guard: newGuard(cfg.Limits, now), sign: otter.Must(&otter.Options[tenant.ID, signer]{MaximumSize: 10_000,
		ExpiryCalculator: otter.ExpiryWriting[tenant.ID, signer](time.Minute)}),
		alarm: alert.New(store, audit.Source{Role: "keys"}, cfg.Metrics, cfg.Log, now)}
	store.OnForged(source(), func(ctx context.Context, t tenant.ID) { b.alarm.SealBroken(ctx, t, "audit", "AuditEvent", "") })
	b.walls = b.selfCheck()
	b.keep(nil)
	return b
}

// lease begins the event of a lease, asked for by a service on behalf of who.
func (b *Broker) lease(r lease.Request, who audit.Agent, identity string) audit.Event {
	e := audit.By{Agent: who, Request: r.Request}.Event("keys", r.Tenant, "key", "lease-"+string(r.Purpose), audit.Execute)
	e.Decision.Policy, e.Source.Site = "broker/1", identity
	return e
}

// Mint gives a tenant its keys; it may be repeated.
func (b *Broker) Mint(ctx context.Context, t tenant.ID, by audit.By) error {
	if err := b.walls.OK(); err != nil {
		return err
	}
	e := by.Event("keys", t, "key", "mint", audit.Create)
	e.After = "data/1 index/1 sign/1"
	return b.store.Mint(ctx, t, e)
}

// PublicKeys gives the JWK set that verifies a tenant's tokens: of the key that signs, of one that will, and of those that
// signed tokens that may still be good. Faults: Locked.
func (b *Broker) PublicKeys(ctx context.Context, t tenant.ID) (jose.JSONWebKeySet, error) {
	s, err := b.signer(ctx, t)
	if err != nil {
		return jose.JSONWebKeySet{}, err
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, v := range s.verify {
		if b.live(v) {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: v.key, KeyID: v.kid, Algorithm: string(jose.ES256), Use: "sig"})
		}
	}
	return set, nil
}

// live reports whether a signing key still verifies.
func (b *Broker) live(v verifying) bool {
	return v.retired.IsZero() || b.now().Before(v.retired.Add(b.cfg.Overlap))
}

// Sign makes an access token of claims, under the tenant's own key. Control, which asks, has recorded the token before. Faults: Locked.
func (b *Broker) Sign(ctx context.Context, t tenant.ID, c authn.Claims) (string, error) {
	if err := b.walls.OK(); err != nil {
		return "", err
	}
	if c.Tenant != t.String() {
		return "", fault.New(fault.Forbidden, "the claims are of another tenant")
	}
	s, err := b.signer(ctx, t)
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	sg, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: s.key, KeyID: s.kid}},
		(&jose.SignerOptions{}).WithType(authn.TokenType))
	if err != nil {
		return "", fmt.Errorf("sign for tenant %s: %w", t, err)
	}
	sig, err := sg.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign for tenant %s: %w", t, err)
	}
	return sig.CompactSerialize()
}

// signer gives a tenant's signing keys. They are kept for a minute, but the database is asked each time whether they may be used
// and are the newest: a disabled tenant gets no token, whichever broker process it asks.
func (b *Broker) signer(ctx context.Context, t tenant.ID) (signer, error) {
	c, err := b.store.Custody(ctx, t)
	if err != nil {
		return signer{}, err
	}
	if c.State != keyring.Enabled {
		return signer{}, tenant.KeysDisabled()
	}
	if s, ok := b.sign.GetIfPresent(t); ok && s.generation >= c.Generation {
		return s, nil
	}
	s, err := b.loadSigner(ctx, t)
	if err == nil {
		b.sign.Set(t, s)
	}
	return s, err
}

func (b *Broker) loadSigner(ctx context.Context, t tenant.ID) (signer, error) {
	secrets, generation, err := b.secrets(ctx, t, keyring.Sign)
	if err != nil {
		return signer{}, err
	}
	s := signer{generation: generation}
	for _, x := range secrets {
		key, err := keyring.SigningKey(x.Secret)
		if err != nil {
			return signer{}, err
		}
		kid := strconv.Itoa(int(x.Version))
		s.verify = append(s.verify, verifying{kid, &key.PublicKey, x.Retired})
		if x.State == "active" {
			s.kid, s.key = kid, key
		}
	}
	if s.key == nil {
		return signer{}, fault.New(fault.Unavailable, "the tenant has no signing key in use")
	}
	return s, nil
}

// Events gives a tenant's key events, for an export that control authorized.
func (b *Broker) Events(ctx context.Context, t tenant.ID, each func([]byte) error) error {
	head, err := b.store.Head(ctx, t)
	if err != nil {
		return err
	}
	log := ledger.Name{Tenant: t, Stream: ledger.StreamKeys}
	return b.store.Events(ctx, t, func(e auditlog.Event) error { return each(ledger.Placed(e.JSON, log, e.Seq, head.Size, e.Entry)) })
}

// EventPage gives a page of a tenant's key events, for a reader whom control authorized.
func (b *Broker) EventPage(ctx context.Context, t tenant.ID, r audit.Range) ([]audit.Plain, error) {
	return b.store.EventPage(ctx, t, r)
}

// Feed gives a page of a tenant's key events in the order of their transactions, for a stream that control authorized; for no tenant,
// how far they can be read.
func (b *Broker) Feed(ctx context.Context, a audit.FeedAsk) (page audit.FeedPage, err error) {
	if a.Tenant.IsZero() {
		page.Until, err = b.store.Horizon(ctx)
		return page, err
	}
	return b.store.Feed(ctx, a)
}

// secrets unwraps, and raises the alarm when something that is wrapped does not open.
func (b *Broker) secrets(ctx context.Context, t tenant.ID, kinds ...keyring.Kind) ([]keyring.Secret, int64, error) {
	out, generation, err := b.store.Secrets(ctx, t, kinds...)
	if errors.Is(err, seal.ErrBroken) {
		b.alarm.SealBroken(ctx, t, "secret", "key", "")
	}
	return out, generation, err
}

var _ lease.Broker = (*Broker)(nil)
