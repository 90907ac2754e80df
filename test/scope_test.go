package test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// needs is one interaction and the scopes without which it is forbidden.
type needs struct {
	leakAsk
	scopes []string // of "Type.letter"
	fresh  bool     // makes something new each time
}

// interactions are all that the API has, on the crafted chart.
func interactions() []needs {
	obs := `{"resourceType":"Observation","id":"o2","status":"final","code":{"text":"x"}}`
	one := func(kind, method, url, body, more string) string {
		if body != "" {
			body = `"resource":` + body + `,`
		}
		return `{"resourceType":"Bundle","type":"` + kind + `","entry":[{` + body + `"request":{"method":"` + method + `","url":"` + url + `"` + more + `}}]}`
	}
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	list := []needs{
		{leakAsk{"GET", "/Patient/shared", "", nil}, []string{"Patient.r"}, false},
		{leakAsk{"HEAD", "/Patient/shared", "", nil}, []string{"Patient.r"}, false},
		{leakAsk{"GET", "/Patient/shared/_history/1", "", nil}, []string{"Patient.r"}, false},
		{leakAsk{"GET", "/Patient/shared/_history", "", nil}, []string{"Patient.r"}, false},
		{leakAsk{"GET", "/Patient/shared/$everything", "", nil}, []string{"Patient.r"}, false},
		{leakAsk{"GET", "/Patient/unknown", "", nil}, []string{"Patient.r"}, false},
		{leakAsk{"GET", "/Patient?_id=shared", "", nil}, []string{"Patient.s"}, false},
		{leakAsk{"GET", "/Patient?_summary=count", "", nil}, []string{"Patient.s"}, false},
		{leakAsk{"POST", "/Patient/_search", "_id=shared", form}, []string{"Patient.s"}, false},
		{leakAsk{"POST", "/Patient", ada, nil}, []string{"Patient.c"}, true},
		{leakAsk{"POST", "/Patient", ada, []string{"If-None-Exist", "_id=shared"}}, []string{"Patient.c", "Patient.s"}, false},
		{leakAsk{"PUT", "/Observation/o2", obs, nil}, []string{"Observation.u"}, true},
		{leakAsk{"DELETE", "/Observation/o3", "", nil}, []string{"Observation.d"}, false},
		{leakAsk{"GET", "/Observation?subject:Patient.name=alphasecret", "", nil}, []string{"Observation.s", "Patient.s"}, false},
		{leakAsk{"GET", "/Observation?patient._id=shared", "", nil}, []string{"Observation.s", "Patient.s"}, false},
	}
	for _, kind := range []string{"batch", "transaction"} {
		for _, e := range []needs{
			{leakAsk{body: one(kind, "GET", "Patient/shared", "", "")}, []string{"Patient.r"}, false},
			{leakAsk{body: one(kind, "GET", "Patient?_id=shared", "", "")}, []string{"Patient.s"}, false},
			{leakAsk{body: one(kind, "GET", "Patient/shared/$everything", "", "")}, []string{"Patient.r"}, false},
			{leakAsk{body: one(kind, "POST", "Patient", ada, "")}, []string{"Patient.c"}, true},
			{leakAsk{body: one(kind, "PUT", "Observation/o2", obs, "")}, []string{"Observation.u"}, true},
			{leakAsk{body: one(kind, "DELETE", "Observation/o3", "", "")}, []string{"Observation.d"}, false},
			{leakAsk{body: one(kind, "POST", "Patient", ada, `,"ifNoneExist":"_id=shared"`)}, []string{"Patient.c", "Patient.s"}, false},
		} {
			e.method = "POST"
			list = append(list, e)
		}
	}
	conditional := one("transaction", "POST", "Observation", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient?_id=shared"}}`, "")
	return append(list, needs{leakAsk{"POST", "", conditional, nil}, []string{"Observation.c", "Patient.s"}, true})
}

// granted expands a scope into "Type.letter".
func granted(scopes string) (out []string) {
	for s := range strings.FieldsSeq(scopes) {
		typ, letters, _ := strings.Cut(strings.TrimPrefix(s, "system/"), ".")
		letters = map[string]string{"read": "rs", "write": "cud", "*": "cruds"}[letters] + strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(letters, "read"), "write"), "*")
		types := []string{typ}
		if typ == "*" {
			types = []string{"Patient", "Observation"}
		}
		for _, typ := range types {
			for _, l := range letters {
				out = append(out, typ+"."+string(l))
			}
		}
	}
	return out
}

