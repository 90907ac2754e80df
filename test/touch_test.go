package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/control"
	"github.com/cordon-ehr/cordon/internal/cordontest"
)

var routeForm = regexp.MustCompile(`^((GET|HEAD|POST|PUT|PATCH|DELETE) )?/[^ ]*$`)

// routesIn gives the route patterns that a source file registers: literals that are elements of a table of routes or the first
// argument of HandleFunc.
func routesIn(t testing.TB, file string) (out []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	add := func(e ast.Expr) {
		if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if s, err := strconv.Unquote(lit.Value); err == nil && routeForm.MatchString(s) {
				out = append(out, s)
			}
		}
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch v := n.(type) {
		case *ast.CompositeLit:
			for _, e := range v.Elts {
				add(e)
			}
		case *ast.KeyValueExpr:
			add(v.Key)
		case *ast.CallExpr:
			if f, ok := v.Fun.(*ast.SelectorExpr); ok && strings.HasPrefix(f.Sel.Name, "Handle") && len(v.Args) > 0 {
				add(v.Args[0])
			}
		}
		return true
	})
	return out
}

// touch is what a route is tried with, and the event that it must leave.
type touch struct {
	method, path, body string
	status             int
	event              string // type/subtype; "" = the route shows nothing of a tenant, and why stands in public
	public             string
	as                 string // operator, form; else the tenant's client
}

