package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

// TestTableHolds checks what needs no run: every edit applies to the code as it is, every test is there, and the page is that of
// the table. A control that moved is found here, before the long run.
func TestTableHolds(t *testing.T) {
	t.Parallel()
	table, err := readTable("controls")
	if err != nil {
		t.Fatal(err)
	}
	if len(table) < 25 {
		t.Errorf("%d controls", len(table))
	}
	for _, c := range table {
		if _, err := apply(root, c.Edits); err != nil {
			t.Errorf("%s: %v", c.ID, err)
		}
		if _, err := apply(root, append(c.Edits, c.With...)); err != nil {
			t.Errorf("%s, with: %v", c.ID, err)
		}
		for _, tests := range append(c.Red, c.Green...) {
			for _, n := range tests.Names {
				if !has(t, filepath.Join(root, tests.Package), n) {
					t.Errorf("%s: no test %s in %s", c.ID, n, tests.Package)
				}
			}
		}
	}
	page, err := os.ReadFile(filepath.Join(root, "docs/mutations.md"))
	if err != nil || string(page) != markdown(table) {
		t.Errorf("docs/mutations.md is not that of the table (go run ./test/mutation -markdown > docs/mutations.md): %v", err)
	}
}

func has(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}

func TestParse(t *testing.T) {
	t.Parallel()
	const good = "# a comment\n== one\nremoves: a: b\nrows: S1\nfile: a.go\n-x\n-\ty\n+z\nred: ./test TestA TestB\nlock: another\nwith: b.go *\n-q\ngreen: ./test TestC\n"
	got, err := parse(good)
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	c := got[0]
	if c.Removes != "a: b" || c.Edits[0] != (Edit{"a.go", false, "x\n\ty\n", "z\n"}) || c.With[0] != (Edit{"b.go", true, "q\n", ""}) || len(c.Red[0].Names) != 2 || c.Green[0].Names[0] != "TestC" {
		t.Errorf("%+v", c)
	}
	for name, bad := range map[string]string{"no entry": "red: ./test TestA\n", "no file": strings.Replace(good, "file: a.go\n", "", 1), "new before old": strings.Replace(good, "-x\n-\ty\n+z\n", "+z\n-x\n", 1),
		"odd key": good + "blue: ./test TestD\n", "no test": strings.Replace(good, " TestA TestB", "", 1), "a lock without tests": strings.Replace(good, "green: ./test TestC\n", "", 1),
		"none with tests": strings.Replace(good, "lock: another", "lock: none: here", 1), "no change": strings.Replace(good, "-x\n-\ty\n+z\n", "-x\n+x\n", 1)} {
		if got, err := parse(bad); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestApply(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("a b a\nc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		e    Edit
		want string // "" = an error
	}{
		{Edit{"f", false, "b\n", "x\n"}, "a x a\nc\n"}, {Edit{"f", false, "a\n", "x\n"}, ""}, {Edit{"f", true, "a\n", "x\n"}, "x b x\nc\n"}, {Edit{"f", true, "q\n", "x\n"}, ""},
		{Edit{"f", false, " a\nc\n", ""}, "a b\n"}, {Edit{"g", false, "a\n", ""}, ""},
	} {
		got, err := apply(dir, []Edit{c.e})
		if got["f"] != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%+v: %q, %v", c.e, got, err)
		}
	}
}