// TestScopes sends every interaction with every kind of grant: what is granted works, all else is forbidden, in Bundles, too.
func TestScopes(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n := p.Tenant(t)
	loadCrafted(t, n, "alpha", "bravo", "https://x.example/fhir")
	watch := watchChart(t, n)
	tried := 0
	for _, scope := range []string{"system/*.cruds", "system/*.*", "system/*.read", "system/*.write", "system/*.rs", "system/Patient.c", "system/Patient.r", "system/Patient.u",
		"system/Patient.d", "system/Patient.s", "system/Observation.cud", "system/Observation.u", "system/Observation.d", "system/Patient.read", "system/Patient.write", "system/Patient.*",
		"system/Observation.s", "system/Observation.s system/Patient.s", "system/Observation.c system/Patient.r", "system/Observation.cs system/Patient.rs", "system/Encounter.cruds"} {
		c := p.Client(t, n.Slug, scope)
		has := granted(scope)
		for _, in := range interactions() {
			missing := slices.ContainsFunc(in.scopes, func(s string) bool { return !slices.Contains(has, s) })
			var body any
			if in.body != "" {
				body = in.body
			}
			before := ""
			if missing && in.fresh {
				before = watch.state(t)
			}
			r := c.Do(t, in.method, in.path, body, in.headers...)
			forbidden := r.Status == http.StatusForbidden
			if in.path == "" && r.Status == http.StatusOK { // the entry has the status
				st := r.JSON(t)["entry"].([]any)[0].(map[string]any)["response"].(map[string]any)["status"].(string)
				forbidden = strings.HasPrefix(st, "403")
				if !missing && st[0] != '2' {
					t.Errorf("%s: %s %.200s: entry %s", scope, in, in.body, st)
				}
			}
			if forbidden != missing || r.Status >= 500 || (r.Status >= 400 && r.Status != 403 && !strings.Contains(in.path, "unknown")) {
				t.Errorf("%s: %s %.300s needs %v: %d %.300s", scope, in, in.body, in.scopes, r.Status, r.Body)
			}
			if missing && strings.Contains(string(r.Body), "alphasecret") {
				t.Errorf("%s: %s shows a patient", scope, in)
			}
			if before != "" && before != watch.state(t) {
				t.Errorf("%s: %s was forbidden and wrote", scope, in)
			}
			tried++
		}
	}
	t.Logf("%d interactions with %d grants", tried, 21)
}