// touches has every route of the product. A route that is added has to be added here, with its event.
func touches(n *cordontest.Tenant, id string) map[string]map[string]touch {
	form := "grant_type=client_credentials&client_id=" + n.ClientID + "&client_secret=" + n.Secret
	patient := strings.Replace(ada, `"Patient",`, `"Patient","id":"`+id+`",`, 1)
	return map[string]map[string]touch{
		"../internal/fhirhttp/face.go": {
			"GET /{type}/{id}":                    {method: "GET", path: "/Patient/" + id, status: 200, event: "rest/read"},
			"GET /{type}/{id}/_history/{version}": {method: "GET", path: "/Patient/" + id + "/_history/1", status: 200, event: "rest/vread"},
			"GET /{type}/{id}/_history":           {method: "GET", path: "/Patient/" + id + "/_history", status: 200, event: "rest/history-instance"},
			"PUT /{type}/{id}":                    {method: "PUT", path: "/Patient/" + id, body: patient, status: 200, event: "rest/update"},
			"DELETE /{type}/{id}":                 {method: "DELETE", path: "/Observation/none", status: 204, event: "rest/delete"},
			"POST /{type}":                        {method: "POST", path: "/Patient", body: ada, status: 201, event: "rest/create"},
			"GET /{type}":                         {method: "GET", path: "/Patient?_id=" + id, status: 200, event: "rest/search-type"},
			"POST /{type}/_search":                {method: "POST", path: "/Patient/_search", body: "_id=" + id, status: 200, event: "rest/search-type", as: "form"},
			"GET /Patient/{id}/$everything":       {method: "GET", path: "/Patient/" + id + "/$everything", status: 200, event: "rest/everything"},
			"POST /{$}":                           {method: "POST", body: `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"POST","url":"Patient"},"resource":` + ada + `}]}`, status: 200, event: "rest/transaction"},
			"/":                                   {method: "PATCH", path: "/Patient/" + id, body: "[]", status: 405, event: "rest/none"},
		},
		"../internal/control/operator.go": {
			"POST /v1/tenants":                     {method: "POST", path: "/tenants", body: `{"slug":"` + n.Slug + `","placement":"pooled"}`, status: 200, event: "", public: "the tenant is there already: nothing is shown that its name in the request did not say"},
			"GET /v1/tenants":                      {method: "GET", path: "/tenants", status: 200, event: "tenant/read", as: "operator"},
			"GET /v1/tenants/{slug}":               {method: "GET", path: "/tenants/" + n.Slug, status: 200, event: "tenant/read", as: "operator"},
			"POST /v1/tenants/{slug}/suspend":      {method: "POST", path: "/tenants/" + n.Slug + "/suspend", status: 200, event: "tenant/suspended", as: "operator"},
			"POST /v1/tenants/{slug}/resume":       {method: "POST", path: "/tenants/" + n.Slug + "/resume", status: 200, event: "tenant/active", as: "operator"},
			"POST /v1/tenants/{slug}/clients":      {method: "POST", path: "/tenants/" + n.Slug + "/clients", body: `{"name":"x","scope":"system/*.rs"}`, status: 200, event: "client/register", as: "operator"},
			"GET /v1/tenants/{slug}/audit":         {method: "GET", path: "/tenants/" + n.Slug + "/audit", status: 200, event: "audit/export", as: "operator"},
			"GET /v1/audit/stream":                 {method: "GET", path: "/audit/stream?tenant=" + n.Slug, status: 200, event: "audit/stream", as: "operator"},
			"POST /v1/tenants/{slug}/audit/who":    {method: "POST", path: "/tenants/" + n.Slug + "/audit/who", body: `{"patient":"Patient/` + id + `"}`, status: 200, event: "audit/who", as: "operator"},
			"GET /v1/tenants/{slug}/keys":          {method: "GET", path: "/tenants/" + n.Slug + "/keys", status: 200, event: "tenant/read", as: "operator"},
			"POST /v1/tenants/{slug}/keys/disable": {method: "POST", path: "/tenants/" + n.Slug + "/keys/disable", status: 200, event: "key/request-disable", as: "operator"},
			"POST /v1/tenants/{slug}/keys/enable":  {method: "POST", path: "/tenants/" + n.Slug + "/keys/enable", status: 200, event: "key/request-enable", as: "operator"},
			"POST /v1/tenants/{slug}/keys/rotate":  {method: "POST", path: "/tenants/" + n.Slug + "/keys/rotate", body: `{"kind":"data"}`, status: 200, event: "key/request-rotate-data", as: "operator"},
			"POST /v1/prove":                       {method: "POST", path: "/prove", body: `{"tenant":"` + n.Slug + `"}`, status: 200, event: "security/prove", as: "operator"},
			"GET /v1/identities":                   {method: "GET", path: "/identities", status: 200, event: "tenant/read", as: "operator"},
			"POST /v1/identities/resume":           {method: "POST", path: "/identities/resume", body: `{"identity":"nobody"}`, status: 404, event: "operator/refused", as: "operator"},
			"/":                                    {public: "nothing is served"},
		},
		"../internal/control/tenant.go": {
			"POST /oauth/token":                           {method: "POST", path: "/oauth/token", body: form, status: 200, event: "token/issue", as: "page"},
			"GET /oauth/jwks.json":                        {public: "public keys, which verify tokens for everybody"},
			"GET /fhir/.well-known/smart-configuration":   {public: "discovery"},
			"GET /.well-known/oauth-authorization-server": {public: "discovery"},
			"/": {public: "nothing is served"},
		},
	}
}

// logTouches are the operators' calls about logs, whose patterns are put together.
func logTouches(n *cordontest.Tenant, id string) map[string]touch {
	out := map[string]touch{}
	for at, path := range map[string]string{"/v1/tenants/{slug}": "/tenants/" + n.Slug, "/v1": ""} {
		out["POST "+at+"/audit/verify"] = touch{method: "POST", path: path + "/audit/verify", status: 200, event: "audit/verify", as: "operator"}
		out["GET "+at+"/audit/logs/{stream}"] = touch{method: "GET", path: path + "/audit/logs/control", status: 200, event: "audit/witness", as: "operator"}
		out["GET "+at+"/audit/proof/{event}"] = touch{method: "GET", path: path + "/audit/proof/" + id, status: 404, event: "audit/prove", as: "operator"}
		out["GET "+at+"/audit/keys"] = touch{method: "GET", path: path + "/audit/keys", status: 200, event: "", public: "public keys", as: "operator"}
		out["GET "+at+"/audit/bundle"] = touch{method: "GET", path: path + "/audit/bundle", status: 200, event: "audit/export", as: "operator"}
	}
	return out
}

