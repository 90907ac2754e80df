package test

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// mustRefuse wants `cordon dev` to end with 1, and to say why in words of a person.
func mustRefuse(t *testing.T, d *cordontest.Dev, words ...string) {
	t.Helper()
	if code := d.Wait(t); code != 1 {
		t.Errorf("ended with %d, want 1", code)
	}
	for _, w := range words {
		if !strings.Contains(d.Out.String(), w) {
			t.Errorf("does not say %q: %s", w, d.Out)
		}
	}
	for _, w := range []string{"panic", "goroutine", "SQLSTATE"} {
		if strings.Contains(d.Out.String(), w) {
			t.Errorf("says %q to a person: %s", w, d.Out)
		}
	}
}

func TestDevRefusals(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := cordontest.DevDir(t)
	mustRefuse(t, cordontest.Launch(t, dir, nil, "--listen", taken.Addr().String()), taken.Addr().String(), "taken", "--listen")
	if left, _ := filepath.Glob(filepath.Join(dir, "pg*")); len(left) > 0 {
		t.Errorf("a refused start left %v", left)
	}
	mustRefuse(t, cordontest.Launch(t, dir, nil, "--listen", "127.0.0.1:notaport"), "listen")

	empty := t.TempDir()
	mustRefuse(t, cordontest.Launch(t, dir, nil, "--pg-bin", empty), empty, "PostgreSQL")

	d := cordontest.StartDev(t, dir)
	second := cordontest.Launch(t, dir, nil)
	mustRefuse(t, second, dir, "in use", strconv.Itoa(d.PID()))
	if r := d.Send(t, http.MethodGet, d.Info.Management+"/readyz", nil, nil); r.Status != http.StatusOK {
		t.Errorf("a second process on its folder disturbs the first: %d", r.Status)
	}
	if _, err := os.Stat(filepath.Join(dir, "dev.json")); err != nil {
		t.Errorf("a second process took the first one's dev.json: %v", err)
	}
	d.Stop(t)

	secrets := filepath.Join(dir, "secrets.json")
	whole, err := os.ReadFile(secrets)
	if err != nil {
		t.Fatal(err)
	}
	write := func(b string) {
		t.Helper()
		if err := os.WriteFile(secrets, []byte(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(strings.Replace(string(whole), `"format": 1`, `"format": 2`, 1))
	mustRefuse(t, cordontest.Launch(t, dir, nil), dir, "another version", "format 2")
	write(string(whole[:len(whole)/2]))
	mustRefuse(t, cordontest.Launch(t, dir, nil), "secrets.json", "damaged")
	write(string(whole))
	kms := filepath.Join(dir, "kms.json")
	if err := os.Chmod(kms, 0o644); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, cordontest.Launch(t, dir, nil), kms, "0600")
	if err := os.Chmod(kms, 0o600); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, cordontest.Launch(t, dir, []string{"CORDON_KMS_PASSPHRASE=x"}), kms, "passphrase")
	cordontest.StartDev(t, dir) // and all is well again
}

// TestDevFindsPostgresMissing hides every Postgres of the machine but a false one.
func TestDevFindsPostgresMissing(t *testing.T) {
	t.Parallel()
	old := t.TempDir()
	for _, name := range []string{"initdb", "postgres"} {
		if err := os.WriteFile(filepath.Join(old, name), []byte("#!/bin/sh\necho 'postgres (PostgreSQL) 14.2'\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mustRefuse(t, cordontest.Launch(t, cordontest.DevDir(t), nil, "--pg-bin", old), "14", "15 or newer")
	r := cordontest.Cordon(t, nil, "dev", "--dir", t.TempDir(), "--pg-bin", filepath.Join(old, "nowhere"))
	if r.Code != 2 || !strings.Contains(r.Err, "nowhere") {
		t.Errorf("a --pg-bin that is no folder: %d %s", r.Code, r.Err)
	}
}

// TestDevStopsCleanly asks a platform with work behind it to end, by each signal that a person or a supervisor sends, while a
// client holds a connection; the next start is quick and finds the state.
func TestDevStopsCleanly(t *testing.T) {
	t.Parallel()
	dir := cordontest.DevDir(t)
	began := time.Now()
	d := cordontest.StartDev(t, dir)
	t.Logf("cold start %v", time.Since(began).Round(time.Millisecond))
	began = time.Now()
	n := d.Tenant(t)
	t.Logf("tenant, client and token %v", time.Since(began).Round(time.Millisecond))
	id := n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated).ID(t)
	quickest := time.Hour // the machine may be busy with other tests
	operators, client := d.Info.Operators["alice"], n.ClientID
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		postmaster := cordontest.Postmaster(t, dir)
		n.Do(t, http.MethodGet, "/Patient/"+id, nil).Want(t, http.StatusOK) // its connection stays open
		began = time.Now()
		if err := syscall.Kill(d.PID(), sig); err != nil {
			t.Fatal(err)
		}
		if code := d.Wait(t); code != 0 {
			t.Errorf("ended by %v with %d: %s", sig, code, d.Out)
		}
		took := time.Since(began)
		if t.Logf("stopped by %v in %v", sig, took.Round(time.Millisecond)); took > 10*time.Second {
			t.Errorf("stopping took %v", took)
		}
		if _, err := os.Stat(filepath.Join(dir, "dev.json")); err == nil {
			t.Error("dev.json is left")
		}
		if left := processesOf(dir); len(left) > 0 || syscall.Kill(postmaster, 0) == nil {
			t.Errorf("processes are left: %v", left)
		}
		began = time.Now()
		d = cordontest.StartDev(t, dir)
		t.Logf("warm start %v", time.Since(began).Round(time.Millisecond))
		quickest = min(quickest, time.Since(began))
		n.Move(t, d.Platform)
	}
	if quickest > 2*time.Second {
		t.Errorf("a warm start takes %v", quickest)
	}
	if d.Info.Operators["alice"] != operators || n.ClientID != client {
		t.Error("credentials changed over a restart")
	}
	n.Do(t, http.MethodGet, "/Patient?name=Lovelace", nil).Want(t, http.StatusOK)
	devJSON(t, d)

	d.Kill()
	if _, err := os.Stat(filepath.Join(dir, "dev.json")); err != nil {
		t.Fatal("the test expects a killed run's dev.json")
	}
	mustRefuse(t, cordontest.Launch(t, dir, nil, "--pg-bin", t.TempDir()))
	if _, err := os.Stat(filepath.Join(dir, "dev.json")); err == nil {
		t.Error("a start leaves the dev.json of a killed run in place: who waits for the file finds a dead platform")
	}
	r := cordontest.Cordon(t, nil, "tenant", "list", "--dir", dir+"-not")
	if r.Code != 1 || !strings.Contains(r.Err, "cordon dev --dir") {
		t.Errorf("a folder without a platform: %d %s", r.Code, r.Err)
	}
}

// devJSON checks the file that everything else finds the platform by.
func devJSON(t *testing.T, d *cordontest.Dev) {
	t.Helper()
	path := filepath.Join(d.Dir, "dev.json")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var j map[string]any
	if err := json.Unmarshal(b, &j); err != nil {
		t.Fatal(err)
	}
	pg, _ := j["postgres"].(map[string]any)
	ops, _ := j["operators"].(map[string]any)
	if !strings.HasPrefix(j["url"].(string), "https://127.0.0.1:") || !strings.HasPrefix(j["management"].(string), "http://127.0.0.1:") || j["pid"] != float64(d.PID()) ||
		j["ca"] != filepath.Join(d.Dir, "ca.pem") || pg["superuser"] == nil || pg["cell"] == nil || ops["alice"] == nil || ops["bob"] == nil {
		t.Errorf("dev.json: %s", b)
	}
	for _, name := range []string{"dev.json", "secrets.json", "kms.json", "ca-key.pem", "pg.secret"} {
		info, err := os.Stat(filepath.Join(d.Dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
	got, err := http.Get(d.Info.Management + "/healthz")
	if err != nil || got.StatusCode != http.StatusOK {
		t.Errorf("healthz: %v", err)
	} else {
		got.Body.Close()
	}
}

// processesOf lists processes whose command line names the folder.
func processesOf(dir string) (out []string) {
	procs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range procs {
		b, err := os.ReadFile(p)
		if err == nil && strings.Contains(string(b), dir) {
			out = append(out, strings.ReplaceAll(string(b), "\x00", " "))
		}
	}
	return out
}

func TestSynthIsTheSameTwice(t *testing.T) {
	t.Parallel()
	first := cordontest.Cordon(t, nil, "synth", "-n", "3")
	second := cordontest.Cordon(t, nil, "synth", "-n", "3")
	if first.Code != 0 || first.Out != second.Out {
		t.Errorf("two runs differ (%d, %d bytes)", len(first.Out), len(second.Out))
	}
	lines := strings.Split(strings.TrimSuffix(first.Out, "\n"), "\n")
	if len(lines) != 4 { // the directory's Bundle first
		t.Fatalf("%d lines, want 4", len(lines))
	}
	for i, l := range lines {
		var b struct{ ResourceType, Type string }
		if err := json.Unmarshal([]byte(l), &b); err != nil || b.ResourceType != "Bundle" || b.Type != map[bool]string{true: "batch", false: "transaction"}[i == 0] {
			t.Errorf("line %d: %v %v", i, b, err)
		}
	}
	if other := cordontest.Cordon(t, nil, "synth", "-n", "3", "--seed", "2"); other.Out == first.Out {
		t.Error("another seed makes the same patients")
	}
	if part := cordontest.Cordon(t, nil, "synth", "-n", "1", "--start", "2", "--no-directory"); strings.TrimSuffix(part.Out, "\n") != lines[3] {
		t.Error("a patient depends on those before")
	}
}

func TestHelpAndUsage(t *testing.T) {
	t.Parallel()
	help := cordontest.Cordon(t, nil, "--help")
	for _, w := range []string{"dev", "serve", "tenant create", "client create", "audit export", "synth"} {
		if !strings.Contains(help.Out, w) {
			t.Errorf("--help does not name %s", w)
		}
	}
	if help.Code != 0 || help.Err != "" {
		t.Errorf("--help: %d %s", help.Code, help.Err)
	}
	if sub := cordontest.Cordon(t, nil, "tenant", "create", "--help"); sub.Code != 0 || !strings.Contains(sub.Out, "--placement") {
		t.Errorf("tenant create --help: %d %s", sub.Code, sub.Out)
	}
	for _, args := range [][]string{{}, {"nonsense"}, {"dev"}, {"dev", "--dir"}, {"tenant"}, {"tenant", "create"}, {"tenant", "create", "x1", "--placement", "moon"},
		{"tenant", "list", "--as", "mallory"}, {"client", "create", "--tenant", "x1"}, {"audit", "export"}, {"synth", "-n", "many"}, {"tenant", "list", "extra"}} {
		r := cordontest.Cordon(t, nil, args...)
		if r.Code != 2 || !strings.HasPrefix(r.Err, "cordon: ") || r.Out != "" {
			t.Errorf("cordon %s: %d, stderr %q, stdout %q", strings.Join(args, " "), r.Code, r.Err, r.Out)
		}
	}
	r := cordontest.Cordon(t, nil, "tenant", "list")
	if r.Code != 1 || !strings.Contains(r.Err, "--dir") {
		t.Errorf("no platform named: %d %s", r.Code, r.Err)
	}
}

// keys are the sorted names of an object's fields.
func keys(m map[string]any) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
