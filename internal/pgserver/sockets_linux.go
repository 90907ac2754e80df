package pgserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// longestSocketDir keeps dir/.s.PGSQL.5432 within the 107 bytes of a unix socket's address (unix(7), sun_path).
const longestSocketDir = 107 - len("/.s.PGSQL."+port)

// tempSocketDir starts the name of a socket folder outside home.
const tempSocketDir = "cordon-pg-"

// openSockets makes the private folder of the socket: home/run, or, when that path cannot be an address, a
// folder in a place with a short name, which pg.sockets remembers so that whoever comes next can remove it.
func (p place) openSockets() (string, error) {
	p.closeSockets()
	dir := p.in("run")
	// A comma would make two hosts of it in a DSN, and two folders in postgres.
	if len(dir) <= longestSocketDir && !strings.ContainsAny(dir, `,"`) {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", fmt.Errorf("make the socket folder: %w", err)
		}
		return dir, p.account.own(dir)
	}
	dir, err := p.tempSockets()
	if err != nil {
		return "", fmt.Errorf("make a socket folder with a short name: %w", err)
	}
	// Killed before this line, an empty folder stays behind in /tmp; no harm but the litter.
	if err := replace(p.in("pg.sockets"), dir+"\n"); err != nil {
		_ = os.Remove(dir)
		return "", err
	}
	return dir, p.account.own(dir)
}

func (p place) tempSockets() (string, error) {
	// Root's runtime folder is closed to the account of postgres.
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" && !privileged() && len(dir)+24 <= longestSocketDir {
		if made, err := os.MkdirTemp(dir, tempSocketDir); err == nil {
			return made, nil
		}
	}
	return os.MkdirTemp("/tmp", tempSocketDir)
}

// closeSockets removes the sockets of this place, also those a killed server left: a stale lock beside a socket makes
// postgres refuse to start once its process id is in use again. No server of this place may be running.
func (p place) closeSockets() {
	clearSockets(p.in("run"))
	raw, err := os.ReadFile(p.in("pg.sockets"))
	if err != nil {
		return
	}
	dir := strings.TrimSpace(string(raw))
	info, err := os.Lstat(dir)
	if err == nil && info.IsDir() && strings.HasPrefix(filepath.Base(dir), tempSocketDir) {
		// /tmp is everyone's: the name may have passed to a folder of somebody else.
		if st := info.Sys().(*syscall.Stat_t); st.Uid == p.account.uid || int(st.Uid) == os.Geteuid() {
			clearSockets(dir)
			_ = os.Remove(dir) // not RemoveAll: what we did not put there stays, and so does the folder
		}
	}
	_ = os.Remove(p.in("pg.sockets"))
}

func clearSockets(dir string) {
	socket := filepath.Join(dir, ".s.PGSQL."+port)
	_, _ = os.Remove(socket), os.Remove(socket+".lock")
}
