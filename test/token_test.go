package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func b64JSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b64(b)
}

// taken is a good token in its parts.
type taken struct {
	header, claims map[string]any
	parts          []string
	public         *ecdsa.PublicKey
	kid            string
	jwk            []byte
}

func takeApart(t testing.TB, n *cordontest.Tenant) taken {
	t.Helper()
	x := taken{parts: strings.Split(n.Token(), ".")}
	for i, into := range []*map[string]any{&x.header, &x.claims} {
		b, err := base64.RawURLEncoding.DecodeString(x.parts[i])
		if err != nil || json.Unmarshal(b, into) != nil {
			t.Fatal("a token of ours is not a JWT")
		}
	}
	raw := n.P.Send(t, "GET", strings.TrimSuffix(n.Base, "/fhir")+"/oauth/jwks.json", nil, nil).Want(t, http.StatusOK)
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(raw.Body, &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("jwks: %v %s", err, raw.Body)
	}
	x.public, x.kid, x.jwk = set.Keys[0].Key.(*ecdsa.PublicKey), set.Keys[0].KeyID, raw.Body
	return x
}

// with gives a copy of m with some members changed; a nil value takes one away.
func with(m map[string]any, changes map[string]any) map[string]any {
	out := maps.Clone(m)
	for k, v := range changes {
		if out[k] = v; v == nil {
			delete(out, k)
		}
	}
	return out
}

// es256 signs as a stranger whose key is not the tenant's.
func es256(t testing.TB, key *ecdsa.PrivateKey, header, claims map[string]any) string {
	t.Helper()
	in := b64JSON(t, header) + "." + b64JSON(t, claims)
	sum := sha256.Sum256([]byte(in))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	var sig [64]byte
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return in + "." + b64(sig[:])
}

// forgeries are tokens that no tenant's key signed as they are.
func forgeries(t testing.TB, x taken, neighbour string) map[string]string {
	t.Helper()
	mine, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, alg := range []string{"none", "None", "NONE", "nOnE", ""} {
		h := b64JSON(t, with(x.header, map[string]any{"alg": alg}))
		out["alg "+alg] = h + "." + x.parts[1] + "."
		out["alg "+alg+" with the old signature"] = h + "." + x.parts[1] + "." + x.parts[2]
	}
	der, err := x509.MarshalPKIXPublicKey(x.public)
	if err != nil {
		t.Fatal(err)
	}
	point, err := x.public.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for name, secret := range map[string][]byte{"DER": der, "PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "JWK": x.jwk, "point": point, "nothing": nil} {
		in := b64JSON(t, with(x.header, map[string]any{"alg": "HS256"})) + "." + x.parts[1]
		m := hmac.New(sha256.New, secret)
		m.Write([]byte(in))
		out["HS256 with the public key as "+name] = in + "." + b64(m.Sum(nil))
	}
	own, err := json.Marshal(jose.JSONWebKey{Key: &mine.PublicKey, KeyID: x.kid, Algorithm: "ES256"})
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]map[string]any{
		"own key":     {},
		"jwk":         {"jwk": json.RawMessage(own)},
		"jwk, no kid": {"jwk": json.RawMessage(own), "kid": nil},
		"jku":         {"jku": "https://127.0.0.1:1/jwks.json"},
		"x5u":         {"x5u": "https://127.0.0.1:1/chain.pem"},
		"x5c":         {"x5c": []string{base64.StdEncoding.EncodeToString(der)}},
		"crit":        {"crit": []string{"exp"}, "exp": 1},
		"b64":         {"crit": []string{"b64"}, "b64": false},
		"zip":         {"zip": "DEF"},
		"no typ":      {"typ": nil},
		"typ JWT":     {"typ": "JWT"},
		"a ticket":    {"typ": "cordon-ticket+jwt"},
		"ES384":       {"alg": "ES384"},
		"PS256":       {"alg": "PS256"},
		"kid path":    {"kid": "../../../../dev/null"},
		"kid SQL":     {"kid": "1' UNION SELECT 'x' --"},
		"kid empty":   {"kid": ""},
		"kid NUL":     {"kid": "1\x00"},
		"kid number":  {"kid": 1},
		"kid list":    {"kid": []string{x.kid}},
		"kid URL":     {"kid": "https://127.0.0.1:1/key"},
		"kid long":    {"kid": strings.Repeat("1", 4000)},
	} {
		out["signed by a stranger: "+name] = es256(t, mine, with(x.header, h), x.claims)
	}
	for name, c := range map[string]map[string]any{
		"tenant": {"tenant": neighbour}, "no tenant": {"tenant": nil}, "nil tenant": {"tenant": "00000000-0000-0000-0000-000000000000"}, "tenant list": {"tenant": []string{neighbour}},
		"scope": {"scope": "system/*.cruds user/*.*"}, "exp": {"exp": 32503680000}, "sub": {"sub": "root"}, "aud": {"aud": "*"}, "iss": {"iss": "https://evil.example"},
	} {
		out["changed claim: "+name] = x.parts[0] + "." + b64JSON(t, with(x.claims, c)) + "." + x.parts[2]
		out["changed claim, signed by a stranger: "+name] = es256(t, mine, x.header, with(x.claims, c))
	}
	broken(x, out)
	return out
}

