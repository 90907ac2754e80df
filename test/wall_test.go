package test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// TestForeignCursor pages on with a cursor of another tenant: it is as good as no cursor.
func TestForeignCursor(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	alpha, bravo := p.Tenant(t), p.Tenant(t)
	loadCrafted(t, alpha, "alpha", "bravo", bravo.Base)
	loadCrafted(t, bravo, "bravo", "alpha", alpha.Base)
	for _, query := range []string{"/Patient?_count=1", "/Patient?_count=1&_sort=family", "/Observation?_count=1&_sort=-date", "/Patient?_count=1&_tag=urn:tag|"} {
		cursor := cursorForm.FindString(string(bravo.Do(t, "GET", query, nil).Want(t, http.StatusOK).Body))
		own := cursorForm.FindString(string(alpha.Do(t, "GET", query, nil).Want(t, http.StatusOK).Body))
		if cursor == "" || own == "" {
			t.Fatalf("%s: no next page", query)
		}
		alpha.Do(t, "GET", query+"&"+own, nil).Want(t, http.StatusOK)
		foreign := wholeAnswer(alpha.Do(t, "GET", query+"&"+cursor, nil).Want(t, http.StatusBadRequest))
		for _, junk := range []string{strings.Repeat("A", len(cursor)-len("_cursor=")), own[len("_cursor="):] + "AA", "x", "%00", own[len("_cursor=") : len(own)-3]} {
			if got := wholeAnswer(alpha.Do(t, "GET", query+"&_cursor="+junk, nil)); junk != "%00" && got != foreign {
				t.Errorf("%s: a foreign cursor differs from a forged one\n%s\n%s", query, foreign, got)
			}
		}
		// A cursor is of its own query, too.
		alpha.Do(t, "GET", "/Encounter?_count=1&"+own, nil).Want(t, http.StatusBadRequest)
	}
}

// TestRowSecurity tries the database's lock as the cell's own role: what a stolen connection, or a query without its tenant
// predicate, could do.
func TestRowSecurity(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	alpha, bravo := p.Tenant(t), p.Tenant(t)
	loadCrafted(t, alpha, "alpha", "bravo", bravo.Base)
	loadCrafted(t, bravo, "bravo", "alpha", alpha.Base)
	mine, theirs := tenantNumber(t, p, alpha), tenantNumber(t, p, bravo)
	super, cell := p.Superuser(t), p.Cell(t)
	for _, table := range append(chartTables, "audit") {
		name := pgx.Identifier{table}.Sanitize()
		var all int
		if err := super.QueryRow(t.Context(), "SELECT count(*) FROM "+name+" WHERE tenant = $1", theirs).Scan(&all); err != nil || all == 0 {
			t.Fatalf("%s has no rows of Bravo: %v", table, err)
		}
		for _, sql := range []string{"SELECT count(*) FROM " + name, "UPDATE " + name + " SET tenant = tenant", "DELETE FROM " + name} {
			if _, err := cell.Exec(t.Context(), sql); err == nil {
				t.Errorf("without a tenant: %s", sql)
			}
		}
		inTenant(t, cell, mine, func(tx pgx.Tx) {
			var seen int
			if err := tx.QueryRow(t.Context(), "SELECT count(*) FROM "+name+" WHERE tenant <> $1", mine).Scan(&seen); err != nil || seen != 0 {
				t.Errorf("%s: %d rows of others are seen in Alpha's context: %v", table, seen, err)
			}
		})
	}
	for _, c := range []struct {
		sql  string
		args []any
		rows bool // may run, and then touches no row
	}{
		{"INSERT INTO idx (tenant, token, sort, rid) VALUES ($1, 0, 0, 0)", []any{theirs}, false},
		{"INSERT INTO ref (tenant, param, dst, sort, rid) VALUES ($1, 0, 0, 0, 0)", []any{theirs}, false},
		{"INSERT INTO head (tenant, rid, pat, sort, ver, type, live) VALUES ($1, 1, 0, 0, 1, 1, true)", []any{theirs}, false},
		{"UPDATE head SET live = false WHERE tenant = $1", []any{theirs}, true},
		{"DELETE FROM idx WHERE tenant = $1", []any{theirs}, true},
		{"DELETE FROM ref WHERE tenant <> $1", []any{mine}, true},
		{"UPDATE head SET tenant = $1", []any{theirs}, false},
		{"UPDATE version SET op = 3", nil, false},
		{"DELETE FROM version", nil, false},
		{"UPDATE audit SET body = ''", nil, false},
		{"DELETE FROM audit", nil, false},
		{"TRUNCATE audit", nil, false},
		{"TRUNCATE idx", nil, false},
		{"ALTER TABLE head DISABLE ROW LEVEL SECURITY", nil, false},
		{"DROP POLICY tenant_isolation ON head", nil, false},
		{"SET LOCAL ROLE cordon_owner", nil, false},
		{"SET LOCAL session_replication_role = replica", nil, false},
		{"COPY version TO PROGRAM 'cat'", nil, false},
	} {
		inTenant(t, cell, mine, func(tx pgx.Tx) {
			tag, err := tx.Exec(t.Context(), c.sql, c.args...)
			if (c.rows && (err != nil || tag.RowsAffected() != 0)) || (!c.rows && err == nil) {
				t.Errorf("%s: %v, %v", c.sql, tag, err)
			}
		})
	}
	inTenant(t, cell, mine, func(tx pgx.Tx) {
		if _, err := tx.Exec(t.Context(), "SET LOCAL row_security = off"); err != nil {
			return
		}
		var n int
		if err := tx.QueryRow(t.Context(), "SELECT count(*) FROM version").Scan(&n); err == nil {
			t.Error("row_security = off reads rows")
		}
	})
}

