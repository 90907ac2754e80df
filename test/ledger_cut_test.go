package test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// tables of a role's database that a rollback takes back.
var ledgerTables = map[string][]string{"cordon_cell1": {"audit", "ledger_head"}, "cordon_control": {"audit", "ledger_head"}, "cordon_keyring": {"audit", "ledger_head"}}

// TestCutTailIsNamed cuts, empties and rolls back the events of each role, with and without the bookmark, as superuser.
func TestCutTailIsNamed(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	for database := range ledgerTables {
		su := p.SuperuserOn(t, database)
		for what, sql := range map[string]string{
			"tail":              `DELETE FROM audit WHERE %s AND id = ANY($1)`,
			"tail and bookmark": `WITH gone AS (DELETE FROM audit WHERE %[1]s AND id = ANY($1)) DELETE FROM ledger_head WHERE %[1]s`,
		} {
			n := charted(t, p)
			verifyLogs(t, p, n.Slug)
			where := tenantIn(t, database, n)
			all := ids(t, su, where)
			cut := all[len(all)-1:]
			if len(all) > 4 {
				cut = all[len(all)-3:]
			}
			if _, err := su.Exec(t.Context(), strings.ReplaceAll(strings.ReplaceAll(sql, "%[1]s", where), "%s", where), cut); err != nil {
				t.Fatal(err)
			}
			verifyLogs(t, p, n.Slug).named(t, what+" in "+database, cut[0], "tail cut", "rolled back")
			offline(t, p, n.Slug).named(t, what+" in "+database+", offline", cut[0], "tail cut")
		}
		n := charted(t, p)
		where := tenantIn(t, database, n)
		verifyLogs(t, p, n.Slug)
		for _, table := range ledgerTables[database] {
			if _, err := su.Exec(t.Context(), fmt.Sprintf("CREATE TABLE old_%[1]s AS SELECT * FROM %[1]s", table)); err != nil {
				t.Fatal(err)
			}
		}
		old := len(ids(t, su, where))
		more := charted(t, p) // and some for this tenant
		n.Events(t)
		verifyLogs(t, p, n.Slug)
		verifyLogs(t, p, more.Slug)
		lost := ids(t, su, where)[old]
		for _, table := range ledgerTables[database] {
			if _, err := su.Exec(t.Context(), fmt.Sprintf("TRUNCATE %[1]s; INSERT INTO %[1]s SELECT * FROM old_%[1]s; DROP TABLE old_%[1]s", table)); err != nil {
				t.Fatal(err)
			}
		}
		verifyLogs(t, p, n.Slug).named(t, "rollback of "+database, lost, "rolled back", "tail cut", "deleted")
		if database == "cordon_control" {
			continue // with its events, control's memory of the logs is not gone: that is another table
		}
		if _, err := su.Exec(t.Context(), "TRUNCATE audit"); err != nil {
			t.Fatal(err)
		}
		verifyLogs(t, p, n.Slug).named(t, "TRUNCATE in "+database, uuid.Nil, "tail cut", "deleted")
	}
}

func tenantIn(t *testing.T, database string, n *cordontest.Tenant) string {
	t.Helper()
	if database == "cordon_cell1" {
		return fmt.Sprintf("tenant = %d", number(t, n))
	}
	return "tenant = '" + n.ID + "'"
}