// broken adds what is hardly a token any more.
func broken(x taken, out map[string]string) {
	token := strings.Join(x.parts, ".")
	flipped := []byte(x.parts[2])
	flipped[0] = map[bool]byte{true: 'B', false: 'A'}[flipped[0] == 'A']
	zeros := make([]byte, 64)
	for name, s := range map[string]string{
		"flipped": string(flipped), "cut": x.parts[2][:40], "none": "", "zeros": b64(zeros), "doubled": x.parts[2] + x.parts[2], "long zeros": b64(make([]byte, 4000)),
		"DER of zeros": b64([]byte{0x30, 6, 2, 1, 0, 2, 1, 0}), "not base64": "!!!!",
	} {
		out["signature "+name] = x.parts[0] + "." + x.parts[1] + "." + s
	}
	for name, s := range map[string]string{
		"dots": "..", "one dot": ".", "words": "a.b.c", "five parts": "a.b.c.d.e", "JSON form": `{"payload":"` + x.parts[1] + `","protected":"` + x.parts[0] + `","signature":"` + x.parts[2] + `"}`,
		"no signature part": x.parts[0] + "." + x.parts[1], "four parts": token + ".x", "two tokens": token + " " + token, "a comma": token + "," + token,
		"9 kB": token + strings.Repeat("A", 9<<10), "40 kB": strings.Repeat("A", 40<<10), "UTF-8": "é.ü.ß", "quoted": `"` + token + `"`, "percent": "%00", "SQL": "' OR 1=1 --",
		"payload is no JSON": x.parts[0] + "." + b64([]byte("x")) + "." + x.parts[2], "header is no JSON": b64([]byte("x")) + "." + x.parts[1] + "." + x.parts[2],
		"header is null": b64([]byte("null")) + "." + x.parts[1] + "." + x.parts[2], "deep header": b64([]byte(strings.Repeat(`{"a":`, 2000))) + "." + x.parts[1] + "." + x.parts[2],
	} {
		out["junk: "+name] = s
	}
}

// TestForgedTokens tries what attackers try with JWTs: each gets the one public answer, which does not tell
// what was wrong.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n, neighbour := p.Tenant(t), p.Tenant(t)
	x := takeApart(t, n)
	if n.Do(t, "GET", "/Patient", nil).Status != http.StatusOK || n.Do(t, "GET", "/Patient", nil, "Authorization", "bEARER  "+n.Token()+" ").Status != http.StatusOK {
		t.Fatal("the good token does not open")
	}
	want := wholeAnswer(n.Do(t, "GET", "/Patient", nil, "Authorization", "Bearer x").Want(t, http.StatusUnauthorized))
	cases := map[string]string{"no scheme": n.Token(), "Basic": "Basic " + n.Token(), "no token": "Bearer ", "tab": "Bearer\t" + n.Token(), "DPoP": "DPoP " + n.Token(), "empty": ""}
	for name, token := range forgeries(t, x, neighbour.ID) {
		cases[name] = "Bearer " + token
	}
	for name, header := range cases {
		for _, a := range []leakAsk{{"GET", "/Patient", "", nil}, {"POST", "/Patient", ada, nil}, {"POST", "", `{"resourceType":"Bundle","type":"batch"}`, nil}} {
			a.headers = []string{"Authorization", header}
			if got := a.send(t, n.Client); got != want {
				t.Errorf("%s, %s: %.400s", name, a, got)
			}
		}
	}
	for _, path := range []string{"/Patient?access_token=" + n.Token(), "/Patient?token=" + n.Token()} {
		n.Do(t, "GET", path, nil, "Authorization", "").Want(t, http.StatusUnauthorized)
	}
	if got := n.Do(t, "GET", "/Patient?_total=accurate", nil).JSON(t)["total"]; got != json.Number("0") {
		t.Errorf("%v patients were stored", got)
	}
	t.Logf("%d forged authorizations", len(cases))
}

// TestTokenOfANeighbour uses a token where it is not from, after it was good at home, so that no cache may help it.
func TestTokenOfANeighbour(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	alpha, bravo := p.Tenant(t), p.Tenant(t)
	bravo.Do(t, "PUT", "/Patient/p", `{"resourceType":"Patient","id":"p","name":[{"family":"bravosecret"}]}`).Want(t, http.StatusCreated)
	watch := watchChart(t, bravo)
	state := watch.state(t)
	alpha.Do(t, "GET", "/Patient", nil).Want(t, http.StatusOK)
	asks := leakScript("Patient", `{"resourceType":"Patient","id":"p"}`, leakNames{"p", "x", bravo.Base})
	want := ""
	for _, a := range asks {
		a.headers = append(a.headers, "Authorization", "Bearer "+alpha.Token())
		got := a.send(t, bravo.Client)
		if a.method == "HEAD" {
			got, _, _ = strings.Cut(got, "\n")
			if got != "403" {
				t.Errorf("%s: %s", a, got)
			}
			continue
		}
		if want == "" {
			want = got
		}
		if !strings.HasPrefix(got, "403") || got != want {
			t.Errorf("%s: %.300s", a, got)
		}
	}
	if watch.state(t) != state {
		t.Error("a foreign token changed the chart")
	}
	// The edge refused them, and the tenant that was asked has it on record.
	refused := 0
	for _, e := range bravo.Events(t) {
		src, _ := e["source"].(map[string]any)
		dec, _ := e["decision"].(map[string]any)
		if src["role"] == "edge" && dec["reason"] == "token of another tenant" {
			refused++
		}
	}
	if refused != len(asks) {
		t.Errorf("%d refusals by the edge are on record, want %d", refused, len(asks))
	}
}
