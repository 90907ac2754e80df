package cordontest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/pgserver"
)

// binary is cmd/cordon, built once per test binary: for tests of what only a process of its own can show (signals, exit
// codes, being killed).
var binary struct {
	once sync.Once
	dir  string
	err  error
}

// Binary gives the path of the built command. The package's TestMain must be Main.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func build() (string, error) {
	binary.once.Do(func() {
		if binary.dir, binary.err = os.MkdirTemp("", "cordonbin"); binary.err != nil {
			return
		}
		out, err := exec.Command("go", "build", "-o", filepath.Join(binary.dir, "cordon"), "github.com/cordon-ehr/cordon/cmd/cordon").CombinedOutput()
		if err != nil {
			binary.err = fmt.Errorf("build cordon: %w: %s", err, out)
		}
	})
	return filepath.Join(binary.dir, "cordon"), binary.err
}

func removeBinary() {
	if binary.dir != "" {
		_ = os.RemoveAll(binary.dir)
	}
}

// Ran is how a command ended.
type Ran struct {
	Code     int
	Out, Err string
}

// Cordon runs the command to its end. env are further variables, NAME=value; what the test's own environment says of a
// platform is not handed on.
func Cordon(t testing.TB, env []string, args ...string) Ran {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, Binary(t), args...)
	cmd.Env = environment(env)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatalf("run cordon %s: %v", strings.Join(args, " "), err)
	}
	return Ran{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

func environment(more []string) []string {
	var out []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "CORDON_") {
			out = append(out, v)
		}
	}
	return append(out, more...)
}

// Dev is a `cordon dev` in a process of its own.
type Dev struct {
	*Platform
	Out    *Log // its stdout and stderr
	cmd    *exec.Cmd
	exited chan struct{}
}

// DevDir makes a folder for a platform that outlives processes, and destroys its database after the test.
func DevDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cordondev")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := pgserver.Remove(ctx, dir); err != nil {
			t.Logf("remove the database of %s: %v", dir, err)
		}
		_ = os.RemoveAll(dir)
	})
	return dir
}

// Launch starts `cordon dev` on a folder without waiting for it to serve. What still runs after the test is stopped. Where platforms are
// apart a test of one that is not is skipped.
func Launch(t testing.TB, dir string, env []string, args ...string) *Dev {
	t.Helper()
	if !slices.Contains(args, "--apart") {
		inOneProcess(t)
	}
	d := &Dev{Platform: &Platform{Dir: dir}, Out: &Log{}, exited: make(chan struct{})}
	d.Logs = d.Out
	d.cmd = exec.Command(Binary(t), append([]string{"dev", "--dir", dir, "--listen", "127.0.0.1:0"}, args...)...)
	d.cmd.Env = environment(env)
	d.cmd.Stdout, d.cmd.Stderr = d.Out, d.Out
	if err := d.cmd.Start(); err != nil {
		t.Fatalf("start cordon dev: %v", err)
	}
	go func() {
		_ = d.cmd.Wait() // how it ended is in ProcessState
		close(d.exited)
	}()
	t.Cleanup(func() {
		_ = d.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-d.exited:
		case <-time.After(30 * time.Second):
			_ = d.cmd.Process.Kill()
			<-d.exited
		}
	})
	return d
}

// StartDev starts `cordon dev` on a folder and waits until it serves.
func StartDev(t testing.TB, dir string, env ...string) *Dev {
	t.Helper()
	return StartDevWith(t, dir, env)
}

// StartDevWith is StartDev with further arguments.
func StartDevWith(t testing.TB, dir string, env []string, args ...string) *Dev {
	t.Helper()
	d := Launch(t, dir, env, args...)
	Eventually(t, "cordon dev serves", func() bool {
		select {
		case <-d.exited:
			t.Fatalf("cordon dev ended with %d:\n%s", d.cmd.ProcessState.ExitCode(), d.Out)
		default:
		}
		b, err := os.ReadFile(filepath.Join(dir, "dev.json"))
		// Of a run that was killed the file may have been left: it names another process.
		return err == nil && json.Unmarshal(b, &d.Info) == nil && d.Info.PID == d.PID()
	})
	var err error
	if d.HTTP, err = client(d.Info.CA); err != nil {
		t.Fatal(err)
	}
	return d
}

// PID is the process id of cordon.
func (d *Dev) PID() int { return d.cmd.Process.Pid }

// Kill ends the process as a power cut would, and waits until it is gone.
func (d *Dev) Kill() {
	_ = d.cmd.Process.Kill()
	<-d.exited
}

// Stop asks the process to end, and gives its exit code.
func (d *Dev) Stop(t testing.TB) int {
	t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("stop cordon dev: %v", err)
	}
	return d.Wait(t)
}

// Wait gives the exit code when the process has ended by itself; -1 when a signal ended it.
func (d *Dev) Wait(t testing.TB) int {
	t.Helper()
	select {
	case <-d.exited:
	case <-time.After(40 * time.Second):
		t.Fatalf("cordon dev did not end:\n%s", d.Out)
	}
	return d.cmd.ProcessState.ExitCode()
}

// Postmaster gives the process id of a folder's Postgres.
func Postmaster(t testing.TB, dir string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "pg", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(string(b), &pid); err != nil {
		t.Fatalf("read the pid of postgres: %v", err)
	}
	return pid
}

// Move turns a client to another run of its platform, and gets a token there: the address is another, and so the issuer.
func (c *Client) Move(t testing.TB, to *Platform) {
	t.Helper()
	c.Base = to.Info.URL + strings.TrimPrefix(c.Base, c.P.Info.URL)
	c.TokenURL = to.Info.URL + strings.TrimPrefix(c.TokenURL, c.P.Info.URL)
	c.P = to
	c.Renew(t)
}

// Eventually polls until ok, and fails the test when that takes half a minute.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not within half a minute: %s", what)
		}
	}
}

// SuperuserDSN is the superuser's DSN on one of the platform's databases: cordon_cell1, cordon_control, cordon_keyring.
func (p *Platform) SuperuserDSN(database string) string {
	before, _, _ := strings.Cut(p.Info.Postgres.Superuser, "dbname=")
	return before + "dbname='" + database + "' sslmode=disable"
}

// SuperuserOn connects to one of the platform's databases as Postgres' superuser.
func (p *Platform) SuperuserOn(t testing.TB, database string) *pgx.Conn {
	return p.connect(t, p.SuperuserDSN(database))
}