// TestStorageIsWatched removes and alters each object of a tenant's logs in write-once storage, one at a time.
func TestStorageIsWatched(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	n := charted(t, p)
	if v := verifyLogs(t, p, n.Slug); !v.OK {
		t.Fatalf("%+v", v)
	}
	root := filepath.Join(p.Dir, "worm", "log", n.ID, "cell")
	var files []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) < 3 {
		t.Fatalf("%v: %v", files, err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil || info.Mode().Perm() != 0o444 {
			t.Errorf("%s: %v %v", f, info.Mode(), err)
		}
		was, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		bad := append([]byte(nil), was...)
		bad[len(bad)/2] ^= 1
		for what, change := range map[string]func() error{
			"removed": func() error { return os.Remove(f) },
			"altered": func() error { return os.WriteFile(f, bad, 0o600) },
		} {
			if err := os.Chmod(f, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := change(); err != nil {
				t.Fatal(err)
			}
			v := verifyLogs(t, p, n.Slug)
			if what == "removed" && strings.Contains(f, "cosigned") && v.OK {
				_ = v // an older cosignature that is missing is a warning: the next one covers it
			} else if v.OK {
				t.Errorf("%s %s: not found", strings.TrimPrefix(f, root), what)
			}
			if err := os.WriteFile(f, was, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if v := verifyLogs(t, p, n.Slug); !v.OK {
		t.Errorf("all put back: %+v", v.Problems)
	}
}

// TestTamperedExportIsNamed edits the files of an export.
func TestTamperedExportIsNamed(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n := charted(t, p)
	good := filepath.Join(t.TempDir(), "good")
	if r := cordontest.Cordon(t, []string{"CORDON_DIR=" + p.Dir}, "audit", "export", "--tenant", n.Slug, "--out", good); r.Code != 0 {
		t.Fatalf("export: %s%s", r.Out, r.Err)
	}
	if v := verifyDir(t, good); !v.OK {
		t.Fatalf("%+v", v)
	}
	event := func(line string) uuid.UUID {
		_, after, _ := strings.Cut(line, `"id":"`)
		return uuid.MustParse(after[:36])
	}
	for what, c := range map[string]struct {
		file   string
		change func(lines []string) ([]string, uuid.UUID)
		kinds  []string
	}{
		"edit": {"cell.ndjson", func(l []string) ([]string, uuid.UUID) {
			l[2] = strings.Replace(l[2], `"subtype":"read"`, `"subtype":"read "`, 1)
			return l, event(l[2])
		}, []string{"edited"}},
		"edit of a clear event": {"control.ndjson", func(l []string) ([]string, uuid.UUID) {
			l[1] = strings.Replace(l[1], `"alice"`, `"bob"`, 1)
			return l, event(l[1])
		}, []string{"edited"}},
		"deletion": {"cell.ndjson", func(l []string) ([]string, uuid.UUID) { return append(l[:3:3], l[4:]...), event(l[3]) }, []string{"deleted"}},
		"insertion": {"keys.ndjson", func(l []string) ([]string, uuid.UUID) {
			x := strings.Replace(l[0], event(l[0]).String(), "00000000-0000-7000-8000-0000000000bb", 1)
			return append([]string{x}, l...), event(x)
		}, []string{"inserted"}},
		"order": {"cell.ndjson", func(l []string) ([]string, uuid.UUID) { l[2], l[5] = l[5], l[2]; return l, uuid.Nil }, []string{"reordered"}},
		"tail":  {"cell.ndjson", func(l []string) ([]string, uuid.UUID) { return l[:len(l)-2], event(l[len(l)-2]) }, []string{"tail cut"}},
	} {
		dir := filepath.Join(t.TempDir(), "export")
		if err := os.CopyFS(dir, os.DirFS(good)); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, c.file))
		if err != nil {
			t.Fatal(err)
		}
		lines, id := c.change(strings.SplitAfter(strings.TrimSuffix(string(b), "\n")+"\n", "\n")[:strings.Count(string(b), "\n")])
		if err := os.WriteFile(filepath.Join(dir, c.file), []byte(strings.Join(lines, "")), 0o600); err != nil {
			t.Fatal(err)
		}
		verifyDir(t, dir).named(t, what, id, c.kinds...)
	}
	// A log left out, and keys of somebody else.
	dir := filepath.Join(t.TempDir(), "export")
	if err := os.CopyFS(dir, os.DirFS(good)); err != nil {
		t.Fatal(err)
	}
	m, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "manifest.json"), []byte(strings.ReplaceAll(string(m), n.ID+"/keys", n.ID+"/cell")), 0o600); err != nil {
		t.Fatal(err)
	}
	if v := verifyDir(t, dir); v.OK {
		t.Error("a log was passed off as another")
	}
	var others []string
	for _, role := range []string{"cell", "control", "keys"} {
		r := cordontest.Cordon(t, nil, "audit", "keygen", "--name", "other/"+role, "--out", filepath.Join(t.TempDir(), role))
		others = append(others, r.Out)
	}
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte(strings.Join(others, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := cordontest.Cordon(t, nil, "audit", "verify", "--export", good, "--key", file); r.Code != 1 {
		t.Errorf("verified with other keys: %d %s", r.Code, r.Out)
	}
}
