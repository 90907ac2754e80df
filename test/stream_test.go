package test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// streamed reads a stream that ends: its events, and its last cursor.
func streamed(t testing.TB, p *cordontest.Platform, query string) (events []map[string]any, cursor, raw string) {
	t.Helper()
	r := p.Operator(t, http.MethodGet, "/audit/stream?"+query, nil).Want(t, http.StatusOK)
	for line := range bytes.Lines(r.Body) {
		var e map[string]any
		if err := json.Unmarshal(line, &e); err != nil || !bytes.HasSuffix(line, []byte("\n")) {
			t.Fatalf("not one JSON a line: %v: %.200s", err, line)
		}
		if m, ok := e["checkpoint"].(map[string]any); ok {
			cursor = m["cursor"].(string)
			continue
		}
		events = append(events, e)
	}
	return events, cursor, string(r.Body)
}

// untilStreamed reads from a cursor until an event under the request came: what commits is streamed when nothing older can follow.
func untilStreamed(t *testing.T, p *cordontest.Platform, query, cursor, request string) (all []map[string]any, next string) {
	t.Helper()
	next = cursor
	cordontest.Eventually(t, "the event is streamed", func() bool {
		var events []map[string]any
		events, next, _ = streamed(t, p, query+"&since="+next)
		all = append(all, events...)
		return slices.ContainsFunc(all, func(e map[string]any) bool { return e["request_id"] == request })
	})
	return all, next
}

// TestStreamMissesNothing reads one tenant's stream in pieces while events are made, and compares it with the export: each event once
// or more, none lost, nothing of a patient, nothing of the neighbour.
func TestStreamMissesNothing(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n, other := p.Tenant(t), p.Tenant(t)
	id := n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated).ID(t)
	other.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated)
	query := "tenant=" + n.Slug
	var all []map[string]any
	cursor := ""
	for range 4 {
		request := uuid.NewString()
		n.Do(t, http.MethodGet, "/Patient?family=Lovelace", nil).Want(t, http.StatusOK)
		n.Do(t, http.MethodGet, "/Patient/"+id, nil, "X-Request-Id", request).Want(t, http.StatusOK)
		var events []map[string]any
		events, cursor = untilStreamed(t, p, query, cursor, request)
		all = append(all, events...)
	}
	_, _, raw := streamed(t, p, query)
	for _, phi := range []string{id, "Lovelace", "MRN-77", other.ID, other.ClientID, "bG92ZWxhY2U"} {
		if strings.Contains(raw, phi) {
			t.Errorf("the stream shows %q", phi)
		}
	}
	got, patients := map[string]int{}, map[string]bool{}
	for _, e := range all {
		got[e["event_id"].(string)]++
		if e["tenant_id"] != n.ID {
			t.Errorf("an event of tenant %v", e["tenant_id"])
		}
		if s, ok := e["patient"].(string); ok {
			patients[s] = true
		}
	}
	if len(patients) != 1 || !strings.HasPrefix(slices.Collect(mapKeys(patients))[0], "pseudonym/") {
		t.Errorf("pseudonyms of one patient: %v", patients)
	}
	last := all[len(all)-1]["event_id"].(string)
	for _, e := range n.Events(t) {
		if eid := e["event_id"].(string); eid < last && got[eid] == 0 {
			t.Errorf("not streamed: %v", e)
		}
	}
	if s := of(n.Events(t), "audit", "stream"); len(s) < 2 || part(s[0], "agent")["id"] != "alice" {
		t.Errorf("the reading is not in the trail: %v", s)
	}
	for _, bad := range []string{"format=xml", "since=%21", "tenant=nobody-here", "tenant=..", "since=e30x"} {
		if r := p.Operator(t, http.MethodGet, "/audit/stream?"+bad, nil); r.Status/100 != 4 {
			t.Errorf("%s: %d", bad, r.Status)
		}
	}
	p.Send(t, http.MethodGet, p.Info.URL+"/operator/v1/audit/stream", nil, map[string]string{"Authorization": "Bearer x"}).Want(t, http.StatusUnauthorized)
}

