package pgserver_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/pgserver"
)

func TestKilledServerIsReported(t *testing.T) {
	t.Parallel()
	c := config(folder(t))
	s := start(t, c)
	query(t, s, "create table kept as select 'yes' v")
	if s.Err() != nil {
		t.Errorf("an error while all is well: %v", s.Err())
	}
	kill(t, s.PID())
	select {
	case <-s.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("Done did not close")
	}
	if err := s.Err(); err == nil || !strings.Contains(err.Error(), "signal: killed") || !strings.Contains(err.Error(), "ready to accept") {
		t.Errorf("the error is %v", err)
	}
	refused(t, c, "in use by process") // until Stop, the folder is ours
	stop(t, s)
	if got := query(t, start(t, c), "select v from kept"); got != "yes" {
		t.Errorf("kept %q", got)
	}
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// TestOwner is not a test but the process that TestKilledOwner kills: it starts a server and waits for its end.
func TestOwner(t *testing.T) {
	dir := os.Getenv("CORDON_PGSERVER_OWNED")
	if dir == "" {
		t.Skip("only runs as a child of TestKilledOwner")
	}
	s, err := pgserver.Start(context.Background(), config(dir))
	fmt.Println("started", s, err)
	select {}
}

// owner runs another process that owns a server of dir; it returns when that server is up.
func owner(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestOwner$", "-test.v")
	cmd.Env = append(os.Environ(), "CORDON_PGSERVER_OWNED="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "started postgres") {
			return cmd
		}
		if strings.HasPrefix(lines.Text(), "started") {
			t.Fatal(lines.Text())
		}
	}
	t.Fatal("the owner ended")
	return nil
}

func TestKilledOwner(t *testing.T) {
	t.Parallel()
	c := config(folder(t))
	stop(t, start(t, c))
	for range 3 {
		cmd := owner(t, c.Dir)
		refused(t, c, "in use by process "+fmt.Sprint(cmd.Process.Pid))
		kill(t, cmd.Process.Pid)
		cmd.Wait()
		began := time.Now()
		s := start(t, c)
		t.Logf("start after a killed owner: %v", time.Since(began))
		query(t, s, "create table if not exists kept (v text)")
		stop(t, s)
	}
}

// The kernel's word of the owner's death is late: the postmaster is stopped.
func TestSlowOrphanIsAwaited(t *testing.T) {
	t.Parallel()
	c := config(folder(t))
	cmd := owner(t, c.Dir)
	pid := postmaster(t, c.Dir)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(pid, syscall.SIGCONT) })
	kill(t, cmd.Process.Pid)
	cmd.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if s, err := pgserver.Start(ctx, c); err == nil {
		stop(t, s)
		t.Fatal("started beside a postmaster that still lives")
	} else if !strings.Contains(err.Error(), "wait for an earlier postgres to end") {
		t.Error(err)
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	start(t, c)
}