// typesIn gives the resource types of a Bundle, sorted.
func typesIn(t testing.TB, r cordontest.Response) (out []string) {
	t.Helper()
	entries, _ := r.Want(t, http.StatusOK).JSON(t)["entry"].([]any)
	for _, e := range entries {
		res, _ := e.(map[string]any)["resource"].(map[string]any)
		if s := fmt.Sprint(res["resourceType"]); !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return out
}

// TestScopesOfWhatComesAlong asks for more than the type that was granted, by what brings other types along.
func TestScopesOfWhatComesAlong(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n := p.Tenant(t)
	loadCrafted(t, n, "alpha", "bravo", "https://x.example/fhir")
	batch := func(url string) leakAsk {
		return leakAsk{"POST", "", `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"` + url + `"}}]}`, nil}
	}
	for _, c := range []struct{ scope, path, want string }{
		{"system/*.rs", "/Observation?_id=shared&_include=Observation:subject&_include=Observation:performer", "Observation Patient Practitioner"},
		{"system/Observation.rs", "/Observation?_id=shared&_include=Observation:subject&_include=Observation:performer", "Observation"},
		{"system/Observation.rs system/Patient.r", "/Observation?_id=shared&_include=Observation:subject&_include=Observation:performer", "Observation Patient"},
		{"system/Observation.rs system/Patient.cuds", "/Observation?_id=shared&_include=Observation:subject", "Observation"},
		{"system/Patient.rs", "/Patient?_id=shared&_revinclude=Observation:subject&_revinclude=Condition:subject&_include=Patient:general-practitioner", "Patient"},
		{"system/Patient.rs system/Condition.rs", "/Patient?_id=shared&_revinclude=Observation:subject&_revinclude=Condition:subject", "Condition Patient"},
		{"system/Patient.rs system/Condition.r", "/Patient?_id=shared&_revinclude=Observation:subject&_revinclude=Condition:subject", "Patient"},
		{"system/Patient.rs system/Condition.s", "/Patient?_id=shared&_revinclude=Observation:subject&_revinclude=Condition:subject", "Patient"},
		{"system/*.rs", "/Patient?_id=shared&_revinclude=Observation:subject&_revinclude=Group:member", "Group Observation Patient"},
		{"system/Patient.r", "/Patient/shared/$everything", "Patient"},
		{"system/Patient.r system/Observation.r", "/Patient/shared/$everything", "Observation Patient"},
		{"system/Patient.r system/Encounter.r system/Practitioner.s", "/Patient/shared/$everything", "Encounter Patient"},
	} {
		client := p.Client(t, n.Slug, c.scope)
		if got := strings.Join(typesIn(t, client.Do(t, "GET", c.path, nil)), " "); got != c.want {
			t.Errorf("%s: %s brings %s, want %s", c.scope, c.path, got, c.want)
		}
		a := batch(strings.TrimPrefix(c.path, "/"))
		inner := client.Do(t, a.method, a.path, a.body).Want(t, http.StatusOK).JSON(t)["entry"].([]any)[0].(map[string]any)["resource"]
		if got := strings.Join(typesIn(t, cordontest.Response{Status: 200, Body: mustEncode(t, inner)}), " "); got != c.want {
			t.Errorf("%s: %s in a batch brings %s, want %s", c.scope, c.path, got, c.want)
		}
	}
	for _, c := range []struct{ scope, path string }{
		{"system/Observation.rs", "/Observation?subject:Patient.name=alphasecret"},
		{"system/Observation.rs system/Patient.r", "/Observation?subject:Patient.name=alphasecret"},
		{"system/Observation.rs", "/Observation?patient.identifier=x&_summary=count"},
		{"system/Observation.rs", "/Patient/shared/$everything"},
		{"system/Observation.rs", "/Observation?encounter.status=finished"},
	} {
		p.Client(t, n.Slug, c.scope).Do(t, "GET", c.path, nil).Want(t, http.StatusForbidden)
	}
}

// TestNarrowing asks the token endpoint for less and for more than a client has.
func TestNarrowing(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n := p.Tenant(t)
	for _, c := range []struct{ has, ask, want string }{
		{"system/*.cruds", "", "system/*.cruds"},
		{"system/*.cruds", "system/Patient.r", "system/Patient.r"},
		{"system/*.cruds", "system/Patient.read", "system/Patient.rs"},
		{"system/*.read", "system/*.cruds", "system/*.rs"},
		{"system/Patient.rs", "system/*.cruds", "system/Patient.rs"},
		{"system/Patient.rs system/Observation.r", "system/*.*", "system/Patient.rs system/Observation.r"},
		{"system/Patient.rs", "system/Patient.write system/Patient.s", "system/Patient.s"},
		{"system/Patient.rs", "system/Observation.r", ""},
		{"system/Patient.rs", "system/Patient.cud", ""},
		{"system/Patient.rs", "openid", ""},
		{"system/Patient.rs", "user/Patient.rs", ""},
		{"system/Patient.rs", "system/Patient.rs?category=x", ""},
	} {
		client := cordontest.Tenant{Client: p.Client(t, n.Slug, c.has), Slug: n.Slug}
		r := tokenForm(t, &client, grant("client_id", client.ClientID, "client_secret", client.Secret, "scope", c.ask))
		got, _ := r.JSON(t)["scope"].(string)
		if got != c.want || (c.want == "" && r.Status != http.StatusBadRequest) {
			t.Errorf("%q of %q: %d %s", c.ask, c.has, r.Status, r.Body)
		}
	}
}
