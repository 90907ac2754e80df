package test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
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
	"/Patient?_total=accurate&_count=2&name=a", "/Observation?_total=accurate&_count=0&status=final", "/Observation?_total=accurate&_count=0&patient=%s", "/Observation?_total=accurate&_count=0&_id=a,b", "/Observation?_total=accurate&_count=0&code=8867-4,8302-2",
	"/Observation?_total=accurate&_count=0&subject=Patient/%s,Patient/other", "/Observation?_total=accurate&_count=0&performer=Practitioner/x",
	"/Encounter?patient=%s&_include=Encounter:participant", "/Patient?_id=%s&_revinclude=Observation:subject&_revinclude=Encounter:patient", "/Practitioner?_revinclude=Encounter:participant&_count=2",
	"/AuditEvent?patient=%s&_count=3", "/AuditEvent?patient=%s&_sort=date&_count=3", "/AuditEvent?date=ge2020&_count=3", "/AuditEvent?_sort=date&_count=3", "/AuditEvent/x", "/AuditEvent?_id=x,y",
	"/Observation?patient=%s&subject=Patient/%s", "/Observation?_id=a,b&patient=%s", "/Observation?_id=a&_id=b", "/Patient?_id=%s&identifier=x", "/Observation?_id=a&subject=Patient/%s,Group/g",
	"/Observation?code=8867-4&_id=a", "/Observation?encounter=Encounter/x&subject=Patient/%s,Group/g", "/Patient?identifier=x&_id=%s&general-practitioner=Practitioner/x,Organization/y",
	"/Observation?date=ge2015&value-quantity=gt1,http://loinc.org%7C8867-4", "/Observation?code=8867-4&combo-code=8302-2,8867-4",
	"/Patient/%s", "/Patient/%s/_history", "/Patient/%s/$everything", "/Patient/none",
}

// TestEveryStatementWalksAnIndex runs every shape of SQL that the cell can emit, as the cell's role, and reads the plans that
// PostgreSQL really used: nothing scans a table, joins by hashing or sorting whole lists, or filters rows that an index should not
// have given it.
func TestEveryStatementWalksAnIndex(t *testing.T) {
	t.Parallel()
	if cordontest.Apart() {
		t.Skip("a function of this process hears the statements; they are the same in every process")
	}
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
	a.Events(t)
	for range 2 { // the second goes on from where the log ended
		p.Operator(t, http.MethodPost, "/tenants/"+a.Slug+"/audit/verify", nil).Want(t, http.StatusOK)
	}
	p.Operator(t, http.MethodGet, "/audit/stream?tenant="+a.Slug, nil).Want(t, http.StatusOK)
	checkPlans(t, su, p)
	p.ExplainAll(t)
	everyLiteralWasHeard(t, p.Heard())
}

// statementForm is how a text of SQL in the code begins; filled is a place in it that is filled in.
var (
	statementForm = regexp.MustCompile(`^(?:SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|unnest\(|i\.tenant) ?`)
	filled        = regexp.MustCompile(`%(?:\[\d+\])?[sd]`)
)

// everyLiteralWasHeard reads the texts of SQL out of the rooms that speak to the chart database, and wants each to have been sent
// here: who adds a shape adds a request that makes it.
func everyLiteralWasHeard(t *testing.T, heard []string) {
	t.Helper()
	n := 0
	for _, room := range []string{"placement", "record", "audit", "plan", "cell"} {
		files, err := filepath.Glob(filepath.Join("..", "internal", room, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no files of %s: %v", room, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") || filepath.Base(file) == "probe.go" { // a probe's statements are to be refused
				continue
			}
			src, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(src, func(node ast.Node) bool {
				lit, ok := node.(*ast.BasicLit)
				if !ok || lit.Kind != token.STRING {
					return true
				}
				text, err := strconv.Unquote(lit.Value)
				if err != nil || !statementForm.MatchString(text) || !strings.ContainsAny(text, "(=") {
					return true
				}
				n++
				if !slices.ContainsFunc(heard, func(sql string) bool { return holds(sql, filled.Split(text, -1)) }) {
					t.Errorf("%s: no request of this test sends\n%s", file, text)
				}
				return true
			})
		}
	}
	if n < 30 {
		t.Errorf("only %d texts of SQL were found in the code", n)
	}
}

// holds reports whether the pieces of a text stand in sql in their order.
func holds(sql string, pieces []string) bool {
	for _, piece := range pieces {
		_, after, ok := strings.Cut(sql, piece)
		if !ok {
			return false
		}
		sql = after
	}
	return true
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