// byHand starts postgres on the data of c as no owner would: nothing ends it when its starter dies. inherit makes it an
// heir of a Start all the same, by the lock that such a postgres holds.
func byHand(t *testing.T, c pgserver.Config, inherit bool) *exec.Cmd {
	t.Helper()
	bin, _, err := pgserver.Find("")
	if err != nil {
		t.Fatal(err)
	}
	s, err := pgserver.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	stop(t, s)
	cmd := exec.Command(filepath.Join(bin, "postgres"), "-D", s.DataDir(), "-c", "config_file="+filepath.Join(c.Dir, "pg.conf"),
		"-c", "listen_addresses=", "-c", "unix_socket_directories="+s.SocketDir())
	cmd.Dir = "/"
	if os.Geteuid() == 0 {
		info, err := os.Stat(s.DataDir())
		if err != nil {
			t.Fatal(err)
		}
		owner := info.Sys().(*syscall.Stat_t)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
	}
	if inherit {
		running, err := os.OpenFile(filepath.Join(c.Dir, "pg.running"), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer running.Close()
		if err := syscall.Flock(int(running.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			t.Fatal(err)
		}
		cmd.ExtraFiles = []*os.File{running}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Signal(syscall.SIGQUIT); cmd.Wait() })
	for { // until it has said who it is, and serves
		raw, err := os.ReadFile(filepath.Join(s.DataDir(), "postmaster.pid"))
		if err == nil && strings.Contains(string(raw), "ready") {
			return cmd
		}
		if t.Context().Err() != nil {
			t.Fatal("postgres did not start by hand")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestOrphanIsEnded(t *testing.T) {
	t.Parallel()
	c := config(folder(t))
	orphan := byHand(t, c, true)
	start(t, c)
	if err := orphan.Wait(); err != nil {
		t.Errorf("the orphan was not asked politely: %v", err)
	}
}

func TestServerStartedByHandIsLeftAlone(t *testing.T) {
	t.Parallel()
	c := config(folder(t))
	cmd := byHand(t, c, false)
	refused(t, c, fmt.Sprintf("in use by process %d, a PostgreSQL that was started by hand", cmd.Process.Pid))
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	start(t, c)
}

func postmaster(t *testing.T, dir string) int {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "pg", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(string(raw), &pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

// A session that is busy in a long computation outlives its killed postmaster for a while.
func TestKilledPostmasterWithBusySession(t *testing.T) {
	t.Parallel()
	c := config(folder(t))
	s := start(t, c)
	user, password := s.Superuser()
	conn, err := pgx.Connect(t.Context(), s.DSN(user, password, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	session := int(conn.PgConn().PID())
	if err := syscall.Kill(session, syscall.SIGSTOP); err != nil { // busier than any query
		t.Fatal(err)
	}
	kill(t, s.PID())
	<-s.Done()
	stop(t, s)
	// Start's SIGINT and SIGQUIT stay pending while the session is stopped; it goes at SIGCONT, and Start goes on.
	time.AfterFunc(1500*time.Millisecond, func() { syscall.Kill(session, syscall.SIGCONT) })
	start(t, c)
}

func TestHalfMadeDatabase(t *testing.T) {
	t.Parallel()
	// initdb is cut off at ever later moments; whatever it leaves, the next start makes a whole database.
	const ms = time.Millisecond
	for _, after := range []time.Duration{20 * ms, 100 * ms, 200 * ms, 300 * ms} {
		t.Run(after.String(), func(t *testing.T) {
			t.Parallel()
			c := config(folder(t))
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			if s, err := pgserver.Start(ctx, c); err == nil {
				stop(t, s)
				t.Skip("this machine makes databases faster than that")
			}
			if _, err := os.Stat(filepath.Join(c.Dir, "pg")); err == nil {
				t.Log("the database was whole already")
			}
			start(t, c)
			for _, left := range []string{"pg.new", "pg.pass"} {
				if _, err := os.Lstat(filepath.Join(c.Dir, left)); err == nil {
					t.Errorf("%s stayed behind", left)
				}
			}
		})
	}
}

func TestOwnerKilledWhileMakingTheDatabase(t *testing.T) {
	t.Parallel()
	c := config(folder(t))
	cmd := exec.Command(os.Args[0], "-test.run=^TestOwner$")
	cmd.Env = append(os.Environ(), "CORDON_PGSERVER_OWNED="+c.Dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for { // initdb has begun to write
		if _, err := os.Stat(filepath.Join(c.Dir, "pg.new", "base")); err == nil {
			break
		}
		if t.Context().Err() != nil {
			t.Fatal("initdb did not begin")
		}
		time.Sleep(time.Millisecond)
	}
	kill(t, cmd.Process.Pid)
	cmd.Wait()
	if got := query(t, start(t, c), "select 'alive'"); got != "alive" {
		t.Error(got)
	}
}

func TestStalePidFile(t *testing.T) {
	t.Parallel()
	c := config(folder(t))
	s := start(t, c)
	stop(t, s)
	// A process of postgres's own user now has the number of the postmaster that was killed.
	other := exec.Command("sleep", "60")
	info, err := os.Stat(s.DataDir())
	if err != nil {
		t.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t)
	if os.Geteuid() == 0 {
		other.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { other.Process.Kill(); other.Wait() }()
	for _, path := range []string{filepath.Join(s.DataDir(), "postmaster.pid"), filepath.Join(s.SocketDir(), ".s.PGSQL.5432.lock")} {
		stale := fmt.Sprintf("%d\n%s\n1700000000\n5432\n%s\n\n  12345  7\nready   \n", other.Process.Pid, s.DataDir(), s.SocketDir())
		if err := os.WriteFile(path, []byte(stale), 0o600); err != nil {
			t.Fatal(err)
		}
		if os.Geteuid() == 0 {
			if err := os.Chown(path, int(owner.Uid), int(owner.Gid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	start(t, c)
}

func TestOtherVersion(t *testing.T) {
	t.Parallel()
	c := config(folder(t))
	s := start(t, c)
	stop(t, s)
	path := filepath.Join(s.DataDir(), "PG_VERSION")
	if err := os.WriteFile(path, []byte("99\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, c, "the folder "+s.DataDir()+" was made by PostgreSQL 99, the binaries in ", fmt.Sprintf("are %d", s.Version()))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	refused(t, c, "is not a PostgreSQL database")
}

func TestLostPassword(t *testing.T) {
	t.Parallel()
	c := config(folder(t))
	stop(t, start(t, c))
	path := filepath.Join(c.Dir, "pg.secret")
	if err := os.WriteFile(path, []byte("another\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, c, "with the password in "+path, "password authentication failed")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	refused(t, c, "pg.secret with its password is gone")
}

func TestStopOutOfTime(t *testing.T) {
	t.Parallel()
	c := config(folder(t))
	s, err := pgserver.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	query(t, s, "create table kept as select 'yes' v")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Stop(ctx); err == nil || !strings.Contains(err.Error(), "no time to stop cleanly") {
		t.Errorf("stop: %v", err)
	}
	s2 := start(t, c)
	if got := query(t, s2, "select v from kept"); got != "yes" {
		t.Errorf("kept %q", got)
	}
}
