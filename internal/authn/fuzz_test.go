package authn_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/cordon-ehr/cordon/internal/authn"
	"github.com/cordon-ehr/cordon/internal/fault"
)

// FuzzVerify: of all texts only what a tenant's key signed opens, with the claims that it signed, and only at that tenant; any
// other is refused in one way.
func FuzzVerify(f *testing.F) {
	h := newHouse(f)
	alpha, bravo := &h.routes[0], &h.routes[1]
	good := h.token(f, 0, authn.TokenType, "1", nil)
	signed := strings.Split(good, ".")
	for _, s := range []string{good, h.token(f, 1, authn.TokenType, "1", nil), h.token(f, 0, "JWT", "1", nil), h.token(f, 0, authn.TokenType, "1", map[string]any{"exp": 1e300}), signed[0] + "." + signed[1] + ".",
		base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + signed[1] + ".", "..", "a.b.c", good + "=", strings.ToUpper(good)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := h.verifier.Verify(t.Context(), raw, alpha)
		if err != nil && !fault.Is(err, fault.Unauthenticated) && !fault.Is(err, fault.Forbidden) {
			t.Fatal(err)
		}
		parts := strings.Split(raw, ".")
		if err == nil && (len(parts) != 3 || parts[1] != signed[1] || p.Tenant != alpha.Tenant.ID || p.Client != "c" || p.Scopes.String() != "system/*.cruds") {
			t.Fatalf("%q opens as %+v", raw, p)
		}
		if _, err := h.verifier.Verify(t.Context(), raw, bravo); err == nil && len(parts) == 3 && parts[1] == signed[1] {
			t.Fatal("alpha's token opens at bravo")
		}
	})
}

// FuzzBearer: what a header gives as token is a part of it, trimmed and not too long.
func FuzzBearer(f *testing.F) {
	for _, s := range []string{"Bearer a", "bearer  a.b.c ", "Basic x", "Bearer", "", "Bearer a b", "Bearer\ta"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		token, err := authn.Bearer(header)
		if err == nil && (token == "" || len(token) > 8<<10+1 || strings.TrimSpace(token) != token || !strings.Contains(header, token)) {
			t.Fatalf("%q gives %q", header, token)
		}
	})
}
