package test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// planted is an AuditEvent that a client would like to be taken for ours.
const planted = `{"resourceType":"AuditEvent","id":"planted","type":{"system":"http://terminology.hl7.org/CodeSystem/audit-event-type","code":"rest"},"recorded":"2026-01-01T00:00:00Z",
"agent":[{"requestor":true}],"source":{"observer":{"display":"x"}},"entity":[{"what":{"reference":"Patient/shared"}}]}`

// TestTrailIsWrittenByNobody tries to write an AuditEvent in every way there is, and to bring one along with a chart.
func TestTrailIsWrittenByNobody(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n := p.Tenant(t)
	loadCrafted(t, n, "alpha", "bravo", "https://x.example/fhir")
	ours := first(auditEvents(t, n.Do(t, http.MethodGet, "/AuditEvent?_count=1", nil)))["id"].(string)
	watch := watchChart(t, n)
	before := watch.state(t)
	for _, id := range []string{"planted", ours} {
		for _, a := range []leakAsk{{"POST", "/AuditEvent", planted, nil}, {"POST", "/AuditEvent", planted, []string{"If-None-Exist", "_id=planted"}},
			{"PUT", "/AuditEvent/" + id, strings.Replace(planted, `"planted"`, `"`+id+`"`, 1), nil}, {"PUT", "/AuditEvent?_id=" + id, planted, nil}, {"DELETE", "/AuditEvent/" + id, "", nil},
			{"DELETE", "/AuditEvent?_id=" + id, "", nil}, {"PATCH", "/AuditEvent/" + id, "[]", nil}, {"GET", "/AuditEvent/" + id + "/_history", "", nil}, {"GET", "/AuditEvent/" + id + "/_history/1", "", nil}} {
			r := n.Do(t, a.method, a.path, map[bool]any{true: a.body, false: nil}[a.body != ""], a.headers...)
			if r.Status != http.StatusMethodNotAllowed || !strings.Contains(string(r.Body), "OperationOutcome") {
				t.Errorf("%s: %d %s", a, r.Status, r.Body)
			}
		}
	}
	entry := func(kind, method, url, body, more string) string {
		if body != "" {
			body = `"resource":` + body + `,`
		}
		return `{"resourceType":"Bundle","type":"` + kind + `","entry":[{"resource":{"resourceType":"Patient","id":"alongside"},"request":{"method":"PUT","url":"Patient/alongside"}},{` + body +
			`"request":{"method":"` + method + `","url":"` + url + `"` + more + `}}]}`
	}
	for _, e := range [][4]string{{"POST", "AuditEvent", planted, ""}, {"POST", "AuditEvent", planted, `,"ifNoneExist":"_id=planted"`}, {"PUT", "AuditEvent/planted", planted, ""},
		{"DELETE", "AuditEvent/" + ours, "", ""}} {
		if r := n.Do(t, "POST", "", entry("transaction", e[0], e[1], e[2], e[3])); r.Status != http.StatusMethodNotAllowed {
			t.Errorf("transaction %s %s: %d %s", e[0], e[1], r.Status, r.Body)
		}
	}
	if after := watch.state(t); after != before {
		t.Error("something was written")
	}
	for _, e := range [][4]string{{"POST", "AuditEvent", planted, ""}, {"PUT", "AuditEvent/planted", planted, ""}, {"DELETE", "AuditEvent/" + ours, "", ""}} {
		r := n.Do(t, "POST", "", entry("batch", e[0], e[1], e[2], e[3])).Want(t, http.StatusOK)
		if st := fmt.Sprint(r.JSON(t)["entry"].([]any)[1].(map[string]any)["response"].(map[string]any)["status"]); !strings.HasPrefix(st, "405") {
			t.Errorf("batch %s %s: %s", e[0], e[1], st)
		}
	}
	n.Do(t, http.MethodGet, "/AuditEvent/planted", nil).Want(t, http.StatusNotFound)
	n.Do(t, http.MethodGet, "/AuditEvent/"+ours, nil).Want(t, http.StatusOK)
	// Nothing of the trail comes along with a chart, by what points at a patient or is pointed at.
	points := `{"resourceType":"List","id":"points","status":"current","mode":"working","subject":{"reference":"Patient/shared"},"entry":[{"item":{"reference":"AuditEvent/` + ours + `"}}]}`
	n.Do(t, http.MethodPut, "/List/points", points).Want(t, http.StatusCreated)
	for _, path := range []string{"/Patient/shared/$everything", "/List?_id=points&_include=List:item", "/Patient?_id=shared&_revinclude=List:patient"} {
		if types := typesIn(t, n.Do(t, http.MethodGet, path, nil)); slices.Contains(types, "AuditEvent") {
			t.Errorf("%s brings %v", path, types)
		}
	}
	for _, path := range []string{"/Patient?_id=shared&_revinclude=AuditEvent:patient", "/Patient?_id=shared&_revinclude=AuditEvent:entity", "/List?item:AuditEvent.action=R"} {
		n.Do(t, http.MethodGet, path, nil).Want(t, http.StatusBadRequest)
	}
	conditional := `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"POST","url":"List"},"resource":` + strings.Replace(strings.Replace(points, "AuditEvent/"+ours, "AuditEvent?_id="+ours, 1), `"id":"points",`, "", 1) + `}]}`
	n.Do(t, http.MethodPost, "", conditional).Want(t, http.StatusBadRequest)
	for scope, want := range map[string]int{"system/Patient.cruds": 403, "system/AuditEvent.c": 403, "system/*.rs": 200, "system/AuditEvent.rs": 200, "system/*.cud": 403} {
		c := p.Client(t, n.Slug, scope)
		c.Do(t, http.MethodGet, "/AuditEvent?_count=1", nil).Want(t, want)
		c.Do(t, http.MethodGet, "/AuditEvent/"+ours, nil).Want(t, want)
		c.Do(t, http.MethodPost, "/AuditEvent", planted).Want(t, http.StatusMethodNotAllowed)
	}
	p.Client(t, n.Slug, "system/AuditEvent.s").Do(t, http.MethodGet, "/AuditEvent/"+ours, nil).Want(t, http.StatusForbidden)
	p.Client(t, n.Slug, "system/AuditEvent.r").Do(t, http.MethodGet, "/AuditEvent", nil).Want(t, http.StatusForbidden)
}

