package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Two locks order the lives of a folder. Both are flock: the kernel drops them with their last holder, however it ends.
//
//	pg.lock     held by the owner, us, from Start to Stop. Close-on-exec: no child keeps it.
//	pg.running  handed down to initdb and to postgres and by it to all its processes, not kept by us: it is free exactly
//	            when none of them is left, also when the owner or the postmaster alone was killed.

// tryLock takes the lock of f, or says that it is taken.
func tryLock(f *os.File) (bool, error) {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, syscall.EINTR):
			return false, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
	}
}

// lockOwner makes us the owner of dir.
func lockOwner(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "pg.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the folder %s: %w", dir, err)
	}
	ours, err := tryLock(f)
	if err == nil && ours {
		_ = f.Truncate(0) // the pid is for people: losing it costs a clear message, nothing else
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
		return f, nil
	}
	defer f.Close()
	if err != nil {
		return nil, err
	}
	pid, _ := io.ReadAll(f)
	if who := strings.TrimSpace(string(pid)); who != "" {
		return nil, fmt.Errorf("the folder %s is in use by process %s", dir, who)
	}
	return nil, fmt.Errorf("the folder %s is in use by another process", dir)
}

// unlockOwner says LOCK_UN: a fork in progress elsewhere in this process may hold a copy of the file for a moment.
func unlockOwner(f *os.File) {
	_ = f.Truncate(0)
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
	_ = f.Close()
}

// How long reclaim waits for the processes of an earlier life, and when it helps them along.
const (
	askAfter   = time.Second
	pressAfter = 8 * time.Second
	giveUp     = 20 * time.Second
)

// reclaim takes pg.running, waiting until the postgres of an owner who was killed is gone: it got SIGQUIT from the
// kernel at that moment (see launch) and needs an instant. One that stays is told to go, first politely. We own the
// folder, so a server that inherited pg.running has no living owner but us.
func (p place) reclaim(ctx context.Context, log *slog.Logger) (*os.File, error) {
	f, err := os.OpenFile(p.in("pg.running"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("look for running servers: %w", err)
	}
	if err := p.awaitHeirs(ctx, f, log); err != nil {
		f.Close()
		return nil, err
	}
	if err := p.clearPidFile(log); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (p place) awaitHeirs(ctx context.Context, f *os.File, log *slog.Logger) error {
	began := time.Now()
	var sent syscall.Signal
	for {
		free, err := tryLock(f)
		if err != nil || free {
			return err
		}
		waited := time.Since(began)
		switch {
		case waited > giveUp:
			return fmt.Errorf("the folder %s is in use by process %s, a postgres whose owner is gone and which did not end in %s; "+
				"end it with: kill -QUIT %[2]s", p.data(), pids(p.processes()), giveUp)
		case waited > pressAfter && sent != syscall.SIGQUIT:
			sent = syscall.SIGQUIT
			p.signalHeirs(sent, log)
		case waited > askAfter && sent == 0:
			sent = syscall.SIGINT
			p.signalHeirs(sent, log)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for an earlier postgres to end: %w", context.Cause(ctx))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// signalHeirs tells the postmaster, which tells the others; those who lost theirs are told one by one.
func (p place) signalHeirs(sig syscall.Signal, log *slog.Logger) {
	found := p.processes()
	for _, proc := range found {
		if proc.postmaster {
			found = []server{proc}
			break
		}
	}
	for _, proc := range found {
		log.Warn("ending a postgres whose owner is gone", "pid", proc.pid, "signal", sig.String())
		_ = syscall.Kill(proc.pid, sig)
	}
}
