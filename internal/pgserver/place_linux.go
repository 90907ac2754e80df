package pgserver

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// place is where one server lives. dir is what the caller named. home holds what postgres itself must reach: it is dir,
// unless postgres may not enter a parent of dir (root's /root, or mktemp -d/x); then it is a folder of its own in
// Config.Away, which dir/pg.home names and whose file "owner" names dir in return.
type place struct {
	dir, home string
	account   account
}

func (p place) data() string          { return filepath.Join(p.home, "pg") }
func (p place) in(name string) string { return filepath.Join(p.home, name) }
func (p place) away() bool            { return p.home != p.dir }

// settle decides the place, the same way at each start; only the very first one for a dir can choose.
func settle(dir, away string) (place, error) {
	p := place{dir: dir, home: dir}
	home, err := os.ReadFile(filepath.Join(dir, "pg.home"))
	switch {
	case err == nil:
		p.home = filepath.Clean(strings.TrimSpace(string(home)))
	case !errors.Is(err, fs.ErrNotExist):
		return place{}, fmt.Errorf("read where the data lies: %w", err)
	}
	if p.account, err = accountFor(p.data()); err != nil {
		return place{}, err
	}
	if p.away() {
		return p, p.claim()
	}
	at := p.account.blockedAt(dir)
	if at == dir {
		if info, err := os.Stat(dir); err == nil && info.Sys().(*syscall.Stat_t).Uid == 0 {
			if err := os.Chmod(dir, info.Mode().Perm()|0o011); err != nil {
				return place{}, fmt.Errorf("let postgres pass through %s: %w", dir, err)
			}
			at = p.account.blockedAt(dir)
		}
	}
	if at == "" {
		return p, nil
	}
	if _, err := os.Lstat(p.data()); err == nil {
		return place{}, p.account.cannotEnter(at, "to reach the data in "+p.data())
	}
	return p.goAway(away)
}

// goAway chooses a home. The name is written before the folder is made: killed in between, the next start makes the
// folder; the other way round it would be litter nobody knows of.
func (p place) goAway(away string) (place, error) {
	if away == "" {
		away = "/var/lib/cordon"
	}
	away, err := filepath.Abs(away)
	if err != nil {
		return place{}, fmt.Errorf("find the folder for data away from %s: %w", p.dir, err)
	}
	if err := p.openAway(away); err != nil { // before the choice is on disk: a bad one must not stick
		return place{}, err
	}
	p.home = filepath.Join(away, strings.ToLower(rand.Text()))
	if err := writeDurably(filepath.Join(p.dir, "pg.home"), []byte(p.home+"\n"), 0o600); err != nil {
		return place{}, err
	}
	return p, p.claim()
}

// claim checks that home is ours, and makes it when it was never made. A folder that does not name us back is not
// touched: its name may have come to us in a copy of somebody's dir.
func (p place) claim() error {
	id, marker := filepath.Base(p.home), p.in("owner")
	raw, err := os.ReadFile(marker)
	if errors.Is(err, fs.ErrNotExist) {
		return p.furnish(marker, id)
	}
	if err != nil {
		return fmt.Errorf("read whose data %s is: %w", p.home, err)
	}
	theirs, dir, _ := strings.Cut(strings.TrimSpace(string(raw)), "\n")
	if theirs != id {
		return fmt.Errorf("the folder %s carries another id than %s: it is not the data of %s", p.home, id, p.dir)
	}
	if dir == p.dir {
		return nil
	}
	// dir was moved, or copied. If the folder we came from still claims this home, we are the copy.
	if there, err := os.ReadFile(filepath.Join(dir, "pg.home")); err == nil && filepath.Clean(strings.TrimSpace(string(there))) == p.home {
		return fmt.Errorf("the folder %s is a copy of %s, and the data of both would be %s; to begin anew in the copy, "+
			"remove its files pg.home, pg.secret and pg", p.dir, dir, p.home)
	}
	return writeDurably(marker, []byte(id+"\n"+p.dir+"\n"), 0o600)
}

func (p place) furnish(marker, id string) error {
	if _, err := os.Lstat(filepath.Join(p.dir, "pg")); err == nil {
		return fmt.Errorf("the data of %s lay in %s, which is gone: put it back, or remove %s to begin with an empty database",
			p.dir, p.home, filepath.Join(p.dir, "pg"))
	}
	if err := p.openAway(filepath.Dir(p.home)); err != nil {
		return err
	}
	if err := os.Mkdir(p.home, 0o711); errors.Is(err, fs.ErrExist) {
		if left, err := os.ReadDir(p.home); err != nil || len(left) > 0 {
			return fmt.Errorf("the folder %s does not say that it is the data of %s: it is left alone", p.home, p.dir)
		}
	} else if err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	if err := os.Chmod(p.home, 0o711); err != nil { // whatever the umask
		return fmt.Errorf("let postgres pass through %s: %w", p.home, err)
	}
	return writeDurably(marker, []byte(id+"\n"+p.dir+"\n"), 0o600)
}

// openAway makes the folder of homes, if postgres may enter it.
func (p place) openAway(away string) error {
	if err := os.MkdirAll(away, 0o711); err != nil {
		return fmt.Errorf("make a folder that postgres may enter, since %s is closed to user %s: %w", p.dir, p.account.name, err)
	}
	real, err := filepath.EvalSymlinks(away)
	if err != nil {
		return fmt.Errorf("find %s: %w", away, err)
	}
	if at := p.account.blockedAt(real); at != "" {
		return p.account.cannotEnter(at, "to reach the data of "+p.dir)
	}
	return nil
}

// link makes dir/pg lead to the data wherever it lies. Its presence says that a database was made: see furnish.
func (p place) link() error {
	if !p.away() {
		return nil
	}
	path := filepath.Join(p.dir, "pg")
	target, err := os.Readlink(path)
	if err == nil && target == p.data() {
		return nil
	}
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("the file %s is in the way: it should be a link to %s", path, p.data())
	}
	if err := os.Symlink(p.data(), path); err != nil {
		return fmt.Errorf("link to the data: %w", err)
	}
	return syncDir(p.dir)
}
