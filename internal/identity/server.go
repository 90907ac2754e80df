// Package identity is the authorization server of each tenant: it registers client applications and issues access tokens
// (OAuth 2.0, SMART App Launch 2.2 Backend Services). An issuer is a tenant's: its clients, keys and tokens are good nowhere
// else. People, SMART launch and SSO are further grants beside Token.
package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/authn"
	"github.com/cordon-ehr/cordon/internal/authz"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/phi"
	"github.com/cordon-ehr/cordon/internal/registry"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Signer is the keys role: only it holds the tenants' signing keys.
type Signer interface {
	Sign(ctx context.Context, t tenant.ID, c authn.Claims) (string, error)
}

// Refusals makes a refusal durable, by itself or in a number: a flood of them must not be a flood of rows.
type Refusals interface {
	Record(ctx context.Context, e audit.Event) error
}

// Server issues tokens. It is safe for concurrent use.
type Server struct {
	Registry  *registry.Registry
	Refusals  Refusals
	Signer    Signer
	KnownType func(string) bool // whether a FHIR resource type exists
	Now       func() time.Time
	Lifetime  time.Duration // of a token; SMART Backend Services asks for at most 5 minutes
}

// Issuer is one tenant's authorization server.
type Issuer struct {
	Tenant tenant.ID
	URL    string // https://host/t/slug
	Locked error  // why it issues nothing now, though its clients are known; nil = it does
}

// TokenURL is where its clients ask.
func (i Issuer) TokenURL() string { return i.URL + "/oauth/token" }

// Caller is what the token endpoint saw of who asks.
type Caller struct {
	Basic                bool   // the Authorization header has the scheme Basic
	BasicID, BasicSecret string // of it; "" when they could not be read
	Agent                audit.Agent
	Request              string
}

// Token is a token response (RFC 6749 §5.1).
type Token struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"`
	Scope       string `json:"scope"`
}

// OAuthError is an error of the token endpoint (RFC 6749 §5.2).
type OAuthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
	Status      int    `json:"-"`
}

func (e *OAuthError) Error() string { return e.Code + ": " + e.Description }

func oauth(status int, code, description string) *OAuthError {
	return &OAuthError{code, description, status}
}

// locked tells a client that proved itself why it gets no token. RFC 6749 §5.2 has no code for it; this one is of §4.1.2.1.
func locked(err error) *OAuthError {
	f := fault.Of(err)
	return oauth(f.Kind.Status(), "temporarily_unavailable", f.Text)
}

// Token answers a token request. What was asked and what became of it is recorded before the answer, a refusal as well.
func (s *Server) Token(ctx context.Context, at Issuer, form url.Values, who Caller) (Token, error) {
	for k, v := range form {
		if len(v) > 1 {
			return Token{}, s.refuse(ctx, at, who, "", oauth(400, "invalid_request", "a parameter is given twice: "+cleanParam(k))) // RFC 6749 §3.2
		}
	}
	if form.Get("grant_type") != "client_credentials" {
		return Token{}, s.refuse(ctx, at, who, "", oauth(400, "unsupported_grant_type", "client_credentials is served"))
	}
	client, err := s.authenticate(ctx, at, form, who)
	if err != nil {
		if oe, ok := err.(*OAuthError); ok { //nolint:errorlint // made here, never wrapped
			return Token{}, s.refuse(ctx, at, who, client.ID, oe)
		}
		return Token{}, err
	}
	scopes, err := s.scopes(client, form.Get("scope"))
	if err != nil {
		return Token{}, s.refuse(ctx, at, who, client.ID, oauth(400, "invalid_scope", "the scope is unknown, malformed or exceeds what the client was registered for"))
	}
	if at.Locked != nil {
		return Token{}, s.refuse(ctx, at, who, client.ID, locked(at.Locked))
	}
	now := s.Now()
	claims := authn.Claims{Issuer: at.URL, Audience: at.URL + "/fhir", Subject: client.ID, Client: client.ID, Scope: scopes.String(),
		Tenant: at.Tenant.String(), TokenID: uuid.NewString(), Issued: now.Unix(), Expires: now.Add(s.Lifetime).Unix()}
	who.Agent.Kind, who.Agent.ID, who.Agent.Client, who.Agent.TokenID = "client", client.ID, client.ID, claims.TokenID
	e := event(at, who, "issue")
	e.Decision = audit.Decision{Allow: true, Policy: "client-credentials/1", Reason: scopes.String()}
	if err := s.Registry.Record(ctx, e); err != nil {
		return Token{}, err
	}
	raw, err := s.Signer.Sign(ctx, at.Tenant, claims)
	if fault.Is(err, fault.Locked) { // the broker knew before the directory did
		return Token{}, s.refuse(ctx, at, who, client.ID, locked(err))
	}
	if err != nil {
		return Token{}, err
	}
	return Token{raw, "Bearer", int(s.Lifetime.Seconds()), scopes.String()}, nil
}

