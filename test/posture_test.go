package test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// injection is one thing that a superuser does to a database by hand, what the self-check says of it, and how it is mended.
type injection struct {
	on     string // chart, control, keyring
	breach string
	reason string
	mend   string
}

const policyText = "tenant = current_setting('app.tenant')::int4"

var injections = []injection{
	{"chart", "ALTER TABLE head NO FORCE ROW LEVEL SECURITY", "row security of head is not forced", "ALTER TABLE head FORCE ROW LEVEL SECURITY"},
	{"chart", "ALTER TABLE version DISABLE ROW LEVEL SECURITY", "row security of version is off", "ALTER TABLE version ENABLE ROW LEVEL SECURITY"},
	{"chart", "DROP POLICY tenant_isolation ON idx", "idx has no policy", "CREATE POLICY tenant_isolation ON idx USING (" + policyText + ") WITH CHECK (" + policyText + ")"},
	{"chart", "ALTER POLICY tenant_isolation ON ref USING (" + policyText + " OR current_setting('app.tenant') = '0')", "the policy tenant_isolation of ref", "ALTER POLICY tenant_isolation ON ref USING (" + policyText + ")"},
	{"chart", "ALTER POLICY tenant_isolation ON range WITH CHECK (true)", "the policy tenant_isolation of range", "ALTER POLICY tenant_isolation ON range WITH CHECK (" + policyText + ")"},
	{"chart", "ALTER POLICY tenant_isolation ON audit TO cordon_cell", "the policy tenant_isolation of audit", "ALTER POLICY tenant_isolation ON audit TO PUBLIC"},
	{"chart", "CREATE POLICY door ON version USING (true)", "version has further policies", "DROP POLICY door ON version"},
	{"chart", "CREATE POLICY door ON version AS RESTRICTIVE USING (true)", "version has further policies", "DROP POLICY door ON version"},
	{"chart", "GRANT UPDATE ON version TO cordon_cell", "cordon_cell has UPDATE on version", "REVOKE UPDATE ON version FROM cordon_cell"},
	{"chart", "GRANT DELETE ON audit TO cordon_cell", "cordon_cell has DELETE on audit", "REVOKE DELETE ON audit FROM cordon_cell"},
	{"chart", "GRANT TRUNCATE ON idx TO cordon_cell", "cordon_cell has TRUNCATE on idx", "REVOKE TRUNCATE ON idx FROM cordon_cell"},
	{"chart", "GRANT UPDATE (body) ON version TO cordon_cell", "cordon_cell has UPDATE on version.body", "REVOKE UPDATE (body) ON version FROM cordon_cell"},
	{"chart", "GRANT SELECT ON version TO PUBLIC", "everybody has SELECT on version", "REVOKE SELECT ON version FROM PUBLIC"},
	{"chart", "GRANT SELECT ON head TO cordon_control", "cordon_control has SELECT on head", "REVOKE SELECT ON head FROM cordon_control"},
	{"chart", "GRANT SELECT ON idx TO cordon_cell WITH GRANT OPTION", "the role may grant SELECT on idx", "REVOKE GRANT OPTION FOR SELECT ON idx FROM cordon_cell"},
	{"chart", "CREATE VIEW side AS SELECT * FROM version", "there is a view side", "DROP VIEW side"},
	{"chart", "CREATE MATERIALIZED VIEW side AS SELECT * FROM version", "there is a view side", "DROP MATERIALIZED VIEW side"},
	{"chart", "CREATE FUNCTION side() RETURNS SETOF version LANGUAGE sql SECURITY DEFINER AS 'SELECT * FROM version'", "there is a function side that runs as its owner", "DROP FUNCTION side()"},
	{"chart", "CREATE FUNCTION pg_catalog.leak(int8) RETURNS bool LANGUAGE sql IMMUTABLE LEAKPROOF AS 'SELECT true'", "there is a function leak that claims to leak nothing", "DROP FUNCTION pg_catalog.leak(int8)"},
	{"chart", "CREATE FUNCTION tap() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER tap BEFORE INSERT ON version FOR EACH ROW EXECUTE FUNCTION tap()", "version has the trigger tap", "DROP TRIGGER tap ON version; DROP FUNCTION tap()"},
	{"chart", "CREATE TABLE copies (LIKE version); CREATE RULE tap AS ON INSERT TO version DO ALSO INSERT INTO copies SELECT NEW.*", "version has the rule tap", "DROP RULE tap ON version; DROP TABLE copies"},
	{"chart", "CREATE TABLE copies AS SELECT * FROM version; GRANT SELECT ON copies TO cordon_cell", "row security of copies is off", "DROP TABLE copies"},
	{"chart", "CREATE SCHEMA aside; CREATE TABLE aside.copies AS SELECT * FROM version; GRANT SELECT ON aside.copies TO PUBLIC", "everybody has SELECT on aside.copies", "DROP SCHEMA aside CASCADE"},
	{"chart", "CREATE UNIQUE INDEX loose ON version (rid, ver, tenant)", "the index loose does not lead with the tenant", "DROP INDEX loose"},
	{"chart", "ALTER TABLE version ADD CONSTRAINT oracle FOREIGN KEY (tenant, rid) REFERENCES head (tenant, rid) NOT VALID", "the foreign key oracle", "ALTER TABLE version DROP CONSTRAINT oracle"},
	{"chart", "CREATE TABLE child () INHERITS (version)", "version is inherited", "DROP TABLE child"},
	{"chart", "CREATE EXTENSION file_fdw", "there is the extension file_fdw", "DROP EXTENSION file_fdw"},
	{"chart", "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER away FOREIGN DATA WRAPPER w", "there is a foreign server away", "DROP FOREIGN DATA WRAPPER w CASCADE"},
	{"chart", "CREATE PUBLICATION tap FOR TABLE version", "there is a publication tap", "DROP PUBLICATION tap"},
	{"chart", "CREATE FUNCTION ev() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER ev ON ddl_command_start EXECUTE FUNCTION ev()", "there is an event trigger ev", "DROP EVENT TRIGGER ev; DROP FUNCTION ev()"},
	{"chart", "CREATE OPERATOR === (FUNCTION = int8eq, LEFTARG = int8, RIGHTARG = int8)", "there is an operator ===", "DROP OPERATOR === (int8, int8)"},
	{"chart", "ALTER DEFAULT PRIVILEGES FOR ROLE cordon_owner GRANT SELECT ON TABLES TO PUBLIC", "there are default privileges", "ALTER DEFAULT PRIVILEGES FOR ROLE cordon_owner REVOKE SELECT ON TABLES FROM PUBLIC"},
	{"chart", "GRANT CREATE ON SCHEMA public TO cordon_cell", "the role may make things in the schema public", "REVOKE CREATE ON SCHEMA public FROM cordon_cell"},
	{"chart", "GRANT TEMPORARY ON DATABASE cordon_cell1 TO cordon_cell", "the role may make temporary tables", "REVOKE TEMPORARY ON DATABASE cordon_cell1 FROM cordon_cell"},
	{"chart", "CREATE SCHEMA cordon_cell; GRANT USAGE ON SCHEMA cordon_cell TO cordon_cell", "the search path is pg_catalog, cordon_cell, public", "DROP SCHEMA cordon_cell"},
	{"chart", "ALTER ROLE cordon_cell SET app.tenant = '1'", "the setting app.tenant is fixed", "ALTER ROLE cordon_cell RESET app.tenant"},
	{"chart", "ALTER DATABASE cordon_cell1 SET search_path = aside, public", "the setting search_path is fixed", "ALTER DATABASE cordon_cell1 RESET search_path"},
	{"chart", "ALTER ROLE cordon_cell BYPASSRLS", "the role bypasses row security", "ALTER ROLE cordon_cell NOBYPASSRLS"},
	{"chart", "ALTER ROLE cordon_cell SUPERUSER", "the role is superuser", "ALTER ROLE cordon_cell NOSUPERUSER"},
	{"chart", "ALTER ROLE cordon_cell CREATEROLE", "the role may create roles", "ALTER ROLE cordon_cell NOCREATEROLE"},
	{"chart", "ALTER ROLE cordon_cell REPLICATION", "the role may replicate", "ALTER ROLE cordon_cell NOREPLICATION"},
	{"chart", "GRANT cordon_owner TO cordon_cell", "the role is a member of cordon_owner", "REVOKE cordon_owner FROM cordon_cell"},
	{"chart", "CREATE ROLE between; GRANT pg_read_all_data TO between; GRANT between TO cordon_cell", "the role is a member of pg_read_all_data", "DROP ROLE between"},
	{"chart", "CREATE ROLE billing LOGIN; GRANT cordon_cell TO billing", "billing can become the role", "DROP ROLE billing"},
	{"chart", "ALTER TABLE idx OWNER TO cordon_cell", "the role owns a table", "ALTER TABLE idx OWNER TO cordon_owner"},
	{"chart", "ALTER DATABASE cordon_cell1 OWNER TO cordon_cell", "the role is a member of pg_database_owner", "ALTER DATABASE cordon_cell1 OWNER TO cordon_owner; GRANT CONNECT ON DATABASE cordon_cell1 TO cordon_cell"},
	{"chart", "GRANT EXECUTE ON FUNCTION pg_read_file(text) TO cordon_cell", "the role may call pg_read_file", "REVOKE EXECUTE ON FUNCTION pg_read_file(text) FROM cordon_cell"},
	{"chart", "GRANT SELECT ON pg_catalog.pg_statistic TO PUBLIC", "the role may read pg_statistic", "REVOKE SELECT ON pg_catalog.pg_statistic FROM PUBLIC"},
	{"chart", "ALTER TABLE idx SET UNLOGGED", "idx does not survive a crash", "ALTER TABLE idx SET LOGGED"},
	{"chart", "CREATE ROLE spy LOGIN BYPASSRLS; GRANT CONNECT ON DATABASE cordon_cell1 TO spy", "the role spy bypasses row security and may enter", "REVOKE CONNECT ON DATABASE cordon_cell1 FROM spy; DROP ROLE spy"},
	{"chart", "GRANT CONNECT ON DATABASE cordon_keyring TO cordon_cell", "the role may enter the database cordon_keyring", "REVOKE CONNECT ON DATABASE cordon_keyring FROM cordon_cell"},
	{"chart", "GRANT CONNECT ON DATABASE cordon_cell1 TO cordon_control", "cordon_control may enter the database", "REVOKE CONNECT ON DATABASE cordon_cell1 FROM cordon_control"},
	{"chart", "ALTER TABLE idx ALTER tenant DROP NOT NULL", "idx has no tenant column that is always set", "ALTER TABLE idx ALTER tenant SET NOT NULL"},
	{"chart", "ALTER TABLE audit ALTER xid SET DEFAULT '9000000000000000000'", "audit.xid is by default another transaction's", "ALTER TABLE audit ALTER xid SET DEFAULT pg_current_xact_id()"},
	{"chart", "ALTER TABLE audit ALTER recorded DROP NOT NULL", "audit.recorded may be empty", "ALTER TABLE audit ALTER recorded SET NOT NULL"},
	{"control", "CREATE FUNCTION tap() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER tap BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION tap()", "audit has the trigger tap", "DROP TRIGGER tap ON audit; DROP FUNCTION tap()"},
	{"control", "ALTER TABLE audit ALTER mac DROP NOT NULL", "audit.mac may be empty", "ALTER TABLE audit ALTER mac SET NOT NULL"},
	{"keyring", "ALTER TABLE audit ALTER xid DROP DEFAULT", "audit.xid is by default another transaction's", "ALTER TABLE audit ALTER xid SET DEFAULT pg_current_xact_id()"},
	{"control", "ALTER ROLE cordon_control BYPASSRLS", "the role bypasses row security", "ALTER ROLE cordon_control NOBYPASSRLS"},
	{"control", "GRANT DELETE ON audit TO cordon_control", "cordon_control has DELETE on audit", "REVOKE DELETE ON audit FROM cordon_control"},
	{"control", "GRANT CONNECT ON DATABASE cordon_cell1 TO cordon_control", "the role may enter the database cordon_cell1", "REVOKE CONNECT ON DATABASE cordon_cell1 FROM cordon_control"},
	{"keyring", "GRANT UPDATE ON audit TO cordon_keys", "cordon_keys has UPDATE on audit", "REVOKE UPDATE ON audit FROM cordon_keys"},
	{"keyring", "GRANT SELECT ON secret TO cordon_cell", "cordon_cell has SELECT on secret", "REVOKE SELECT ON secret FROM cordon_cell"},
	{"keyring", "GRANT cordon_owner TO cordon_keys", "the role is a member of cordon_owner", "REVOKE cordon_owner FROM cordon_keys"},
	{"keyring", "CREATE TABLE spare AS SELECT * FROM kek; UPDATE kek SET wrapped = (SELECT wrapped FROM kek ORDER BY tenant LIMIT 1)", "two tenants have the same wrapped key", "UPDATE kek SET wrapped = s.wrapped FROM spare s WHERE s.tenant = kek.tenant; DROP TABLE spare"},
	{"keyring", "UPDATE kek SET mode = 'external'", "a tenant that has a root of its own is wrapped by the shared one", "UPDATE kek SET mode = 'shared-root'"},
}

