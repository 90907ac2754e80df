package pgserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
)

// Remove destroys the database of dir for good, with its password and its log, also where the data lies away from dir.
// It refuses while a process owns dir, and touches nothing that Start did not make. dir itself and pg.lock stay.
func Remove(ctx context.Context, dir string) error {
	dir, err := makeDir(dir)
	if err != nil {
		return err
	}
	lock, err := lockOwner(dir)
	if err != nil {
		return err
	}
	defer unlockOwner(lock)
	p := place{dir: dir, home: dir}
	// Only with a home of its own is there a place to settle: without, settling could make one.
	if _, err = os.Lstat(filepath.Join(dir, "pg.home")); err == nil {
		p, err = settle(dir, "")
	} else {
		p.account, err = accountFor(p.data())
	}
	if err != nil {
		return err
	}
	running, err := p.reclaim(ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer running.Close()
	p.closeSockets()
	var errs []error
	if p.away() {
		errs = append(errs, os.RemoveAll(p.home))
	}
	// pg.home goes last but for the lock: without it, what is left away from dir could not be found again.
	for _, name := range []string{"pg", "pg.new", "pg.pass", "run", "pg.conf", "pg.hba", "pg.sockets", "pg.log", "pg.log.1",
		"pg.secret", "pg.running", "pg.home"} {
		errs = append(errs, os.RemoveAll(filepath.Join(dir, name)))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove the database of %s: %w", dir, err)
	}
	return nil
}
