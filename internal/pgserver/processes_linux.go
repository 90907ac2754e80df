package pgserver

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// server is a process of some postgres.
type server struct {
	pid        int
	postmaster bool
}

// processes lists the postgres processes whose data is ours, whoever started them. They run in their data folder;
// where /proc does not show us that (root without CAP_SYS_PTRACE, as in a container), the postmaster's arguments do.
func (p place) processes() []server {
	data, err := os.Stat(p.data())
	if err != nil {
		return nil
	}
	var found []server
	names, _ := filepath.Glob("/proc/[0-9]*") // the pattern is well-formed
	for _, proc := range names {
		comm, err := os.ReadFile(filepath.Join(proc, "comm"))
		if err != nil || strings.TrimSpace(string(comm)) != "postgres" {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(proc))
		if err != nil {
			continue
		}
		args := arguments(proc)
		cwd, err := os.Stat(filepath.Join(proc, "cwd"))
		named := slices.Contains(args, p.data())
		if err == nil && os.SameFile(cwd, data) || err != nil && named {
			// The postmaster keeps its arguments; the others overwrite theirs with "postgres: what they do".
			found = append(found, server{pid, len(args) > 0 && !strings.HasPrefix(args[0], "postgres: ")})
		}
	}
	return found
}

func arguments(proc string) []string {
	raw, err := os.ReadFile(filepath.Join(proc, "cmdline"))
	if err != nil {
		return nil
	}
	var args []string
	for arg := range bytes.SplitSeq(bytes.TrimRight(raw, "\x00"), []byte{0}) {
		args = append(args, string(arg))
	}
	return args
}

func pids(found []server) string {
	if len(found) == 0 {
		return "?"
	}
	var all []string
	for _, s := range found {
		all = append(all, strconv.Itoa(s.pid))
	}
	return strings.Join(all, " ")
}

// clearPidFile runs when no postgres of ours is left. The pid file of a killed one stays behind; postgres sees through
// it unless its number has gone to another process of the same user (usual in containers), so then we remove it. If it
// names a living postgres on our data, somebody started that by hand: not ours to end.
func (p place) clearPidFile(log *slog.Logger) error {
	path := filepath.Join(p.data(), "postmaster.pid")
	pid, _, err := readPidFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(p.processes(), func(s server) bool { return s.pid == pid }) {
		return fmt.Errorf("the folder %s is in use by process %d, a PostgreSQL that was started by hand; stop it first", p.data(), pid)
	}
	if pid > 0 && syscall.Kill(pid, 0) == nil {
		log.Info("the pid file of a killed postgres names another process now: removed", "pid", pid)
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove a stale pid file: %w", err)
		}
	}
	return nil
}

// readPidFile reads postmaster.pid: the process on line 1, negative for a single-user one, and on line 8 the state,
// "ready" once connections are accepted (PostgreSQL src/include/utils/pidfile.h).
func readPidFile(path string) (pid int, state string, err error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0, "", err
	}
	lines := strings.Split(string(raw), "\n")
	if len(lines) >= 8 {
		state = strings.TrimSpace(lines[7])
	}
	pid, _ = strconv.Atoi(strings.TrimSpace(lines[0])) // half-written: 0, which is nobody
	return max(pid, -pid), state, nil
}
