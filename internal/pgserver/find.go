package pgserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// oldest is the first PostgreSQL we run on.
const oldest = 15

// debian is where Debian and Ubuntu keep one folder per major version.
const debian = "/usr/lib/postgresql"

// binaries is a folder with initdb and postgres.
type binaries struct {
	dir     string
	version int
}

func (b binaries) path(name string) string { return filepath.Join(b.dir, name) }

// Find looks for PostgreSQL 15 or newer: in bin when given, else where `pg_config --bindir` points, else in
// /usr/lib/postgresql/*/bin (the newest first), else in PATH. version is the major one.
func Find(bin string) (dir string, version int, err error) {
	b, err := find(bin, 0)
	return b.dir, b.version, err
}

// find is Find for data made by the version wanted; 0 = any. When several are installed the data decides, so that a
// newer PostgreSQL arriving on the machine does not lock us out of our own data.
func find(bin string, wanted int) (binaries, error) {
	var looked []string
	var other binaries // usable, but of another version than wanted
	for _, dir := range candidates(bin, wanted) {
		if slices.Contains(looked, dir) {
			continue
		}
		looked = append(looked, dir)
		version, err := versionIn(dir)
		if bin != "" && err == nil && version < oldest {
			err = fmt.Errorf("the binaries in %s are PostgreSQL %d; %d or newer is needed", dir, version, oldest)
		}
		if bin != "" && err != nil {
			return binaries{}, err
		}
		if err != nil || version < oldest {
			continue
		}
		if wanted == 0 || version == wanted {
			return binaries{dir, version}, nil
		}
		if other.dir == "" {
			other = binaries{dir, version}
		}
	}
	if other.dir != "" {
		return other, nil
	}
	if len(looked) == 0 {
		looked = []string{debian, "PATH"}
	}
	return binaries{}, fmt.Errorf("PostgreSQL %d or newer is not installed: looked in %s; install with: apt-get install postgresql",
		oldest, strings.Join(looked, ", "))
}

func candidates(bin string, wanted int) []string {
	if bin != "" {
		return []string{filepath.Clean(bin)}
	}
	var dirs []string
	if wanted != 0 {
		own := filepath.Join(debian, strconv.Itoa(wanted), "bin")
		if _, err := versionIn(own); err == nil {
			return []string{own} // spares the warm start a run of pg_config, which is a script on Debian
		}
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, filepath.Clean(strings.TrimSpace(string(out))))
	}
	packaged, _ := filepath.Glob(filepath.Join(debian, "*", "bin")) // the pattern is well-formed
	slices.SortFunc(packaged, func(a, b string) int { return packagedVersion(b) - packagedVersion(a) })
	dirs = append(dirs, packaged...)
	if path, err := exec.LookPath("postgres"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(real)) // a link farm like /usr/local/bin need not hold initdb
		}
		dirs = append(dirs, filepath.Dir(path))
	}
	return dirs
}

// packagedVersion reads 15 out of /usr/lib/postgresql/15/bin, and 0 out of anything else.
func packagedVersion(dir string) int {
	v, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	return v
}

// versionIn asks the binary itself: folder names lie, and libpq-dev makes a bin folder without a server in it.
func versionIn(dir string) (int, error) {
	for _, name := range []string{"initdb", "postgres"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return 0, fmt.Errorf("the folder %s holds no PostgreSQL server: %w", dir, err)
		}
	}
	out, err := exec.Command(filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return 0, fmt.Errorf("ask %s/postgres for its version: %w", dir, err)
	}
	return parseVersion(string(out))
}

// parseVersion reads the major version from "postgres (PostgreSQL) 15.14 (Debian …)", "… 18beta1" or "… 19devel".
func parseVersion(s string) (int, error) {
	_, rest, ok := strings.Cut(s, "(PostgreSQL) ")
	digits := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if !ok || digits <= 0 {
		return 0, fmt.Errorf("not a version of PostgreSQL: %q", strings.TrimSpace(s))
	}
	return strconv.Atoi(rest[:digits])
}

// binaries finds the PostgreSQL for this place, and refuses one that cannot read its data or that postgres's own
// account cannot run.
func (p place) binaries(bin string) (binaries, error) {
	made, err := p.madeBy()
	if err != nil {
		return binaries{}, err
	}
	b, err := find(bin, made)
	if err != nil {
		return binaries{}, err
	}
	if made != 0 && made != b.version {
		return binaries{}, fmt.Errorf("the folder %s was made by PostgreSQL %d, the binaries in %s are %d",
			p.data(), made, b.dir, b.version)
	}
	real, err := filepath.EvalSymlinks(b.dir)
	if err != nil {
		return binaries{}, fmt.Errorf("find the binaries: %w", err)
	}
	if at := p.account.blockedAt(real); at != "" {
		return binaries{}, p.account.cannotEnter(at, "to run the binaries in "+b.dir)
	}
	return b, nil
}

// madeBy is the major version that made the data; 0 = there is no data yet.
func (p place) madeBy() (int, error) {
	raw, err := os.ReadFile(filepath.Join(p.data(), "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat(p.data()); err == nil {
			// initdb's folder gets this name only when complete, so this is not a half-made database of ours.
			return 0, fmt.Errorf("the folder %s is not a PostgreSQL database: it has no PG_VERSION", p.data())
		}
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read which PostgreSQL made the data: %w", err)
	}
	v, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return 0, fmt.Errorf("read which PostgreSQL made %s: %w", p.data(), err)
	}
	return v, nil
}
