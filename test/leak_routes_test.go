package test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/cordon-ehr/cordon/internal/control"
	"github.com/cordon-ehr/cordon/internal/cordontest"
	"github.com/cordon-ehr/cordon/internal/fhirhttp"
)

var wildcard = regexp.MustCompile(`\{[^}]*\}`)

// leakFill puts names into a route's pattern. A new wildcard wants a value here, or its routes are not tried.
func leakFill(t testing.TB, pattern, typ, version string, n leakNames) (method, path string) {
	t.Helper()
	slug, _, _ := strings.Cut(n.base[strings.LastIndex(n.base, "/t/")+len("/t/"):], "/")
	method, path, _ = strings.Cut(pattern, " ")
	path = strings.NewReplacer("{type}", typ, "{id}", n.id, "{version}", version, "{slug}", slug, "{stream}", "cell", "{event}", "0190a5a0-0000-7000-8000-000000000000", "{$}", "").Replace(path)
	if left := wildcard.FindString(path); left != "" {
		t.Errorf("no leak case fills %s of the route %q", left, pattern)
	}
	return method, path
}

// unserved are places where other servers have something: what becomes a route later is asked before it is one.
var unserved = []string{"PATCH /{type}/{id}", "GET /{type}/_history", "GET /_history", "GET /$export", "GET /Patient/$export", "GET /Group/{id}/$export", "GET /$export-poll-status/{id}", "DELETE /$export-poll-status/{id}",
	"GET /Binary/{id}", "GET /{type}/{id}/$validate", "POST /$graphql", "GET /{type}/{id}/$graphql", "GET /{type}/{id}/$meta", "POST /{type}/{id}/$expunge", "POST /$import", "POST /Patient/$match", "GET /Patient/{id}/Observation",
	"PUT /{type}", "DELETE /{type}", "POST /{type}/{id}", "GET /Group/{id}/$everything", "GET /Encounter/{id}/$everything", "POST /Patient/{id}/$merge", "GET /{type}/{id}/_history/{version}/x"}

// leakByRoute makes, of the routes that the product says it has, the requests for one resource by its names: each method with the
// parameters and headers that change an answer, alone and as an entry of a batch and of a transaction.
func leakByRoute(t testing.TB, typ, body string, n leakNames) (asks []leakAsk) {
	t.Helper()
	var patterns []string
	for _, r := range fhirhttp.Routes() {
		if r.Pattern != "/" {
			patterns = append(patterns, r.Pattern)
		}
	}
	for _, pattern := range append(patterns, unserved...) {
		method, path := leakFill(t, pattern, typ, "1", n)
		entity := map[string]string{"POST": body, "PUT": body, "PATCH": body}[method]
		switch {
		case strings.HasSuffix(path, "/_search"):
			asks = append(asks, leakAsk{method, path, "_id=" + n.id, []string{"Content-Type", "application/x-www-form-urlencoded"}})
			continue
		case method == "POST" && path == "/":
			continue // Bundles come below
		case path == "/"+typ && method != "POST":
			path += "?_id=" + n.id
		}
		asks = append(asks, leakAsk{method, path, entity, nil}, leakAsk{method, path, entity, []string{"If-Match", `W/"1"`}}, leakAsk{method, path, entity, []string{"If-Match", `W/"7"`}},
			leakAsk{method, path, entity, []string{"If-None-Match", `W/"1"`, "If-Modified-Since", "Mon, 01 Jan 2024 00:00:00 GMT"}}, leakAsk{method, path, entity, []string{"Prefer", "return=minimal"}})
		if method == "GET" {
			asks = append(asks, leakAsk{"HEAD", path, "", nil}, leakAsk{"GET", join(path, "_format=json"), "", nil}, leakAsk{"GET", join(path, "_summary=count"), "", nil})
		}
		if method == "POST" {
			asks = append(asks, leakAsk{method, path, entity, []string{"If-None-Exist", "_id=" + n.id}}, leakAsk{method, path, entity, []string{"If-None-Exist", "identifier=" + n.mrn}})
		}
		request := `"request":{"method":"` + method + `","url":"` + strings.TrimPrefix(path, "/") + `"}`
		if entity != "" {
			request = `"fullUrl":"urn:uuid:0b5b2c4e-5f7c-4a0c-9a59-6a2f3a1b2c3d","resource":` + entity + `,` + request
		}
		for _, kind := range []string{"batch", "transaction"} {
			asks = append(asks, leakAsk{"POST", "", bundleOf(kind, `{`+request+`}`), nil})
		}
	}
	return asks
}

func join(path, query string) string {
	if strings.Contains(path, "?") {
		return path + "&" + query
	}
	return path + "?" + query
}

