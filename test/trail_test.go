package test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/cordontest"
	"github.com/cordon-ehr/cordon/internal/fhir"
)

// auditEvents gives the AuditEvents that a search matched.
func auditEvents(t testing.TB, r cordontest.Response) (out []map[string]any) {
	t.Helper()
	entries, _ := r.Want(t, http.StatusOK).JSON(t)["entry"].([]any)
	for _, e := range entries {
		out = append(out, e.(map[string]any)["resource"].(map[string]any))
	}
	return out
}

// nextLink gives the path of the next page, "" at the end.
func nextLink(t testing.TB, c *cordontest.Client, r cordontest.Response) string {
	t.Helper()
	links, _ := r.JSON(t)["link"].([]any)
	for _, l := range links {
		if m := l.(map[string]any); m["relation"] == "next" {
			return strings.TrimPrefix(m["url"].(string), c.Base)
		}
	}
	return ""
}

// allPages follows a search to its end, and gives the ids of its events in order.
func allPages(t testing.TB, c *cordontest.Client, path string) (ids []string) {
	t.Helper()
	for pages := 0; path != ""; pages++ {
		if pages > 500 {
			t.Fatal("the search has no end")
		}
		r := c.Do(t, http.MethodGet, path, nil)
		for _, e := range auditEvents(t, r) {
			ids = append(ids, e["id"].(string))
		}
		path = nextLink(t, c, r)
	}
	return ids
}

// TestWhoSawThePatient asks for a patient's trail in one query, and compares it with all that was done under request ids of its own.
func TestWhoSawThePatient(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n := p.Tenant(t)
	id := n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated).ID(t)
	other := n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated).ID(t)
	nurse := p.Client(t, n.Slug, "system/Patient.rs")
	auditor := p.Client(t, n.Slug, "system/AuditEvent.rs")
	read, find := uuid.NewString(), uuid.NewString()
	nurse.Do(t, http.MethodGet, "/Patient/"+id, nil, "X-Request-Id", read).Want(t, http.StatusOK)
	nurse.Do(t, http.MethodGet, "/Patient/"+other, nil).Want(t, http.StatusOK)
	nurse.Do(t, http.MethodGet, "/Patient?_id="+id, nil, "X-Request-Id", find).Want(t, http.StatusOK)
	nurse.Do(t, http.MethodDelete, "/Patient/"+id, nil).Want(t, http.StatusForbidden)
	got := auditEvents(t, auditor.Do(t, http.MethodGet, "/AuditEvent?patient=Patient/"+id+"&_sort=-date", nil))
	var what []string
	last := ""
	for _, e := range got {
		sub := e["subtype"].([]any)[0].(map[string]any)["code"].(string)
		what = append(what, sub)
		if at := e["recorded"].(string); last != "" && at > last {
			t.Errorf("an event of %s comes after one of %s", at, last)
		}
		last = e["recorded"].(string)
		who := e["agent"].([]any)[0].(map[string]any)["who"].(map[string]any)["identifier"].(map[string]any)["value"]
		if want := map[bool]string{true: n.ClientID, false: nurse.ClientID}[sub == "create"]; who != want {
			t.Errorf("%s was done by %v", sub, who)
		}
		if !strings.Contains(fmt.Sprint(e["entity"]), "Patient/"+id) || strings.Contains(fmt.Sprint(e["entity"]), other) {
			t.Errorf("%s: entities %v", sub, e["entity"])
		}
	}
	if strings.Join(what, " ") != "delete search-type read create" {
		t.Errorf("the patient's trail is %v", what)
	}
	// Reading the trail is in the trail, once for each search, and does not grow by being read again.
	again := auditEvents(t, auditor.Do(t, http.MethodGet, "/AuditEvent?patient="+id, nil))
	if len(again) != len(got)+1 || fmt.Sprint(again[0]["type"].(map[string]any)["code"]) != "110101" {
		t.Errorf("%d events after %d, the newest of type %v", len(again), len(got), again[0]["type"])
	}
	for request, sub := range map[string]string{read: "read", find: "search-type"} {
		if es := under(n.Events(t), request); len(es) != 1 || es[0]["subtype"] != sub {
			t.Errorf("%s: %v", sub, es)
		}
	}
}

