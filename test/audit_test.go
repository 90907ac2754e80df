package test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// of filters events by type and subtype.
func of(events []map[string]any, typ, subtype string) (out []map[string]any) {
	for _, e := range events {
		if e["type"] == typ && e["subtype"] == subtype {
			out = append(out, e)
		}
	}
	return out
}

// under filters events by request.
func under(events []map[string]any, request string) (out []map[string]any) {
	for _, e := range events {
		if e["request_id"] == request {
			out = append(out, e)
		}
	}
	return out
}

// first gives the first event, or none.
func first(events []map[string]any) map[string]any {
	if len(events) == 0 {
		return nil
	}
	return events[0]
}

// part reads agent, entity, source or decision.
func part(e map[string]any, name string) map[string]any {
	m, _ := e[name].(map[string]any)
	return m
}

// TestEventOfEachInteraction does each interaction under a request id of its own and compares the events with what one must hold.
func TestEventOfEachInteraction(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n := p.Tenant(t)
	began := time.Now()
	id := n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated).ID(t)
	action := map[string]string{"read": "R", "vread": "R", "history-instance": "R", "create": "C", "update": "U", "delete": "D"} // else E
	kinds := map[string]string{"search that finds nothing": "search-type", "read of nothing": "read", "read of what is gone": "read"}
	request := map[string]string{}
	all := oneOfEach(n, id)
	for _, i := range all {
		request[i.what] = uuid.NewString()
		var body any
		if i.body != "" {
			body = i.body
		}
		n.Do(t, i.method, i.path, body, "X-Request-Id", request[i.what], "User-Agent", "probe/1").Want(t, i.ok)
	}
	events := n.Events(t)
	for _, i := range all {
		got := under(events, request[i.what])
		if len(got) != 1 {
			t.Errorf("%s: %d events, want 1: %v", i.what, len(got), got)
			continue
		}
		e := got[0]
		kind := i.what
		if k, ok := kinds[i.what]; ok {
			kind = k
		}
		wantAction := "E"
		if a, ok := action[kind]; ok {
			wantAction = a
		}
		if e["type"] != "rest" || e["subtype"] != kind || e["action"] != wantAction {
			t.Errorf("%s: type %v, subtype %v, action %v", i.what, e["type"], e["subtype"], e["action"])
		}
		wantOutcome := "0"
		if i.ok >= 400 {
			wantOutcome = "4"
			if e["outcome_desc"] == "" {
				t.Errorf("%s: a failure without a reason", i.what)
			}
		}
		if e["outcome"] != wantOutcome {
			t.Errorf("%s: outcome %v, want %s", i.what, e["outcome"], wantOutcome)
		}
		common(t, i.what, e, n, began)
		if i.ok < 400 && i.what != "search that finds nothing" && e["patient"] != "Patient/"+id {
			t.Errorf("%s: patient %v", i.what, e["patient"])
		}
	}
	for what, want := range map[string][3]any{"read": {"Patient/" + id, 1.0, nil}, "vread": {"Patient/" + id, 1.0, nil}, "update": {"Patient/" + id, 2.0, 1.0},
		"delete": {"Patient/" + id, 3.0, 2.0}, "read of nothing": {"Patient/no-such-id", nil, nil}} {
		e := part(first(under(events, request[what])), "entity")
		if e["reference"] != want[0] || e["version"] != want[1] || e["previous_version"] != want[2] {
			t.Errorf("%s: entity %v, want %v", what, e, want)
		}
	}
	made := part(first(under(events, request["create"])), "entity")
	if made["type"] != "Observation" || made["version"] != 1.0 || made["previous_version"] != nil {
		t.Errorf("create: entity %v", made)
	}
	refs, _ := first(under(events, request["transaction"]))["resources"].([]any)
	if len(refs) != 1 || !strings.HasPrefix(refs[0].(string), "Observation/") || !strings.HasSuffix(refs[0].(string), "/_history/1") {
		t.Errorf("transaction: resources %v", refs)
	}
}

