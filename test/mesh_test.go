package test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/authn"
	"github.com/cordon-ehr/cordon/internal/cordontest"
	"github.com/cordon-ehr/cordon/internal/lease"
	"github.com/cordon-ehr/cordon/internal/platform"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// meshPeers are the addresses of the roles' processes, as their configurations say.
func meshPeers(t *testing.T, p *cordontest.Platform) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, role := range []string{"edge", "cell"} {
		f, err := platform.ReadFile(filepath.Join(p.Dir, "apart", role+".json"))
		if err != nil {
			t.Fatal(err)
		}
		out["control"], out["keys"], out["cell"] = f.Mesh.Peers.Control, f.Mesh.Peers.Keys+out["keys"], out["cell"]+f.Mesh.Peers.Cells["cell1"]
	}
	return out
}

// stolen is a process's certificate and key in wrong hands; "" is none.
func stolen(t *testing.T, p *cordontest.Platform, role string) *tls.Config {
	t.Helper()
	c := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}
	if role != "" {
		file := filepath.Join(p.Dir, "apart", role+".pem")
		pair, err := tls.LoadX509KeyPair(file, file)
		if err != nil {
			t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}

// meshCall calls a method of a process; status 0 is a connection that was refused.
func meshCall(t *testing.T, by *tls.Config, at, method string, in any) (int, string) {
	t.Helper()
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{TLSClientConfig: by}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Post(at+"/mesh/1/"+method, "application/json", bytes.NewReader(b))
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// meshEvents counts what a role recorded of the mesh: the sum of the counts of its events.
func meshEvents(t *testing.T, db *pgx.Conn, role, subtype, method, reason string) (n int) {
	t.Helper()
	if err := db.QueryRow(t.Context(), `SELECT coalesce(sum((e->'entity'->>'count')::int), 0) FROM (SELECT convert_from(body, 'UTF8')::jsonb AS e FROM audit) x
WHERE e->>'type' = 'mesh' AND e->'source'->>'role' = $1 AND e->>'subtype' = $2 AND ($3 = '' OR e->'entity'->>'type' = $3) AND ($4 = '' OR e->'decision'->>'reason' = $4)`,
		role, subtype, method, reason).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestStrangersAtTheRoles knocks at each process in every wrong way. None gets in, and each knock is on record: the broker's in its own
// database, the cell's and control's in control's.
func TestStrangersAtTheRoles(t *testing.T) {
	t.Parallel()
	p, foreign := cordontest.OwnApart(t), cordontest.OwnApart(t)
	peers := meshPeers(t, p)
	for role, database := range map[string]string{"keys": "cordon_keyring", "control": "cordon_control", "cell": "cordon_control"} {
		db := p.SuperuserOn(t, database)
		u := strings.TrimPrefix(peers[role], "https://")
		c, err := net.Dial("tcp", u)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "POST /mesh/1/keys.Lease HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
		_ = c.SetReadDeadline(time.Now().Add(15 * time.Second))
		if b, err := io.ReadAll(c); err == nil && bytes.Contains(b, []byte("HTTP/1.1 200")) {
			t.Errorf("%s speaks in clear: %s", role, b)
		}
		c.Close()
		for what, by := range map[string]*tls.Config{"no certificate": stolen(t, p, ""), "unknown authority": stolen(t, foreign, "control")} {
			if status, text := meshCall(t, by, peers[role], "keys.Lease", struct{}{}); status != 0 {
				t.Errorf("%s answers with %s: %d %s", role, what, status, text)
			}
		}
		for _, reason := range []string{"plaintext", "no certificate", "unknown authority"} {
			cordontest.Eventually(t, role+" has recorded: "+reason, func() bool { return meshEvents(t, db, role, "refused", "", reason) == 1 })
		}
		// Right authority, wrong role: nobody may call its own kind.
		status, _ := meshCall(t, stolen(t, p, role), peers[role], role+"."+map[string]string{"keys": "Lease", "control": "Pull", "cell": "Probe"}[role], struct{}{})
		if status != http.StatusForbidden {
			t.Errorf("%s serves its own kind: %d", role, status)
		}
		cordontest.Eventually(t, role+" has recorded the denial", func() bool { return meshEvents(t, db, role, "denied", "", "not in the policy") == 1 })
	}
	metrics := string(p.Send(t, http.MethodGet, p.Info.Management+"/metrics", nil, nil).Body)
	if !strings.Contains(metrics, `cordon_mesh_refused_connections_total{reason="plaintext",process="keys"} 1`) &&
		!strings.Contains(metrics, `cordon_mesh_refused_connections_total{process="keys",reason="plaintext"} 1`) {
		t.Error("no metric of refused connections")
	}
}

// TestStolenCellCertificate is abuse case T7: with a cell's certificate and key, but no live token of the tenant, the broker gives
// nothing and says so on record.
func TestStolenCellCertificate(t *testing.T) {
	t.Parallel()
	p := cordontest.OwnApart(t)
	n, other := p.Tenant(t), p.Tenant(t)
	peers, cell := meshPeers(t, p), stolen(t, p, "cell")
	id, err := tenant.ParseID(n.ID)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(proof string, purpose lease.Purpose) (int, string) {
		return meshCall(t, cell, peers["keys"], "keys.Lease", lease.Request{Tenant: id, Purpose: purpose, Proof: proof})
	}
	keyring := p.SuperuserOn(t, "cordon_keyring")
	refused := func() (c int) {
		if err := keyring.QueryRow(t.Context(), `SELECT count(*) FROM (SELECT convert_from(body, 'UTF8')::jsonb AS e FROM audit WHERE tenant = $1::uuid) x
WHERE e->>'type' = 'key' AND e->>'subtype' LIKE 'lease-%' AND e->>'outcome' <> '0'`, n.ID).Scan(&c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	for what, proof := range map[string]string{"no token": "", "junk": "junk", "another tenant's token": other.Token(), "a forged token": n.Token()[:len(n.Token())-6] + "AAAAAA"} {
		for _, purpose := range []lease.Purpose{lease.Chart, lease.Audit} {
			before := refused()
			status, text := ask(proof, purpose)
			if (status != http.StatusUnauthorized && status != http.StatusForbidden) || strings.Contains(text, "Secret") {
				t.Errorf("%s, for %s: %d %s", what, purpose, status, text)
			}
			if refused() != before+1 {
				t.Errorf("%s, for %s: not on record", what, purpose)
			}
		}
	}
	if status, _ := ask(n.Token(), lease.Chart); status != http.StatusOK {
		t.Errorf("the test asks in the wrong way: with a live token %d", status)
	}
	// The certificate opens nothing else, either: no signature, no new keys, no forwarded request, no event in another's name.
	for method, at := range map[string]string{"keys.Sign": "keys", "keys.Mint": "keys", "keys.Events": "keys", "cell.Events": "cell", "control.Tenant": "control", "control.Operator": "control", "mesh.Session": "control"} {
		if status, text := meshCall(t, cell, peers[at], method, struct{}{}); status != http.StatusForbidden {
			t.Errorf("a cell's certificate calls %s: %d %s", method, status, text)
		}
	}
	for _, source := range []audit.Source{{Role: "edge"}, {Role: "control"}, {Role: "cell", Site: "cell2"}} {
		e := audit.New(audit.Event{Type: "rest", Subtype: "read", Action: audit.Read, Outcome: audit.Success, Source: source})
		if status, _ := meshCall(t, cell, peers["control"], "control.Record", map[string]json.RawMessage{"event": e.Marshal()}); status != http.StatusForbidden {
			t.Errorf("a cell records as %v: %d", source, status)
		}
	}
	if status, _ := meshCall(t, cell, peers["control"], "control.Pull", map[string]any{"puller": "cell/cell2", "known": 0}); status != http.StatusForbidden {
		t.Errorf("a cell pulls as another: %d", status)
	}
	edge := stolen(t, p, "edge")
	for _, method := range []string{"keys.Lease", "keys.Sign", "keys.Mint", "keys.PublicKeys", "keys.Events"} {
		if status, _ := meshCall(t, edge, peers["keys"], method, sign(id)); status != http.StatusForbidden {
			t.Errorf("an edge calls %s: %d", method, status)
		}
	}
	// An edge's certificate without an assertion that it made opens no chart, and with one, not without a token.
	r, err := http.NewRequest(http.MethodGet, peers["cell"]+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cordon-Forward", "cell.Forward")
	r.Header.Set("Authorization", "Bearer "+n.Token())
	resp, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: edge}}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a chart without an assertion: %d", resp.StatusCode)
	}
	db := p.SuperuserOn(t, "cordon_control")
	cordontest.Eventually(t, "the missing assertion is on record", func() bool {
		return meshEvents(t, db, "cell", "denied", "cell.Forward", "no assertion") == 1
	})
}

func sign(id tenant.ID) any {
	return map[string]any{"tenant": id, "claims": authn.Claims{Tenant: id.String()}}
}

// TestEachProcessHasItsOwnSecrets looks into what each child was given.
func TestEachProcessHasItsOwnSecrets(t *testing.T) {
	t.Parallel()
	p := cordontest.OwnApart(t)
	mine := map[string][]string{"edge": {"public.pem"}, "cell": {"user='cordon_cell'"}, "control": {"user='cordon_control'", "ticket-key.pem", "operator-alice"}, "keys": {"user='cordon_keys'", "kms.json"}}
	for role := range mine {
		path := filepath.Join(p.Dir, "apart", role+".json")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if i, err := os.Stat(path); err != nil || i.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", path, i.Mode())
		}
		pid, management := p.Process(t, role)
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil {
			t.Fatal(err)
		}
		for other, secrets := range mine {
			for _, s := range secrets {
				if has := strings.Contains(string(b), s) || strings.Contains(string(environ), s); has != (other == role) {
					t.Errorf("%s has %s: %v", role, s, has)
				}
			}
		}
		if r := p.Send(t, http.MethodGet, management+"/readyz", nil, nil); r.Status != http.StatusOK {
			t.Errorf("%s is not ready: %s", role, r.Body)
		}
	}
}

// TestServeRolesRefusals starts `cordon serve` with roles that it cannot have, and is told why in words of a person.
func TestServeRolesRefusals(t *testing.T) {
	t.Parallel()
	p := cordontest.OwnApart(t)
	config := func(change func(*platform.File)) string {
		f, err := platform.ReadFile(filepath.Join(p.Dir, "apart", "cell.json"))
		if err != nil {
			t.Fatal(err)
		}
		f.Management = "127.0.0.1:0"
		f.Mesh.Roles["cell"] = platform.MemberFile{Listen: "127.0.0.1:0", Cert: filepath.Join(p.Dir, "apart", "cell.pem"), Key: filepath.Join(p.Dir, "apart", "cell.pem")}
		change(f)
		b, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, x := range []struct {
		role, says string
		change     func(*platform.File)
	}{
		{"cell,moon", "edge, cell, keys, control", func(*platform.File) {}},
		{"cell,cell", "each named once", func(*platform.File) {}},
		{"cell", "section mesh", func(f *platform.File) { f.Mesh = nil }},
		{"cell", "SPIFFE_ENDPOINT_SOCKET", func(f *platform.File) { f.Mesh.Roles["cell"] = platform.MemberFile{} }},
		{"cell", "no service certificate", func(f *platform.File) { f.Mesh.Roles = nil }},
		{"cell", "spiffe://cordon.internal/edge", func(f *platform.File) {
			f.Mesh.Roles["cell"] = platform.MemberFile{Cert: filepath.Join(p.Dir, "apart", "edge.pem"), Key: filepath.Join(p.Dir, "apart", "edge.pem")}
		}},
		{"cell", "cell/cell1", func(f *platform.File) { f.Cell = "cell2" }},
		{"cell", "address of the keys role", func(f *platform.File) { f.Mesh.Peers.Keys = "http://127.0.0.1:1" }},
		{"keys", "", func(*platform.File) {}}, // of the cell, which has nothing of the keys role
	} {
		r := cordontest.Cordon(t, nil, "serve", "--config", config(x.change), "--role", x.role)
		if r.Code != 1 || !strings.Contains(r.Err, x.says) || strings.Contains(r.Err, "panic") {
			t.Errorf("--role %s, want %q: %d %s", x.role, x.says, r.Code, r.Err)
		}
	}
}
