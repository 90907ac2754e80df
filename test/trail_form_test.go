package test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// balpAgent is the codes of client and server that a BALP profile fixes.
type balpAgent struct{ client, server string }

var balpRoles = map[string]balpAgent{"Create": {"110153", "110152"}, "Update": {"110153", "110152"}, "Query": {"110153", "110152"}, "Read": {"110152", "110153"}, "Delete": {"110150", "custodian"}}

// balpHolds checks what the profile that an AuditEvent names asks of it (BALP 1.1: Read, Create, Update, Delete, Query and their patient
// forms). It gives the profile's name.
func balpHolds(t testing.TB, e map[string]any) string {
	t.Helper()
	meta := part(e, "meta")
	names, _ := meta["profile"].([]any)
	if len(names) != 1 {
		return ""
	}
	name := strings.TrimPrefix(fmt.Sprint(names[0]), "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.")
	kind := strings.TrimPrefix(name, "Patient")
	wrong := func(format string, args ...any) { t.Errorf("%s: %s in %v", name, fmt.Sprintf(format, args...), e) }
	code := func(v any) string {
		m, _ := v.(map[string]any)
		return fmt.Sprint(m["code"])
	}
	action := map[string]string{"Create": "C", "Update": "U", "Query": "E", "Read": "R", "Delete": "D"}[kind]
	if e["action"] != action || e["outcome"] != "0" || code(e["type"]) != "rest" {
		wrong("action %v, outcome %v, type %v", e["action"], e["outcome"], e["type"])
	}
	subs := e["subtype"].([]any)
	if kind == "Delete" && len(subs) != 1 {
		wrong("%d subtypes", len(subs))
	}
	agents := map[string]map[string]any{}
	for _, a := range e["agent"].([]any) {
		m := a.(map[string]any)
		agents[code(m["type"].(map[string]any)["coding"].([]any)[0])] = m
	}
	want, ok := balpRoles[kind]
	for who, c := range map[string]string{"client": want.client, "server": want.server} {
		a := agents[c]
		if a["requestor"] != (who == "client") { // the codes flip with the interaction: each must be at its own agent
			wrong("the code of the %s is not at the %s", who, who)
		}
		if !ok || a == nil || a["who"] == nil || part(a, "network")["address"] == nil || part(a, "network")["type"] == nil {
			wrong("no whole %s", who)
		}
		if kind == "Delete" && a["policy"] != nil {
			wrong("a policy at the %s", who)
		}
	}
	slices2 := map[string][]map[string]any{}
	for _, x := range e["entity"].([]any) {
		m := x.(map[string]any)
		slices2[code(m["type"])] = append(slices2[code(m["type"])], m)
	}
	if len(slices2["2"]) != 1 || len(slices2["1"]) > 1 || (len(slices2["1"]) == 1) != strings.HasPrefix(name, "Patient") || len(slices2["XrequestId"]) != 1 {
		wrong("entities %v", slices2)
	}
	data := slices2["2"][0]
	if kind == "Query" {
		raw, err := base64.StdEncoding.DecodeString(fmt.Sprint(data["query"]))
		if code(data["role"]) != "24" || err != nil || !strings.Contains(string(raw), "?") || data["what"] != nil || data["detail"] != nil {
			wrong("query %v", data)
		}
	} else if code(data["role"]) != "4" || part(data, "what")["reference"] == nil || data["query"] != nil {
		wrong("data %v", data)
	}
	for _, m := range slices2["1"] {
		if code(m["role"]) != "1" || !strings.HasPrefix(fmt.Sprint(part(m, "what")["reference"]), "Patient/") || (kind == "Delete" && m["detail"] != nil) {
			wrong("patient %v", m)
		}
	}
	return name
}

// TestEveryEventIsAnAuditEvent makes every kind of event there is, and shows all of them to the tenant's auditor: each is valid R4, and
// keeps the BALP profile that it names.
func TestEveryEventIsAnAuditEvent(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n := p.Tenant(t)
	id := n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated).ID(t)
	for _, i := range oneOfEach(n, id) {
		n.Do(t, i.method, i.path, map[bool]any{true: i.body, false: nil}[i.body != ""]).Want(t, i.ok)
	}
	n.Do(t, http.MethodPost, "/Organization", `{"resourceType":"Organization","id":"o","name":"x"}`).Want(t, http.StatusCreated)
	n.Do(t, http.MethodPut, "/Organization/o", `{"resourceType":"Organization","id":"o","name":"x"}`).Want(t, http.StatusCreated)
	n.Do(t, http.MethodGet, "/Organization/o", nil).Want(t, http.StatusOK)
	n.Do(t, http.MethodGet, "/Organization?name=x", nil).Want(t, http.StatusOK)
	n.Do(t, http.MethodDelete, "/Organization/o", nil).Want(t, http.StatusNoContent)
	n.Do(t, http.MethodPost, "/Patient", "{", "X-Request-Id", "broken").Want(t, http.StatusBadRequest)
	n.Do(t, http.MethodGet, "/Patient/"+id, nil, "Authorization", "").Want(t, http.StatusUnauthorized)
	p.Client(t, n.Slug, "system/Patient.r").Do(t, http.MethodDelete, "/Patient/"+id, nil).Want(t, http.StatusForbidden)
	p.Send(t, http.MethodPost, n.TokenURL, []byte("grant_type=client_credentials&client_id="+n.ClientID+"&client_secret=x"), map[string]string{"Content-Type": "application/x-www-form-urlencoded"}).Want(t, http.StatusUnauthorized)
	for _, verb := range []string{"suspend", "resume"} {
		p.Operator(t, http.MethodPost, "/tenants/"+n.Slug+"/"+verb, nil).Want(t, http.StatusOK)
	}
	n.Do(t, http.MethodGet, "/AuditEvent?patient="+id, nil).Want(t, http.StatusOK)
	exported := n.Events(t)
	kinds, profiles := map[string]bool{}, map[string]int{}
	shown := map[string]bool{}
	for path := "/AuditEvent?_count=20"; path != ""; {
		r := n.Do(t, http.MethodGet, path, nil)
		for _, e := range auditEvents(t, r) {
			b, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			wellFormed(t, b)
			profiles[balpHolds(t, e)]++
			shown[e["id"].(string)] = true
			subs := e["subtype"].([]any)
			kinds[fmt.Sprint(subs[len(subs)-1].(map[string]any)["code"])] = true
		}
		path = nextLink(t, n.Client, r)
	}
	for _, e := range exported { // what is exported is shown, whichever role recorded it
		if !shown[e["event_id"].(string)] {
			t.Errorf("not shown: %v", e)
		}
	}
	for _, want := range []string{"Read", "PatientRead", "Create", "PatientCreate", "Update", "PatientUpdate", "Delete", "PatientDelete", "Query", "PatientQuery", ""} {
		if want != "Update" && profiles[want] == 0 {
			t.Errorf("no event of profile %q among %v", want, profiles)
		}
	}
	for _, want := range []string{"rest-read", "rest-vread", "rest-search-type", "rest-history-instance", "rest-everything", "rest-create", "rest-update", "delete", "rest-transaction", "rest-refused",
		"audit-export", "audit-search-type", "token-issue", "token-refuse", "client-register", "tenant-suspended", "tenant-active", "tenant-activate", "key-mint", "key-lease-chart", "key-lease-audit"} {
		if !kinds[want] {
			t.Errorf("no event %s among %v", want, kinds)
		}
	}
	if !slices.ContainsFunc(exported, func(e map[string]any) bool { return e["before"] == "active" && e["after"] == "suspended" }) {
		t.Error("no event says what a tenant was before")
	}
}