// inTenant runs fn in a transaction of a tenant that is rolled back.
func inTenant(t testing.TB, c *pgx.Conn, tenant int32, fn func(pgx.Tx)) {
	t.Helper()
	tx, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), "SELECT set_config('app.tenant', $1, true)", fmt.Sprint(tenant)); err != nil {
		t.Fatal(err)
	}
	fn(tx)
}

// TestMovedCiphertext moves sealed bodies to where they do not belong, as a database administrator could: none opens there.
func TestMovedCiphertext(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	alpha, bravo := p.Tenant(t), p.Tenant(t)
	db := p.Superuser(t)
	mine, theirs := tenantNumber(t, p, alpha), tenantNumber(t, p, bravo)
	patient := func(n *cordontest.Tenant, num int32, id, family string) (rid int64) {
		n.Do(t, "PUT", "/Patient/"+id, `{"resourceType":"Patient","id":"`+id+`","name":[{"family":"`+family+`"}]}`)
		if err := db.QueryRow(t.Context(), "SELECT rid FROM version WHERE tenant = $1 ORDER BY lu DESC LIMIT 1", num).Scan(&rid); err != nil {
			t.Fatal(err)
		}
		return rid
	}
	patient(alpha, mine, "twice", "Firststate")
	twice := patient(alpha, mine, "twice", "Secondstate")
	from, to := patient(alpha, mine, "from", "Fromname"), patient(alpha, mine, "to", "Toname")
	retyped := patient(alpha, mine, "retyped", "Retypedname")
	foreign := patient(bravo, theirs, "foreign", "Foreignname")
	exec := func(sql string, args ...any) {
		if tag, err := db.Exec(t.Context(), sql, args...); err != nil || tag.RowsAffected() == 0 {
			t.Fatalf("%s: %v %v", sql, tag, err)
		}
	}
	exec("UPDATE version v SET body = (SELECT body FROM version w WHERE w.tenant = v.tenant AND w.rid = v.rid AND ver = 1) WHERE tenant = $1 AND rid = $2 AND ver = 2", mine, twice)
	exec("UPDATE version v SET body = (SELECT body FROM version w WHERE w.tenant = v.tenant AND w.rid = $3) WHERE tenant = $1 AND rid = $2", mine, to, from)
	exec("UPDATE version SET type = type + 1 WHERE tenant = $1 AND rid = $2", mine, retyped)
	for _, table := range []string{"version", "head"} {
		exec("UPDATE "+table+" SET tenant = $1 WHERE tenant = $2 AND rid = $3", mine, theirs, foreign)
	}
	for _, path := range []string{"/Patient/twice", "/Patient/twice/_history", "/Patient/to", "/Patient/to/_history/1", "/Patient/retyped", "/Patient", "/Patient?_total=accurate&_sort=family", "/Patient?name=foreignname,secondstate,toname"} {
		r := alpha.Do(t, "GET", path, nil).Want(t, http.StatusInternalServerError)
		for _, name := range []string{"Firststate", "Secondstate", "Fromname", "Toname", "Retypedname", "Foreignname"} {
			if strings.Contains(string(r.Body), name) {
				t.Errorf("%s shows %s", path, name)
			}
		}
	}
	alpha.Do(t, "GET", "/Patient/from", nil).Want(t, http.StatusOK)
	alpha.Do(t, "GET", "/Patient/twice/_history/1", nil).Want(t, http.StatusOK)
	alpha.Do(t, "GET", "/Patient/foreign", nil).Want(t, http.StatusNotFound)
}