// common checks what every event of an interaction has.
func common(t *testing.T, what string, e map[string]any, n *cordontest.Tenant, began time.Time) {
	t.Helper()
	id, err := uuid.Parse(fmt.Sprint(e["event_id"]))
	recorded, terr := time.Parse(time.RFC3339Nano, fmt.Sprint(e["recorded"]))
	if err != nil || id.Version() != 7 || terr != nil || recorded.Before(began) || recorded.After(time.Now()) || !strings.HasSuffix(fmt.Sprint(e["recorded"]), "Z") {
		t.Errorf("%s: event %v recorded %v", what, e["event_id"], e["recorded"])
	}
	if e["tenant_id"] != n.ID {
		t.Errorf("%s: tenant %v", what, e["tenant_id"])
	}
	agent, source, decision := part(e, "agent"), part(e, "source"), part(e, "decision")
	if agent["kind"] != "client" || agent["id"] != n.ClientID || agent["client_id"] != n.ClientID || agent["address"] != "127.0.0.1" || len(fmt.Sprint(agent["user_agent_hash"])) != 16 {
		t.Errorf("%s: agent %v", what, agent)
	}
	if _, err := uuid.Parse(fmt.Sprint(agent["jti"])); err != nil {
		t.Errorf("%s: the token is named %v", what, agent["jti"])
	}
	if source["role"] != "cell" || source["site"] != "cell1" {
		t.Errorf("%s: source %v", what, source)
	}
	if decision["allow"] != true || decision["policy"] == nil || decision["reason"] != "system/*.cruds" {
		t.Errorf("%s: decision %v", what, decision)
	}
	if strings.Contains(fmt.Sprint(e), "eyJ") {
		t.Errorf("%s: the event holds a token", what)
	}
}

// TestOneEventPerPatientOfASet searches what belongs to three patients: each of them is told of in an event of its own, with the
// raw query and the number of resources, and nobody else's.
func TestOneEventPerPatientOfASet(t *testing.T) {
	t.Parallel()
	n := cordontest.Shared(t).Tenant(t)
	want := map[string]float64{}
	for i := range 4 {
		id := n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated).ID(t)
		code := "pulse"
		if i == 3 {
			code = "weight" // not asked for
		} else {
			want["Patient/"+id] = float64(i + 1)
		}
		for range i + 1 {
			n.Do(t, http.MethodPost, "/Observation", `{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"urn:c","code":"`+code+
				`"}]},"subject":{"reference":"Patient/`+id+`"}}`).Want(t, http.StatusCreated)
		}
	}
	search, included, posted, history := uuid.NewString(), uuid.NewString(), uuid.NewString(), uuid.NewString()
	query := "code=urn:c%7Cpulse&_sort=-date&status=final"
	n.Do(t, http.MethodGet, "/Observation?"+query, nil, "X-Request-Id", search).Want(t, http.StatusOK)
	n.Do(t, http.MethodGet, "/Observation?"+query+"&_include=Observation:subject", nil, "X-Request-Id", included).Want(t, http.StatusOK)
	n.Do(t, http.MethodPost, "/Observation/_search", query, "X-Request-Id", posted, "Content-Type", "application/x-www-form-urlencoded").Want(t, http.StatusOK)
	n.Do(t, http.MethodGet, "/Patient?name="+url.QueryEscape("Babbagé & söhne"), nil, "X-Request-Id", history).Want(t, http.StatusOK)
	events := n.Events(t)
	for what, request := range map[string]string{"search": search, "search with include": included, "POST _search": posted} {
		got := map[string]float64{}
		for _, e := range under(events, request) {
			who := fmt.Sprint(e["patient"])
			if _, twice := got[who]; twice {
				t.Errorf("%s: two events of %s", what, who)
			}
			got[who], _ = part(e, "entity")["count"].(float64)
			raw, err := base64.StdEncoding.DecodeString(fmt.Sprint(e["query"]))
			if err != nil || !strings.HasPrefix(string(raw), query) || part(e, "entity")["type"] != "Observation" {
				t.Errorf("%s: query %q (%v), entity %v", what, raw, err, e["entity"])
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: events of %v, want %v", what, got, want)
		}
		for who, n := range want {
			if what == "search with include" {
				n++ // the patient itself
			}
			if got[who] != n {
				t.Errorf("%s: %v resources of %s, want %v", what, got[who], who, n)
			}
		}
	}
	none := under(events, history)
	if raw, _ := base64.StdEncoding.DecodeString(fmt.Sprint(first(none)["query"])); len(none) != 1 || first(none)["patient"] != nil || string(raw) != "name=Babbag%C3%A9+%26+s%C3%B6hne" {
		t.Errorf("a search that finds nothing: %v, query %q", none, raw)
	}
}