// trailOn compares what Alpha's auditor is told of Bravo's events with what is told of events of nobody.
func trailOn(t *testing.T, p *cordontest.Platform, alpha, bravo *cordontest.Tenant) {
	t.Helper()
	for _, n := range []*cordontest.Tenant{alpha, bravo} {
		n.Do(t, http.MethodPut, "/Patient/shared", `{"resourceType":"Patient","id":"shared"}`).Want(t, http.StatusCreated)
	}
	bravo.Do(t, http.MethodPut, "/Patient/only-bravo", `{"resourceType":"Patient","id":"only-bravo"}`).Want(t, http.StatusCreated)
	bravo.Do(t, http.MethodGet, "/Patient/shared", nil).Want(t, http.StatusOK)
	theirs := allPages(t, bravo.Client, "/AuditEvent?_sort=date")
	if len(theirs) < 5 {
		t.Fatalf("Bravo has %d events", len(theirs))
	}
	tell := func(r cordontest.Response, id string) string { return strings.ReplaceAll(wholeAnswer(r), id, "ID") }
	for _, id := range theirs {
		nobody := uuid.Must(uuid.NewV7()).String()
		for _, path := range []string{"/AuditEvent/ID", "/AuditEvent?_id=ID&_total=accurate", "/AuditEvent?_id=ID&_summary=count", "/AuditEvent?_id=ID&_sort=date"} {
			got := tell(alpha.Do(t, http.MethodGet, strings.Replace(path, "ID", id, 1), nil), id)
			if want := tell(alpha.Do(t, http.MethodGet, strings.Replace(path, "ID", nobody, 1), nil), nobody); got != want {
				t.Errorf("%s: an event of Bravo's is told from nobody's: %s\n%s", path, got, want)
			}
		}
	}
	for _, path := range []string{"/AuditEvent", "/AuditEvent?_sort=date", "/AuditEvent?patient=shared", "/AuditEvent?patient:missing=true", "/AuditEvent?agent:missing=false", "/AuditEvent?date=gt2000"} {
		for _, id := range allPages(t, alpha.Client, path) {
			if slices.Contains(theirs, id) {
				t.Errorf("%s shows an event of Bravo's", path)
			}
		}
	}
	if got := alpha.Do(t, http.MethodGet, "/AuditEvent?patient=only-bravo&_total=accurate", nil).Want(t, http.StatusOK).JSON(t)["total"]; fmt.Sprint(got) != "0" {
		t.Errorf("%v events of Bravo's patient", got)
	}
	cursor := nextLink(t, bravo.Client, bravo.Do(t, http.MethodGet, "/AuditEvent?_count=1", nil))
	alpha.Do(t, http.MethodGet, cursor, nil).Want(t, http.StatusBadRequest)
	for _, path := range []string{"/AuditEvent", "/AuditEvent/" + theirs[0], "/AuditEvent?patient=shared"} {
		p.Send(t, http.MethodGet, bravo.Base+path, nil, map[string]string{"Authorization": "Bearer " + alpha.Token()}).Want(t, http.StatusForbidden)
	}
}

