package pgserver_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/pgserver"
)

// folder is a data folder that postgres can reach, also as root: t.TempDir lies under a folder closed to others.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "cordon-pgserver-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func config(dir string) pgserver.Config {
	return pgserver.Config{Dir: dir, Settings: map[string]string{"shared_buffers": "16MB"}}
}

func start(t testing.TB, c pgserver.Config) *pgserver.Server {
	t.Helper()
	s, err := pgserver.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t testing.TB, s *pgserver.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// refused starts c, which must fail with an error that says all of what.
func refused(t testing.TB, c pgserver.Config, what ...string) {
	t.Helper()
	s, err := pgserver.Start(t.Context(), c)
	if err == nil {
		stop(t, s)
		t.Fatalf("started; want an error with %q", what)
	}
	for _, w := range what {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

func query(t testing.TB, s *pgserver.Server, sql string) string {
	t.Helper()
	user, password := s.Superuser()
	conn, err := pgx.Connect(t.Context(), s.DSN(user, password, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	rows, err := conn.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return strings.Join(got, "\n")
}

func TestRestartKeepsData(t *testing.T) {
	t.Parallel()
	c := config(folder(t))
	s := start(t, c)
	query(t, s, "create table kept (v text)")
	query(t, s, "insert into kept values ('Ä')")
	_, password := s.Superuser()
	stop(t, s)
	select {
	case <-s.Done():
		t.Error("Done closed by Stop")
	default:
	}

	c.Settings["work_mem"] = "5MB"
	began := time.Now()
	s = start(t, c)
	t.Logf("warm start: %v", time.Since(began))
	if got := query(t, s, "select lower(v) from kept"); got != "ä" {
		t.Errorf("kept %q", got)
	}
	if got := query(t, s, "show work_mem"); got != "5MB" {
		t.Errorf("work_mem %q: new settings did not take effect", got)
	}
	if _, again := s.Superuser(); again != password {
		t.Error("the password changed")
	}
	// Stop and start in one breath: nothing of the old life may be in the way.
	stop(t, s)
	stop(t, start(t, c))
}

func TestPromises(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	s := start(t, config(dir))
	for setting, want := range map[string]string{
		"data_checksums": "on", "listen_addresses": "", "password_encryption": "scram-sha-256", "fsync": "on",
		"full_page_writes": "on", "synchronous_commit": "on", "wal_level": "replica", "log_statement": "none",
		"server_encoding": "UTF8", "jit": "off", "lc_collate": "C",
	} {
		if got := query(t, s, "select current_setting('"+setting+"')"); got != want {
			t.Errorf("%s = %q, want %q", setting, got, want)
		}
	}
	if s.Version() < 15 || !strings.HasPrefix(query(t, s, "show server_version"), fmt.Sprint(s.Version())) {
		t.Errorf("version %d", s.Version())
	}

	if os.Geteuid() == 0 {
		info, err := os.Stat(fmt.Sprintf("/proc/%d", s.PID()))
		if err != nil {
			t.Fatal(err)
		}
		if info.Sys().(*syscall.Stat_t).Uid == 0 {
			t.Error("postgres runs as root")
		}
	}
	if got := listening(t, s.PID()); got != "" {
		t.Errorf("postgres listens on the network: %s", got)
	}
	for path, mode := range map[string]os.FileMode{s.SocketDir(): 0o700, s.DataDir(): 0o700, dir + "/pg.secret": 0o600, dir + "/pg.log": 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), mode)
		}
	}

	user, password := s.Superuser()
	if _, err := pgx.Connect(t.Context(), s.DSN(user, "not it", "postgres")); err == nil {
		t.Error("a wrong password was let in")
	}
	for _, shown := range []string{fmt.Sprint(s), fmt.Sprintf("%+v", s)} {
		if strings.Contains(shown, password) {
			t.Errorf("printing a server shows its password: %s", shown)
		}
	}
}

// listening gives the TCP sockets in state LISTEN that the process holds.
func listening(t *testing.T, pid int) string {
	t.Helper()
	inodes := map[string]bool{}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		link, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd.Name()))
		inodes[strings.TrimSuffix(strings.TrimPrefix(link, "socket:["), "]")] = true
	}
	var found []string
	for _, name := range []string{"tcp", "tcp6"} {
		raw, _ := os.ReadFile("/proc/net/" + name) // tcp6 may not exist
		for line := range strings.Lines(string(raw)) {
			if f := strings.Fields(line); len(f) > 9 && f[3] == "0A" && inodes[f[9]] {
				found = append(found, f[1])
			}
		}
	}
	return strings.Join(found, " ")
}

