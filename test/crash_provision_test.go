package test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// TestProvisioningKilledAfterEachStep ends the process right after each recorded step. Until the tenant is active it answers
// nothing; creating it again comes to the same end as an undisturbed creation; once more changes nothing.
func TestProvisioningKilledAfterEachStep(t *testing.T) {
	t.Parallel()
	dir := cordontest.DevDir(t)
	whole := cordontest.StartDev(t, dir)
	create(t, dir, "whole", 0)
	end := provisioned(t, whole.Platform, "whole")
	whole.Stop(t)
	for _, step := range []string{"provision", "keys", "public-keys", "placement", "leak-probe", "activate"} {
		slug := "cut-" + step
		d := cordontest.StartDev(t, dir, "CORDON_TEST_STOP_AFTER="+step)
		create(t, dir, slug, 1)
		if code := d.Wait(t); code != -1 {
			t.Fatalf("after step %s the process ended with %d, not by a signal", step, code)
		}
		d = cordontest.StartDev(t, dir)
		half := show(t, dir, slug)
		answersNothing(t, d.Platform, slug, step == "activate")
		if want := map[bool]string{true: "active", false: "provisioning"}[step == "activate"]; half["state"] != want {
			t.Errorf("killed after step %s the tenant is %v, want %s", step, half["state"], want)
		}
		done := create(t, dir, slug, 0)
		if done["state"] != "active" || done["id"] != half["id"] {
			t.Errorf("resumed after step %s: %v, was %v", step, done, half)
		}
		if got := provisioned(t, d.Platform, slug); !slices.Equal(got, end) {
			t.Errorf("resumed after step %s: %q, undisturbed: %q", step, got, end)
		}
		n := &cordontest.Tenant{Client: d.Client(t, slug, "system/*.cruds"), Slug: slug}
		n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated)
		before := snapshot(t, d.Platform)
		create(t, dir, slug, 0)
		if after := snapshot(t, d.Platform); after != before {
			t.Errorf("created again after step %s, something changed:\n%s\n%s", step, before, after)
		}
		d.Stop(t)
	}
}

func create(t *testing.T, dir, slug string, code int) map[string]any {
	t.Helper()
	r := cordontest.Cordon(t, nil, "tenant", "create", slug, "--dir", dir, "--json")
	if r.Code != code {
		t.Fatalf("tenant create %s ended with %d, want %d: %s", slug, r.Code, code, r.Err)
	}
	if code != 0 {
		return nil
	}
	return oneJSON(t, r.Out)
}

func show(t *testing.T, dir, slug string) map[string]any {
	t.Helper()
	r := cordontest.Cordon(t, nil, "tenant", "show", slug, "--dir", dir, "--json")
	if r.Code != 0 {
		t.Fatalf("tenant show %s ended with %d: %s", slug, r.Code, r.Err)
	}
	return oneJSON(t, r.Out)
}

func oneJSON(t *testing.T, s string) (out map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(s), &out); err != nil {
		t.Fatalf("stdout is not one JSON value: %v: %q", err, s)
	}
	return out
}

// answersNothing asks all that a tenant could answer. Of an active one only what is open answers.
func answersNothing(t *testing.T, p *cordontest.Platform, slug string, active bool) {
	t.Helper()
	for _, path := range []string{"/fhir/metadata", "/fhir/.well-known/smart-configuration", "/oauth/jwks.json"} {
		got := p.Send(t, http.MethodGet, p.Info.URL+"/t/"+slug+path, nil, nil).Status
		if want := map[bool]int{true: http.StatusOK, false: http.StatusNotFound}[active]; got != want {
			t.Errorf("a half-made tenant's %s answers %d, want %d", path, got, want)
		}
	}
	if active {
		return
	}
	for _, path := range []string{"/fhir/Patient", "/oauth/token", "/fhir/Patient/1/$everything"} {
		r := p.Send(t, http.MethodPost, p.Info.URL+"/t/"+slug+path, nil, map[string]string{"Authorization": "Bearer x", "Content-Type": "application/x-www-form-urlencoded"})
		other := p.Send(t, http.MethodPost, p.Info.URL+"/t/nobody-has-this"+path, nil, map[string]string{"Authorization": "Bearer x", "Content-Type": "application/x-www-form-urlencoded"})
		if r.Status != http.StatusNotFound || string(r.Body) != string(other.Body) {
			t.Errorf("a half-made tenant's %s answers %d %s, an unknown one %s", path, r.Status, r.Body, other.Body)
		}
	}
	if r := p.Operator(t, http.MethodPost, "/tenants/"+slug+"/resume", nil); r.Status != http.StatusConflict {
		t.Errorf("a half-made tenant is resumed past its plan: %d %s", r.Status, r.Body)
	}
}

