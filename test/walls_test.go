package test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// tenantTables lists every table of the chart database but the migrations' own, which no role of the platform may touch.
func tenantTables(t *testing.T, su *pgx.Conn) []string {
	t.Helper()
	rows, err := su.Query(t.Context(), `SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p', 'm', 'f') AND relnamespace = 'public'::regnamespace
		AND relname <> 'goose_db_version' ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(tables) < 6 {
		t.Fatalf("tables %v: %v", tables, err)
	}
	return tables
}

// number is the tenant's number in the chart database.
func number(t *testing.T, n *cordontest.Tenant) (out int32) {
	t.Helper()
	if err := n.P.SuperuserOn(t, "cordon_control").QueryRow(t.Context(), `SELECT number FROM tenant WHERE slug = $1`, n.Slug).Scan(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

// code is the SQLSTATE of an error, "" for none.
func code(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	pe, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		t.Fatalf("not the database's answer: %v", err)
	}
	return pe.Code
}

// in runs fn in a transaction of the tenant, as the cell would, and rolls it back.
func in(t *testing.T, c *pgx.Conn, number int32, fn func(tx pgx.Tx)) {
	t.Helper()
	tx, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if _, err := tx.Exec(t.Context(), "SELECT set_config('app.tenant', $1, true)", fmt.Sprint(number)); err != nil {
		t.Fatal(err)
	}
	fn(tx)
}

// chart makes a tenant with a row in each table.
func chart(t *testing.T, p *cordontest.Platform) (n *cordontest.Tenant, patient string) {
	t.Helper()
	n = p.Tenant(t)
	patient = n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated).ID(t)
	n.Do(t, http.MethodPost, "/Observation", `{"resourceType":"Observation","status":"final","code":{"text":"pulse"},"subject":{"reference":"Patient/`+patient+
		`"},"performer":[{"reference":"Practitioner/who"}],"effectiveDateTime":"2024-05-06T07:08:09Z","valueQuantity":{"value":61}}`).Want(t, http.StatusCreated)
	return n, patient
}

func TestNoTenantNoRow(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	a, _ := chart(t, p)
	b, _ := chart(t, p)
	na, nb := number(t, a), number(t, b)
	ctx, c := t.Context(), p.Cell(t)
	su := p.Superuser(t)
	tables := tenantTables(t, su)
	for _, table := range tables { // the ledger follows a write by itself
		cordontest.Eventually(t, "a row of tenant A in "+table, func() bool {
			var some bool
			if err := su.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+table+" WHERE tenant = $1)", na).Scan(&some); err != nil {
				t.Fatal(err)
			}
			return some
		})
	}
	nothing := func(when string) {
		for _, table := range tables {
			var n int
			if err := c.QueryRow(ctx, "SELECT count(*) FROM "+table).Scan(&n); err == nil {
				t.Errorf("%s: %s gives %d rows instead of an error", when, table, n)
			}
			if _, err := c.Exec(ctx, "INSERT INTO "+table+" (tenant) VALUES ($1)", na); err == nil || code(t, err) == "23502" {
				t.Errorf("%s: a row goes into %s: %v", when, table, err)
			}
		}
	}
	nothing("on a fresh connection")
	for _, table := range tables {
		in(t, c, na, func(tx pgx.Tx) {
			var own, foreign int
			if err := tx.QueryRow(ctx, "SELECT count(*) FILTER (WHERE tenant = $1), count(*) FILTER (WHERE tenant <> $1) FROM "+table, na).Scan(&own, &foreign); err != nil {
				t.Fatal(err)
			}
			if own == 0 || foreign != 0 {
				t.Errorf("tenant A sees %d own rows and %d foreign ones in %s", own, foreign, table)
			}
			_, err := tx.Exec(ctx, "INSERT INTO "+table+" (tenant) VALUES ($1)", nb)
			if code(t, err) != "42501" || !strings.Contains(err.Error(), "row-level security") {
				t.Errorf("tenant A adds a row of tenant B to %s: %v", table, err)
			}
		})
		in(t, c, na, func(tx pgx.Tx) {
			if _, err := tx.Exec(ctx, "UPDATE "+table+" SET tenant = $1", nb); code(t, err) != "42501" {
				t.Errorf("tenant A gives rows of %s to tenant B: %v", table, err)
			}
		})
	}
	nothing("after a transaction of tenant A")
	for _, sql := range []string{"SET row_security = off", "SET SESSION AUTHORIZATION cordon_root", "SET ROLE cordon_owner", "SET ROLE cordon_root", "SET ROLE cordon_control"} {
		_, err := c.Exec(ctx, sql)
		if err != nil {
			continue
		}
		nothing("after " + sql) // with row_security off a policy's table is refused, not opened
		if _, err := c.Exec(ctx, "RESET row_security"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAppendOnlyForTheCell(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	a, _ := chart(t, p)
	na, ctx, c := number(t, a), t.Context(), p.Cell(t)
	for _, sql := range []string{
		"UPDATE version SET body = ''", "UPDATE version SET ver = 7", "DELETE FROM version", "TRUNCATE version",
		"UPDATE audit SET body = ''", "UPDATE audit SET recorded = 0", "DELETE FROM audit", "TRUNCATE audit",
		"DELETE FROM head", "TRUNCATE head", "UPDATE head SET rid = 1", "UPDATE head SET type = 1", "TRUNCATE idx", "UPDATE idx SET rid = 1", "UPDATE ref SET rid = 1", "UPDATE range SET rid = 1",
		"DROP TABLE idx", "ALTER TABLE idx DISABLE ROW LEVEL SECURITY", "ALTER TABLE audit DISABLE TRIGGER ALL", "DROP POLICY tenant_isolation ON idx",
		"CREATE TABLE mine (a int)", "CREATE SCHEMA mine", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "COPY version TO PROGRAM 'cat'", "COPY version TO '/tmp/x'",
		"SELECT * FROM goose_db_version", "SELECT * FROM pg_authid", "SELECT pg_read_file('PG_VERSION')",
		"INSERT INTO version SELECT * FROM version ON CONFLICT (tenant, rid, ver) DO UPDATE SET body = ''",
	} {
		in(t, c, na, func(tx pgx.Tx) {
			_, err := tx.Exec(ctx, sql)
			if got := code(t, err); got != "42501" {
				t.Errorf("%s: %v", sql, err)
			}
		})
	}
}

// TestEachRoleEntersItsOwnDatabase connects as each role to each database, those that come with Postgres included.
func TestEachRoleEntersItsOwnDatabase(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	own := map[string]string{"cordon_cell": "cordon_cell1", "cordon_control": "cordon_control", "cordon_keys": "cordon_keyring"}
	for role, home := range own {
		for _, database := range []string{"cordon_cell1", "cordon_control", "cordon_keyring", "postgres", "template1"} {
			c, err := pgx.Connect(t.Context(), p.RoleDSN(t, role, database))
			if err == nil {
				_ = c.Close(t.Context())
			}
			if database == home && err != nil {
				t.Errorf("%s cannot enter %s: %v", role, database, err)
			}
			if database != home && (err == nil || code(t, err) != "42501") {
				t.Errorf("%s enters %s: %v", role, database, err)
			}
		}
	}
	su := p.Superuser(t)
	for what, sql := range map[string]string{
		"roles with powers": `SELECT count(*) FROM pg_roles WHERE rolname LIKE 'cordon\_%' AND rolname <> 'cordon_root'
			AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)`,
		"the owner may log in":        `SELECT count(*) FROM pg_roles WHERE rolname = 'cordon_owner' AND rolcanlogin`,
		"memberships":                 `SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE r.rolname LIKE 'cordon\_%' AND r.rolname <> 'cordon_root'`,
		"things that a role owns":     `SELECT count(*) FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid WHERE d.deptype = 'o' AND r.rolname IN ('cordon_cell', 'cordon_control', 'cordon_keys')`,
		"definers and views":          `SELECT (SELECT count(*) FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace) + (SELECT count(*) FROM pg_class WHERE relkind IN ('v', 'm') AND relnamespace = 'public'::regnamespace)`,
		"grants to others":            `SELECT count(*) FROM pg_class, aclexplode(relacl) a WHERE relnamespace = 'public'::regnamespace AND a.grantee NOT IN ('cordon_owner'::regrole, 'cordon_cell'::regrole)`,
		"another role's chart grants": `SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND (has_table_privilege('cordon_control', oid, 'SELECT') OR has_table_privilege('cordon_keys', oid, 'SELECT'))`,
	} {
		var n int
		if err := su.QueryRow(t.Context(), sql).Scan(&n); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if n != 0 {
			t.Errorf("%s: %d", what, n)
		}
	}
}

// TestCatalogOfWalls reads from the catalog that every table has its lock and every key leads with the tenant.
func TestCatalogOfWalls(t *testing.T) {
	t.Parallel()
	su := cordontest.Shared(t).Superuser(t)
	want := "(tenant = (current_setting('app.tenant'::text))::integer)"
	for _, table := range tenantTables(t, su) {
		var on, forced, notNull bool
		var policies, badKeys, badForeign int
		var using, check string
		err := su.QueryRow(t.Context(), `SELECT relrowsecurity, relforcerowsecurity,
			(SELECT attnotnull FROM pg_attribute WHERE attrelid = c.oid AND attname = 'tenant'),
			(SELECT count(*) FROM pg_policy WHERE polrelid = c.oid),
			(SELECT string_agg(pg_get_expr(polqual, polrelid), '|') FROM pg_policy WHERE polrelid = c.oid AND polcmd = '*' AND polroles = '{0}'),
			(SELECT string_agg(pg_get_expr(polwithcheck, polrelid), '|') FROM pg_policy WHERE polrelid = c.oid AND polcmd = '*' AND polroles = '{0}'),
			(SELECT count(*) FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] WHERE i.indrelid = c.oid AND a.attname <> 'tenant'),
			(SELECT count(*) FROM pg_constraint WHERE conrelid = c.oid AND contype = 'f' AND NOT (SELECT attnum FROM pg_attribute WHERE attrelid = c.oid AND attname = 'tenant') = ANY (conkey))
			FROM pg_class c WHERE oid = $1::text::regclass`, table).Scan(&on, &forced, &notNull, &policies, &using, &check, &badKeys, &badForeign)
		if err != nil {
			t.Fatalf("%s: %v", table, err)
		}
		if !on || !forced || !notNull || policies != 1 || using != want || check != want {
			t.Errorf("%s: enabled %v, forced %v, tenant not null %v, %d policies, using %s, with check %s", table, on, forced, notNull, policies, using, check)
		}
		if badKeys != 0 || badForeign != 0 {
			t.Errorf("%s has %d indexes and %d foreign keys that do not lead with the tenant", table, badKeys, badForeign)
		}
	}
}

// TestProbeFailsWithoutAWall takes away one part of one wall at a time: no tenant can be made then, the platform is not ready,
// and with the part put back both work.
func TestProbeFailsWithoutAWall(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	chart(t, p)
	su := p.Superuser(t)
	policy := "tenant = current_setting('app.tenant')::int4"
	ready := func() int { return p.Send(t, http.MethodGet, p.Info.Management+"/readyz", nil, nil).Status }
	for _, table := range tenantTables(t, su) {
		restore := fmt.Sprintf(`ALTER TABLE %[1]s ENABLE ROW LEVEL SECURITY; ALTER TABLE %[1]s FORCE ROW LEVEL SECURITY; DROP POLICY IF EXISTS tenant_isolation ON %[1]s;
			DROP POLICY IF EXISTS door ON %[1]s; CREATE POLICY tenant_isolation ON %[1]s USING (%[2]s) WITH CHECK (%[2]s)`, table, policy)
		for _, breach := range []string{
			"DROP POLICY tenant_isolation ON " + table,
			"ALTER TABLE " + table + " DISABLE ROW LEVEL SECURITY",
			"ALTER TABLE " + table + " NO FORCE ROW LEVEL SECURITY",
			"CREATE POLICY door ON " + table + " USING (true)",
			"ALTER POLICY tenant_isolation ON " + table + " WITH CHECK (true)",
			"ALTER POLICY tenant_isolation ON " + table + " USING (true)",
		} {
			if _, err := su.Exec(t.Context(), breach); err != nil {
				t.Fatal(err)
			}
			slug := strings.ToLower(strings.ReplaceAll("w"+table, "_", "")) + fmt.Sprint(len(breach))
			r := p.Operator(t, http.MethodPost, "/tenants", map[string]string{"slug": slug, "placement": "pooled"})
			if r.Status < http.StatusInternalServerError {
				t.Errorf("%s: a tenant is made: %d %s", breach, r.Status, r.Body)
			}
			if got := ready(); got != http.StatusServiceUnavailable {
				t.Errorf("%s: ready (%d)", breach, got)
			}
			if _, err := su.Exec(t.Context(), restore); err != nil {
				t.Fatal(err)
			}
			if r := p.Operator(t, http.MethodPost, "/tenants", map[string]string{"slug": slug, "placement": "pooled"}); r.Status != http.StatusOK || r.JSON(t)["state"] != "active" {
				t.Errorf("after %s was undone: %d %s", breach, r.Status, r.Body)
			}
		}
	}
	if got := ready(); got != http.StatusOK {
		t.Errorf("not ready with all walls up: %d", got)
	}
	if _, err := su.Exec(t.Context(), "ALTER ROLE cordon_cell BYPASSRLS"); err != nil {
		t.Fatal(err)
	}
	if got := ready(); got != http.StatusServiceUnavailable {
		t.Errorf("ready (%d) though the role bypasses row security", got)
	}
}
