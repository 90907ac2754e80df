package authn

import (
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/maypok86/otter/v2"

	"github.com/cordon-ehr/cordon/internal/authz"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/routes"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// TokenType is the JOSE typ of an access token (RFC 9068 §2.1).
const TokenType = "at+jwt"

// maxToken bounds what is parsed at all.
const maxToken = 8 << 10

// Claims are an access token's claims (RFC 9068), and the tenant's id.
type Claims struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	Subject  string `json:"sub"`
	Client   string `json:"client_id"`
	Scope    string `json:"scope"`
	Tenant   string `json:"tenant"`
	TokenID  string `json:"jti"`
	Issued   int64  `json:"iat"`
	Expires  int64  `json:"exp"`
}

// Verifier verifies access tokens against the directory. A verified token is remembered by its hash until it expires, so
// that a signature is checked once; the directory is asked every time. It is safe for concurrent use.
type Verifier struct {
	table *routes.Table
	now   func() time.Time
	seen  *otter.Cache[[32]byte, verified]
}

// verified is what is remembered of a good token.
type verified struct {
	Principal
	kid string // of the key that signed it
}

// NewVerifier makes a verifier over the table.
func NewVerifier(table *routes.Table, now func() time.Time) *Verifier {
	return &Verifier{table: table, now: now, seen: otter.Must(&otter.Options[[32]byte, verified]{MaximumSize: 50_000})}
}

// refused is the one public answer to every bad token: which check failed is for the audit event only.
func refused(reason string) error {
	return fault.Wrap(fault.Unauthenticated, Reason(reason), "the access token is missing, expired or not valid here")
}

// Reason is why a token was refused: a constant of this file.
type Reason string

func (r Reason) Error() string { return string(r) }

// ReasonOf gives the reason in an error's chain, "" if there is none.
func ReasonOf(err error) string {
	r, _ := errors.AsType[Reason](err)
	return string(r)
}

// Bearer takes the token out of an Authorization header (RFC 6750 §2.1).
func Bearer(header string) (string, error) {
	scheme, token, ok := strings.Cut(header, " ")
	token = strings.TrimSpace(token)
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", refused("no bearer token")
	}
	if len(token) > maxToken {
		return "", refused("token too long")
	}
	return token, nil
}

// Verify checks a token for one tenant: signature by that tenant's key, issuer, audience, type, times. A token of another
// tenant is Forbidden when it is otherwise good, Unauthenticated when it is not.
func (v *Verifier) Verify(_ context.Context, raw string, at *routes.Route) (Principal, error) {
	sum := sha256.Sum256([]byte(raw))
	p, ok := v.seen.GetIfPresent(sum)
	if !ok {
		var err error
		if p, err = v.check(raw, at); err != nil {
			return Principal{}, err
		}
		v.seen.Set(sum, p)
	}
	if p.Tenant != at.Tenant.ID {
		return Principal{}, fault.Wrap(fault.Forbidden, Reason("token of another tenant"), "this access token is not valid for this tenant")
	}
	if !v.now().Before(p.Expires) {
		v.seen.Invalidate(sum)
		return Principal{}, refused("expired")
	}
	if at.Keys[p.kid] == nil { // withdrawn since
		v.seen.Invalidate(sum)
		return Principal{}, refused("unknown key id")
	}
	return p.Principal, nil
}

// check verifies raw against the tenant that it claims, so that a good token at the wrong tenant can be told from a forged
// one; Verify compares the tenants.
func (v *Verifier) check(raw string, at *routes.Route) (verified, error) {
	sig, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil || len(sig.Signatures) != 1 {
		return verified{}, refused("not a token of ours")
	}
	h := sig.Signatures[0].Protected
	if typ, _ := h.ExtraHeaders[jose.HeaderType].(string); typ != TokenType {
		return verified{}, refused("wrong type of token")
	}
	route := at
	if id, err := claimedTenant(sig.UnsafePayloadWithoutVerification()); err != nil {
		return verified{}, err
	} else if id != at.Tenant.ID {
		other, ok := v.table.ByID(id)
		if !ok {
			return verified{}, refused("unknown tenant")
		}
		route = other
	}
	key, ok := route.Keys[h.KeyID]
	if !ok {
		return verified{}, refused("unknown key id")
	}
	payload, err := sig.Verify(key)
	if err != nil {
		return verified{}, refused("bad signature")
	}
	p, err := v.principal(payload, route)
	return verified{p, h.KeyID}, err
}

// claimedTenant reads whose token it says it is. Claims are read strictly, here and in principal: a name that is there twice, or in
// another case, is not read one way by one and another way by the next.
func claimedTenant(payload []byte) (tenant.ID, error) {
	var c struct {
		Tenant string `json:"tenant"`
	}
	if json.Unmarshal(payload, &c) != nil {
		return tenant.ID{}, refused("claims are not JSON")
	}
	id, err := tenant.ParseID(c.Tenant)
	if err != nil {
		return tenant.ID{}, refused("no tenant claim")
	}
	return id, nil
}

func (v *Verifier) principal(payload []byte, route *routes.Route) (Principal, error) {
	var c Claims
	if json.Unmarshal(payload, &c) != nil {
		return Principal{}, refused("claims are not JSON")
	}
	now := v.now()
	switch {
	case c.Issuer != route.Issuer:
		return Principal{}, refused("wrong issuer")
	case c.Audience != route.FHIRBase():
		return Principal{}, refused("wrong audience")
	case c.Expires <= now.Unix():
		return Principal{}, refused("expired")
	case c.Issued > now.Add(time.Minute).Unix():
		return Principal{}, refused("issued in the future")
	case c.Subject == "" || c.Client == "" || c.TokenID == "":
		return Principal{}, refused("missing claims")
	}
	// The signer knows the resource types; a type that came later than this process grants nothing here.
	scopes, err := authz.ParseScopes(c.Scope, func(string) bool { return true })
	if err != nil {
		return Principal{}, refused("bad scope")
	}
	return Principal{Tenant: route.Tenant.ID, Kind: Client, Subject: c.Subject, Client: c.Client, TokenID: c.TokenID,
		Scopes: scopes, Expires: time.Unix(c.Expires, 0)}, nil
}

// PublicKeys reads a JWK set into a map by kid; only ES256 keys count.
func PublicKeys(set jose.JSONWebKeySet) map[string]crypto.PublicKey {
	out := make(map[string]crypto.PublicKey, len(set.Keys))
	for _, k := range set.Keys {
		if k.Algorithm == string(jose.ES256) && k.IsPublic() && k.Valid() {
			out[k.KeyID] = k.Key
		}
	}
	return out
}