func mapKeys(m map[string]bool) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// TestStreamOCSF checks the shape of each class that the platform makes, over all tenants, and that no text of a caller breaks a line.
func TestStreamOCSF(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n := p.Tenant(t)
	id := n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated).ID(t)
	for _, i := range oneOfEach(n, id) {
		n.Do(t, i.method, i.path, map[bool]any{true: i.body, false: nil}[i.body != ""]).Want(t, i.ok)
	}
	nasty := "x\u202e\u2028\u0085{\"event_id\":\"forged\"}\x7f\x1b[31m\r\n{\"forged\":1}"
	p.Send(t, http.MethodPost, n.TokenURL, []byte("grant_type=client_credentials&client_secret=x&client_id="+strings.ReplaceAll(nasty, "\n", "%0a")), map[string]string{"Content-Type": "application/x-www-form-urlencoded"})
	p.Operator(t, http.MethodPost, "/tenants/"+n.Slug+"/clients", map[string]string{"name": "x", "scope": nasty})
	n.Do(t, http.MethodGet, "/Patient?name=%E2%80%AE%0d%0a%1b", nil, "X-Request-Id", "r\u202eq")
	request := uuid.NewString()
	n.Do(t, http.MethodGet, "/Patient/"+id, nil, "X-Request-Id", request)
	untilStreamed(t, p, "tenant="+n.Slug, "", request)
	events, cursor, raw := streamed(t, p, "format=ocsf")
	if cursor == "" {
		t.Error("no checkpoint")
	}
	for i := range raw {
		if raw[i] >= 0x7f || (raw[i] < 0x20 && raw[i] != '\n') {
			t.Fatalf("byte %#x in the stream", raw[i])
		}
	}
	classes := map[int]int{}
	tenants := map[string]bool{}
	for _, e := range events {
		num := func(k string) int { f, _ := e[k].(float64); return int(f) }
		class := num("class_uid")
		classes[class]++
		meta := part(e, "metadata")
		tenants[fmt.Sprint(meta["tenant_uid"])] = true
		if num("type_uid") != class*100+num("activity_id") || num("category_uid") != class/1000 || num("time") < 1e12 || num("severity_id") == 0 || num("status_id") == 0 || meta["uid"] == nil || meta["version"] != "1.3.0" {
			t.Errorf("not whole: %v", e)
		}
		want := map[int][]string{6003: {"actor", "api", "src_endpoint"}, 3002: {"user", "service"}, 3001: {"user"}, 3004: {"entity"}}[class]
		if want == nil {
			t.Errorf("class %d", class)
		}
		for _, k := range want {
			if len(part(e, k)) == 0 {
				t.Errorf("class %d without %s: %v", class, k, e)
			}
		}
		if e["status_id"] == 2.0 && e["status_detail"] == nil {
			t.Errorf("a failure without a reason: %v", e)
		}
	}
	if strings.Contains(raw, "Lovelace") || strings.Contains(raw, id) || strings.Contains(raw, "forged\\\":\\\"") {
		t.Error("the stream shows what it must not")
	}
	for _, c := range []int{6003, 3002, 3001, 3004} {
		if classes[c] == 0 {
			t.Errorf("no event of class %d among %v", c, classes)
		}
	}
	if !tenants[n.ID] || !tenants["<nil>"] {
		t.Errorf("tenants %v", tenants)
	}
	if s := of(n.Events(t), "audit", "stream"); len(s) == 0 {
		t.Error("a stream over all tenants is not in the tenant's trail")
	}
}

// TestStreamFollows keeps a stream open, and sees what happens after it was opened.
func TestStreamFollows(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n := p.Tenant(t)
	id := n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated).ID(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Info.URL+"/operator/v1/audit/stream?follow=true&tenant="+n.Slug, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+p.Info.Operators["alice"])
	resp, err := p.HTTP.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	in := bufio.NewScanner(resp.Body)
	until := func(text string) {
		t.Helper()
		for in.Scan() {
			if strings.Contains(in.Text(), text) {
				return
			}
		}
		t.Fatalf("the stream ended before %s: %v", text, in.Err())
	}
	until(`"checkpoint"`)
	request := uuid.NewString()
	n.Do(t, http.MethodGet, "/Patient/"+id, nil, "X-Request-Id", request).Want(t, http.StatusOK)
	until(request)
	until(`"checkpoint"`)
}

