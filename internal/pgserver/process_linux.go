package pgserver

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// process is a child, watched by the goroutine that started it.
type process struct {
	pid    int
	os     *os.Process
	exited chan struct{}
	err    error // how it ended; set before exited closes
}

func (p *process) signal(sig syscall.Signal) error { return p.os.Signal(sig) }

// spawn starts cmd as the account. If we die, however suddenly, the kernel sends it farewell. running becomes its file 3.
func spawn(cmd *exec.Cmd, a account, farewell syscall.Signal, running *os.File) (*process, error) {
	cmd.Dir = "/"                                                                 // ours may be closed to the account
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"} // no PGDATA or PGPORT of ours
	cmd.ExtraFiles = []*os.File{running}
	// A session of its own: Ctrl-C in our terminal is for us, and postgres stops last.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.credential(), Pdeathsig: farewell, Setsid: true}

	p := &process{exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// Pdeathsig fires when the THREAD that forked ends. This one lives until the child is gone: it is never unlocked,
		// and so no other goroutine's exit can take it down.
		runtime.LockOSThread()
		err := cmd.Start()
		if err != nil {
			started <- err
			return
		}
		p.pid, p.os = cmd.Process.Pid, cmd.Process
		started <- nil
		p.err = cmd.Wait()
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// launch starts the postmaster. Its farewell is SIGQUIT, an immediate stop: a clean one could take long over its
// checkpoint while our successor waits, and replaying the log at the next start is a path that must work anyway.
func (s *Server) launch(bin binaries, running *os.File) (*process, error) {
	args := []string{"-D", s.place.data()}
	law := s.place.law(s.sockets)
	for _, name := range slices.Sorted(maps.Keys(law)) {
		args = append(args, "-c", name+"="+law[name])
	}
	cmd := exec.Command(bin.path("postgres"), args...)
	cmd.Stdout, cmd.Stderr = s.out.file, s.out.file
	p, err := spawn(cmd, s.place.account, syscall.SIGQUIT, running)
	if err != nil {
		return nil, fmt.Errorf("run postgres as user %s: %w", s.place.account.name, err)
	}
	return p, nil
}

// awaitReady watches the pid file, where the postmaster says when it is ready, and then connects once, to be sure of
// the password too. Knocking at the socket meanwhile would fill the log with refusals during a long recovery.
func (s *Server) awaitReady(ctx context.Context) error {
	pidFile := filepath.Join(s.place.data(), "postmaster.pid")
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for ready := false; !ready; {
		select {
		case <-s.proc.exited:
			return s.obituary("postgres did not start")
		case <-ctx.Done():
			return fmt.Errorf("wait for postgres to be ready: %w", context.Cause(ctx))
		case <-tick.C:
			pid, state, _ := readPidFile(pidFile) // absent at first
			ready = pid == s.proc.pid && state == "ready"
		}
	}
	conn, err := pgconn.Connect(ctx, s.DSN(superuser, s.password, "postgres"))
	if err != nil {
		return fmt.Errorf("connect to the new server with the password in %s: %w", filepath.Join(s.place.dir, "pg.secret"), err)
	}
	return conn.Close(ctx)
}

// watch tells Done when the server ends without having been asked to.
func (s *Server) watch() {
	<-s.proc.exited
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return
	}
	s.err = s.obituary("postgres ended unexpectedly")
	s.log.Error("postgres ended unexpectedly", "pid", s.proc.pid, "how", s.howItEnded())
	close(s.done)
}

func (s *Server) howItEnded() string {
	if s.proc.err == nil {
		return "exit status 0"
	}
	return s.proc.err.Error()
}

// obituary says how the server ended, with its last words.
func (s *Server) obituary(what string) error {
	//phi:allow Postgres speaks of itself here: its settings (law) keep statements, parameters and rows out of what it logs
	return fmt.Errorf("%s: process %d: %s%s", what, s.proc.pid, s.howItEnded(), s.out.lastWords())
}

// Done closes when postgres ends without Stop having been called; Err then says why. After Stop it never closes.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err is nil until Done is closed.
func (s *Server) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Stop ends the server cleanly: sessions are cut off, a checkpoint is written. When ctx ends first, postgres is told to
// drop everything, and Stop returns an error though nothing committed is lost. The folder is free afterwards in any
// case. A second call waits for the first and returns the same.
func (s *Server) Stop(ctx context.Context) error {
	s.stopOnce.Do(func() {
		s.mu.Lock()
		s.stopping = true
		s.mu.Unlock()
		s.stopErr = s.end(ctx)
		s.release()
	})
	return s.stopErr
}

func (s *Server) end(ctx context.Context) error {
	if s.Err() != nil {
		return nil // it is gone, and Err says so
	}
	_ = s.proc.signal(syscall.SIGINT) // fails only for a process that is gone
	select {
	case <-s.proc.exited:
		if s.proc.err != nil {
			return s.obituary("postgres did not stop cleanly")
		}
		return nil
	case <-ctx.Done():
	}
	s.abort()
	return fmt.Errorf("postgres had no time to stop cleanly; the next start replays its log: %w", context.Cause(ctx))
}

// abort is the immediate stop. Postgres kills its children itself after 5 s; if it does not even do that, its
// postmaster is killed, and the next start waits for the rest (see reclaim).
func (s *Server) abort() {
	_ = s.proc.signal(syscall.SIGQUIT)
	select {
	case <-s.proc.exited:
		return
	case <-time.After(10 * time.Second):
	}
	_ = s.proc.signal(syscall.SIGKILL)
	<-s.proc.exited
}

// release gives back what Start took, as far as it came; the owner lock last.
func (s *Server) release() {
	if s.sockets != "" {
		s.place.closeSockets()
	}
	if s.out.file != nil {
		_ = s.out.file.Close()
	}
	unlockOwner(s.lock)
}