// provisioned says what there is of a tenant in control's and the broker's databases: state, steps, keys and how often each
// event was recorded. Nothing in it tells two tenants apart.
func provisioned(t *testing.T, p *cordontest.Platform, slug string) (out []string) {
	t.Helper()
	id := ""
	for _, q := range []struct{ database, sql string }{
		{"cordon_control", `SELECT id::text FROM tenant WHERE slug = $1`},
		{"cordon_control", `SELECT state || ' ' || placement || ' ' || cell || ' ' || jsonb_array_length(jwks->'keys') FROM tenant WHERE id = $1::uuid`},
		{"cordon_control", `SELECT string_agg(name, ' ' ORDER BY name) FROM step WHERE tenant = $1::uuid`},
		{"cordon_control", `SELECT string_agg(s, ' ' ORDER BY s) FROM (SELECT convert_from(body, 'UTF8')::jsonb->>'subtype' || ' by ' ||
			(convert_from(body, 'UTF8')::jsonb->'agent'->>'id') AS s FROM audit WHERE tenant = $1::uuid AND convert_from(body, 'UTF8')::jsonb->>'type' = 'tenant') x`},
		{"cordon_keyring", `SELECT string_agg(kind || ver, ' ' ORDER BY kind) FROM secret WHERE tenant = $1::uuid`},
		{"cordon_keyring", `SELECT string_agg(mode || ver, ' ') FROM kek WHERE tenant = $1::uuid`},
		{"cordon_keyring", `SELECT count(*)::text FROM audit WHERE tenant = $1::uuid AND convert_from(body, 'UTF8')::jsonb->>'subtype' = 'mint'`},
	} {
		arg := id
		if id == "" {
			arg = slug
		}
		var s string
		if err := p.SuperuserOn(t, q.database).QueryRow(t.Context(), q.sql, arg).Scan(&s); err != nil {
			t.Fatalf("%s: %v", q.sql, err)
		}
		if id == "" {
			id = s
			continue
		}
		out = append(out, s)
	}
	return out
}

// snapshot is everything in the databases of control and the broker.
func snapshot(t *testing.T, p *cordontest.Platform) string {
	t.Helper()
	var out strings.Builder
	for database, tables := range map[string][]string{"cordon_control": {"tenant", "step", "client", "directory", "audit"}, "cordon_keyring": {"kek", "secret"}} {
		c := p.SuperuserOn(t, database)
		for _, table := range tables {
			var sum string
			from := pgx.Identifier{table}.Sanitize() + " x"
			if table == "audit" { // what roles asked of each other is recorded by the minute
				from += " WHERE convert_from(body, 'UTF8')::jsonb->>'type' <> 'mesh'"
			}
			if err := c.QueryRow(t.Context(), "SELECT count(*) || ' ' || coalesce(md5(string_agg(x::text, '' ORDER BY x::text)), '') FROM "+from).Scan(&sum); err != nil {
				t.Fatal(err)
			}
			out.WriteString(table + " " + sum + "\n")
		}
	}
	lines := strings.Split(out.String(), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestKilledWhileStarting kills the very first start of a folder again and again, each time a little later. The start that is let
// live finds everything made, whole and closed.
func TestKilledWhileStarting(t *testing.T) {
	t.Parallel()
	dir := cordontest.DevDir(t)
	exists := func(name string) bool { _, err := os.Stat(filepath.Join(dir, name)); return err == nil }
	for i := range 12 {
		d := cordontest.Launch(t, dir, nil)
		if i > 1 { // the first two are killed in initdb; after it there is little left to do
			cordontest.Eventually(t, "the database is made", func() bool { return exists("pg/PG_VERSION") })
			cordontest.Eventually(t, "Postgres runs", func() bool { return exists("pg/postmaster.pid") })
		}
		<-time.After(time.Duration(1+i*i*2) * time.Millisecond) // not to wait for something: a moment to be killed at
		d.Kill()
	}
	d := cordontest.StartDev(t, dir)
	su := d.Superuser(t)
	for what, sql := range map[string]string{
		"databases open to everyone": `SELECT count(*) FROM pg_database WHERE datallowconn AND has_database_privilege('public', oid, 'CONNECT')`,
		"roles that are missing":     `SELECT 4 - count(*) FROM pg_roles WHERE rolname IN ('cordon_owner', 'cordon_cell', 'cordon_control', 'cordon_keys')`,
		"settings that are missing":  `SELECT 9 - cardinality(setconfig) FROM pg_db_role_setting WHERE setrole = 'cordon_cell'::regrole`,
	} {
		var n int
		if err := su.QueryRow(t.Context(), sql).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s: %d %v", what, n, err)
		}
	}
	n := d.Tenant(t)
	n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated)
}
