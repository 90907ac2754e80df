package authn_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/cordon-ehr/cordon/internal/authn"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/routes"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// house is two tenants with their signing keys, a verifier and a clock.
type house struct {
	verifier *authn.Verifier
	table    *routes.Table
	routes   []routes.Route
	keys     []*ecdsa.PrivateKey
	now      time.Time
}

// once is a source of one snapshot.
type once struct{ s routes.Snapshot }

func (o once) Pull(ctx context.Context, _ string, known int64) (routes.Snapshot, error) {
	if known < o.s.Version {
		return o.s, nil
	}
	<-ctx.Done()
	return routes.Snapshot{}, ctx.Err()
}

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{table: routes.NewTable(), now: time.Unix(1_800_000_000, 0)}
	for _, slug := range []tenant.Slug{"alpha", "bravo"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		h.keys = append(h.keys, key)
		h.routes = append(h.routes, routes.Route{Tenant: tenant.Tenant{ID: tenant.NewID(), Slug: slug, State: tenant.Active}, Issuer: "https://h.example/t/" + string(slug),
			Keys: map[string]crypto.PublicKey{"1": &key.PublicKey}})
	}
	h.verifier = authn.NewVerifier(h.table, func() time.Time { return h.now })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = h.table.Run(ctx, "test", once{routes.Snapshot{Version: 1, Routes: h.routes}})
	}()
	t.Cleanup(func() { cancel(); <-done })
	<-h.table.Ready()
	return h
}

// claims are the good ones of a tenant.
func (h *house) claims(of int) map[string]any {
	r := &h.routes[of]
	return map[string]any{"iss": r.Issuer, "aud": r.FHIRBase(), "sub": "c", "client_id": "c", "scope": "system/*.cruds", "tenant": r.Tenant.ID.String(), "jti": "j",
		"iat": h.now.Unix(), "exp": h.now.Add(5 * time.Minute).Unix()}
}

