package test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// proved is what `cordon prove --json` prints.
type proved struct {
	Probes []struct {
		ID      string   `json:"id"`
		Control []string `json:"control"`
		OK      bool     `json:"ok"`
		Detail  string   `json:"detail"`
	} `json:"probes"`
}

func (p proved) failed() (out []string) {
	for _, r := range p.Probes {
		if !r.OK {
			out = append(out, r.ID)
		}
	}
	slices.Sort(out)
	return out
}

// prove runs the command against a platform.
func prove(t *testing.T, p *cordontest.Platform, args ...string) (proved, cordontest.Ran) {
	t.Helper()
	r := cordontest.Cordon(t, nil, append([]string{"prove", "--dir", p.Dir, "--json"}, args...)...)
	var out proved
	if err := json.Unmarshal([]byte(r.Out), &out); err != nil {
		t.Fatalf("prove printed no JSON (%d): %v: %s %s", r.Code, err, r.Out, r.Err)
	}
	return out, r
}

// TestProve proves a whole platform, twice: the canaries are made once and hold the same after; a customer's charts are not touched,
// and nobody takes the canaries' names.
func TestProve(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	a, patient := chart(t, p)
	var versions [2]int
	for i := range 2 {
		got, r := prove(t, p, "--tenant", a.Slug)
		if r.Code != 0 || len(got.failed()) != 0 || len(got.Probes) < 24 {
			t.Fatalf("prove: %d, %d probes, failed %v: %s %s", r.Code, len(got.Probes), got.failed(), r.Err, r.Out)
		}
		for _, x := range got.Probes {
			if len(x.Control) == 0 || !strings.HasPrefix(x.Control[0], "45 CFR 164.3") || x.Detail == "" {
				t.Errorf("%s names %v: %q", x.ID, x.Control, x.Detail)
			}
		}
		if err := p.Superuser(t).QueryRow(t.Context(), `SELECT count(*) FROM version`).Scan(&versions[i]); err != nil {
			t.Fatal(err)
		}
	}
	if versions[0] != versions[1] {
		t.Errorf("a second run stored %d versions more", versions[1]-versions[0])
	}
	a.Do(t, http.MethodGet, "/Patient/"+patient, nil).Want(t, http.StatusOK)
	for _, e := range a.Events(t) {
		if e["type"] == "rest" && e["subtype"] != "refused" && strings.Contains(string(mustJSON(t, e["agent"])), "0000000c0a17") {
			t.Errorf("a probe was in the customer's charts: %v", e)
		}
	}
	if r := p.Operator(t, http.MethodPost, "/tenants", map[string]string{"slug": "canary-c", "placement": "pooled"}); r.Status != http.StatusBadRequest {
		t.Errorf("a customer takes a canary's name: %d %s", r.Status, r.Body)
	}
	if r := p.Operator(t, http.MethodGet, "/tenants", nil); strings.Contains(string(r.Body), "canary-") {
		t.Errorf("canaries are among the customers: %s", r.Body)
	}
	if !strings.Contains(securityEvents(t, p.SuperuserOn(t, "cordon_control")), `"subtype":"prove"`) {
		t.Error("the runs are on no record")
	}
}

// TestProbesFailWithoutTheirControl takes away one control at a time: just the probes that are about it fail, and the command with
// them. The running self-check, which would stop everything at once, is left out.
func TestProbesFailWithoutTheirControl(t *testing.T) {
	t.Parallel()
	p := cordontest.Unwatched(t)
	a, _ := chart(t, p)
	if _, r := prove(t, p); r.Code != 0 {
		t.Fatalf("prove: %d %s %s", r.Code, r.Out, r.Err)
	}
	on := map[string]*pgx.Conn{"chart": p.Superuser(t), "control": p.SuperuserOn(t, "cordon_control"), "keyring": p.SuperuserOn(t, "cordon_keyring")}
	policy := " USING (" + policyText + ") WITH CHECK (" + policyText + ")"
	for _, x := range []struct {
		on, breach, mend string
		failed           []string
	}{
		{"chart", "ALTER POLICY tenant_isolation ON idx USING (true)", "DROP POLICY tenant_isolation ON idx; CREATE POLICY tenant_isolation ON idx" + policy, []string{"chart.rows", "chart.walls"}},
		{"chart", "ALTER TABLE version DISABLE ROW LEVEL SECURITY", "ALTER TABLE version ENABLE ROW LEVEL SECURITY", []string{"chart.rows", "chart.walls"}},
		{"chart", "CREATE POLICY door ON head USING (true)", "DROP POLICY door ON head", []string{"chart.rows", "chart.walls"}},
		{"chart", "GRANT UPDATE (body) ON version TO cordon_cell", "REVOKE UPDATE (body) ON version FROM cordon_cell", []string{"chart.append-only", "chart.walls"}},
		{"chart", "GRANT DELETE ON audit TO cordon_cell", "REVOKE DELETE ON audit FROM cordon_cell", []string{"chart.append-only", "chart.walls"}},
		{"chart", "CREATE VIEW side AS SELECT * FROM version", "DROP VIEW side", []string{"chart.walls"}},
		{"control", "GRANT CONNECT ON DATABASE cordon_cell1 TO cordon_control", "REVOKE CONNECT ON DATABASE cordon_cell1 FROM cordon_control", []string{"chart.walls", "control.walls"}},
		{"keyring", "UPDATE kek SET mode = 'tenant'", "UPDATE kek SET mode = 'shared-root'", []string{"keys.walls"}},
	} {
		if _, err := on[x.on].Exec(t.Context(), x.breach); err != nil {
			t.Fatalf("%s: %v", x.breach, err)
		}
		got, r := prove(t, p)
		if r.Code != 1 || !strings.Contains(r.Err, "probes failed") {
			t.Errorf("%s: the command ends with %d %s", x.breach, r.Code, r.Err)
		}
		if f := got.failed(); !slices.Equal(f, x.failed) {
			t.Errorf("%s: failed %v, want %v", x.breach, f, x.failed)
		}
		if _, err := on[x.on].Exec(t.Context(), x.mend); err != nil {
			t.Fatalf("%s: %v", x.mend, err)
		}
	}
	// Events that were made unreadable are no record: the probe that verifies the trail says so.
	if _, err := on["chart"].Exec(t.Context(), `UPDATE audit SET body = '' WHERE tenant <> $1`, number(t, a)); err != nil {
		t.Fatal(err)
	}
	if got, r := prove(t, p); r.Code != 1 || !slices.Equal(got.failed(), []string{"ledger.whole"}) {
		t.Errorf("with events wiped: %d, failed %v: %s", r.Code, got.failed(), r.Out)
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
