package pgserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// secret gives the superuser's password, making it at the first start. It is on disk before initdb hears it: killed in
// between, the next start creates the database with the same one.
func (p place) secret() (string, error) {
	path := filepath.Join(p.dir, "pg.secret")
	raw, err := os.ReadFile(path)
	if err == nil && len(bytes.TrimSpace(raw)) > 0 {
		return string(bytes.TrimSpace(raw)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the password of %s: %w", superuser, err)
	}
	if _, err := os.Stat(p.data()); err == nil {
		return "", fmt.Errorf("the folder %s holds a database, but the file %s with its password is gone", p.data(), path)
	}
	password := rand.Text()
	return password, writeDurably(path, []byte(password+"\n"), 0o600)
}

// createCluster makes the database unless there is one. initdb works in pg.new, which becomes pg by one rename: a
// folder named pg is complete, one named pg.new is the leftover of a killed initdb and is thrown away. That is safe
// because the caller holds running: no initdb of an earlier life still writes.
func (p place) createCluster(ctx context.Context, bin binaries, password string, running *os.File, log *slog.Logger) error {
	fresh, passfile := p.in("pg.new"), p.in("pg.pass")
	if err := errors.Join(os.RemoveAll(fresh), os.RemoveAll(passfile)); err != nil {
		return fmt.Errorf("remove a half-made database: %w", err)
	}
	if _, err := os.Stat(p.data()); err == nil {
		return p.link()
	}
	began := time.Now()
	// The password reaches initdb in a file of its own account; /dev/stdin would be root's pipe, closed to it.
	if err := os.WriteFile(passfile, []byte(password+"\n"), 0o600); err != nil {
		return fmt.Errorf("hand the password to initdb: %w", err)
	}
	defer os.Remove(passfile)
	if err := p.account.own(passfile); err != nil {
		return err
	}
	if err := p.initdb(ctx, bin, fresh, passfile, "C.UTF-8", running); err != nil {
		if !strings.Contains(err.Error(), "invalid locale") {
			return err
		}
		log.Warn("no locale C.UTF-8 on this machine: lower() and upper() will know ASCII only")
		if err := p.initdb(ctx, bin, fresh, passfile, "C", running); err != nil {
			return err
		}
	}
	// initdb has synced the content; the name is ours to sync.
	if err := os.Rename(fresh, p.data()); err != nil {
		return fmt.Errorf("put the new database in place: %w", err)
	}
	if err := syncDir(p.home); err != nil {
		return fmt.Errorf("put the new database in place: %w", err)
	}
	log.Info("postgres database made", "data", p.data(), "version", bin.version, "took", time.Since(began))
	return p.link()
}

// initdb sorts by code point (fast, and the same on every machine: an index never depends on the C library's idea of
// a language) while ctype gives letters beyond ASCII their case.
func (p place) initdb(ctx context.Context, bin binaries, fresh, passfile, ctype string, running *os.File) error {
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("make the database folder: %w", err)
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return fmt.Errorf("make the database folder: %w", err)
	}
	if err := p.account.own(fresh); err != nil {
		return err
	}
	var out bytes.Buffer
	cmd := exec.Command(bin.path("initdb"), "--pgdata="+fresh, "--username="+superuser, "--pwfile="+passfile,
		"--auth-local=scram-sha-256", "--auth-host=reject", "--data-checksums", "--encoding=UTF8",
		"--locale=C", "--lc-ctype="+ctype, "--no-instructions")
	cmd.Stdout, cmd.Stderr = &out, &out
	// No mercy for an initdb without an owner: its work is thrown away in any case.
	proc, err := spawn(cmd, p.account, syscall.SIGKILL, running)
	if err != nil {
		return fmt.Errorf("run initdb: %w", err)
	}
	select {
	case <-proc.exited:
	case <-ctx.Done():
		_ = proc.signal(syscall.SIGKILL)
		<-proc.exited
		return fmt.Errorf("create the database: %w", context.Cause(ctx))
	}
	if proc.err != nil {
		return fmt.Errorf("create the database: initdb: %w: %s", proc.err, strings.TrimSpace(out.String()))
	}
	return nil
}
