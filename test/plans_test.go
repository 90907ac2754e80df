package test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/cordontest"
	"github.com/cordon-ehr/cordon/internal/synth"
)

// planned are requests whose statements cover every shape of driver and probe.
var planned = []string{
	"/Observation?_count=5", "/Observation?patient=%s", "/Observation?patient=%s&_sort=-date", "/Observation?patient=%s&_sort=date&_count=3",
	"/Observation?subject=%s", "/Observation?subject=Patient/%s,Patient/other", "/Observation?patient=%s&date=ge2015", "/Observation?patient=%s&date=ge2015&date=lt2100",
	"/Observation?patient=%s&code=http://loinc.org|8867-4", "/Observation?patient=%s&code=8867-4,8302-2", "/Observation?patient=%s&category=vital-signs&status=final",
	"/Observation?code=8867-4", "/Observation?code=8867-4,8302-2&date=ge2015", "/Observation?code=8867-4&status=final&_sort=-date", "/Observation?code:not=8867-4",
	"/Observation?value-quantity=gt100", "/Observation?code=8867-4&value-quantity=lt70", "/Observation?date=ge2015&_count=3", "/Observation?date=eq2020-01&_count=3",
	"/Observation?_lastUpdated=ge2020", "/Observation?_sort=-_lastUpdated&_count=3", "/Observation?_sort=_lastUpdated", "/Observation?_sort=status&_count=3", "/Observation?_id=a,b",
	"/Observation?performer=Practitioner/x", "/Observation?encounter=Encounter/x,Encounter/y&code=8867-4", "/Observation?patient.name=a", "/Encounter?participant:Practitioner.name=a",
	"/Encounter?patient=%s&participant:Practitioner.name=a", "/Patient?name=a", "/Patient?name=a&gender=female,male&birthdate=gt1950", "/Patient?identifier=x", "/Patient?family:exact=X",
	"/Patient?_total=accurate&_count=2&name=a", "/Observation?_total=accurate&_count=0&status=final", "/Observation?_total=accurate&_count=0&patient=%s",
	"/Encounter?patient=%s&_include=Encounter:participant", "/Patient?_id=%s&_revinclude=Observation:subject&_revinclude=Encounter:patient", "/Practitioner?_revinclude=Encounter:participant&_count=2",
	"/Patient/%s", "/Patient/%s/_history", "/Patient/%s/$everything", "/Patient/none",
}

// TestEveryStatementWalksAnIndex runs every shape of SQL that the cell can emit, as the cell's role, and reads the plans that
// PostgreSQL really used: nothing scans a table, joins by hashing or sorting whole lists, or filters rows that an index should not
// have given it.
func TestEveryStatementWalksAnIndex(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	su := p.Superuser(t)
	for _, set := range []string{"session_preload_libraries = 'auto_explain'", "auto_explain.log_min_duration = 0", "auto_explain.log_analyze = on",
		"auto_explain.log_timing = off", "auto_explain.log_format = 'json'"} {
		if _, err := su.Exec(t.Context(), "ALTER ROLE cordon_cell SET "+set); err != nil {
			t.Fatal(err)
		}
	}
	a, b := p.Tenant(t), p.Tenant(t)
	for _, n := range []*cordontest.Tenant{a, b} {
		n.Do(t, http.MethodPost, "", synth.Directory(3)).Want(t, http.StatusOK)
		for pt := range synth.Patients(synth.Options{Seed: 3, Count: 6}) {
			n.Do(t, http.MethodPost, "", pt.Bundle).Want(t, http.StatusOK)
		}
	}
	id := a.Do(t, http.MethodGet, "/Patient?_count=1", nil).Matches(t)[0][len("Patient/"):]
	// Sessions of before do not explain; those that come do.
	if _, err := su.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'cordon_cell'`); err != nil {
		t.Fatal(err)
	}
	for _, q := range planned {
		path := strings.ReplaceAll(q, "%s", id)
		next := a.Do(t, http.MethodGet, path, nil)
		if next.Status >= http.StatusInternalServerError {
			next = a.Do(t, http.MethodGet, path, nil) // the first one may meet a session that was ended
		}
		if next.Status >= http.StatusInternalServerError {
			t.Fatalf("%s: %d %s", q, next.Status, next.Body)
		}
		follow(t, a, next)
	}
	made := a.Do(t, http.MethodPost, "/Patient", `{"resourceType":"Patient","name":[{"family":"Plan"}],"birthDate":"1990-01-01","managingOrganization":{"reference":"Organization/1"}}`).Want(t, http.StatusCreated)
	mid := made.ID(t)
	a.Do(t, http.MethodPut, "/Patient/"+mid, strings.Replace(string(made.Body), "Plan", "Changed", 1)).Want(t, http.StatusOK)
	a.Do(t, http.MethodDelete, "/Patient/"+mid, nil).Want(t, http.StatusNoContent)
	a.Do(t, http.MethodPost, "/Patient", `{"resourceType":"Patient"}`, "If-None-Exist", "identifier=none").Want(t, http.StatusCreated)
	checkPlans(t, su, p)
}

// follow asks for the second page: its statements begin after a position.
func follow(t *testing.T, a *cordontest.Tenant, r cordontest.Response) {
	t.Helper()
	links, _ := r.JSON(t)["link"].([]any)
	for _, l := range links {
		if m := l.(map[string]any); m["relation"] == "next" {
			a.Do(t, http.MethodGet, strings.TrimPrefix(m["url"].(string), a.Base), nil).Want(t, http.StatusOK)
		}
	}
}

// checkPlans reads the plans out of Postgres' log.
func checkPlans(t *testing.T, su *pgx.Conn, p *cordontest.Platform) {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(p.Dir, "pg.log"))
	if err != nil {
		t.Fatal(err)
	}
	plans, seen := 0, map[string]bool{}
	for _, part := range strings.Split(string(log), "plan:\n")[1:] {
		var e struct {
			Query string         `json:"Query Text"`
			Plan  map[string]any `json:"Plan"`
		}
		if err := json.NewDecoder(strings.NewReader(part)).Decode(&e); err != nil {
			t.Fatalf("a plan in the log is not JSON: %v", err)
		}
		plans++
		for _, what := range cordontest.WrongNodes(e.Query, e.Plan) {
			if k := what + e.Query; !seen[k] {
				seen[k] = true
				t.Errorf("%s in\n%s", what, e.Query)
			}
		}
	}
	if plans < 2*len(planned) {
		t.Errorf("only %d plans were read", plans)
	}
	t.Logf("%d plans", plans)
}
