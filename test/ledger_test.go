package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// ledgerProblem is a finding of a verification.
type ledgerProblem struct {
	Log    string `json:"log"`
	Seq    *int64 `json:"seq"`
	Event  string `json:"event"`
	Kind   string `json:"kind"`
	Detail string `json:"detail"`
	Object string `json:"object"`
}

type ledgerVerdict struct {
	OK       bool            `json:"ok"`
	Size     int64           `json:"size"`
	Root     string          `json:"root"`
	Problems []ledgerProblem `json:"problems"`
	Logs     []struct {
		Log  string `json:"log"`
		Size int64  `json:"size"`
	} `json:"logs"`
}

// verifyLogs asks the platform; slug "" is the platform's own logs.
func verifyLogs(t *testing.T, p *cordontest.Platform, slug string) ledgerVerdict {
	t.Helper()
	path := "/audit/verify"
	if slug != "" {
		path = "/tenants/" + slug + path
	}
	r := p.Operator(t, http.MethodPost, path, nil).Want(t, http.StatusOK)
	var v ledgerVerdict
	if err := json.Unmarshal(r.Body, &v); err != nil {
		t.Fatalf("%v: %s", err, r.Body)
	}
	return v
}

// named fails unless a problem of the kind names the event.
func (v ledgerVerdict) named(t *testing.T, what string, event uuid.UUID, kinds ...string) {
	t.Helper()
	if v.OK {
		t.Errorf("%s: not found", what)
		return
	}
	for _, p := range v.Problems {
		if (event == uuid.Nil || p.Event == event.String()) && strings.Contains(strings.Join(kinds, "|"), p.Kind) {
			return
		}
	}
	t.Errorf("%s: no problem of kind %v names %s: %+v", what, kinds, event, v.Problems)
}

// charted makes a tenant with a few events in each of its logs.
func charted(t *testing.T, p *cordontest.Platform) *cordontest.Tenant {
	t.Helper()
	n := p.Tenant(t)
	id := n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated).ID(t)
	for range 8 {
		n.Do(t, http.MethodGet, "/Patient/"+id, nil).Want(t, http.StatusOK)
	}
	return n
}