// token signs claims with the key of one tenant, changed by change.
func (h *house) token(t testing.TB, of int, typ, kid string, change map[string]any) string {
	t.Helper()
	c := h.claims(of)
	for k, v := range change {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	o := &jose.SignerOptions{}
	if typ != "" {
		o = o.WithType(jose.ContentType(typ))
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: h.keys[of], KeyID: kid}}, o)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := s.Sign(b)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := sig.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestVerify signs with the tenant's own key what its issuer would never sign: every claim is checked by itself.
func TestVerify(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alpha, bravo := &h.routes[0], &h.routes[1]
	if p, err := h.verifier.Verify(t.Context(), h.token(t, 0, authn.TokenType, "1", nil), alpha); err != nil || p.Tenant != alpha.Tenant.ID || p.Client != "c" {
		t.Fatalf("a good token: %v %v", p, err)
	}
	at := func(d time.Duration) int64 { return h.now.Add(d).Unix() }
	for name, c := range map[string]struct {
		typ, kid string
		change   map[string]any
		reason   string
	}{
		"expired":           {authn.TokenType, "1", map[string]any{"exp": at(0)}, "expired"},
		"no exp":            {authn.TokenType, "1", map[string]any{"exp": nil}, "expired"},
		"exp negative":      {authn.TokenType, "1", map[string]any{"exp": -1}, "expired"},
		"exp text":          {authn.TokenType, "1", map[string]any{"exp": "2999"}, "claims are not JSON"},
		"from the future":   {authn.TokenType, "1", map[string]any{"iat": at(2 * time.Minute)}, "issued in the future"},
		"issuer":            {authn.TokenType, "1", map[string]any{"iss": bravo.Issuer}, "wrong issuer"},
		"issuer like":       {authn.TokenType, "1", map[string]any{"iss": alpha.Issuer + "/"}, "wrong issuer"},
		"no issuer":         {authn.TokenType, "1", map[string]any{"iss": nil}, "wrong issuer"},
		"audience":          {authn.TokenType, "1", map[string]any{"aud": bravo.FHIRBase()}, "wrong audience"},
		"audience is token": {authn.TokenType, "1", map[string]any{"aud": alpha.Issuer}, "wrong audience"},
		"audience list":     {authn.TokenType, "1", map[string]any{"aud": []string{alpha.FHIRBase(), bravo.FHIRBase()}}, "claims are not JSON"},
		"typ JWT":           {"JWT", "1", nil, "wrong type of token"},
		"no typ":            {"", "1", nil, "wrong type of token"},
		"ticket":            {"cordon-ticket+jwt", "1", nil, "wrong type of token"},
		"kid":               {authn.TokenType, "2", nil, "unknown key id"},
		"no kid":            {authn.TokenType, "", nil, "unknown key id"},
		"no subject":        {authn.TokenType, "1", map[string]any{"sub": ""}, "missing claims"},
		"no client":         {authn.TokenType, "1", map[string]any{"client_id": nil}, "missing claims"},
		"no id":             {authn.TokenType, "1", map[string]any{"jti": nil}, "missing claims"},
		"no scope":          {authn.TokenType, "1", map[string]any{"scope": ""}, "bad scope"},
		"odd scope":         {authn.TokenType, "1", map[string]any{"scope": "system/*.cruds *"}, "bad scope"},
		"no tenant":         {authn.TokenType, "1", map[string]any{"tenant": nil}, "no tenant claim"},
		"nil tenant":        {authn.TokenType, "1", map[string]any{"tenant": "00000000-0000-0000-0000-000000000000"}, "no tenant claim"},
		"braced tenant":     {authn.TokenType, "1", map[string]any{"tenant": "{" + alpha.Tenant.ID.String() + "}"}, "no tenant claim"},
		"unknown tenant":    {authn.TokenType, "1", map[string]any{"tenant": tenant.NewID().String()}, "unknown tenant"},
		"claims of another": {authn.TokenType, "1", h.claims(1), "bad signature"},
	} {
		_, err := h.verifier.Verify(t.Context(), h.token(t, 0, c.typ, c.kid, c.change), alpha)
		if !fault.Is(err, fault.Unauthenticated) || authn.ReasonOf(err) != c.reason {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestVerifyOddClaims signs, with alpha's own key, claims that two readers could read differently: none opens, as anyone.
func TestVerifyOddClaims(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alpha, bravo := &h.routes[0], &h.routes[1]
	b, err := json.Marshal(h.claims(0))
	if err != nil {
		t.Fatal(err)
	}
	good := strings.TrimSuffix(string(b), "}")
	key := jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: h.keys[0], KeyID: "1"}}
	other := `"` + bravo.Tenant.ID.String() + `"`
	exp := `"exp":` + strconv.FormatInt(h.now.Add(5*time.Minute).Unix(), 10)
	for name, payload := range map[string]string{
		"tenant twice": good + `,"tenant":` + other + `}`, "tenant first": `{"tenant":` + other + `,` + good[1:] + `}`, "tenant in another case": strings.Replace(good, `"tenant"`, `"Tenant"`, 1) + `}`,
		"tenant escaped": good + `,"\u0074enant":` + other + `}`, "exp twice": good + `,"exp":9999999999}`, "scope twice": good + `,"scope":"system/*.cruds"}`, "aud twice": good + `,"aud":"*"}`,
		"exp text": strings.Replace(good, exp, `"exp":"9999999999"`, 1) + `}`, "exp overflows": strings.Replace(good, exp, `"exp":9223372036854775808`, 1) + `}`, "exp 1e30": strings.Replace(good, exp, `"exp":1e30`, 1) + `}`,
		"exp fraction": strings.Replace(good, exp, `"exp":9999999999.5`, 1) + `}`, "exp NaN": strings.Replace(good, exp, `"exp":NaN`, 1) + `}`, "exp hex": strings.Replace(good, exp, `"exp":0xfffffffff`, 1) + `}`, "exp null": strings.Replace(good, exp, `"exp":null`, 1) + `}`,
		"exp least": strings.Replace(good, exp, `"exp":-9223372036854775808`, 1) + `}`, "exp list": strings.Replace(good, exp, `"exp":[9999999999]`, 1) + `}`,
		"a token in a token": h.token(t, 0, authn.TokenType, "1", nil), "a list": `[` + good + `}]`, "two values": good + `}` + good + `}`, "behind a mark": "\ufeff" + good + `}`, "broken UTF-8": strings.Replace(good, `"sub":"c"`, "\"sub\":\"\xff\"", 1) + `}`,
		"deep": good + `,"x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, "nothing": "", "null": "null", "cut": good,
	} {
		s, err := jose.NewSigner(key, new(jose.SignerOptions).WithType(authn.TokenType))
		if err != nil {
			t.Fatal(err)
		}
		sig, err := s.Sign([]byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := sig.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []*routes.Route{alpha, bravo} {
			if p, err := h.verifier.Verify(t.Context(), raw, at); !fault.Is(err, fault.Unauthenticated) {
				t.Errorf("%s at %s: %v %v", name, at.Tenant.Slug, p, err)
			}
		}
	}
}

// TestVerifyRemembers uses tokens again that were verified before: neither another tenant nor a later hour gets by on that.
func TestVerifyRemembers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	raw := h.token(t, 0, authn.TokenType, "1", nil)
	for range 2 {
		if _, err := h.verifier.Verify(t.Context(), raw, &h.routes[0]); err != nil {
			t.Fatal(err)
		}
		if _, err := h.verifier.Verify(t.Context(), raw, &h.routes[1]); !fault.Is(err, fault.Forbidden) || authn.ReasonOf(err) != "token of another tenant" {
			t.Errorf("at the other tenant: %v", err)
		}
	}
	fresh := h.token(t, 1, authn.TokenType, "1", nil)
	if _, err := h.verifier.Verify(t.Context(), fresh, &h.routes[0]); !fault.Is(err, fault.Forbidden) { // never seen at home
		t.Errorf("at the other tenant first: %v", err)
	}
	withdrawn := h.routes[0]
	withdrawn.Keys = nil
	if _, err := h.verifier.Verify(t.Context(), raw, &withdrawn); !fault.Is(err, fault.Unauthenticated) || authn.ReasonOf(err) != "unknown key id" {
		t.Errorf("after its key was withdrawn: %v", err)
	}
	h.now = h.now.Add(5*time.Minute - time.Second)
	if _, err := h.verifier.Verify(t.Context(), raw, &h.routes[0]); err != nil {
		t.Errorf("in its last second: %v", err)
	}
	h.now = h.now.Add(time.Second)
	for range 2 {
		if _, err := h.verifier.Verify(t.Context(), raw, &h.routes[0]); !fault.Is(err, fault.Unauthenticated) || authn.ReasonOf(err) != "expired" {
			t.Errorf("after its time: %v", err)
		}
	}
}

func TestBearer(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{"Bearer abc": "abc", "bearer  abc ": "abc", "": "", "Bearer": "", "Bearer ": "", "Basic abc": "", "abc": "",
		"Bearer " + strings.Repeat("x", 8<<10): strings.Repeat("x", 8<<10), "Bearer " + strings.Repeat("x", 8<<10+1): ""} {
		got, err := authn.Bearer(header)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%.20q: %.20q %v", header, got, err)
		}
	}
}

// TestOneAlgorithm signs with the tenant's public key as if it were a secret, and with nothing: the algorithm is ours to choose, so
// no such token is even looked into.
func TestOneAlgorithm(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	public, err := x509.MarshalPKIXPublicKey(&h.keys[0].PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := json.Marshal(h.claims(0))
	if err != nil {
		t.Fatal(err)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: public, KeyID: "1"}}, (&jose.SignerOptions{}).WithType(authn.TokenType))
	if err != nil {
		t.Fatal(err)
	}
	sig, err := s.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	hs, err := sig.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range []string{hs, "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0Iiwia2lkIjoiMSJ9." + strings.Split(hs, ".")[1] + "."} {
		if _, err := h.verifier.Verify(t.Context(), raw, &h.routes[0]); !fault.Is(err, fault.Unauthenticated) || authn.ReasonOf(err) != "not a token of ours" {
			t.Errorf("%.60s: %v", raw, err)
		}
	}
}
