package test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// tokenForm asks a tenant's token endpoint.
func tokenForm(t testing.TB, n *cordontest.Tenant, form url.Values, headers ...string) cordontest.Response {
	t.Helper()
	return tokenBody(t, n, form.Encode(), headers...)
}

func tokenBody(t testing.TB, n *cordontest.Tenant, body string, headers ...string) cordontest.Response {
	t.Helper()
	h := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	for i := 0; i+1 < len(headers); i += 2 {
		h[headers[i]] = headers[i+1]
	}
	return n.P.Send(t, "POST", n.TokenURL, []byte(body), h)
}

func grant(more ...string) url.Values {
	v := url.Values{"grant_type": {"client_credentials"}}
	for i := 0; i+1 < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	return v
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

// TestClientSecret tries to be a client without its secret.
func TestClientSecret(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n, other := p.Tenant(t), p.Tenant(t)
	tokenForm(t, n, grant("client_id", n.ClientID, "client_secret", n.Secret)).Want(t, http.StatusOK)
	tokenForm(t, n, grant(), "Authorization", basic(n.ClientID, n.Secret)).Want(t, http.StatusOK)
	tokenForm(t, n, grant("client_id", n.ClientID), "Authorization", basic(n.ClientID, n.Secret)).Want(t, http.StatusOK)
	want := wholeAnswer(tokenForm(t, n, grant("client_id", n.ClientID, "client_secret", "x")).Want(t, http.StatusUnauthorized))
	for name, r := range map[string]cordontest.Response{
		"unknown client":            tokenForm(t, n, grant("client_id", uuid.NewString(), "client_secret", n.Secret)),
		"client of another tenant":  tokenForm(t, n, grant("client_id", other.ClientID, "client_secret", other.Secret)),
		"secret of another client":  tokenForm(t, n, grant("client_id", n.ClientID, "client_secret", other.Secret)),
		"no secret":                 tokenForm(t, n, grant("client_id", n.ClientID)),
		"nothing":                   tokenForm(t, n, grant()),
		"empty secret":              tokenForm(t, n, grant("client_id", n.ClientID, "client_secret", "")),
		"secret with a space":       tokenForm(t, n, grant("client_id", n.ClientID, "client_secret", n.Secret+" ")),
		"both ways at once":         tokenForm(t, n, grant("client_id", n.ClientID, "client_secret", n.Secret), "Authorization", basic(n.ClientID, n.Secret)),
		"two names":                 tokenForm(t, n, grant("client_id", other.ClientID), "Authorization", basic(n.ClientID, n.Secret)),
		"a secret and an assertion": tokenForm(t, n, grant("client_id", n.ClientID, "client_secret", n.Secret, "client_assertion", "a.b.c")),
		"an empty name and a form":  tokenForm(t, n, grant("client_id", n.ClientID, "client_secret", n.Secret), "Authorization", basic("", "x")),
		"broken Basic and a form":   tokenForm(t, n, grant("client_id", n.ClientID, "client_secret", n.Secret), "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("%zz:x"))),
		"a Bearer and a form":       tokenForm(t, n, grant("client_id", n.ClientID, "client_secret", "x"), "Authorization", "Bearer "+n.Token()),
		"NUL":                       tokenBody(t, n, "grant_type=client_credentials&client_id=%00&client_secret=x"),
		"not UTF-8":                 tokenBody(t, n, "grant_type=client_credentials&client_id=%ff%fe&client_secret=x"),
		"not UTF-8, Basic":          tokenForm(t, n, grant(), "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("\x00\xff:x"))),
		"SQL":                       tokenForm(t, n, grant("client_id", "' OR '1'='1", "client_secret", "' OR '1'='1")),
		"long":                      tokenForm(t, n, grant("client_id", strings.Repeat("x", 30<<10), "client_secret", "x")),
		"the secret in the URL":     p.Send(t, "POST", n.TokenURL+"?client_id="+n.ClientID+"&client_secret="+n.Secret, []byte(grant().Encode()), map[string]string{"Content-Type": "application/x-www-form-urlencoded"}),
	} {
		if got := wholeAnswer(r); got != want {
			t.Errorf("%s: %.400s", name, got)
		}
	}
	for name, c := range map[string]struct {
		body string
		code string
	}{
		"no grant":       {"client_id=" + n.ClientID, "unsupported_grant_type"},
		"password grant": {"grant_type=password&username=a&password=b", "unsupported_grant_type"},
		"given twice":    {grant("client_id", n.ClientID, "client_secret", n.Secret).Encode() + "&client_id=x", "invalid_request"},
		"too large":      {strings.Repeat("x", 70<<10), "invalid_request"},
		"bad escape":     {"grant_type=%zz", "invalid_request"},
		"wide scope":     {grant("client_id", n.ClientID, "client_secret", n.Secret, "scope", "user/*.cruds").Encode(), "invalid_scope"},
		"odd scope":      {grant("client_id", n.ClientID, "client_secret", n.Secret, "scope", "system/Patient.sr").Encode(), "invalid_scope"},
		"unknown type":   {grant("client_id", n.ClientID, "client_secret", n.Secret, "scope", "system/Nothing.r").Encode(), "invalid_scope"},
	} {
		r := tokenBody(t, n, c.body)
		if r.Status != http.StatusBadRequest || r.JSON(t)["error"] != c.code || r.JSON(t)["access_token"] != nil {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}
	p.Send(t, "GET", n.TokenURL+"?"+grant("client_id", n.ClientID, "client_secret", n.Secret).Encode(), nil, nil).Want(t, http.StatusNotFound)
	tokenBody(t, n, `{"grant_type":"client_credentials"}`, "Content-Type", "application/json").Want(t, http.StatusBadRequest)
}

// keyed is a client that signs.
type keyed struct {
	n   *cordontest.Tenant
	id  string
	key crypto.Signer
	kid string
	alg jose.SignatureAlgorithm
}

// keyedClient registers a client with a key of the algorithm.
func keyedClient(t testing.TB, n *cordontest.Tenant, alg jose.SignatureAlgorithm) keyed {
	t.Helper()
	var key crypto.Signer
	var err error
	switch alg {
	case jose.RS256, jose.RS384:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case jose.ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1"}}}
	r := n.P.Operator(t, "POST", "/tenants/"+n.Slug+"/clients", map[string]any{"name": "signs", "scope": "system/Patient.rs", "jwks": set}).Want(t, http.StatusOK)
	if r.JSON(t)["client_secret"] != nil {
		t.Error("a client with keys was given a secret")
	}
	return keyed{n, r.JSON(t)["client_id"].(string), key, "k1", alg}
}

// assertion signs the usual claims with changes.
func (k keyed) assertion(t testing.TB, changes map[string]any) string {
	t.Helper()
	now := time.Now()
	claims := with(map[string]any{"iss": k.id, "sub": k.id, "aud": k.n.TokenURL, "jti": uuid.NewString(), "exp": now.Add(4 * time.Minute).Unix(), "iat": now.Unix()}, changes)
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: k.alg, Key: jose.JSONWebKey{Key: k.key, KeyID: k.kid}}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := s.Sign(b)
	if err != nil {
		t.Fatal(err)
	}
	out, err := sig.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func asserting(assertion string, more ...string) url.Values {
	return grant(append([]string{"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", assertion}, more...)...)
}

// TestPrivateKeyJWT tries what a signed client assertion must withstand (RFC 7523, SMART App Launch 2.2 backend services).
func TestPrivateKeyJWT(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n, other := p.Tenant(t), p.Tenant(t)
	for _, alg := range []jose.SignatureAlgorithm{jose.ES384, jose.RS384, jose.ES256, jose.RS256} {
		k := keyedClient(t, n, alg)
		a := k.assertion(t, nil)
		if got := tokenForm(t, n, asserting(a)).Want(t, http.StatusOK).JSON(t)["scope"]; got != "system/Patient.rs" {
			t.Errorf("%s: scope %v", alg, got)
		}
		tokenForm(t, n, asserting(a)).Want(t, http.StatusUnauthorized) // replayed
		tokenForm(t, n, asserting(k.assertion(t, map[string]any{"aud": strings.TrimSuffix(n.Base, "/fhir")}))).Want(t, http.StatusOK)
		tokenForm(t, n, asserting(k.assertion(t, map[string]any{"aud": []string{"https://x.example", n.TokenURL}}), "client_id", k.id)).Want(t, http.StatusOK)
	}
	k, friend, foreign := keyedClient(t, n, jose.ES384), keyedClient(t, n, jose.ES384), keyedClient(t, other, jose.ES384)
	want := wholeAnswer(tokenForm(t, n, asserting("a.b.c")).Want(t, http.StatusUnauthorized))
	bad := map[string]string{}
	now := time.Now().Unix()
	for name, c := range map[string]map[string]any{
		"aud of another tenant": {"aud": other.TokenURL}, "no aud": {"aud": nil}, "aud FHIR base": {"aud": n.Base}, "aud like": {"aud": n.TokenURL + "/"},
		"expired": {"exp": now - 1}, "no exp": {"exp": nil}, "exp far": {"exp": now + 7*60}, "exp in milliseconds": {"exp": now * 1000}, "exp text": {"exp": "soon"},
		"not yet": {"nbf": now + 300}, "no jti": {"jti": nil}, "empty jti": {"jti": ""}, "long jti": {"jti": strings.Repeat("j", 300)}, "jti NUL": {"jti": "a\x00b"},
		"iss not sub": {"iss": friend.id}, "another's name": {"iss": friend.id, "sub": friend.id}, "no sub": {"sub": nil}, "sub NUL": {"iss": "\x00", "sub": "\x00"},
		"a client with a secret": {"iss": n.ClientID, "sub": n.ClientID}, "a client of another tenant": {"iss": foreign.id, "sub": foreign.id},
	} {
		bad[name] = k.assertion(t, c)
	}
	k2 := k
	k2.kid = "k2"
	bad["unknown kid"] = k2.assertion(t, nil)
	k2 = k
	k2.key = friend.key
	bad["another key"] = k2.assertion(t, nil)
	bad["client of another tenant"] = foreign.assertion(t, map[string]any{"aud": n.TokenURL})
	parts := strings.Split(k.assertion(t, nil), ".")
	bad["alg none"] = b64JSON(t, map[string]any{"alg": "none", "kid": "k1"}) + "." + parts[1] + "."
	bad["cut signature"] = parts[0] + "." + parts[1] + "." + parts[2][:50]
	bad["zeros"] = parts[0] + "." + parts[1] + "." + b64(make([]byte, 96))
	bad["an access token"] = n.Token()
	bad["long"] = strings.Repeat("A", 20<<10) + ".A.A"
	maps.Copy(bad, hmacAssertions(t, k))
	for name, a := range bad {
		if got := wholeAnswer(tokenForm(t, n, asserting(a))); got != want {
			t.Errorf("%s: %.400s", name, got)
		}
	}
	good := k.assertion(t, nil)
	for name, f := range map[string]url.Values{"two names": asserting(good, "client_id", friend.id), "a secret, too": asserting(good, "client_secret", "x")} {
		if r := tokenForm(t, n, f); r.Status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}
	tokenForm(t, n, asserting(good), "Authorization", basic(k.id, "x")).Want(t, http.StatusUnauthorized)
	tokenForm(t, n, grant("client_assertion_type", "x", "client_assertion", good)).Want(t, http.StatusBadRequest)
	tokenForm(t, n, asserting(good)).Want(t, http.StatusOK) // none of that has spent it
	t.Logf("%d bad assertions", len(bad))
}

// hmacAssertions are signed with a symmetric algorithm and the public key, and with the wrong algorithm for the key.
func hmacAssertions(t testing.TB, k keyed) map[string]string {
	t.Helper()
	out := map[string]string{}
	pub, err := k.key.Public().(*ecdsa.PublicKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range []jose.SignatureAlgorithm{jose.HS256, jose.HS384, jose.HS512} {
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: pub, KeyID: "k1"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := s.Sign(fmt.Appendf(nil, `{"iss":%q,"sub":%[1]q,"aud":%q,"jti":"x","exp":%d}`, k.id, k.n.TokenURL, time.Now().Add(time.Minute).Unix()))
		if err != nil {
			t.Fatal(err)
		}
		if out[string(alg)], err = sig.CompactSerialize(); err != nil {
			t.Fatal(err)
		}
	}
	own, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	k.key, k.alg = own, jose.RS384
	out["RS384 under an EC key's name"] = k.assertion(t, nil)
	small, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k.key, k.alg = small, jose.ES256
	out["ES256 under a P-384 key's name"] = k.assertion(t, nil)
	return out
}

// TestBadClientKeys registers keys that no client may have.
func TestBadClientKeys(t *testing.T) {
	t.Parallel()
	n := cordontest.Shared(t).Tenant(t)
	weak := `{"kty":"RSA","kid":"k","n":"` + b64(bytes.Repeat([]byte{0xff}, 128)) + `","e":"AQAB"}`
	priv, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string]any{
		"none": []any{}, "1024 bits": []any{json.RawMessage(weak)}, "symmetric": []any{map[string]any{"kty": "oct", "kid": "k", "k": b64(make([]byte, 32))}},
		"private": []any{jose.JSONWebKey{Key: priv, KeyID: "k"}}, "no kid": []any{jose.JSONWebKey{Key: &priv.PublicKey}},
		"many": slices.Repeat([]any{jose.JSONWebKey{Key: &priv.PublicKey, KeyID: "k"}}, 11), "half": []any{map[string]any{"kty": "EC"}}, "null": []any{nil},
	} {
		r := n.P.Operator(t, "POST", "/tenants/"+n.Slug+"/clients", map[string]any{"name": "x", "scope": "system/*.rs", "jwks": map[string]any{"keys": keys}})
		if r.Status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}
	for name, in := range map[string]map[string]any{
		"no name": {"scope": "system/*.rs"}, "NUL": {"name": "a\x00b", "scope": "system/*.rs"}, "no scope": {"name": "x"}, "long name": {"name": strings.Repeat("n", 300), "scope": "system/*.rs"},
		"unknown member": {"name": "x", "scope": "system/*.rs", "tenant": "other"}, "user scope": {"name": "x", "scope": "user/*.rs"},
	} {
		if r := n.P.Operator(t, "POST", "/tenants/"+n.Slug+"/clients", in); r.Status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}
}

// TestSecretsAreHashes looks for credentials in a dump of the control and keyring databases.
func TestSecretsAreHashes(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n := p.Tenant(t)
	k := keyedClient(t, n, jose.ES384)
	a := k.assertion(t, nil)
	tokenForm(t, n, asserting(a)).Want(t, http.StatusOK)
	secrets := map[string]string{"client secret": n.Secret, "access token": n.Token(), "assertion": a, "token signature": n.Token()[strings.LastIndexByte(n.Token(), '.')+1:]}
	for name, token := range p.Info.Operators {
		secrets["token of "+name] = token
	}
	if len(n.Secret) < 43 {
		t.Errorf("a client secret has %d characters", len(n.Secret))
	}
	for _, name := range []string{"cordon_control", "cordon_keyring", "cordon_cell1"} {
		db := p.SuperuserOn(t, name)
		rows, err := db.Query(t.Context(), `SELECT table_schema || '.' || quote_ident(table_name) FROM information_schema.tables WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_type = 'BASE TABLE'`)
		if err != nil {
			t.Fatal(err)
		}
		var tables []string
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				t.Fatal(err)
			}
			tables = append(tables, s)
		}
		if len(tables) < 3 {
			t.Fatalf("%s has tables %v", name, tables)
		}
		for _, table := range tables {
			for what, secret := range secrets {
				var n int
				hex := fmt.Sprintf("%x", secret)
				if err := db.QueryRow(t.Context(), `SELECT count(*) FROM `+table+` r WHERE strpos(r::text, $1) > 0 OR strpos(r::text, $2) > 0`, secret, hex).Scan(&n); err != nil || n > 0 {
					t.Errorf("%s.%s holds the %s in %d rows: %v", name, table, what, n, err)
				}
			}
		}
	}
}
