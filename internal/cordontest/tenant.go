package cordontest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// Tenant is a tenant made for one test, with a client of its own.
type Tenant struct {
	*Client
	ID, Slug string
}

// Client calls one tenant's API with a token.
type Client struct {
	P        *Platform
	Base     string // FHIR base
	TokenURL string
	ClientID string
	Secret   string
	mu       sync.Mutex // guards the rest
	token    string
	made     time.Time // when the token was asked for last
}

// Response is an answer, read whole.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Operator sends a request to the operators' API as alice.
func (p *Platform) Operator(t testing.TB, method, path string, in any) Response {
	t.Helper()
	var body []byte
	if in != nil {
		body = mustJSON(t, in)
	}
	return p.Send(t, method, p.Info.URL+"/operator/v1"+path, body, map[string]string{"Authorization": "Bearer " + p.Info.Operators["alice"], "Content-Type": "application/json"})
}

// Tenant makes a pooled tenant with a client of all scopes.
func (p *Platform) Tenant(t testing.TB) *Tenant {
	t.Helper()
	return p.TenantOn(t, "pooled")
}

// TenantOn makes a tenant of a placement, with a client of all scopes.
func (p *Platform) TenantOn(t testing.TB, placement string) *Tenant {
	t.Helper()
	slug := "t" + strings.ReplaceAll(uuid.NewString(), "-", "")[:20]
	r := p.Operator(t, http.MethodPost, "/tenants", map[string]string{"slug": slug, "placement": placement})
	if r.Status != http.StatusOK {
		t.Fatalf("create tenant: %d %s", r.Status, r.Body)
	}
	return &Tenant{Client: p.Client(t, slug, "system/*.cruds"), ID: r.JSON(t)["id"].(string), Slug: slug}
}

// Client registers a client at a tenant and gets its first token.
func (p *Platform) Client(t testing.TB, slug, scope string) *Client {
	t.Helper()
	r := p.Operator(t, http.MethodPost, "/tenants/"+slug+"/clients", map[string]string{"name": "test", "scope": scope})
	if r.Status != http.StatusOK {
		t.Fatalf("create client: %d %s", r.Status, r.Body)
	}
	j := r.JSON(t)
	at := p.Info.URL + "/t/" + slug
	c := &Client{P: p, Base: at + "/fhir", TokenURL: at + "/oauth/token", ClientID: j["client_id"].(string), Secret: j["client_secret"].(string)}
	c.Renew(t)
	return c
}

// Renew gets a fresh token.
func (c *Client) Renew(t testing.TB) {
	t.Helper()
	if r := c.renew(t); r.Status != http.StatusOK {
		t.Fatalf("token: %d %s", r.Status, r.Body)
	}
}

// renew gets a fresh token; where there is none to be had, the old one is kept.
func (c *Client) renew(t testing.TB) Response {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.ClientID}, "client_secret": {c.Secret}}
	r := c.P.Send(t, http.MethodPost, c.TokenURL, []byte(form.Encode()), map[string]string{"Content-Type": "application/x-www-form-urlencoded"})
	if r.Status == http.StatusOK {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.token, c.made = r.JSON(t)["access_token"].(string), time.Now()
	}
	return r
}

// fresh is the token for a request: one that is four of its five minutes old is renewed, as for a test that waits for others for long.
func (c *Client) fresh(t testing.TB) string {
	t.Helper()
	c.mu.Lock()
	old := !c.made.IsZero() && time.Since(c.made) > 4*time.Minute
	if old {
		c.made = time.Now() // one is enough to ask
	}
	c.mu.Unlock()
	if old {
		c.renew(t)
	}
	return c.Token()
}

// Token is the client's current access token.
func (c *Client) Token() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.token
}

// Do sends a request below the FHIR base. A body of type []byte or string is sent as it is, anything else as JSON. Headers are
// pairs of name and value.
func (c *Client) Do(t testing.TB, method, path string, body any, headers ...string) Response {
	t.Helper()
	h := map[string]string{"Authorization": "Bearer " + c.fresh(t)}
	var b []byte
	switch v := body.(type) {
	case nil:
	case []byte:
		b = v
	case string:
		b = []byte(v)
	default:
		b = mustJSON(t, v)
	}
	if body != nil {
		h["Content-Type"] = "application/fhir+json"
	}
	for i := 0; i+1 < len(headers); i += 2 {
		h[headers[i]] = headers[i+1]
	}
	return c.P.Send(t, method, c.Base+path, b, h)
}

// Send sends any request to the platform. A header Host sets the request's host.
func (p *Platform) Send(t testing.TB, method, at string, body []byte, headers map[string]string) Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, at, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range headers {
		if k == "Host" {
			r.Host = v
			continue
		}
		r.Header.Set(k, v)
	}
	resp, err := p.HTTP.Do(r)
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	return Response{resp.StatusCode, resp.Header, b}
}

// JSON decodes the body; numbers keep their text.
func (r Response) JSON(t testing.TB) map[string]any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(r.Body))
	d.UseNumber()
	var out map[string]any
	if err := d.Decode(&out); err != nil {
		t.Fatalf("not JSON (%d): %v: %.300s", r.Status, err, r.Body)
	}
	return out
}

// Want fails the test when the status is another, and gives the response back.
func (r Response) Want(t testing.TB, status int) Response {
	t.Helper()
	if r.Status != status {
		t.Fatalf("status %d, want %d: %.600s", r.Status, status, r.Body)
	}
	return r
}

// ID is the id of the resource in the body.
func (r Response) ID(t testing.TB) string {
	t.Helper()
	id, _ := r.JSON(t)["id"].(string)
	if id == "" {
		t.Fatalf("no id in %.300s", r.Body)
	}
	return id
}

// Matches gives the resources that a search matched, by Type/id.
func (r Response) Matches(t testing.TB) []string {
	t.Helper()
	var out []string
	entries, _ := r.JSON(t)["entry"].([]any)
	for _, e := range entries {
		m := e.(map[string]any)
		if s, ok := m["search"].(map[string]any); ok && s["mode"] != "match" {
			continue
		}
		res := m["resource"].(map[string]any)
		out = append(out, fmt.Sprintf("%s/%s", res["resourceType"], res["id"]))
	}
	return out
}

// Events exports the tenant's audit events.
func (n *Tenant) Events(t testing.TB) []map[string]any {
	t.Helper()
	r := n.P.Operator(t, http.MethodGet, "/tenants/"+n.Slug+"/audit", nil).Want(t, http.StatusOK)
	var out []map[string]any
	for line := range bytes.Lines(r.Body) {
		var e map[string]any
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("an event is not JSON: %v", err)
		}
		out = append(out, e)
	}
	return out
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