// TestDenialsAreRecorded is refused in each way there is; each refusal is an event of the tenant that was asked, without a word
// of what was asked for.
func TestDenialsAreRecorded(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n, other := p.Tenant(t), p.Tenant(t)
	narrow := p.Client(t, n.Slug, "system/Observation.rs")
	id := n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated).ID(t)
	refused := map[string]string{}
	ask := func(what string, c *cordontest.Client, status int, path string, headers ...string) {
		t.Helper()
		refused[what] = uuid.NewString()
		r := c.Do(t, http.MethodGet, path, nil, append(headers, "X-Request-Id", refused[what])...)
		r.Want(t, status)
	}
	ask("no token", n.Client, 401, "/Patient/"+id, "Authorization", "")
	ask("no token of ours", n.Client, 401, "/Patient?name=Lovelace", "Authorization", "Bearer eyJhbGciOiJub25lIn0.e30.")
	foreign := &cordontest.Client{P: p, Base: n.Base}
	ask("another tenant's token", foreign, 403, "/Patient/"+id, "Authorization", "Bearer "+other.Token())
	ask("a narrow token", narrow, 403, "/Patient/"+id)
	ask("a narrow token's search", narrow, 403, "/Patient?name=Lovelace")
	ask("host and path that differ", n.Client, 403, "/Patient/"+id, "Host", other.Slug+".localhost")
	events := append(n.Events(t), other.Events(t)...)
	for what, request := range refused {
		got := under(events, request)
		if what == "host and path that differ" { // of no tenant: it is the platform's
			got = platformEvents(t, p, request)
		}
		if len(got) != 1 {
			t.Errorf("%s: %d events", what, len(got))
			continue
		}
		e := got[0]
		if e["outcome"] != "4" || part(e, "decision")["allow"] != false || part(e, "decision")["reason"] == nil || part(e, "agent")["address"] != "127.0.0.1" {
			t.Errorf("%s: %v", what, e)
		}
		if what != "host and path that differ" && e["tenant_id"] != n.ID {
			t.Errorf("%s: recorded for tenant %v", what, e["tenant_id"])
		}
		if s := fmt.Sprint(e); strings.Contains(s, "Lovelace") || strings.Contains(s, "eyJ") {
			t.Errorf("%s: the event says too much: %s", what, s)
		}
	}
	// At an address of its own: of those that other tests send at once from theirs some are a number only.
	stranger := socketFrom(t, p, "127.0.0.3")
	if _, err := fmt.Fprintf(stranger, "GET /operator/v1/tenants HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer nope\r\nX-Request-Id: %s\r\n\r\n", refused["no token"]); err != nil {
		t.Fatal(err)
	}
	if got, err := ends(stranger, 20*time.Second); err != nil || !strings.HasPrefix(got, "HTTP/1.1 401 ") {
		t.Errorf("a false operator: %v after %.100q", err, got)
	}
	if got := platformEvents(t, p, refused["no token"]); len(got) != 1 || got[0]["type"] != "operator" || got[0]["subtype"] != "refused" {
		t.Errorf("a false operator: %v", got)
	}
}

