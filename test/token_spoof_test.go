package test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// portOf is the port of the public listener.
func portOf(t testing.TB, p *cordontest.Platform) string {
	t.Helper()
	u, err := url.Parse(p.Info.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port()
}

// TestSpoofedTenant names a tenant in every place but the right ones, and two tenants where there is room for one: the
// token's, the host's and the path's must be the same, and nothing else counts.
func TestSpoofedTenant(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	alpha, bravo := p.Tenant(t), p.Tenant(t)
	port := portOf(t, p)
	for side, n := range map[string]*cordontest.Tenant{"alpha": alpha, "bravo": bravo} {
		n.Do(t, "PUT", "/Patient/p", `{"resourceType":"Patient","id":"p","name":[{"family":"`+side+`secret"}]}`).Want(t, http.StatusCreated)
	}
	get := func(host, path string, n *cordontest.Tenant, headers ...string) cordontest.Response {
		h := map[string]string{"Authorization": "Bearer " + n.Token(), "Host": host}
		for i := 0; i+1 < len(headers); i += 2 {
			h[headers[i]] = headers[i+1]
		}
		return p.Send(t, "GET", p.Info.URL+path, nil, h)
	}
	inPath := func(n *cordontest.Tenant) string { return "/t/" + n.Slug + "/fhir/Patient/p" }
	at := func(n *cordontest.Tenant) string { return n.Slug + ".localhost:" + port }
	own := "127.0.0.1:" + port
	for _, c := range []struct {
		name, host, path string
		token            *cordontest.Tenant
		want             int
	}{
		{"by path", own, inPath(alpha), alpha, 200},
		{"by localhost", "localhost:1", inPath(alpha), alpha, 200},
		{"by host", at(alpha), "/fhir/Patient/p", alpha, 200},
		{"by host and path", at(alpha), inPath(alpha), alpha, 200},
		{"host in capitals", strings.ToUpper(at(alpha)), "/fhir/Patient/p", alpha, 200},
		{"host with a dot", alpha.Slug + ".localhost.:" + port, "/fhir/Patient/p", alpha, 200},
		{"other's path", own, inPath(bravo), alpha, 403},
		{"other's host", at(bravo), "/fhir/Patient/p", alpha, 403},
		{"own host, other's path", at(alpha), inPath(bravo), alpha, 403},
		{"own host, other's path and token", at(alpha), inPath(bravo), bravo, 403},
		{"other's host, own path", at(bravo), inPath(alpha), alpha, 403},
		{"other's host and token, own path", at(bravo), inPath(alpha), bravo, 403},
		{"unknown host", "evil.example", inPath(alpha), alpha, 403},
		{"host behind ours", "127.0.0.1.evil.example", inPath(alpha), alpha, 403},
		{"tenant behind ours", at(alpha) + ".evil.example", "/fhir/Patient/p", alpha, 403},
		{"tenant behind ours, no port", alpha.Slug + ".localhost.evil.example", "/fhir/Patient/p", alpha, 403},
		{"own name behind a port", "127.0.0.1:1.evil.example", inPath(alpha), alpha, 403},
		{"host below a tenant's", "x." + at(alpha), "/fhir/Patient/p", alpha, 403},
		{"empty label", ".localhost", inPath(alpha), alpha, 403},
		{"the domain alone", "localhost", "/fhir/Patient/p", alpha, 404},
		{"another loopback", "127.0.0.2", inPath(alpha), alpha, 403},
		{"odd host", "local host", inPath(alpha), alpha, 403},
		{"user in host", alpha.Slug + "@localhost", "/fhir/Patient/p", alpha, 403},
		{"two tenants in one host", at(bravo) + "," + at(alpha), "/fhir/Patient/p", alpha, 403},
		{"unknown tenant's host", "nobody.localhost", "/fhir/Patient/p", alpha, 404},
		{"capitals in the path", own, strings.ToUpper(inPath(alpha)), alpha, 404},
		{"two slashes", own, "/t//" + bravo.Slug + "/fhir/Patient/p", alpha, 404},
		{"up and over", own, "/t/" + alpha.Slug + "/../" + bravo.Slug + "/fhir/Patient/p", alpha, 404},
		{"up and over, escaped", own, "/t/" + alpha.Slug + "%2f..%2f" + bravo.Slug + "/fhir/Patient/p", alpha, 404},
		{"up and over below fhir", own, "/t/" + alpha.Slug + "/fhir/../../" + bravo.Slug + "/fhir/Patient/p", alpha, 404},
		{"semicolon", own, "/t/" + alpha.Slug + ";" + bravo.Slug + "/fhir/Patient/p", alpha, 404},
		{"NUL", own, "/t/" + alpha.Slug + "%00" + bravo.Slug + "/fhir/Patient/p", alpha, 400},
		{"not fhir", own, "/t/" + alpha.Slug + "/fhirx/Patient/p", alpha, 404},
	} {
		r := get(c.host, c.path, c.token)
		if r.Status != c.want {
			t.Errorf("%s: %d, want %d: %.300s", c.name, r.Status, c.want, r.Body)
		}
		if strings.Contains(string(r.Body), "bravosecret") {
			t.Errorf("%s shows Bravo's patient", c.name)
		}
	}
	spoofedFields(t, alpha, bravo, get, inPath(alpha), own)
	spoofedBytes(t, alpha, bravo, own)
}

// spoofedFields names Bravo in headers and in the query of Alpha's request: it makes no difference, or is refused.
func spoofedFields(t *testing.T, alpha, bravo *cordontest.Tenant, get func(string, string, *cordontest.Tenant, ...string) cordontest.Response, path, own string) {
	t.Helper()
	want := wholeAnswer(get(own, path, alpha).Want(t, http.StatusOK))
	for _, h := range []string{"X-Tenant-Id", "X-Tenant", "Tenant", "Tenant-Id", "X-Forwarded-Host", "X-Forwarded-Server", "X-Forwarded-Prefix", "X-Forwarded-Uri", "X-Host", "X-Original-Host",
		"X-Original-Url", "X-Rewrite-Url", "Forwarded", "X-Real-Ip", "Cordon-Tenant", "Cordon-Assertion", "X-Scope-Orgid", "X-Http-Method-Override", "X-Method-Override", "X-User", "X-Remote-User", "X-Original-Method"} {
		for _, v := range []string{bravo.ID, bravo.Slug, bravo.Slug + ".localhost", "/t/" + bravo.Slug + "/fhir/Patient/p", "host=" + bravo.Slug + ".localhost", "DELETE", "*"} {
			if got := wholeAnswer(get(own, path, alpha, h, v)); got != want {
				t.Errorf("%s: %s changes the answer: %.300s", h, v, got)
			}
		}
	}
	for _, name := range []string{"tenant", "tenant_id", "_tenant", "slug", "partition", "_partition", "host", "access_token"} {
		for _, v := range []string{bravo.ID, bravo.Slug} {
			get(own, path+"?"+name+"="+v, alpha).Want(t, http.StatusBadRequest)
			search := strings.TrimSuffix(path, "/p") + "?" + name + "=" + v
			get(own, search, alpha).Want(t, http.StatusBadRequest)
			if r := get(own, search, alpha, "Prefer", "handling=lenient").Want(t, http.StatusOK); !strings.Contains(string(r.Body), "alphasecret") || strings.Contains(string(r.Body), "bravosecret") {
				t.Errorf("%s=%s: %.300s", name, v, r.Body)
			}
		}
	}
}

// spoofedBytes says two things at once on the wire.
func spoofedBytes(t *testing.T, alpha, bravo *cordontest.Tenant, own string) {
	t.Helper()
	p := alpha.P
	auth := "Authorization: Bearer " + alpha.Token() + "\r\n"
	bravos := bravo.Slug + ".localhost"
	for name, c := range map[string]struct {
		text string
		want int
	}{
		"absolute form":        {"GET https://" + bravos + "/fhir/Patient/p HTTP/1.1\r\nHost: " + own + "\r\n" + auth + "\r\n", 403},
		"absolute form, odd":   {"GET https://evil.example/t/" + alpha.Slug + "/fhir/Patient/p HTTP/1.1\r\nHost: " + own + "\r\n" + auth + "\r\n", 403},
		"two hosts":            {"GET /fhir/Patient/p HTTP/1.1\r\nHost: " + bravos + "\r\nHost: " + own + "\r\n" + auth + "\r\n", 400},
		"no host":              {"GET /t/" + alpha.Slug + "/fhir/Patient/p HTTP/1.1\r\n" + auth + "\r\n", 400},
		"no host, HTTP/1.0":    {"GET /t/" + alpha.Slug + "/fhir/Patient/p HTTP/1.0\r\n" + auth + "\r\n", 403},
		"two tokens":           {"GET /t/" + bravo.Slug + "/fhir/Patient/p HTTP/1.1\r\nHost: " + own + "\r\n" + auth + "Authorization: Bearer x\r\n\r\n", 403},
		"folded header":        {"GET /t/" + bravo.Slug + "/fhir/Patient/p HTTP/1.1\r\nHost: " + own + "\r\nX-A: b\r\n c\r\n" + auth + "\r\n", 403},
		"star":                 {"GET * HTTP/1.1\r\nHost: " + own + "\r\n" + auth + "\r\n", 404},
		"CONNECT":              {"CONNECT " + bravos + ":443 HTTP/1.1\r\nHost: " + bravos + "\r\n" + auth + "\r\n", 404},
		"TRACE":                {"TRACE /t/" + alpha.Slug + "/fhir/Patient/p HTTP/1.1\r\nHost: " + own + "\r\n" + auth + "\r\n", 405},
		"both lengths":         {"POST /t/" + alpha.Slug + "/fhir/Patient HTTP/1.1\r\nHost: " + own + "\r\n" + auth + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		"two different length": {"POST /t/" + alpha.Slug + "/fhir/Patient HTTP/1.1\r\nHost: " + own + "\r\n" + auth + "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", 400},
	} {
		r := rawWire(t, p, c.text)
		if r.Status != c.want && !(name == "both lengths" && r.Status == 415) {
			t.Errorf("%s: %d, want %d: %.300s", name, r.Status, c.want, r.Body)
		}
		if strings.Contains(string(r.Body), "secret") || strings.Contains(string(r.Body), alpha.Token()) {
			t.Errorf("%s: %.300s", name, r.Body)
		}
	}
}

// TestTenantStates asks tenants that do not serve: with a token that was good, at every page.
func TestTenantStates(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n, other := p.Tenant(t), p.Tenant(t)
	n.Do(t, "PUT", "/Patient/p", `{"resourceType":"Patient","id":"p"}`).Want(t, http.StatusCreated)
	form := grant("client_id", n.ClientID, "client_secret", n.Secret).Encode()
	probe := func(slug string) (out []string) {
		h := map[string]string{"Authorization": "Bearer " + n.Token(), "Content-Type": "application/x-www-form-urlencoded"}
		for _, c := range [][3]string{{"GET", "/fhir/Patient/p", ""}, {"POST", "/fhir/Patient", ada}, {"GET", "/fhir/metadata", ""}, {"GET", "/fhir/.well-known/smart-configuration", ""},
			{"GET", "/oauth/jwks.json", ""}, {"POST", "/oauth/token", form}, {"GET", "/.well-known/oauth-authorization-server", ""}, {"GET", "/", ""}} {
			out = append(out, wholeAnswer(p.Send(t, c[0], p.Info.URL+"/t/"+slug+c[1], []byte(c[2]), h)))
		}
		return out
	}
	unknown := probe("nobody-of-that-name")
	control := p.SuperuserOn(t, "cordon_control")
	set := func(state string) {
		for _, sql := range []string{"UPDATE tenant SET state = '" + state + "' WHERE id = '" + n.ID + "'", "UPDATE directory SET version = version + 1"} {
			if _, err := control.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
		for _, verb := range []string{"suspend", "resume"} { // any change that control makes publishes the directory before it returns
			p.Operator(t, "POST", "/tenants/"+other.Slug+"/"+verb, nil).Want(t, http.StatusOK)
		}
	}
	for _, state := range []string{"requested", "provisioning", "destroyed"} {
		set(state)
		for i, got := range probe(n.Slug) {
			if got != unknown[i] || !strings.HasPrefix(got, "404") {
				t.Errorf("a tenant that is %s differs from one that is not there (%d): %.200s", state, i, got)
			}
		}
	}
	for _, state := range []string{"suspended", "offboarding", "archived"} {
		set(state)
		for i, got := range probe(n.Slug) {
			if !strings.HasPrefix(got, "403") {
				t.Errorf("a tenant that is %s serves (%d): %.200s", state, i, got)
			}
		}
	}
	set("moving")
	n.Do(t, "GET", "/Patient/p", nil).Want(t, http.StatusOK)
	for _, a := range []leakAsk{{"POST", "/Patient", ada, nil}, {"DELETE", "/Patient/p", "", nil}, {"PUT", "/Patient/p", `{"resourceType":"Patient","id":"p"}`, nil},
		{"POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":` + ada + `,"request":{"method":"POST","url":"Patient"}}]}`, nil}} {
		if got := a.send(t, n.Client); !strings.HasPrefix(got, "423") {
			t.Errorf("a moving tenant writes: %s: %.200s", a, got)
		}
	}
	set("active")
	n.Do(t, "GET", "/Patient/p/_history", nil).Want(t, http.StatusOK)
	for range 3 { // a command that returned holds at once, for tokens that were verified before
		p.Operator(t, "POST", "/tenants/"+n.Slug+"/suspend", nil).Want(t, http.StatusOK)
		n.Do(t, "GET", "/Patient/p", nil).Want(t, http.StatusForbidden)
		p.Operator(t, "POST", "/tenants/"+n.Slug+"/resume", nil).Want(t, http.StatusOK)
		n.Do(t, "GET", "/Patient/p", nil).Want(t, http.StatusOK)
	}
}

// TestOperatorsAPI asks it as anyone but an operator, and by names that are none.
func TestOperatorsAPI(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n := p.Tenant(t)
	paths := []string{"/v1/tenants", "/v1/tenants/" + n.Slug, "/v1/tenants/" + n.Slug + "/audit", "/v1/nothing", "/"}
	for _, token := range []string{"", "x", n.Token(), n.Secret, p.Info.Operators["alice"] + "x", strings.ToLower(p.Info.Operators["alice"])} {
		for _, path := range paths {
			p.Send(t, "GET", p.Info.URL+"/operator"+path, nil, map[string]string{"Authorization": "Bearer " + token}).Want(t, http.StatusUnauthorized)
		}
	}
	alice := map[string]string{"Authorization": "Bearer " + p.Info.Operators["alice"]}
	// An operator has no standing access to a chart, and the API is not on a tenant's host.
	for _, path := range []string{"/Patient", "/Patient/p", "/Patient/p/$everything"} {
		p.Send(t, "GET", n.Base+path, nil, alice).Want(t, http.StatusUnauthorized)
	}
	r := p.Send(t, "GET", p.Info.URL+"/operator/v1/tenants", nil, map[string]string{"Authorization": alice["Authorization"], "Host": n.Slug + ".localhost:" + portOf(t, p)})
	if r.Status != http.StatusNotFound {
		t.Errorf("the operators' API is on a tenant's host: %d", r.Status)
	}
	for _, slug := range []string{"..", "%2e%2e", "a%00b", "' OR 1=1 --", strings.Repeat("a", 50), "UPPER", "a/b", "%ff"} {
		path := "/tenants/" + strings.ReplaceAll(url.PathEscape(slug), "%25", "%")
		if r := p.Operator(t, "GET", path, nil); r.Status < 400 || r.Status >= 500 {
			t.Errorf("%s: %d %.200s", slug, r.Status, r.Body)
		}
		if r := p.Operator(t, "POST", "/tenants", map[string]string{"slug": slug, "placement": "pooled"}); r.Status != http.StatusBadRequest {
			t.Errorf("slug %s: %d %.200s", slug, r.Status, r.Body)
		}
	}
	for _, body := range []string{"", "{", "[]", `{"slug":"x"}`, `{"slug":"valid-slug","placement":"pooled","state":"active"}`, `{"slug":1}`, strings.Repeat("x", 2<<20)} {
		r := p.Send(t, "POST", p.Info.URL+"/operator/v1/tenants", []byte(body), alice)
		if r.Status < 400 || r.Status >= 500 {
			t.Errorf("%.40s: %d %.200s", body, r.Status, r.Body)
		}
	}
	for _, c := range [][2]string{{"POST", "/tenants/nobody/suspend"}, {"GET", "/tenants/nobody"}, {"GET", "/tenants/nobody/audit"}, {"POST", "/tenants/nobody/clients"}, {"DELETE", "/tenants/" + n.Slug}, {"PATCH", "/tenants"}} {
		if r := p.Operator(t, c[0], c[1], map[string]string{"name": "x", "scope": "system/*.r"}); r.Status != http.StatusNotFound && r.Status != http.StatusMethodNotAllowed {
			t.Error(fmt.Sprint(c, r.Status))
		}
	}
}