// events reads the bodies of a role's own security events.
func securityEvents(t *testing.T, su *pgx.Conn) string {
	t.Helper()
	var out string
	if err := su.QueryRow(t.Context(), `SELECT coalesce(string_agg(convert_from(body, 'UTF8'), E'\n' ORDER BY id), '') FROM audit WHERE position('"type":"security"'::bytea IN body) > 0`).Scan(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestEachBreachStopsTheRole injects one misconfiguration at a time into a running platform: the role that it concerns turns red and
// names it, requests stop, the change is a durable event and a number; mended, everything goes on without a restart.
func TestEachBreachStopsTheRole(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	a, patient := chart(t, p)
	p.Tenant(t)
	on := map[string]*pgx.Conn{"chart": p.Superuser(t), "control": p.SuperuserOn(t, "cordon_control"), "keyring": p.SuperuserOn(t, "cordon_keyring")}
	ready := func() cordontest.Response { return p.Send(t, http.MethodGet, p.Info.Management+"/readyz", nil, nil) }
	metric := func() string { return p.Metrics(t) }
	role := map[string]string{"chart": "cell", "control": "control", "keyring": "keys"}
	for i, x := range injections {
		exec := func(sql string) {
			t.Helper()
			if _, err := on[x.on].Exec(t.Context(), sql); err != nil {
				t.Fatalf("%s: %v", sql, err)
			}
		}
		exec(x.breach)
		// The first ones wait for the watch; readiness, which looks when it is asked, tells of all.
		if i < 3 {
			cordontest.Eventually(t, "requests stop by themselves", func() bool {
				return a.Do(t, http.MethodGet, "/Patient/"+patient, nil).Status == http.StatusServiceUnavailable
			})
		}
		cordontest.Eventually(t, x.reason, func() bool { // keys are walked at every third look
			r := ready()
			return r.Status == http.StatusServiceUnavailable && strings.Contains(string(r.Body), x.reason)
		})
		if x.on == "chart" {
			r := a.Do(t, http.MethodGet, "/Patient/"+patient, nil)
			if r.Status != http.StatusServiceUnavailable || strings.Contains(string(r.Body), x.reason) {
				t.Errorf("%s: the caller gets %d %s", x.breach, r.Status, r.Body)
			}
		}
		if !strings.Contains(metric(), fmt.Sprintf(`cordon_walls_down{role="%s"} `, role[x.on])) || strings.Contains(metric(), fmt.Sprintf(`cordon_walls_down{role="%s"} 0`, role[x.on])) {
			t.Errorf("%s: the metric does not show it", x.breach)
		}
		exec(x.mend)
		cordontest.Eventually(t, "green after "+x.mend, func() bool { return ready().Status == http.StatusOK })
		if r := a.Do(t, http.MethodGet, "/Patient/"+patient, nil); r.Status != http.StatusOK {
			t.Errorf("after %s: %d %s", x.mend, r.Status, r.Body)
		}
	}
	said := securityEvents(t, on["control"]) + securityEvents(t, on["keyring"])
	for _, x := range injections {
		if !strings.Contains(said, strings.ReplaceAll(x.reason, "===", "===")) {
			t.Errorf("no durable event tells of %q", x.reason)
		}
	}
	if !strings.Contains(said, `"subtype":"walls-up"`) || !strings.Contains(said, `"subtype":"walls-down"`) {
		t.Error("no event of walls that came down, or stand again")
	}
}

// TestCommitsMustLast: a database that does not wait for the disk is not served from, unless a test says so.
func TestCommitsMustLast(t *testing.T) {
	t.Parallel()
	p := cordontest.Durable(t)
	su := p.Superuser(t)
	ready := func() string { return string(p.Send(t, http.MethodGet, p.Info.Management+"/readyz", nil, nil).Body) }
	for setting := range strings.FieldsSeq("fsync full_page_writes synchronous_commit") {
		for _, v := range []string{"off", "on"} {
			if _, err := su.Exec(t.Context(), "ALTER SYSTEM SET "+setting+" = "+v); err != nil {
				t.Fatal(err)
			}
			if _, err := su.Exec(t.Context(), "SELECT pg_reload_conf()"); err != nil {
				t.Fatal(err)
			}
			cordontest.Eventually(t, setting+" "+v, func() bool { return strings.Contains(ready(), setting+" is off") == (v == "off") })
		}
	}
}

// TestLookingIsCheap bounds the self-check's own cost: one statement, a few milliseconds.
func TestLookingIsCheap(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	best := time.Hour
	for range 20 {
		start := time.Now()
		p.Send(t, http.MethodGet, p.Info.Management+"/readyz", nil, nil).Want(t, http.StatusOK)
		best = min(best, time.Since(start))
	}
	t.Logf("readiness of all roles in %v", best)
	if best > 250*time.Millisecond {
		t.Errorf("readiness takes %v", best)
	}
}
