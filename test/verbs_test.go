package test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// verb runs an operator's verb on the shared platform.
func verb(t *testing.T, p *cordontest.Platform, code int, args ...string) cordontest.Ran {
	t.Helper()
	r := cordontest.Cordon(t, []string{"CORDON_DIR=" + p.Dir}, args...)
	if r.Code != code {
		t.Errorf("cordon %s: ended with %d, want %d: %s", strings.Join(args, " "), r.Code, code, r.Err)
	}
	if code == 0 && r.Err != "" {
		t.Errorf("cordon %s: says on stderr: %s", strings.Join(args, " "), r.Err)
	}
	if code == 1 && (!strings.HasPrefix(r.Err, "cordon: ") || r.Out != "") {
		t.Errorf("cordon %s: stderr %q, stdout %q", strings.Join(args, " "), r.Err, r.Out)
	}
	return r
}

func TestTenantVerbs(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	made := oneJSON(t, verb(t, p, 0, "tenant", "create", "verbs-a", "--placement", "pooled", "--json").Out)
	if want := []string{"cell", "fhir_base", "id", "placement", "slug", "state", "token_url"}; !slices.Equal(keys(made), want) {
		t.Errorf("tenant create --json has %v", keys(made))
	}
	at := p.Info.URL + "/t/verbs-a"
	if made["slug"] != "verbs-a" || made["state"] != "active" || made["placement"] != "pooled" || made["fhir_base"] != at+"/fhir" || made["token_url"] != at+"/oauth/token" {
		t.Errorf("tenant create --json: %v", made)
	}
	state := func(args ...string) any { return oneJSON(t, verb(t, p, 0, append(args, "--json")...).Out)["state"] }
	if s := state("tenant", "show", "verbs-a"); s != "active" {
		t.Errorf("shown as %v", s)
	}
	for range 2 { // each verb may be repeated
		if s := state("tenant", "suspend", "verbs-a"); s != "suspended" {
			t.Errorf("suspended as %v", s)
		}
	}
	if r := p.Send(t, http.MethodGet, at+"/fhir/metadata", nil, nil); r.Status != http.StatusForbidden {
		t.Errorf("a suspended tenant answers %d", r.Status)
	}
	for range 2 {
		if s := state("tenant", "resume", "verbs-a", "--as", "bob"); s != "active" {
			t.Errorf("resumed as %v", s)
		}
	}
	if r := p.Send(t, http.MethodGet, at+"/fhir/metadata", nil, nil); r.Status != http.StatusOK {
		t.Errorf("a resumed tenant answers %d", r.Status)
	}
	var list []map[string]any
	if err := json.Unmarshal([]byte(verb(t, p, 0, "tenant", "list", "--json").Out), &list); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(list, func(m map[string]any) bool { return m["slug"] == "verbs-a" && m["id"] == made["id"] }) {
		t.Errorf("not in the list: %v", list)
	}
	for _, words := range []string{verb(t, p, 0, "tenant", "list").Out, verb(t, p, 0, "tenant", "show", "verbs-a").Out, verb(t, p, 0, "tenant", "create", "verbs-a").Out} {
		if !strings.Contains(words, "verbs-a") || !strings.Contains(words, "active") || strings.Contains(words, "{") {
			t.Errorf("not for people: %s", words)
		}
	}
	for _, bad := range [][]string{{"create", "No"}, {"create", "x"}, {"create", "operator"}, {"create", "verbs-b", "--placement", "schema"}, {"show", "verbs-nobody"}, {"suspend", "verbs-nobody"},
		{"show", "../tenants"}, {"create", "a-slug-that-is-very-much-longer-than-forty-characters"}} {
		verb(t, p, 1, append([]string{"tenant"}, bad...)...)
	}
}

func TestClientAndAuditVerbs(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	verb(t, p, 0, "tenant", "create", "verbs-c")
	c := oneJSON(t, verb(t, p, 0, "client", "create", "--tenant", "verbs-c", "--name", "lab", "--scope", "system/*.cruds", "--json").Out)
	if !slices.Equal(keys(c), []string{"client_id", "client_secret"}) {
		t.Errorf("client create --json has %v", keys(c))
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c["client_id"].(string)}, "client_secret": {c["client_secret"].(string)}}
	p.Send(t, http.MethodPost, p.Info.URL+"/t/verbs-c/oauth/token", []byte(form.Encode()), map[string]string{"Content-Type": "application/x-www-form-urlencoded"}).Want(t, http.StatusOK)
	if words := verb(t, p, 0, "client", "create", "--tenant", "verbs-c", "--name", "lab", "--scope", "system/Patient.rs").Out; !strings.Contains(words, "client id") || !strings.Contains(words, "client secret") {
		t.Errorf("client create: %s", words)
	}
	verb(t, p, 1, "client", "create", "--tenant", "verbs-nobody", "--name", "lab", "--scope", "system/*.rs")
	verb(t, p, 1, "client", "create", "--tenant", "verbs-c", "--name", "lab", "--scope", "everything")
	var array []map[string]any
	if err := json.Unmarshal([]byte(verb(t, p, 0, "audit", "export", "--tenant", "verbs-c", "--json").Out), &array); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(verb(t, p, 0, "audit", "export", "--tenant", "verbs-c").Out), "\n")
	if len(lines) <= len(array) || len(of(array, "client", "register")) != 2 {
		t.Errorf("%d events as an array, then %d lines", len(array), len(lines))
	}
	for i, l := range lines {
		if e := oneJSON(t, l); i < len(array) && i < 5 && e["event_id"] != array[i]["event_id"] {
			t.Errorf("line %d is %v, element %v", i, e["event_id"], array[i]["event_id"])
		}
	}
	verb(t, p, 1, "audit", "export", "--tenant", "verbs-nobody")
	// The profile by variables reaches the same platform; a false token does not.
	at := []string{"CORDON_URL=" + p.Info.URL, "CORDON_CA=" + p.Info.CA}
	if r := cordontest.Cordon(t, append(at, "CORDON_TOKEN="+p.Info.Operators["bob"]), "tenant", "show", "verbs-c"); r.Code != 0 {
		t.Errorf("by profile: %d %s", r.Code, r.Err)
	}
	if r := cordontest.Cordon(t, append(at, "CORDON_TOKEN=false"), "tenant", "show", "verbs-c"); r.Code != 1 || !strings.Contains(r.Err, "token") {
		t.Errorf("by a false token: %d %s", r.Code, r.Err)
	}
	if r := cordontest.Cordon(t, []string{"CORDON_URL=https://127.0.0.1:1", "CORDON_TOKEN=x"}, "tenant", "list"); r.Code != 1 || !strings.Contains(r.Err, "reach the platform") {
		t.Errorf("nobody there: %d %s", r.Code, r.Err)
	}
}