// TestTrailSearch tries every parameter on events that are known, and pages in both directions without a gap, while the search itself
// adds events.
func TestTrailSearch(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n := p.Tenant(t)
	began := time.Now().UTC()
	id := n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated).ID(t)
	request := uuid.NewString()
	n.Do(t, http.MethodGet, "/Patient/"+id, nil, "X-Request-Id", request).Want(t, http.StatusOK)
	n.Do(t, http.MethodGet, "/Patient/nobody", nil).Want(t, http.StatusNotFound)
	n.Do(t, http.MethodGet, "/Observation?code=x", nil).Want(t, http.StatusOK)
	middle := time.Now().UTC()
	n.Do(t, http.MethodGet, "/Patient/"+id, nil).Want(t, http.StatusOK)
	issuer := strings.TrimSuffix(n.Base, "/fhir")
	at := func(m time.Time) string { return url.QueryEscape(m.Format("2006-01-02T15:04:05.000000Z")) }
	readOf := first(auditEvents(t, n.Do(t, http.MethodGet, "/AuditEvent?entity=Patient/"+id+"&action=R&_sort=date", nil)))
	if readOf == nil {
		t.Fatal("the read is not found")
	}
	end := "&date=lt" + at(time.Now().UTC()) // the searches below are events, too
	for _, c := range []struct {
		query string
		want  int // -1 = some
	}{
		{"patient=" + id, 3}, {"patient=Patient/" + id, 3}, {"patient=Patient/nobody", 1}, {"patient=nobody,none", 1}, {"patient=none", 0},
		{"patient=" + id + "&action=R", 2}, {"patient=" + id + "&action=C", 1}, {"patient=" + id + "&subtype=create", 1},
		{"patient=" + id + "&subtype=http://hl7.org/fhir/restful-interaction|read", 2}, {"patient=" + id + "&type=rest", 3}, {"type=110114", -1},
		{"outcome=4", -1}, {"outcome=4&subtype=read", 1}, {"outcome=8", 0}, {"patient=" + id + "&agent:identifier=" + n.ClientID, -2},
		{"patient=" + id + "&address=127.0.0.1", 3}, {"patient=" + id + "&address=10.", 0}, {"patient=" + id + "&site=cell1", 3}, {"site=control", -1}, {"site=keys", -1},
		{"patient=" + id + "&entity=Patient/" + id, 3}, {"patient=" + id + "&entity-type=1", 3}, {"patient=" + id + "&entity-role=1", 3}, {"entity-name=decision&patient=" + id, 3},
		{"patient=" + id + "&policy=urn:cordon:policy:smart-scopes/1", 3}, {"altid=x", 0}, {"agent-name=x", 0}, {"agent-role=x", 0},
		{"patient=" + id + "&date=ge" + at(middle), 1}, {"patient=" + id + "&date=lt" + at(middle), 2}, {"date=lt" + at(began) + "&type=rest", 0},
		{"patient=" + id + "&date=ge" + at(began) + "&date=lt" + at(middle), 2}, {"patient=" + id + "&_lastUpdated=gt" + at(middle), 1},
		{"date=ge" + at(began) + "&type=rest&action=R&outcome=0", 2}, {"_id=" + readOf["id"].(string), 1}, {"_id=" + readOf["id"].(string) + ",x," + uuid.NewString(), 1}, {"_id=x", 0},
		{"patient:missing=true&type=110114", -1}, {"patient=" + id + "&action:not=R", 1}, {"source=x", -2},
	} {
		c.query += end
		r := n.Do(t, http.MethodGet, "/AuditEvent?"+c.query, nil)
		if c.want == -2 { // a form that is not served, or of no use here: an answer, and no failure
			if r.Status >= 500 {
				t.Errorf("%s: %d %s", c.query, r.Status, r.Body)
			}
			continue
		}
		if got := len(auditEvents(t, r)); (c.want >= 0 && got != c.want) || (c.want < 0 && got == 0) {
			t.Errorf("%s: %d events, want %d", c.query, got, c.want)
		}
		if got := n.Do(t, http.MethodGet, "/AuditEvent?_total=accurate&"+c.query, nil).JSON(t)["total"]; c.want >= 0 && fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: total %v, want %d", c.query, got, c.want)
		}
		form := n.Do(t, http.MethodPost, "/AuditEvent/_search", c.query, "Content-Type", "application/x-www-form-urlencoded")
		if got := len(auditEvents(t, form)); c.want >= 0 && got != c.want {
			t.Errorf("POST %s: %d events, want %d", c.query, got, c.want)
		}
	}
	down, up := allPages(t, n.Client, "/AuditEvent?_count=3&_sort=-date&date=lt"+at(middle)), allPages(t, n.Client, "/AuditEvent?_count=3&_sort=date&date=lt"+at(middle))
	slices.Reverse(up)
	if !slices.Equal(down, up) || len(down) < 6 || !slices.IsSortedFunc(down, func(a, b string) int { return strings.Compare(b, a) }) {
		t.Errorf("newest first %v, oldest first %v", down, up)
	}
	if open := allPages(t, n.Client, "/AuditEvent?_count=1&_sort=date"); len(open) < len(up) {
		t.Errorf("%d events page by page", len(open))
	}
	if only := allPages(t, n.Client, "/AuditEvent?_count=2&_sort=date&_id="+strings.Join(down[:5], ",")); len(only) != 5 {
		t.Errorf("%d of 5 events by id", len(only))
	}
	one := n.Do(t, http.MethodGet, "/AuditEvent/"+readOf["id"].(string), nil).Want(t, http.StatusOK)
	if fmt.Sprint(one.JSON(t)) != fmt.Sprint(readOf) || !strings.Contains(string(one.Body), request) || !strings.Contains(string(one.Body), issuer) {
		t.Errorf("read %s, found %v", one.Body, readOf)
	}
	for _, bad := range []string{"unknown=1", "_sort=action", "_sort=date,action", "_include=AuditEvent:patient", "patient.name=x", "entity:Patient.name=x", "date=yesterday", "_cursor=x",
		"_revinclude=Provenance:target", "_count=x"} {
		n.Do(t, http.MethodGet, "/AuditEvent?"+bad, nil).Want(t, http.StatusBadRequest)
	}
	cursor := nextLink(t, n.Client, n.Do(t, http.MethodGet, "/AuditEvent?_count=1", nil))
	n.Do(t, http.MethodGet, strings.Replace(cursor, "?", "?action=R&", 1), nil).Want(t, http.StatusBadRequest)
}

// wellFormed checks AuditEvents by our own validator.
func wellFormed(t testing.TB, body []byte) {
	t.Helper()
	doc, err := fhir.Parse(body, fhir.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	defer doc.Release()
	if c := fhir.Check(doc.Root(), nil); len(c.Issues) > 0 {
		t.Errorf("%v in %s", c.Issues, body)
	}
}
