package keys

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/authn"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/keyring"
	"github.com/cordon-ehr/cordon/internal/lease"
)

// Lease implements lease.Broker. Refusals are recorded, too.
func (b *Broker) Lease(ctx context.Context, r lease.Request) (lease.Grant, error) {
	if err := b.walls.OK(); err != nil {
		return lease.Grant{}, err
	}
	if r.Tenant.IsZero() {
		return lease.Grant{}, fault.New(fault.Forbidden, "no tenant, no lease")
	}
	identity := b.peer(ctx)
	if err := b.admit(ctx, identity); err != nil {
		return lease.Grant{}, err
	}
	who, until, err := b.proof(ctx, r)
	e := b.lease(r, who, identity)
	if len(r.Resource) > 0 {
		e.Decision.Reason = "with the blind id of one resource"
	}
	var g lease.Grant
	if err == nil {
		g, err = b.grant(ctx, r, until)
	}
	if err != nil {
		return lease.Grant{}, b.refuse(ctx, e, identity, err)
	}
	if err := b.watch(ctx, identity, r.Tenant, true); err != nil {
		return lease.Grant{}, err
	}
	// The event is durable before a key leaves.
	if err := b.store.Record(ctx, e); err != nil {
		return lease.Grant{}, err
	}
	b.cfg.Metrics.Lease("granted")
	return g, nil
}

// refuse records why a lease is not given, and gives the answer. What the broker cannot do now is no refusal.
func (b *Broker) refuse(ctx context.Context, e audit.Event, identity string, err error) error {
	f := fault.Of(err)
	if f.Kind == fault.Unavailable || f.Kind == fault.Internal {
		b.cfg.Metrics.Lease("failed")
		return err
	}
	b.cfg.Metrics.Lease("refused")
	if rerr := b.store.Record(ctx, e.Refused(f.Kind.String(), f.Text)); rerr != nil {
		return rerr
	}
	if f.Kind == fault.Locked { // the proof was good
		return err
	}
	if errors.Is(err, errEnded) {
		return err
	}
	if werr := b.watch(ctx, identity, e.Tenant, false); werr != nil {
		return werr
	}
	return err
}

// errEnded marks a token that was the tenant's and ended a moment ago, on its way here or by the difference of two clocks. It opens
// nothing, and says nothing against who brought it.
var errEnded = errors.New("the token has ended")

// endedGrace is that moment, in seconds.
const endedGrace = 120

// proof verifies that the caller holds a live token of the tenant, or control's ticket for the purpose.
func (b *Broker) proof(ctx context.Context, r lease.Request) (audit.Agent, time.Time, error) {
	bad := fault.New(fault.Unauthenticated, "a lease needs a live token of its tenant")
	sig, err := jose.ParseSignedCompact(r.Proof, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil || len(sig.Signatures) != 1 {
		return audit.Agent{Kind: "anonymous"}, time.Time{}, bad
	}
	h := sig.Signatures[0].Protected
	typ, _ := h.ExtraHeaders[jose.HeaderType].(string)
	if typ == lease.TicketType && r.Purpose == lease.Audit {
		return b.ticket(sig, r)
	}
	if typ != authn.TokenType || r.Purpose != lease.Chart {
		return audit.Agent{Kind: "anonymous"}, time.Time{}, bad
	}
	s, err := b.signer(ctx, r.Tenant)
	if err != nil {
		return audit.Agent{Kind: "anonymous"}, time.Time{}, err
	}
	var c authn.Claims
	if !b.verify(sig, h.KeyID, s, &c) || c.Tenant != r.Tenant.String() {
		return audit.Agent{Kind: "anonymous"}, time.Time{}, bad
	}
	who := audit.Agent{Kind: "client", ID: c.Subject, Client: c.Client, TokenID: c.TokenID}
	if ago := b.now().Unix() - c.Expires; ago >= 0 {
		if ago < endedGrace {
			bad = fault.Wrap(fault.Unauthenticated, errEnded, "%s", bad.Text)
		}
		return who, time.Time{}, bad
	}
	return who, b.now().Add(b.cfg.Lease), nil
}

// verify checks a token's signature by the key that it names, if that one still verifies.
func (b *Broker) verify(sig *jose.JSONWebSignature, kid string, s signer, into *authn.Claims) bool {
	for _, v := range s.verify {
		if v.kid == kid && b.live(v) {
			payload, err := sig.Verify(v.key)
			return err == nil && json.Unmarshal(payload, into) == nil
		}
	}
	return false
}

func (b *Broker) ticket(sig *jose.JSONWebSignature, r lease.Request) (audit.Agent, time.Time, error) {
	bad := fault.New(fault.Unauthenticated, "a lease needs a live ticket for its tenant and purpose")
	var t lease.Ticket
	payload, err := sig.Verify(b.cfg.Control)
	if err != nil || json.Unmarshal(payload, &t) != nil || t.Tenant != r.Tenant.String() || t.Purpose != r.Purpose {
		return audit.Agent{Kind: "anonymous"}, time.Time{}, bad
	}
	who := audit.Agent{Kind: "operator", ID: t.Operator, TokenID: t.ID}
	if t.Expires <= b.now().Unix() {
		return who, time.Time{}, bad
	}
	return who, time.Unix(t.Expires, 0), nil
}

// grant derives the subkeys that the purpose needs, and no more.
func (b *Broker) grant(ctx context.Context, r lease.Request, until time.Time) (lease.Grant, error) {
	g := lease.Grant{Tenant: r.Tenant, Purpose: r.Purpose, Expires: until}
	kinds := []keyring.Kind{keyring.Data}
	if r.Purpose == lease.Chart || len(r.Resource) > 0 {
		kinds = append(kinds, keyring.Index)
	}
	secrets, generation, err := b.secrets(ctx, r.Tenant, kinds...)
	if err != nil {
		return lease.Grant{}, err
	}
	g.Generation = generation
	for _, s := range secrets {
		sub := func(purpose string) lease.Key { return lease.Key{Version: s.Version, Secret: s.Secret.Derive(purpose)} }
		switch {
		case s.Kind == keyring.Index && r.Purpose == lease.Audit: // the hash leaves, the key does not
			g.Blinded = lease.BlindResource(sub("cordon/index/v1").Secret, r.Resource)
		case s.Kind == keyring.Index:
			g.Index = append(g.Index, sub("cordon/index/v1"))
		case r.Purpose == lease.Audit:
			g.Audit = append(g.Audit, sub("cordon/audit/v1"))
		default:
			g.Record = append(g.Record, sub("cordon/record/v1"))
			g.Audit = append(g.Audit, sub("cordon/audit/v1"))
			g.Cursor = append(g.Cursor, sub("cordon/cursor/v1"))
		}
	}
	return g, nil
}