// TestNothingOfAnotherTrail asks for another tenant's events in every way.
func TestNothingOfAnotherTrail(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	trailOn(t, p, p.Tenant(t), p.Tenant(t))
}

// TestTrailHoldsWithoutRowSecurity takes the database's lock away, and then moves rows of a neighbour into the trail as only a superuser
// can: what does not belong opens for nobody, and in its place stands that it does not.
func TestTrailHoldsWithoutRowSecurity(t *testing.T) {
	t.Parallel()
	p := cordontest.Unwatched(t)
	alpha, bravo := p.Tenant(t), p.Tenant(t)
	db := p.Superuser(t)
	if _, err := db.Exec(t.Context(), "ALTER TABLE audit DISABLE ROW LEVEL SECURITY"); err != nil {
		t.Fatal(err)
	}
	trailOn(t, p, alpha, bravo)
	var moved uuid.UUID
	if err := db.QueryRow(t.Context(), `INSERT INTO audit (id, recorded, patient, tenant, keyver, body) SELECT id, recorded, patient, $1, keyver, body FROM audit WHERE tenant = $2 ORDER BY id DESC LIMIT 1 RETURNING id`,
		tenantNumber(t, p, alpha), tenantNumber(t, p, bravo)).Scan(&moved); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/AuditEvent/" + moved.String(), "/AuditEvent?_id=" + moved.String(), "/AuditEvent"} {
		if r := alpha.Do(t, http.MethodGet, path, nil); r.Status != http.StatusOK || !strings.Contains(string(r.Body), moved.String()) || !strings.Contains(string(r.Body), `"security-seal-broken"`) || strings.Contains(string(r.Body), bravo.ID) || strings.Contains(string(r.Body), bravo.ClientID) {
			t.Errorf("%s with a row of Bravo's: %d %s", path, r.Status, r.Body)
		}
	}
	if _, err := db.Exec(t.Context(), "DELETE FROM audit WHERE id = $1 AND tenant = $2", moved, tenantNumber(t, p, alpha)); err != nil {
		t.Fatal(err)
	}
	alpha.Do(t, http.MethodGet, "/AuditEvent", nil).Want(t, http.StatusOK)
	for _, database := range []string{"cordon_control", "cordon_keyring"} { // clear events: their MAC is of another tenant, or none
		id := ""
		if err := p.SuperuserOn(t, database).QueryRow(t.Context(), `INSERT INTO audit (id, recorded, tenant, body, mac) SELECT id, recorded, $1, body, mac FROM audit WHERE tenant = $2 ORDER BY id DESC LIMIT 1 RETURNING id::text`,
			alpha.ID, bravo.ID).Scan(&id); err != nil {
			t.Fatal(err)
		}
		if r := alpha.Do(t, http.MethodGet, "/AuditEvent/"+id, nil); r.Status != http.StatusOK || !strings.Contains(string(r.Body), `"security-seal-broken"`) || strings.Contains(string(r.Body), bravo.ID) || strings.Contains(string(r.Body), bravo.ClientID) {
			t.Errorf("a row of Bravo's in %s: %d %s", database, r.Status, r.Body)
		}
	}
}
