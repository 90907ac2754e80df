package test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// TestStreamOutlivesSpoiltRows plants rows: one of a chart that does not open, and one of control that is a checkpoint of its own. Each
// stands as a placeholder in the stream, the export and the auditor's view, which all go on; nothing that was planted is shown; and
// the alarm is raised.
func TestStreamOutlivesSpoiltRows(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	n := charted(t, p)
	_, cursor, _ := streamed(t, p, "")
	spoilt, planted := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
	if _, err := p.Superuser(t).Exec(t.Context(), `INSERT INTO audit (id, recorded, patient, tenant, keyver, body, digest)
SELECT $2, recorded, patient, tenant, keyver, '\x00', digest FROM audit WHERE tenant = $1 LIMIT 1`, number(t, n), spoilt); err != nil {
		t.Fatal(err)
	}
	control := p.SuperuserOn(t, "cordon_control")
	lie := fmt.Sprintf(`{"checkpoint":{"cursor":"bGllcw"},"event_id":"%s","tenant_id":"%s","type":"audit","subtype":"lies"}`, planted, n.ID)
	if _, err := control.Exec(t.Context(), `INSERT INTO audit (id, recorded, tenant, body, mac) VALUES ($1, $2, $3, $4, $5)`, planted, time.Now().UnixNano(), n.ID, []byte(lie), []byte("of nobody")); err != nil {
		t.Fatal(err)
	}
	id := n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated).ID(t)
	request := uuid.NewString()
	n.Do(t, http.MethodGet, "/Patient/"+id, nil, "X-Request-Id", request).Want(t, http.StatusOK)
	all, _ := untilStreamed(t, p, "", cursor, request)
	holds := func(where string, events []map[string]any, ids ...uuid.UUID) {
		t.Helper()
		for _, id := range ids {
			i := slices.IndexFunc(events, func(e map[string]any) bool { return e["event_id"] == id.String() })
			if i < 0 || events[i]["type"] != "security" || events[i]["subtype"] != "seal-broken" || events[i]["patient"] != nil {
				t.Errorf("%s: no placeholder of %s", where, id)
			}
		}
		if strings.Contains(fmt.Sprint(events), "lies") || strings.Contains(fmt.Sprint(events), "bGllcw") {
			t.Errorf("%s: a planted row is shown", where)
		}
	}
	holds("stream", all, spoilt, planted)
	holds("export", n.Events(t), spoilt, planted)
	view := string(n.Do(t, http.MethodGet, "/AuditEvent?_count=100", nil).Want(t, http.StatusOK).Body)
	for _, id := range []uuid.UUID{spoilt, planted} {
		if !strings.Contains(view, id.String()) || strings.Contains(view, "lies") {
			t.Errorf("the auditor's view: %s", view)
		}
	}
	verb(t, p, 0, "audit", "who", "--tenant", n.Slug, "--patient", "Patient/"+id)
	if alerts := sealAlerts(t, control, n.ID); len(alerts) < 2 {
		t.Errorf("alerts: %v", alerts)
	}
}

// TestStreamRefusesTheFuture goes on from a cursor beyond all events.
func TestStreamRefusesTheFuture(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	for _, role := range []string{"cell", "control", "keys"} {
		since := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"%s":9000000000000000000}`, role))
		if r := p.Operator(t, http.MethodGet, "/audit/stream?since="+since, nil); r.Status != http.StatusBadRequest {
			t.Errorf("beyond the horizon of %s: %d", role, r.Status)
		}
	}
}

// TestStreamHasTenantsOfEveryState passes a tenant by while it is in a state without keys: what control and the broker have of it comes
// all the same.
func TestStreamHasTenantsOfEveryState(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	_, cursor, _ := streamed(t, p, "")
	control := p.SuperuserOn(t, "cordon_control")
	for _, state := range []string{"requested", "provisioning", "destroyed"} {
		n := p.Tenant(t)
		if _, err := control.Exec(t.Context(), `UPDATE tenant SET state = $2 WHERE id = $1`, n.ID, state); err != nil {
			t.Fatal(err)
		}
		roles := map[string]bool{}
		cordontest.Eventually(t, "events of both roles of a tenant that is "+state, func() bool {
			var events []map[string]any
			events, cursor, _ = streamed(t, p, "since="+cursor)
			for _, e := range events {
				if e["tenant_id"] == n.ID && e["subtype"] != "stream" {
					roles[fmt.Sprint(part(e, "source")["role"])] = true
				}
			}
			return roles["control"] && roles["keys"]
		})
	}
}

// TestStreamMakesNoNews polls the stream of all tenants until nothing comes: each reading is recorded, and the record of a reading is
// not read by one that is recorded in turn.
func TestStreamMakesNoNews(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	n := charted(t, p)
	cursor := ""
	leases := func() (count int) {
		if err := p.SuperuserOn(t, "cordon_keyring").QueryRow(t.Context(), `SELECT count(*) FROM audit WHERE tenant = $1 AND position('"lease-audit"'::bytea IN body) > 0`, n.ID).Scan(&count); err != nil {
			t.Fatal(err)
		}
		return count
	}
	quiet := 0
	for range 40 {
		var events []map[string]any
		events, cursor, _ = streamed(t, p, "since="+cursor)
		quiet++
		for _, e := range events {
			if e["tenant_id"] == n.ID {
				quiet = 0
			}
		}
		if quiet == 5 {
			break
		}
	}
	if got := leases(); quiet < 5 || got == 0 || got > 3 {
		t.Errorf("%d polls without news, %d leases", quiet, got)
	}
}

// TestStreamVerbIsFollowedOn ends a followed stream without an error, as a platform that stops does: the command connects again.
func TestStreamVerbIsFollowedOn(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) > 1 {
			w.WriteHeader(http.StatusUnauthorized) // and ends the test
			return
		}
		_, _ = w.Write([]byte(`{"event_id":"one"}` + "\n"))
	}))
	defer s.Close()
	r := cordontest.Cordon(t, []string{"CORDON_DIR=", "CORDON_URL=" + s.URL, "CORDON_TOKEN=x"}, "audit", "stream", "--all", "--follow")
	if r.Code != 1 || asked.Load() != 2 || !strings.Contains(r.Out, `"one"`) || !strings.Contains(r.Err, "ended") {
		t.Errorf("exit %d after %d connections: %s%s", r.Code, asked.Load(), r.Out, r.Err)
	}
}

// TestQueriesAreBoundedInEvents sends the longest query that is taken: an event keeps its beginning, and what tells it from others.
func TestQueriesAreBoundedInEvents(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n := p.Tenant(t)
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	n.Do(t, http.MethodPost, "/Patient/_search", "name="+strings.Repeat("x", 64<<10), form...).Want(t, http.StatusRequestEntityTooLarge)
	request := uuid.NewString()
	n.Do(t, http.MethodPost, "/Patient/_search", "name="+strings.Repeat("x", 60<<10), append(form, "X-Request-Id", request)...)
	found := false
	for _, e := range n.Events(t) {
		if s, _ := e["query"].(string); s != "" && e["request_id"] == request {
			q, err := base64.StdEncoding.DecodeString(s)
			found = true
			if err != nil || len(q) > 5<<10 || !strings.Contains(string(q), "sha256=") {
				t.Errorf("%d bytes of a query are kept", len(q))
			}
		}
	}
	if !found {
		t.Error("no event of the query")
	}
}