// platformEvents are those of no tenant, under a request.
func platformEvents(t *testing.T, p *cordontest.Platform, request string) (out []map[string]any) {
	t.Helper()
	r, err := p.SuperuserOn(t, "cordon_control").Query(t.Context(), `SELECT convert_from(body, 'UTF8')::jsonb FROM audit
		WHERE tenant = '00000000-0000-0000-0000-000000000000' AND convert_from(body, 'UTF8')::jsonb->>'request_id' = $1`, request)
	if err != nil {
		t.Fatal(err)
	}
	if out, err = pgx.CollectRows(r, pgx.RowTo[map[string]any]); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestPlatformOperationsAreRecorded follows a tenant through what operators, clients and the broker do about it.
func TestPlatformOperationsAreRecorded(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n := p.Tenant(t)
	n.Do(t, http.MethodGet, "/Patient", nil).Want(t, http.StatusOK)
	bad := url.Values{"grant_type": {"client_credentials"}, "client_id": {n.ClientID}, "client_secret": {"wrong"}}
	p.Send(t, http.MethodPost, n.TokenURL, []byte(bad.Encode()), map[string]string{"Content-Type": "application/x-www-form-urlencoded"}).Want(t, http.StatusUnauthorized)
	p.Operator(t, http.MethodPost, "/tenants/"+n.Slug+"/suspend", nil).Want(t, http.StatusOK)
	n.Do(t, http.MethodGet, "/Patient", nil).Want(t, http.StatusForbidden)
	p.Operator(t, http.MethodPost, "/tenants/"+n.Slug+"/resume", nil).Want(t, http.StatusOK)
	before := n.Events(t)
	second := n.Events(t)
	if len(second) <= len(before) {
		t.Errorf("reading the log is no event: %d, then %d", len(before), len(second))
	}
	for _, want := range []struct {
		typ, subtype, kind, id string
		n                      int
	}{
		{"tenant", "request", "operator", "alice", 1}, {"tenant", "provision", "operator", "alice", 1}, {"tenant", "step-keys", "operator", "alice", 1},
		{"tenant", "step-leak-probe", "operator", "alice", 1}, {"tenant", "activate", "operator", "alice", 1}, {"tenant", "suspended", "operator", "alice", 1},
		{"tenant", "active", "operator", "alice", 1}, {"client", "register", "operator", "alice", 1}, {"token", "issue", "client", n.ClientID, 1},
		{"token", "refuse", "anonymous", "", 1}, {"key", "mint", "operator", "alice", 1}, {"key", "lease-chart", "client", n.ClientID, 1},
		{"key", "lease-audit", "operator", "alice", 1}, // of the first reading: that of the second comes after the broker's events were read
		{"audit", "export", "operator", "alice", 4},    // control's and the cell's, of both readings
	} {
		got := of(second, want.typ, want.subtype)
		if len(got) != want.n {
			t.Errorf("%s %s: %d events, want %d", want.typ, want.subtype, len(got), want.n)
		}
		for _, e := range got {
			agent := part(e, "agent")
			if want.subtype != "lease-audit" && want.subtype != "lease-chart" && (e["request_id"] == nil || agent["address"] != "127.0.0.1") {
				t.Errorf("%s %s does not say from where and under which request: %v", want.typ, want.subtype, e)
			}
			if id, _ := agent["id"].(string); agent["kind"] != want.kind || id != want.id || e["tenant_id"] != n.ID || e["outcome"] == nil || part(e, "source")["role"] == nil {
				t.Errorf("%s %s: %v", want.typ, want.subtype, e)
			}
		}
	}
	if e := of(second, "client", "register"); len(e) == 1 && strings.Contains(fmt.Sprint(e[0]), n.Secret) {
		t.Error("the event of a registration holds the secret")
	}
	if issued, used := part(first(of(second, "token", "issue")), "agent")["jti"], part(first(of(second, "rest", "search-type")), "agent")["jti"]; issued != used || issued == nil {
		t.Errorf("token %v was issued, token %v was used", issued, used)
	}
	if !slices.IsSortedFunc(second, func(a, b map[string]any) int {
		return strings.Compare(fmt.Sprint(a["event_id"]), fmt.Sprint(b["event_id"]))
	}) {
		t.Error("the export is not in the order of time")
	}
}

// TestNoForeignEventInAnExport gives each of two tenants its own events and no others.
func TestNoForeignEventInAnExport(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	a, b := p.Tenant(t), p.Tenant(t)
	for _, n := range []*cordontest.Tenant{a, b} {
		n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated)
	}
	for _, n := range []*cordontest.Tenant{a, b} {
		for _, e := range n.Events(t) {
			if e["tenant_id"] != n.ID {
				t.Errorf("a foreign event: %v", e)
			}
		}
	}
}

// TestEventsAreSealed reads the rows as the superuser: of a chart's event nothing but its id, its time and a blind patient is
// readable; the events of control and the broker are, and hold nothing of a patient.
func TestEventsAreSealed(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n := p.Tenant(t)
	id := n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated).ID(t)
	for _, path := range []string{"/Patient?family=Lovelace", "/Patient/" + id, "/Patient?identifier=urn:mrn|MRN-77"} {
		n.Do(t, http.MethodGet, path, nil).Want(t, http.StatusOK)
		n.Do(t, http.MethodGet, path, nil, "Authorization", "").Want(t, http.StatusUnauthorized)
	}
	number := number(t, n)
	for database, where := range map[string]string{"cordon_cell1": fmt.Sprintf("tenant = %d", number), "cordon_control": "tenant = '" + n.ID + "'", "cordon_keyring": "tenant = '" + n.ID + "'"} {
		r, err := p.SuperuserOn(t, database).Query(t.Context(), "SELECT body FROM audit WHERE "+where)
		if err != nil {
			t.Fatal(err)
		}
		bodies, err := pgx.CollectRows(r, pgx.RowTo[[]byte])
		if err != nil || len(bodies) == 0 {
			t.Fatalf("%d events in %s: %v", len(bodies), database, err)
		}
		words := []string{"Lovelace", "MRN-77", id, base64.StdEncoding.EncodeToString([]byte("family=Lovelace"))}
		if database == "cordon_cell1" {
			words = append(words, "event_id", "Patient", "search", n.ClientID, "127.0.0.1")
		}
		for _, b := range bodies {
			for _, w := range words {
				if strings.Contains(string(b), w) {
					t.Errorf("%s: an event shows %q", database, w)
				}
			}
		}
	}
	var clear int
	if err := p.Superuser(t).QueryRow(t.Context(), "SELECT count(*) FROM audit WHERE keyver = 0").Scan(&clear); err != nil || clear != 0 {
		t.Errorf("%d events of charts are not sealed: %v", clear, err)
	}
}