func TestLogHoldsNoValues(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	s := start(t, config(dir))
	user, password := s.Superuser()
	conn, err := pgx.Connect(t.Context(), s.DSN(user, password, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	const phi = "Amalia-Featherstonehaugh"
	for _, sql := range []string{
		"select '" + phi + "'::date",
		"do $$ begin raise warning '" + phi + "'; end $$",
		"do $$ begin raise exception '" + phi + "'; end $$",
		"create table u (v text primary key); insert into u values ('" + phi + "'); insert into u values ('" + phi + "')",
		"select pg_sleep(0) /* " + phi + " */",
	} {
		_, _ = conn.Exec(t.Context(), sql) // most are meant to fail
	}
	if _, err := conn.Exec(t.Context(), "select $1::text::int", phi); err == nil {
		t.Error("a name is a number")
	}
	stop(t, s)
	raw, err := os.ReadFile(filepath.Join(dir, "pg.log"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(raw, []byte("ready to accept connections")) {
		t.Errorf("the log does not tell of the start:\n%s", raw)
	}
	if bytes.Contains(raw, []byte(phi)) {
		t.Errorf("the log holds a patient's name:\n%s", raw)
	}
}

func TestDSNQuotes(t *testing.T) {
	t.Parallel()
	s := start(t, config(folder(t)))
	query(t, s, `create role "o'b\ r" login password 'p''\ w'`)
	conn, err := pgx.Connect(t.Context(), s.DSN(`o'b\ r`, `p'\ w`, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	conn.Close(t.Context())
}

func TestSecondOwnerIsRefused(t *testing.T) {
	t.Parallel()
	c := config(folder(t))
	s := start(t, c)
	refused(t, c, "the folder "+c.Dir+" is in use by process "+fmt.Sprint(os.Getpid()))
	if got := query(t, s, "select 'alive'"); got != "alive" {
		t.Error("the refused start harmed the running server")
	}
}

func TestSettingsAreChecked(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	for name, value := range map[string]string{
		"log_statement": "all", "Listen_Addresses": "*", "work_mem": "1\n2", "a b": "c", "data_directory": "/x",
	} {
		refused(t, pgserver.Config{Dir: dir, Settings: map[string]string{name: value}}, strings.Fields(name)[0])
	}
	refused(t, pgserver.Config{Dir: dir, Settings: map[string]string{"work_mem": "a lot"}}, "did not start", `"work_mem"`, "a lot")
	s := start(t, pgserver.Config{Dir: dir, Settings: map[string]string{"application_name": `it's \ here`}})
	if got := query(t, s, "select reset_val from pg_settings where name = 'application_name'"); got != `it's \ here` {
		t.Errorf("the value arrived as %q", got)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	dir, version, err := pgserver.Find("")
	if err != nil || version < 15 {
		t.Fatalf("found %q, %d: %v", dir, version, err)
	}
	if again, v, err := pgserver.Find(dir); again != dir || v != version || err != nil {
		t.Errorf("found %q, %d: %v", again, v, err)
	}
	if _, _, err := pgserver.Find(t.TempDir()); err == nil {
		t.Error("found PostgreSQL in an empty folder")
	}
	old := t.TempDir()
	for _, name := range []string{"initdb", "postgres"} {
		if err := os.WriteFile(filepath.Join(old, name), []byte("#!/bin/sh\necho 'postgres (PostgreSQL) 13.4'\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := pgserver.Find(old); err == nil || !strings.Contains(err.Error(), "are PostgreSQL 13; 15 or newer is needed") {
		t.Errorf("found an old PostgreSQL: %v", err)
	}
}

func TestLongPath(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(folder(t), strings.Repeat("long-", 20), "data")
	if os.Geteuid() == 0 {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Dir(filepath.Dir(dir)), 0o711); err != nil {
			t.Fatal(err)
		}
	}
	s := start(t, config(dir))
	if strings.HasPrefix(s.SocketDir(), dir) {
		t.Fatalf("the sockets are in %s", s.SocketDir())
	}
	if got := query(t, s, "select 'alive'"); got != "alive" {
		t.Error(got)
	}
	stop(t, s)
	if _, err := os.Lstat(s.SocketDir()); !os.IsNotExist(err) {
		t.Errorf("the socket folder %s stayed behind", s.SocketDir())
	}
	if _, err := net.Dial("unix", filepath.Join(s.SocketDir(), ".s.PGSQL.5432")); err == nil {
		t.Error("somebody still listens")
	}
}
