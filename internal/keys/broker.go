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
	"github.com/cordon-ehr/cordon/internal/authn"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/keyring"
	"github.com/cordon-ehr/cordon/internal/lease"
	"github.com/cordon-ehr/cordon/internal/posture"
	"github.com/cordon-ehr/cordon/internal/seal"
	"github.com/cordon-ehr/cordon/internal/telemetry"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Config of the keys role.
type Config struct {
	Lease   time.Duration    // how long a grant lives; 0 = 5 minutes
	Control crypto.PublicKey // verifies control's job tickets (ECDSA P-256)
	Posture posture.Options
	Metrics *telemetry.Metrics
	Log     *slog.Logger
}

// Broker serves leases and signatures. It is safe for concurrent use.
type Broker struct {
	store *keyring.Store
	cfg   Config
	now   func() time.Time
	sign  *otter.Cache[tenant.ID, signer]
	walls *posture.Watch
	alarm *alert.Alarm
}

type signer struct {
	kid string
	key *ecdsa.PrivateKey
}

// NewBroker makes the broker over its store.
func NewBroker(store *keyring.Store, cfg Config, now func() time.Time) *Broker {
	if cfg.Lease == 0 {
		cfg.Lease = 5 * time.Minute
	}
	b := &Broker{store: store, cfg: cfg, now: now, sign: otter.Must(&otter.Options[tenant.ID, signer]{MaximumSize: 10_000,
		ExpiryCalculator: otter.ExpiryWriting[tenant.ID, signer](time.Minute)}),
		alarm: alert.New(store, audit.Source{Role: "keys"}, cfg.Metrics, cfg.Log, now)}
	b.walls = b.watch()
	return b
}

func (b *Broker) event(t tenant.ID, subtype string, who audit.Agent) audit.Event {
	return audit.New(audit.Event{Tenant: t, Type: "key", Subtype: subtype, Action: audit.Execute, Outcome: audit.Success,
		Agent: who, Source: audit.Source{Role: "keys"}, Decision: audit.Decision{Allow: true, Policy: "broker/1"}})
}

// Mint gives a tenant its keys; it may be repeated.
func (b *Broker) Mint(ctx context.Context, t tenant.ID, by audit.By) error {
	if err := b.walls.OK(); err != nil {
		return err
	}
	e := b.event(t, "mint", by.Agent)
	e.Action, e.Request = audit.Create, by.Request
	return b.store.Mint(ctx, t, e)
}

// PublicKeys gives the JWK set that verifies a tenant's tokens.
func (b *Broker) PublicKeys(ctx context.Context, t tenant.ID) (jose.JSONWebKeySet, error) {
	s, err := b.signer(ctx, t)
	if err != nil {
		return jose.JSONWebKeySet{}, err
	}
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &s.key.PublicKey, KeyID: s.kid, Algorithm: string(jose.ES256), Use: "sig"}}}, nil
}

// Sign makes an access token of claims, under the tenant's own key. Control, which asks, has recorded the token before.
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

func (b *Broker) signer(ctx context.Context, t tenant.ID) (signer, error) {
	return b.sign.Get(ctx, t, otter.LoaderFunc[tenant.ID, signer](func(ctx context.Context, t tenant.ID) (signer, error) {
		secrets, err := b.secrets(ctx, t, keyring.Sign)
		if err != nil {
			return signer{}, err
		}
		last := secrets[len(secrets)-1]
		key, err := keyring.SigningKey(last.Secret)
		return signer{kid: strconv.Itoa(int(last.Version)), key: key}, err
	}))
}

// Events gives a tenant's key events, for an export that control authorized.
func (b *Broker) Events(ctx context.Context, t tenant.ID, each func([]byte) error) error {
	return b.store.Events(ctx, t, each)
}

// secrets unwraps, and raises the alarm when something that is wrapped does not open.
func (b *Broker) secrets(ctx context.Context, t tenant.ID, kinds ...keyring.Kind) ([]keyring.Secret, error) {
	out, err := b.store.Secrets(ctx, t, kinds...)
	if errors.Is(err, seal.ErrBroken) {
		b.alarm.SealBroken(ctx, t, "secret", "key", "")
	}
	return out, err
}

var _ lease.Broker = (*Broker)(nil)