// scopes narrows what is asked to what the client has; nothing asked is all it has.
func (s *Server) scopes(c registry.Client, asked string) (authz.Scopes, error) {
	have, err := authz.ParseScopes(c.Scopes, s.KnownType)
	if err != nil || asked == "" {
		return have, err
	}
	want, err := authz.ParseScopes(asked, s.KnownType)
	if err != nil {
		return nil, err
	}
	got := want.Within(have)
	if len(got) == 0 {
		return nil, fault.New(fault.Invalid, "nothing of the scope is granted")
	}
	return got, nil
}

func event(at Issuer, who Caller, what string) audit.Event {
	return audit.New(audit.Event{Tenant: at.Tenant, Type: "token", Subtype: what, Action: audit.Execute, Outcome: audit.Success,
		Agent: who.Agent, Source: audit.Source{Role: "control"}, Request: who.Request})
}

// Refuse records that a request was refused before it could be read, and gives the refusal back, or that it could not be
// recorded.
func (s *Server) Refuse(ctx context.Context, at Issuer, who Caller, oe *OAuthError) error {
	return s.refuse(ctx, at, who, "", oe)
}

func (s *Server) refuse(ctx context.Context, at Issuer, who Caller, client string, oe *OAuthError) error {
	who.Agent.Kind, who.Agent.Client = "anonymous", client
	e := event(at, who, "refuse")
	e.Outcome, e.OutcomeDesc = audit.MinorFailure, oe.Code
	e.Decision = audit.Decision{Policy: "client-credentials/1", Reason: oe.Code}
	if err := s.Refusals.Record(ctx, e); err != nil {
		return err
	}
	return oe
}

// Registration is a new client's credentials; the secret is shown this once.
type Registration struct {
	ClientID string `json:"client_id"`
	Secret   string `json:"client_secret,omitempty"`
}

// Register adds a client to a tenant: with keys (private_key_jwt) when set is not nil, else with a fresh secret.
func (s *Server) Register(ctx context.Context, t tenant.ID, name, scope string, set *jose.JSONWebKeySet, by audit.By) (Registration, error) {
	scopes, err := authz.ParseScopes(scope, s.KnownType)
	if err != nil {
		return Registration{}, err
	}
	if !plainText(name, 200) {
		return Registration{}, fault.New(fault.Invalid, "a client has a name of at most 200 bytes without control characters")
	}
	c := registry.Client{ID: uuid.NewString(), Name: name, Scopes: scopes.String(), Keys: set}
	r := Registration{ClientID: c.ID}
	if set == nil {
		r.Secret = NewToken()
		sum := sha256.Sum256([]byte(r.Secret))
		c.SecretHash = sum[:]
	} else if err := checkKeys(set); err != nil {
		return Registration{}, err
	}
	e := by.Event("control", t, "client", "register", audit.Create)
	e.Entity, e.Decision.Reason = audit.Entity{Type: "client", ID: phi.Text(c.ID)}, scopes.String()
	return r, s.Registry.AddClient(ctx, t, c, e)
}

// NewToken draws 256 random bits in URL-safe text.
func NewToken() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}
