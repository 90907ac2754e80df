package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// TestServe runs the four roles on databases that somebody else provides: migrate, serve, create a tenant by profile, stop.
func TestServe(t *testing.T) {
	t.Parallel()
	p := cordontest.Durable(t) // what is served in earnest wants commits to last
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cert, key, ticket := serverKeys(t)
	public, management := freeAddress(t), freeAddress(t)
	config, err := json.Marshal(map[string]any{
		"listen": public, "management": management, "public_url": "https://" + public, "tls_cert": write("tls.pem", cert), "tls_key": write("key.pem", key),
		"ticket_key": write("ticket.pem", ticket), "cell": "c1", "kms_file": filepath.Join(dir, "kms.json"), "owner": "cordon_owner",
		"worm": "file://" + filepath.Join(dir, "worm"), "log_keys": logKeys(t, dir),
		"audit_keys": map[string]string{"control": write("control.key", []byte(strings.Repeat("c", 32))), "keys": write("keys.key", []byte(strings.Repeat("k", 32)))},
		"operators":  map[string]string{"alice": write("alice", []byte(strings.Repeat("a", 40)+"\n"))}, "databases": otherDatabases(t, p),
	})
	if err != nil {
		t.Fatal(err)
	}
	file := write("config.json", config)
	for range 2 { // migrating again is no difference
		if r := cordontest.Cordon(t, nil, "serve", "--config", file, "--migrate"); r.Code != 0 {
			t.Fatalf("migrate: %d %s", r.Code, r.Err)
		}
	}
	cmd := exec.CommandContext(t.Context(), cordontest.Binary(t), "serve", "--config", file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cordontest.Eventually(t, "the platform is ready", func() bool {
		r, err := http.Get("http://" + management + "/readyz")
		if err != nil {
			return false
		}
		_ = r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
	// Into the clear it does not go: over TCP a database is reached by TLS or not at all.
	for _, role := range []string{"cell", "control", "keys"} {
		var open map[string]any
		if err := json.Unmarshal(config, &open); err != nil {
			t.Fatal(err)
		}
		open["databases"].(map[string]any)[role].(map[string]any)["role"] = "postgres://x:y@127.0.0.1:1/z?sslmode=disable"
		open["listen"], open["management"] = "127.0.0.1:0", "127.0.0.1:0"
		b, err := json.Marshal(open)
		if err != nil {
			t.Fatal(err)
		}
		if r := cordontest.Cordon(t, nil, "serve", "--config", write("open.json", b)); r.Code != 1 || !strings.Contains(r.Err, "allows a connection in clear") {
			t.Errorf("sslmode=disable of %s: %d %s", role, r.Code, r.Err)
		}
	}
	profile := []string{"CORDON_DIR=", "CORDON_URL=https://" + public, "CORDON_TOKEN=" + strings.Repeat("a", 40), "CORDON_CA=" + filepath.Join(dir, "tls.pem")}
	if r := cordontest.Cordon(t, profile, "tenant", "create", "served", "--json"); r.Code != 0 || oneJSON(t, r.Out)["state"] != "active" {
		t.Errorf("create: %d %s %s", r.Code, r.Out, r.Err)
	}
	if r := cordontest.Cordon(t, profile, "audit", "verify", "--tenant", "served"); r.Code != 0 {
		t.Errorf("verify: %d %s %s", r.Code, r.Out, r.Err)
	}
	if r := cordontest.Cordon(t, append(profile, "CORDON_TOKEN="+strings.Repeat("b", 40)), "tenant", "list"); r.Code != 1 {
		t.Errorf("a wrong token: %d %s", r.Code, r.Out)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("stopped: %v", err)
	}
}

// logKeys makes the signing keys of the roles' logs, as an operator does.
func logKeys(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, role := range []string{"cell", "control", "keys"} {
		out[role] = filepath.Join(dir, role+".logkey")
		if r := cordontest.Cordon(t, nil, "audit", "keygen", "--name", "test.example/"+role, "--out", out[role]); r.Code != 0 {
			t.Fatalf("keygen: %d %s", r.Code, r.Err)
		}
	}
	return out
}

// otherDatabases makes three empty databases on the platform's Postgres, beside its own, for its own roles.
func otherDatabases(t *testing.T, p *cordontest.Platform) map[string]any {
	t.Helper()
	su := p.Superuser(t)
	b, err := os.ReadFile(filepath.Join(p.Dir, "secrets.json"))
	if err != nil {
		t.Fatal(err)
	}
	var secrets struct {
		Passwords map[string]string `json:"passwords"`
	}
	if err := json.Unmarshal(b, &secrets); err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	home := map[string]string{"cordon_cell": "cordon_cell1", "cordon_control": "cordon_control", "cordon_keys": "cordon_keyring"}
	for name, role := range map[string]string{"cell": "cordon_cell", "control": "cordon_control", "keys": "cordon_keys"} {
		db := "other_" + name
		for _, sql := range []string{"CREATE DATABASE " + db + " OWNER cordon_owner", "REVOKE ALL ON DATABASE " + db + " FROM PUBLIC", "GRANT CONNECT ON DATABASE " + db + " TO " + role,
			"REVOKE CONNECT ON DATABASE " + home[role] + " FROM " + role} { // a role enters one database
			if _, err := su.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
		admin := p.SuperuserDSN(db)
		c := su.Config()
		out[name] = map[string]string{"migrate": admin, "role": fmt.Sprintf("host='%s' port=%d user=%s password='%s' dbname=%s", c.Host, c.Port, role, secrets.Passwords[role], db)}
	}
	return out
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// serverKeys makes a certificate that is its own authority, its key, and a key for tickets.
func serverKeys(t *testing.T) (cert, key, ticket []byte) {
	t.Helper()
	private := func() (*ecdsa.PrivateKey, []byte) {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		return k, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	k, key := private()
	_, ticket = private()
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "served"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), key, ticket
}