// TestStreamVerb goes on from the cursor that the command kept.
func TestStreamVerb(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n := p.Tenant(t)
	file := filepath.Join(t.TempDir(), "cursor")
	args := []string{"audit", "stream", "--tenant", n.Slug, "--format", "ocsf", "--cursor-file", file}
	var first string
	cordontest.Eventually(t, "the event is streamed", func() bool {
		first += verb(t, p, 0, args...).Out
		return strings.Contains(first, `"class_uid":3002`)
	})
	kept, err := os.ReadFile(file)
	if err != nil || len(kept) < 10 {
		t.Fatalf("%q %v", kept, err)
	}
	again := verb(t, p, 0, args...).Out
	for line := range strings.Lines(again) {
		if strings.Contains(first, line) {
			t.Errorf("after the cursor again: %s", line)
		}
	}
	verb(t, p, 1, "audit", "stream", "--tenant", "nobody-here")
}

// TestWhoVerb asks as an operator who saw a patient: the same events as the tenant's own auditor finds, of this patient alone, and the
// asking is one of them.
func TestWhoVerb(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n, other := p.Tenant(t), p.Tenant(t)
	put := `{"resourceType":"Patient","id":"same"}`
	n.Do(t, http.MethodPut, "/Patient/same", put).Want(t, http.StatusCreated)
	n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated)
	other.Do(t, http.MethodPut, "/Patient/same", put).Want(t, http.StatusCreated)
	n.Do(t, http.MethodGet, "/Patient/same", nil).Want(t, http.StatusOK)
	p.Client(t, n.Slug, "system/Patient.c").Do(t, http.MethodGet, "/Patient/same", nil).Want(t, http.StatusForbidden)
	found := allPages(t, n.Client, "/AuditEvent?patient=same&_sort=-date")
	who := func(args ...string) (ids, what []string) {
		out := oneJSON(t, verb(t, p, 0, append([]string{"audit", "who", "--tenant", n.Slug, "--json"}, args...)...).Out)
		for _, e := range out["events"].([]any) {
			m := e.(map[string]any)
			ids, what = append(ids, m["event_id"].(string)), append(what, fmt.Sprint(m["what"], " ", m["outcome"]))
		}
		return ids, what
	}
	ids, what := who("--patient", "Patient/same")
	if !slices.Equal(ids[1:], found) || strings.Join(what, ", ") != "audit/search-type success, rest/read refused, rest/read success, rest/update success" {
		t.Errorf("%v, the auditor found %v", what, found)
	}
	if _, what = who("--patient", "Patient/same", "--limit", "1"); strings.Join(what, ", ") != "audit/who success" {
		t.Errorf("asking is not in the patient's trail: %v", what)
	}
	if ids, _ = who("--patient", "Patient/same", "--since", "2999-01-01T00:00:00Z"); len(ids) != 0 {
		t.Errorf("%d events of the future", len(ids))
	}
	if ids, _ = who("--patient", "Patient/nobody"); len(ids) != 0 {
		t.Errorf("%d events of nobody", len(ids))
	}
	if table := verb(t, p, 0, "audit", "who", "--tenant", n.Slug, "--patient", "Patient/same").Out; !strings.Contains(table, n.ClientID) || !strings.Contains(table, "refused") || strings.Contains(table, other.ClientID) {
		t.Errorf("%s", table)
	}
	for _, bad := range [][]string{{"--patient", "same"}, {"--patient", "Patient/"}, {"--patient", "Patient/x", "--limit", "100000"}} {
		verb(t, p, 1, append([]string{"audit", "who", "--tenant", n.Slug}, bad...)...)
	}
	var leases int
	if err := p.SuperuserOn(t, "cordon_keyring").QueryRow(t.Context(), `SELECT count(*) FROM audit WHERE tenant = $1 AND position('with the blind id of one resource'::bytea in body) > 0`, n.ID).Scan(&leases); err != nil || leases < 4 {
		t.Errorf("%d leases say that they blind: %v", leases, err)
	}
}