// leakPages asks a neighbour's own pages, and the operators' API, with what Alpha has in hand: to everyone but who they are for they
// say what they say to a stranger, and of Bravo what they say of nobody.
func leakPages(t *testing.T, board *leakBoard, alpha, bravo *cordontest.Tenant) {
	t.Helper()
	p := alpha.P
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	nobody := leakNames{"x", "x", strings.Replace(bravo.Base, bravo.Slug, "nobody-of-that-name", 1)}
	there := leakNames{"x", "x", bravo.Base}
	for _, pattern := range control.TenantPages() {
		if pattern == "/" {
			pattern = "GET /nothing"
		}
		method, path := leakFill(t, pattern, "Patient", "1", there)
		at := p.Info.URL + "/t/" + bravo.Slug + path
		var want string
		for i, h := range []map[string]string{{}, {"Authorization": "Bearer " + alpha.Token()}, {"Authorization": "Bearer " + bravo.Token()}, {"X-Tenant-Id": alpha.ID}, {"X-Forwarded-Host": alpha.Slug + ".localhost"}, {"Cookie": "tenant=" + alpha.ID}} {
			body := ""
			if method == "POST" { // as a client that is registered elsewhere, and as one that is registered nowhere
				h["Content-Type"] = form["Content-Type"]
				body = grant("client_id", "00000000-0000-4000-8000-000000000000", "client_secret", alpha.Secret).Encode()
				if i%2 == 1 {
					body = grant("client_id", alpha.ClientID, "client_secret", alpha.Secret).Encode()
				}
			}
			got := wholeAnswer(p.Send(t, method, at, []byte(body), h))
			if i == 0 {
				want = got
			}
			if got != want || strings.Contains(got, "bravounspoken") || strings.Contains(got, `"access_token"`) {
				t.Errorf("%s %s as another: %.300s\nas nobody: %.300s", method, path, got, want)
			}
			board.note("tenant "+pattern, "tenant page", threats["tenant page"])
			if pattern == "GET /nothing" {
				board.note("tenant /", "tenant page", threats["tenant page"])
			}
		}
	}
	for _, pattern := range control.OperatorCalls() {
		listed := pattern
		if pattern == "/" {
			pattern = "GET /nothing"
		}
		for _, token := range []string{"", alpha.Token(), bravo.Token(), alpha.Secret, strings.ToUpper(p.Info.Operators["alice"])} {
			var want string
			for _, n := range []leakNames{nobody, there} {
				method, path := leakFill(t, pattern, "Patient", "1", n)
				got := wholeAnswer(p.Send(t, method, p.Info.URL+"/operator"+path, []byte(`{}`), map[string]string{"Authorization": "Bearer " + token, "Content-Type": "application/json"}))
				if want == "" {
					want = got
				}
				if got != want || !strings.HasPrefix(got, "401") {
					t.Errorf("%s %s as no operator: %.300s", method, path, got)
				}
				board.note("operator "+listed, "operators' API", threats["operators' API"])
			}
		}
	}
}

// leakHeaders asks for what both have by the same name with every header that names Bravo: what answers is Alpha's.
func leakHeaders(t *testing.T, board *leakBoard, alpha, bravo *cordontest.Tenant) {
	t.Helper()
	names := []string{"X-Tenant-Id", "X-Tenant", "X-Forwarded-Host", "X-Forwarded-Prefix", "X-Forwarded-Uri", "X-Original-Url", "X-Rewrite-Url", "Forwarded", "Cordon-Tenant", "Cordon-Assertion", "X-Partition-Id", "X-Project",
		"X-Http-Method-Override", "Cookie", "Referer", "Origin", "From"}
	paths := []string{"/Patient/shared", "/Patient?_id=shared,only-bravo", "/Patient/only-bravo", "/Patient/shared/$everything?_count=2", "/metadata"}
	for _, path := range thin(paths, 3) {
		want := leakAsk{"GET", path, "", nil}.send(t, alpha.Client)
		for _, h := range thin(names, 8) {
			for _, v := range []string{bravo.ID, bravo.Slug, bravo.Slug + ".localhost", "tenant=" + bravo.ID} {
				a := leakAsk{"GET", path, "", []string{h, v}}
				if got := a.send(t, alpha.Client); got != want {
					t.Errorf("%s with %s: %s: %.300s", a, h, v, got)
				}
				board.count(a, "T17")
			}
		}
		for _, host := range []string{bravo.Slug + ".localhost", bravo.Slug + ".localhost:" + portOf(t, alpha.P)} {
			r := alpha.P.Send(t, http.MethodGet, alpha.Base+path, nil, map[string]string{"Authorization": "Bearer " + alpha.Token(), "Host": host})
			if r.Status != http.StatusForbidden {
				t.Errorf("Alpha's path at Bravo's host: %s: %d", path, r.Status)
			}
			board.note("", "host", []string{"T17"})
		}
	}
}
