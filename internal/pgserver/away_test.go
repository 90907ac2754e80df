package pgserver_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cordon-ehr/cordon/internal/pgserver"
)

// closed is a folder like /root/data: root's, in a parent that postgres may not enter.
func closed(t *testing.T) pgserver.Config {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root runs postgres as somebody else")
	}
	parent, away := folder(t), folder(t)
	if err := os.Chmod(away, 0o711); err != nil {
		t.Fatal(err)
	}
	c := config(filepath.Join(parent, "data"))
	c.Away = filepath.Join(away, "cordon")
	return c
}

func TestClosedParent(t *testing.T) {
	t.Parallel()
	c := closed(t)
	s := start(t, c)
	if !strings.HasPrefix(s.DataDir(), c.Away) {
		t.Fatalf("the data is in %s, want it in %s", s.DataDir(), c.Away)
	}
	if to, err := os.Readlink(filepath.Join(c.Dir, "pg")); err != nil || to != s.DataDir() {
		t.Errorf("pg links to %q: %v", to, err)
	}
	if info, err := os.Stat(filepath.Dir(c.Dir)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the parent was opened: %v %v", info, err)
	}
	query(t, s, "create table kept as select 'yes' v")
	stop(t, s)

	moved := c
	moved.Dir += "-moved"
	if err := os.Rename(c.Dir, moved.Dir); err != nil {
		t.Fatal(err)
	}
	s = start(t, moved)
	if got := query(t, s, "select v from kept"); got != "yes" {
		t.Errorf("kept %q", got)
	}
	stop(t, s)

	if err := os.CopyFS(c.Dir, os.DirFS(moved.Dir)); err != nil && !strings.Contains(err.Error(), "pg") {
		t.Fatal(err)
	}
	refused(t, c, "the folder "+c.Dir+" is a copy of "+moved.Dir)

	if err := pgserver.Remove(t.Context(), moved.Dir); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(c.Away); err != nil || len(left) > 0 {
		t.Errorf("Remove left %v: %v", left, err)
	}
}

func TestDataThatIsGone(t *testing.T) {
	t.Parallel()
	c := closed(t)
	s := start(t, c)
	home := filepath.Dir(s.DataDir())
	stop(t, s)

	if err := os.WriteFile(filepath.Join(home, "owner"), []byte("another\n"+c.Dir+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, c, "carries another id")
	if err := os.Rename(home, home+"-lost"); err != nil {
		t.Fatal(err)
	}
	refused(t, c, "the data of "+c.Dir+" lay in "+home+", which is gone")
	if err := os.Remove(filepath.Join(c.Dir, "pg")); err != nil {
		t.Fatal(err)
	}
	s = start(t, c) // as the error advised
	if s.DataDir() != filepath.Join(home, "pg") || query(t, s, "select count(*)::text from pg_database") != "3" {
		t.Errorf("the empty database is %v", s)
	}
}

func TestNowhereToGo(t *testing.T) {
	t.Parallel()
	c := closed(t)
	c.Away = filepath.Join(filepath.Dir(c.Dir), "away")
	refused(t, c, "which cannot enter "+filepath.Dir(c.Dir))
	// The choice of a closed folder must not stick.
	c.Away = filepath.Join(folder(t), "cordon")
	if err := os.Chmod(filepath.Dir(c.Away), 0o711); err != nil {
		t.Fatal(err)
	}
	start(t, c)
}

func TestRemove(t *testing.T) {
	t.Parallel()
	c := config(folder(t))
	s := start(t, c)
	if err := pgserver.Remove(t.Context(), c.Dir); err == nil || !strings.Contains(err.Error(), "in use by process") {
		t.Errorf("removed under a running server: %v", err)
	}
	stop(t, s)
	if err := os.WriteFile(filepath.Join(c.Dir, "theirs"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := pgserver.Remove(t.Context(), c.Dir); err != nil {
			t.Fatal(err)
		}
	}
	left, err := filepath.Glob(filepath.Join(c.Dir, "*"))
	if err != nil || len(left) != 2 {
		t.Errorf("left %v, want pg.lock and theirs", left)
	}
}