// send sends a touch under a request id.
func (a touch) send(t testing.TB, n *cordontest.Tenant, request string) cordontest.Response {
	t.Helper()
	h := map[string]string{"X-Request-Id": request, "Content-Type": "application/fhir+json", "Authorization": "Bearer " + n.Token()}
	at := n.Base
	switch a.as {
	case "operator":
		h["Authorization"], at = "Bearer "+n.P.Info.Operators["alice"], n.P.Info.URL+"/operator/v1"
	case "form":
		h["Content-Type"] = "application/x-www-form-urlencoded"
	case "page":
		h["Content-Type"], at = "application/x-www-form-urlencoded", strings.TrimSuffix(n.TokenURL, "/oauth/token")
		delete(h, "Authorization")
	}
	return n.P.Send(t, a.method, at+a.path, []byte(a.body), h)
}

// TestEveryRouteLeavesAnEvent walks the route tables of the product: whatever shows or changes something of a tenant leaves its event,
// under the request's id (every place where a chart is touched). A route that this test does not know fails it.
func TestEveryRouteLeavesAnEvent(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n := p.Tenant(t)
	id := n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated).ID(t)
	n.Do(t, http.MethodPut, "/Observation/none", `{"resourceType":"Observation","id":"none","status":"final","code":{"text":"x"}}`).Want(t, http.StatusCreated)
	sent := map[string]touch{}
	for file, known := range touches(n, id) {
		found := routesIn(t, file)
		if len(found) < 5 {
			t.Errorf("%s: only %v are read as routes", file, found)
		}
		for _, pattern := range found {
			a, ok := known[pattern]
			if !ok {
				t.Errorf("%s: route %q is not known here: say which event it leaves", file, pattern)
			}
			delete(known, pattern)
			if a.event == "" {
				if a.public == "" {
					t.Errorf("%s: route %q leaves no event and says not why", file, pattern)
				}
				continue
			}
			request := uuid.NewString()
			a.send(t, n, request).Want(t, a.status)
			sent[request] = a
		}
		for pattern := range known {
			t.Errorf("%s: there is no route %q", file, pattern)
		}
	}
	for pattern, a := range logTouches(n, id) {
		if !slices.Contains(control.OperatorCalls(), pattern) {
			t.Errorf("there is no route %q", pattern)
		}
		request := uuid.NewString()
		a.send(t, n, request).Want(t, a.status)
		if a.event != "" {
			sent[request] = a
		}
	}
	for _, pattern := range control.OperatorCalls() {
		if _, ok := logTouches(n, id)[pattern]; !ok && touches(n, id)["../internal/control/operator.go"][pattern] == (touch{}) {
			t.Errorf("route %q is not known here: say which event it leaves", pattern)
		}
	}
	events := n.Events(t)
	db := p.SuperuserOn(t, "cordon_control")
	for request, a := range sent {
		got := under(events, request)
		if len(got) == 0 { // of the platform, not of the tenant
			var b []byte
			if err := db.QueryRow(t.Context(), `SELECT body FROM audit WHERE tenant = '00000000-0000-0000-0000-000000000000' AND position($1::bytea in body) > 0 LIMIT 1`, []byte(request)).Scan(&b); err == nil {
				var e map[string]any
				if err := json.Unmarshal(bytes.TrimSpace(b), &e); err != nil {
					t.Fatal(err)
				}
				got = append(got, e)
			}
		}
		var kinds []string
		for _, e := range got {
			kinds = append(kinds, fmt.Sprint(e["type"], "/", e["subtype"]))
		}
		if !slices.Contains(kinds, a.event) { // a lease of keys may have come first
			t.Errorf("%s %s leaves %q, want %q", a.method, a.path, kinds, a.event)
		}
	}
}