// TestLogsVerify is a good trail: verified on the platform and offline, proven, and watched from outside.
func TestLogsVerify(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n := charted(t, p)
	v := verifyLogs(t, p, n.Slug)
	if !v.OK || len(v.Logs) != 3 || v.Size < 20 || v.Root == "" || len(v.Problems) != 0 {
		t.Fatalf("%+v", v)
	}
	again := verifyLogs(t, p, n.Slug)
	if !again.OK || again.Size <= v.Size || again.Root == v.Root {
		t.Errorf("verifying is no event: %+v after %+v", again, v)
	}
	if own := verifyLogs(t, p, ""); !own.OK || len(own.Logs) != 2 {
		t.Errorf("the platform's own logs: %+v", own)
	}
	env := []string{"CORDON_DIR=" + p.Dir}
	dir := filepath.Join(t.TempDir(), "export")
	if r := cordontest.Cordon(t, env, "audit", "export", "--tenant", n.Slug, "--out", dir); r.Code != 0 {
		t.Fatalf("export: %s%s", r.Out, r.Err)
	}
	keys := cordontest.Cordon(t, env, "audit", "keys")
	trusted := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(trusted, []byte(keys.Out), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := cordontest.Cordon(t, nil, "audit", "verify", "--export", dir, "--key", trusted, "--json"); r.Code != 0 || oneJSON(t, r.Out)["ok"] != true {
		t.Errorf("offline: %d %s%s", r.Code, r.Out, r.Err)
	}
	var placed map[string]any
	for _, e := range n.Events(t) {
		if e["type"] == "rest" && e["subtype"] == "read" {
			placed = e
		}
	}
	if placed == nil || placed["seq"] == nil || placed["leaf"] == nil || placed["log"] != "cordon/"+n.ID+"/cell" {
		t.Errorf("an event does not say where it stands: %v", placed)
	}
	r := cordontest.Cordon(t, env, "audit", "prove", "--tenant", n.Slug, "--event", fmt.Sprint(placed["event_id"]), "--key", trusted, "--json")
	if r.Code != 0 || fmt.Sprint(oneJSON(t, r.Out)["seq"]) != fmt.Sprint(placed["seq"]) {
		t.Errorf("prove: %d %s%s, want number %v", r.Code, r.Out, r.Err, placed["seq"])
	}
	state := filepath.Join(t.TempDir(), "seen")
	for range 2 {
		if r := cordontest.Cordon(t, env, "audit", "witness", "--tenant", n.Slug, "--state", state); r.Code != 0 {
			t.Errorf("witness: %d %s", r.Code, r.Err)
		}
	}
	// The log of another tenant under this one's name is not this log.
	m := charted(t, p)
	if b, err := os.ReadFile(state); err != nil || os.WriteFile(state, []byte(strings.ReplaceAll(string(b), "/tenants/"+n.Slug+"/", "/tenants/"+m.Slug+"/")), 0o600) != nil {
		t.Fatal(err)
	}
	if r := cordontest.Cordon(t, env, "audit", "witness", "--tenant", m.Slug, "--state", state); r.Code == 0 {
		t.Errorf("witness of another tenant's log in its place: %s", r.Out)
	}
	if r := cordontest.Cordon(t, nil, "audit", "verify", "--export", dir, "--tenant", m.Slug); r.Code == 0 || !strings.Contains(r.Err, n.ID) {
		t.Errorf("the export of another tenant is verified as this one's: %d %s%s", r.Code, r.Out, r.Err)
	}
	if r := cordontest.Cordon(t, nil, "audit", "verify", "--export", dir, "--tenant", n.Slug); r.Code != 0 || !strings.Contains(r.Out, "keys are the export's own") {
		t.Errorf("offline, with the export's keys: %d %s%s", r.Code, r.Out, r.Err)
	}
}

// ids gives the ids of a log's rows, in its order.
func ids(t *testing.T, c *pgx.Conn, where string) []uuid.UUID {
	t.Helper()
	r, err := c.Query(t.Context(), "SELECT id FROM audit WHERE "+where+" ORDER BY xid, id")
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(r, pgx.RowTo[uuid.UUID])
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestTamperingIsNamed changes the trail as the database's superuser, in each way there is, each on a tenant of its own, in the
// database of each role; verification on the platform and of an export names the event.
func TestTamperingIsNamed(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	columns := map[string]string{"cordon_cell1": "recorded, patient, tenant, keyver, body, digest", "cordon_control": "recorded, tenant, body, mac", "cordon_keyring": "recorded, tenant, body, mac"}
	type attack struct {
		what  string
		only  string // one database
		sql   string // %[1]s is the tenant's condition, %[2]s the other columns; $1, $2 are two events
		names int    // which of the two events is named, 0 = another
		kinds []string
	}
	attacks := []attack{
		{"body", "", `UPDATE audit SET body = body || '\x00' WHERE %[1]s AND id = $1 AND $2 <> id`, 1, []string{"edited"}},
		{"time", "", `UPDATE audit SET recorded = recorded + 1 WHERE %[1]s AND id = $1 AND $2 <> id`, 1, []string{"edited"}},
		{"patient", "cordon_cell1", `UPDATE audit SET patient = patient + 1 WHERE %[1]s AND id = $1 AND $2 <> id`, 1, []string{"edited"}},
		{"digest", "cordon_cell1", `UPDATE audit SET digest = NULL WHERE %[1]s AND id = $1 AND $2 <> id`, 1, []string{"edited"}},
		{"MAC", "cordon_control", `UPDATE audit SET mac = '\x00' WHERE %[1]s AND id = $2 AND $1 <> id`, 2, []string{"forged"}},
		{"id", "", `UPDATE audit SET id = gen_random_uuid() WHERE %[1]s AND id = $1 AND $2 <> id`, 1, []string{"deleted"}},
		{"delete", "", `DELETE FROM audit WHERE %[1]s AND id = $1 AND $2 <> id`, 1, []string{"deleted"}},
		{"insert old", "", `INSERT INTO audit (id, xid, %[2]s) SELECT '00000000-0000-7000-8000-0000000000bb', xid, %[2]s FROM audit WHERE %[1]s AND id = $1 AND $2 <> id`, 3, []string{"inserted"}},
		{"insert fresh", "", `INSERT INTO audit (id, %[2]s) SELECT '00000000-0000-7000-8000-0000000000bb', %[2]s FROM audit WHERE %[1]s AND id = $1 AND $2 <> id`, 3, []string{"forged"}},
		{"repeat", "cordon_cell1", `INSERT INTO audit (id, %[2]s) SELECT id, %[2]s FROM audit WHERE %[1]s AND id = $1 AND $2 <> id`, 1, []string{"duplicated"}},
		{"swap", "", `UPDATE audit SET xid = (SELECT xid FROM audit b WHERE %[1]s AND b.id = CASE WHEN audit.id = $1 THEN $2 ELSE $1 END) WHERE %[1]s AND id IN ($1, $2)`, 0, []string{"reordered"}},
	}
	for _, a := range attacks {
		for database, other := range columns {
			if a.only != "" && a.only != database {
				continue
			}
			n := charted(t, p)
			if v := verifyLogs(t, p, n.Slug); !v.OK {
				t.Fatalf("before: %+v", v)
			}
			where := "tenant = '" + n.ID + "'"
			if database == "cordon_cell1" {
				where = fmt.Sprintf("tenant = %d", number(t, n))
			}
			su := p.SuperuserOn(t, database)
			all := ids(t, su, where)
			one, two := all[0], all[1]
			if len(all) > 4 {
				one, two = all[1], all[3]
			}
			sql := strings.NewReplacer("%[1]s", where, "%[2]s", other).Replace(a.sql)
			if _, err := su.Exec(t.Context(), sql, one, two); err != nil {
				t.Fatalf("%s in %s: %v", a.what, database, err)
			}
			event := []uuid.UUID{uuid.Nil, one, two, uuid.MustParse("00000000-0000-7000-8000-0000000000bb")}[a.names]
			what := a.what + " in " + database
			verifyLogs(t, p, n.Slug).named(t, what, event, a.kinds...)
			offline(t, p, n.Slug).named(t, what+", offline", event, append(a.kinds, "forged")...)
		}
	}
}

// offline exports a tenant's logs and verifies the export.
func offline(t *testing.T, p *cordontest.Platform, slug string) (v ledgerVerdict) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "export")
	if r := cordontest.Cordon(t, []string{"CORDON_DIR=" + p.Dir}, "audit", "export", "--tenant", slug, "--out", dir); r.Code != 0 {
		t.Fatalf("export: %s%s", r.Out, r.Err)
	}
	return verifyDir(t, dir)
}

func verifyDir(t *testing.T, dir string) (v ledgerVerdict) {
	t.Helper()
	r := cordontest.Cordon(t, nil, "audit", "verify", "--export", dir, "--json")
	if err := json.Unmarshal([]byte(r.Out), &v); err != nil || v.OK != (r.Code == 0) {
		t.Fatalf("verify the export: %d %s%s", r.Code, r.Out, r.Err)
	}
	return v
}
