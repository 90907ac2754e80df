package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	strict "github.com/go-json-experiment/json" // refuses a claim that is there twice
	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/registry"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// AssertionAlgorithms are what clients may sign with: RS384 and ES384 as SMART asks, and their common relatives. No symmetric
// algorithm and not "none": a key decides its algorithm, the header does not.
var AssertionAlgorithms = []jose.SignatureAlgorithm{jose.ES384, jose.RS384, jose.ES256, jose.RS256}

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// assertionLife bounds a client assertion (SMART App Launch 2.2, backend services: exp at most five minutes ahead).
const assertionLife = 5 * time.Minute

// badClient is the one answer to every failed proof: which part failed is not told.
func badClient() *OAuthError {
	return oauth(401, "invalid_client", "the client could not be authenticated")
}

// authenticate proves the client, by a secret (Authorization header or form) or by a signed assertion, but one of them only.
func (s *Server) authenticate(ctx context.Context, at Issuer, form url.Values, who Caller) (registry.Client, error) {
	id, secret, assertion := form.Get("client_id"), form.Get("client_secret"), form.Get("client_assertion")
	ways := 0
	for _, given := range []bool{secret != "", assertion != "", who.Basic} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return registry.Client{}, badClient()
	}
	if assertion != "" {
		if form.Get("client_assertion_type") != assertionType {
			return registry.Client{}, oauth(400, "invalid_request", "client_assertion_type must be the JWT bearer one")
		}
		return s.byAssertion(ctx, at, id, assertion)
	}
	if who.Basic {
		if id != "" && id != who.BasicID {
			return registry.Client{}, badClient()
		}
		id, secret = who.BasicID, who.BasicSecret
	}
	c, err := s.client(ctx, at.Tenant, id)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return c, err
	}
	sum := sha256.Sum256([]byte(secret))
	if err != nil || c.SecretHash == nil || subtle.ConstantTimeCompare(sum[:], c.SecretHash) != 1 {
		return registry.Client{}, badClient()
	}
	return c, nil
}

// client finds a client by the name that a caller gives. Ours are UUIDs: for anything else, NUL and broken UTF-8 among it, the
// database is not asked.
func (s *Server) client(ctx context.Context, t tenant.ID, id string) (registry.Client, error) {
	if uuid.Validate(id) != nil {
		return registry.Client{}, fault.New(fault.NotFound, "no such client")
	}
	return s.Registry.Client(ctx, t, id)
}

type assertionClaims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience audience `json:"aud"`
	Expires  int64    `json:"exp"`
	Before   int64    `json:"nbf"`
	ID       string   `json:"jti"`
}

// audience is a string or a list of them (RFC 7519 §4.1.3).
type audience []string

func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// byAssertion verifies private_key_jwt (RFC 7523 §3). Keys come from the registration only: jku, x5u and jwk headers are not
// read.
func (s *Server) byAssertion(ctx context.Context, at Issuer, id, raw string) (registry.Client, error) {
	none := registry.Client{}
	sig, err := jose.ParseSignedCompact(raw, AssertionAlgorithms)
	if err != nil || len(sig.Signatures) != 1 || len(raw) > 16<<10 {
		return none, badClient()
	}
	var c assertionClaims
	if strict.Unmarshal(sig.UnsafePayloadWithoutVerification(), &c) != nil || c.Subject == "" || c.Issuer != c.Subject || (id != "" && id != c.Subject) {
		return none, badClient()
	}
	client, err := s.client(ctx, at.Tenant, c.Subject)
	if fault.Is(err, fault.NotFound) || (err == nil && client.Keys == nil) {
		return none, badClient()
	}
	if err != nil {
		return none, err
	}
	h := sig.Signatures[0].Protected
	ok := false
	for _, k := range client.Keys.Keys {
		if k.KeyID == h.KeyID && fits(k.Key, jose.SignatureAlgorithm(h.Algorithm)) {
			_, err := sig.Verify(k.Key)
			ok = ok || err == nil
		}
	}
	now := s.Now()
	exp := time.Unix(c.Expires, 0)
	if !ok || !c.Audience.has(at.TokenURL(), at.URL) || !now.Before(exp) || exp.After(now.Add(assertionLife+time.Minute)) ||
		time.Unix(c.Before, 0).After(now.Add(time.Minute)) || !plainText(c.ID, 256) {
		return none, badClient()
	}
	if err := s.Registry.UseAssertion(ctx, at.Tenant, client.ID, c.ID, exp); err != nil {
		if fault.Is(err, fault.Unauthenticated) {
			return none, badClient()
		}
		return none, err
	}
	return client, nil
}

func (a audience) has(urls ...string) bool {
	return slices.ContainsFunc(a, func(v string) bool { return slices.Contains(urls, v) })
}

// fits reports whether an algorithm belongs to a key.
func fits(key any, alg jose.SignatureAlgorithm) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return (alg == jose.RS384 || alg == jose.RS256) && k.N.BitLen() >= 2048
	case *ecdsa.PublicKey:
		return (alg == jose.ES384 && k.Curve == elliptic.P384()) || (alg == jose.ES256 && k.Curve == elliptic.P256())
	}
	return false
}

func checkKeys(set *jose.JSONWebKeySet) error {
	if len(set.Keys) == 0 || len(set.Keys) > 10 {
		return fault.New(fault.Invalid, "a client's key set has 1 to 10 keys")
	}
	for _, k := range set.Keys {
		good := false
		for _, a := range AssertionAlgorithms {
			good = good || fits(k.Key, a)
		}
		if !good || k.KeyID == "" || !k.IsPublic() {
			return fault.New(fault.Invalid, "a client's keys are public, have a kid, and are RSA of 2048 bits or more, P-256 or P-384")
		}
	}
	return nil
}

// plainText reports whether s is one to most bytes of text without control characters: fit for a database and for a screen.
func plainText(s string, most int) bool {
	return s != "" && len(s) <= most && utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}

// cleanParam makes a caller's parameter name fit to be shown.
func cleanParam(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || (r >= 'a' && r <= 'z') {
			return r
		}
		return '?'
	}, s[:min(len(s), 40)])
}
