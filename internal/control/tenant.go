package control

import (
	"encoding/json"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strconv"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/identity"
	"github.com/cordon-ehr/cordon/internal/outcome"
	"github.com/cordon-ehr/cordon/internal/rpc"
)

// tenantRoutes are a tenant's own pages, below /t/slug.
func (c *Control) tenantRoutes() *http.ServeMux {
	m := http.NewServeMux()
	m.HandleFunc("POST /oauth/token", c.token)
	m.HandleFunc("GET /oauth/jwks.json", c.jwks)
	m.HandleFunc("GET /fhir/.well-known/smart-configuration", c.smart)
	m.HandleFunc("GET /.well-known/oauth-authorization-server", c.smart)
	m.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		outcome.Error(w, fault.New(fault.NotFound, "nothing is served here"))
	})
	return m
}

type assertionKey struct{}

// Tenant implements edge.Control.
func (c *Control) Tenant(w http.ResponseWriter, r *http.Request, a rpc.Assertion) {
	c.tenants.ServeHTTP(w, below(r, a))
}

// below makes the request that a mux routes: the path below a prefix, with the edge's assertion.
func below(r *http.Request, a rpc.Assertion) *http.Request {
	u := *r.URL
	u.Path, u.RawPath = a.Path, ""
	inner := r.WithContext(withAssertion(r.Context(), a))
	inner.URL = &u
	return inner
}

// issuer is the authorization server of the tenant that the edge found.
func (c *Control) issuer(r *http.Request) (identity.Issuer, error) {
	a := assertion(r.Context())
	c.hub.mu.Lock()
	defer c.hub.mu.Unlock()
	for i := range c.hub.snap.Routes {
		if at := &c.hub.snap.Routes[i]; at.Tenant.ID == a.Tenant {
			return identity.Issuer{Tenant: a.Tenant, URL: at.Issuer, Locked: at.Usable()}, nil
		}
	}
	return identity.Issuer{}, fault.New(fault.NotFound, "no such tenant")
}

// token is the token endpoint (RFC 6749 §3.2).
func (c *Control) token(w http.ResponseWriter, r *http.Request) {
	at, err := c.issuer(r)
	if err != nil {
		outcome.Error(w, err)
		return
	}
	a := assertion(r.Context())
	who := identity.Caller{Request: a.Request, Agent: audit.Agent{Address: a.Address, UserHash: audit.HashUserAgent(r.UserAgent())}}
	form, err := readForm(r)
	if err != nil {
		c.tokenError(w, r, c.identity.Refuse(r.Context(), at, who, &identity.OAuthError{Code: "invalid_request",
			Description: "the body is a form of at most 64 kB", Status: http.StatusBadRequest}))
		return
	}
	if id, secret, ok := r.BasicAuth(); ok { // both parts are form-encoded: RFC 6749 §2.3.1
		who.Basic = true
		who.BasicID, _ = url.QueryUnescape(id)
		who.BasicSecret, _ = url.QueryUnescape(secret)
	}
	t, err := c.identity.Token(r.Context(), at, form, who)
	if err != nil {
		c.tokenError(w, r, err)
		return
	}
	sendJSON(w, http.StatusOK, t)
}

// tokenError answers in the words of OAuth where the request was refused, else as everywhere.
func (c *Control) tokenError(w http.ResponseWriter, r *http.Request, err error) {
	oe, ok := errors.AsType[*identity.OAuthError](err)
	if !ok {
		c.log.ErrorContext(r.Context(), "token request failed", slog.String("error", err.Error()))
		outcome.Error(w, err)
		return
	}
	if oe.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="token"`)
	}
	sendJSON(w, oe.Status, oe)
}

func readForm(r *http.Request) (url.Values, error) {
	if mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mt != "application/x-www-form-urlencoded" {
		return nil, errors.New("not a form")
	}
	r.Body = http.MaxBytesReader(nil, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	return r.PostForm, nil
}

// jwks publishes the keys that verify the tenant's tokens (RFC 7517 §5), as the directory has them: what edge and cell verify with,
// whatever the state of the keys.
func (c *Control) jwks(w http.ResponseWriter, r *http.Request) {
	e, err := c.registry.ByID(r.Context(), assertion(r.Context()).Tenant)
	if err != nil {
		outcome.Error(w, err)
		return
	}
	sendJSON(w, http.StatusOK, e.JWKS)
}

// smart answers discovery (SMART App Launch 2.2 §conformance; RFC 8414 §3).
func (c *Control) smart(w http.ResponseWriter, r *http.Request) {
	at, err := c.issuer(r)
	if err != nil {
		outcome.Error(w, err)
		return
	}
	algs := make([]string, len(identity.AssertionAlgorithms))
	for i, a := range identity.AssertionAlgorithms {
		algs[i] = string(a)
	}
	sendJSON(w, http.StatusOK, map[string]any{
		"issuer": at.URL, "jwks_uri": at.URL + "/oauth/jwks.json", "token_endpoint": at.TokenURL(),
		"grant_types_supported":                            []string{"client_credentials"},
		"token_endpoint_auth_methods_supported":            []string{"client_secret_basic", "client_secret_post", "private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported": algs,
		"scopes_supported":                                 []string{"system/*.cruds", "system/*.rs", "system/*.read", "system/*.write"},
		"response_types_supported":                         []string{},
		"capabilities":                                     []string{"client-confidential-asymmetric", "client-confidential-symmetric", "permission-v1", "permission-v2"},
	})
}

func sendJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		outcome.Error(w, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b)
}