// TestMovedKeyring gives a tenant another's wrapped keys, all of them: they do not unwrap for it.
func TestMovedKeyring(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	alpha, bravo := p.Tenant(t), p.Tenant(t) // neither has had a lease yet
	db := superuserOf(t, p, "cordon_keyring")
	for _, table := range []string{"secret", "kek"} {
		key := map[string]string{"kek": "x.ver = y.ver", "secret": "x.kind = y.kind AND x.ver = y.ver"}[table]
		if tag, err := db.Exec(t.Context(), "UPDATE "+table+" x SET wrapped = y.wrapped FROM "+table+" y WHERE x.tenant = $1 AND y.tenant = $2 AND "+key, alpha.ID, bravo.ID); err != nil || tag.RowsAffected() == 0 {
			t.Fatal(tag, err)
		}
	}
	alpha.Do(t, "POST", "/Patient", ada).Want(t, http.StatusInternalServerError)
	alpha.Do(t, "GET", "/Patient", nil).Want(t, http.StatusInternalServerError)
	bravo.Do(t, "POST", "/Patient", ada).Want(t, http.StatusCreated)
}

// TestCutAnswer breaks a chart behind the part that is sent first: the answer is cut off, so that nobody takes half a chart for
// a whole one.
func TestCutAnswer(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n := p.Tenant(t)
	var entries []string
	for i := range 1100 {
		entries = append(entries, fmt.Sprintf(`{"resource":{"resourceType":"Observation","id":"o%d","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p"}},"request":{"method":"PUT","url":"Observation/o%[1]d"}}`, i))
	}
	n.Do(t, "PUT", "/Patient/p", `{"resourceType":"Patient","id":"p"}`)
	n.Do(t, "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[`+strings.Join(entries, ",")+`]}`).Want(t, http.StatusOK)
	n.Do(t, "GET", "/Patient/p/$everything", nil).Want(t, http.StatusOK)
	if _, err := p.Superuser(t).Exec(t.Context(), `UPDATE version SET body = '\x00' WHERE tenant = $1 AND (type, rid) = (SELECT type, rid FROM head WHERE tenant = $1 ORDER BY type DESC, rid DESC LIMIT 1)`, tenantNumber(t, p, n)); err != nil {
		t.Fatal(err)
	}
	if r, err := attempt(t, n, "GET", "/Patient/p/$everything", ""); err == nil {
		t.Errorf("half a chart came as a whole answer: %d, %d bytes", r.Status, len(r.Body))
	}
	// In a batch the entry fails alone.
	r := n.Do(t, "POST", "", `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Patient/p/$everything"}},{"request":{"method":"GET","url":"Observation/o0"}}]}`).Want(t, http.StatusOK)
	e := r.JSON(t)["entry"].([]any)
	for i, want := range []string{"500", "200"} {
		if got := e[i].(map[string]any)["response"].(map[string]any)["status"].(string); !strings.HasPrefix(got, want) {
			t.Errorf("entry %d: %s", i, got)
		}
	}
}
