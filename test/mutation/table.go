package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Control is one entry of the table. In a file it reads:
//
//	== rows-using
//	removes: USING of the policy
//	rows: S20 T1
//	file: internal/placement/migrations/0001_charts.sql
//	-the exact old text, one or more lines
//	+the new text, none or more lines
//	red: ./test TestA TestB
//	says: a text that the failing tests print
//	lock: bodies are sealed under the tenant's own key
//	with: internal/placement/probe.go
//	-an edit for the second lock's tests only: what else must be gone for it to stand alone
//	+…
//	green: ./internal/seal TestC
//
// Old text must be in the file exactly once; after "file: path *" every occurrence is replaced, one at least. Several file, red and
// green lines may stand in an entry. A lock that begins with "none" says that there is no second one, and has no green.
// A line that begins with # is a comment.
type Control struct {
	ID      string
	Removes string
	Rows    string // rows of the requirements (S…) and abuse cases (T…)
	Edits   []Edit
	Red     []Tests // must fail
	Says    string
	Lock    string
	With    []Edit  // further edits under which Green runs
	Green   []Tests // must pass
}

// Edit changes one text of one file.
type Edit struct {
	File     string
	Every    bool
	Old, New string
}

// Tests are top-level tests of one package.
type Tests struct {
	Package string   `json:"package"`
	Names   []string `json:"tests"`
}

func (c *Control) alone() bool { return strings.HasPrefix(c.Lock, "none") }

// platform reports whether a run needs Postgres: tests from outside do.
func (c *Control) platform() bool {
	return slices.ContainsFunc(append(slices.Clone(c.Red), c.Green...), func(t Tests) bool {
		return slices.Contains([]string{"./test", "./internal/cell", "./internal/keys", "./internal/placement"}, t.Package)
	})
}

// readTable reads all files of the folder, in the order of their names.
func readTable(dir string) (out []Control, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no table in %s: %w", dir, err)
	}
	slices.Sort(files)
	seen := map[string]bool{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		table, err := parse(string(b))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(f), err)
		}
		for _, c := range table {
			if seen[c.ID] {
				return nil, fmt.Errorf("%s: %s is there twice", filepath.Base(f), c.ID)
			}
			seen[c.ID] = true
		}
		out = append(out, table...)
	}
	return out, nil
}

func parse(text string) (out []Control, err error) {
	var c *Control
	var edit *Edit
	wrong := func(n int, why string) error { return fmt.Errorf("line %d: %s", n+1, why) }
	for n, line := range strings.Split(text, "\n") {
		key, rest, _ := strings.Cut(line, ": ")
		switch {
		case strings.HasPrefix(line, "== "):
			out = append(out, Control{ID: line[3:]})
			c, edit = &out[len(out)-1], nil
		case line == "" || line[0] == '#':
			edit = nil
		case c == nil:
			return nil, wrong(n, "an entry begins with == ID")
		case line[0] == '-' || line[0] == '+':
			if edit == nil {
				return nil, wrong(n, "a text of no file")
			}
			if !edit.add(line) {
				return nil, wrong(n, "old text comes before new text")
			}
		case key == "file":
			edit = begin(&c.Edits, rest)
		case key == "with":
			edit = begin(&c.With, rest)
		default:
			if edit = nil; !c.set(key, rest) {
				return nil, wrong(n, "what is "+key+"?")
			}
		}
	}
	for i := range out {
		if err := out[i].whole(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func begin(to *[]Edit, file string) *Edit {
	path, every := strings.CutSuffix(file, " *")
	*to = append(*to, Edit{File: path, Every: every})
	return &(*to)[len(*to)-1]
}

// add takes a line of old or new text; the first of each begins with nothing before it.
func (e *Edit) add(line string) bool {
	// A text ends with a newline while it is read; apply takes the last one off both.
	if line[0] == '-' {
		e.Old += line[1:] + "\n"
		return e.New == ""
	}
	e.New += line[1:] + "\n"
	return true
}

func (c *Control) set(key, rest string) bool {
	switch key {
	case "removes":
		c.Removes = rest
	case "rows":
		c.Rows = rest
	case "says":
		c.Says = rest
	case "lock":
		c.Lock = rest
	case "red", "green":
		f := strings.Fields(rest)
		if len(f) < 2 {
			return false
		}
		to := &c.Red
		if key == "green" {
			to = &c.Green
		}
		*to = append(*to, Tests{f[0], f[1:]})
	default:
		return false
	}
	return true
}

// whole checks that nothing is missing in an entry.
func (c *Control) whole() error {
	switch {
	case c.Removes == "" || c.Rows == "" || len(c.Edits) == 0 || len(c.Red) == 0 || c.Lock == "":
		return fmt.Errorf("%s: an entry has removes, rows, file, red and lock", c.ID)
	case c.alone() && len(c.Green) > 0, !c.alone() && len(c.Green) == 0:
		return fmt.Errorf("%s: a second lock has tests (green), and only a second lock has", c.ID)
	}
	for _, e := range append(slices.Clone(c.Edits), c.With...) {
		if e.Old == "" || e.Old == e.New {
			return fmt.Errorf("%s: an edit of %s that changes nothing", c.ID, e.File)
		}
	}
	return nil
}

// apply makes the changed texts of all files that the edits touch.
func apply(root string, edits []Edit) (map[string]string, error) {
	out := map[string]string{}
	for _, e := range edits {
		text, ok := out[e.File]
		if !ok {
			b, err := os.ReadFile(filepath.Join(root, e.File))
			if err != nil {
				return nil, err
			}
			text = string(b)
		}
		before, after := strings.TrimSuffix(e.Old, "\n"), strings.TrimSuffix(e.New, "\n")
		n := strings.Count(text, before)
		if n == 0 || (n > 1 && !e.Every) {
			return nil, fmt.Errorf("the old text is %d times in %s: %.80q", n, e.File, before)
		}
		out[e.File] = strings.ReplaceAll(text, before, after)
	}
	return out, nil
}
