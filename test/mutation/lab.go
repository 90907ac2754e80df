package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// lab builds and runs tests with some files changed. It is safe for concurrent use.
type lab struct {
	root, tmp string
	timeout   time.Duration
	mu        sync.Mutex // guards count
	count     int
}

func newLab(root string, timeout time.Duration) (*lab, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp("", "mutation")
	return &lab{root: root, tmp: tmp, timeout: timeout}, err
}

func (l *lab) close() { _ = os.RemoveAll(l.tmp) }

// place gives a new folder.
func (l *lab) place() (string, error) {
	l.mu.Lock()
	l.count++
	dir := filepath.Join(l.tmp, fmt.Sprint(l.count))
	l.mu.Unlock()
	return dir, os.Mkdir(dir, 0o700)
}

// mutant is the code with some edits, and the test binaries that were built of it.
type mutant struct {
	l       *lab
	dir     string
	overlay string // "" for the code as it is
	built   map[string]string
	wanted  map[string][]string // by package: tests that are run together, so that they share a platform
	seen    map[string]verdict  // what came of those
}

func (l *lab) mutant(edits []Edit) (*mutant, error) {
	dir, err := l.place()
	if err != nil {
		return nil, err
	}
	m := &mutant{l: l, dir: dir, built: map[string]string{}, wanted: map[string][]string{}, seen: map[string]verdict{}}
	if len(edits) == 0 {
		return m, nil
	}
	files, err := apply(l.root, edits)
	if err != nil {
		return nil, err
	}
	replace := map[string]string{}
	for name, text := range files {
		to := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			return nil, err
		}
		replace[filepath.Join(l.root, name)] = to
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, err
	}
	m.overlay = filepath.Join(dir, "overlay.json")
	return m, os.WriteFile(m.overlay, b, 0o600)
}

func (m *mutant) close() { _ = os.RemoveAll(m.dir) }

// environment lets tests that build a command of their own build the mutant, and those that read the source read its.
func (m *mutant) environment() []string {
	if m.overlay == "" {
		return os.Environ()
	}
	return append(os.Environ(), "CORDON_MUTANT="+m.overlay, strings.TrimSpace("GOFLAGS="+os.Getenv("GOFLAGS")+" -overlay="+m.overlay))
}

func (m *mutant) command(ctx context.Context, dir, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, m.l.timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, m.environment()
	cmd.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ctx.Err() != nil {
		err = fmt.Errorf("no end after %v", m.l.timeout)
	}
	return out.String(), err
}

// build makes a package's test binary, once.
func (m *mutant) build(ctx context.Context, pkg string) (string, error) {
	if b, ok := m.built[pkg]; ok {
		return b, nil
	}
	to := filepath.Join(m.dir, strings.NewReplacer("/", "_", ".", "").Replace(pkg)+".test")
	out, err := m.command(ctx, m.l.root, "go", "test", "-c", "-ldflags=-s -w", "-o", to, pkg)
	if err != nil {
		return "", fmt.Errorf("%s does not compile: %w\n%s", pkg, err, tail(out))
	}
	m.built[pkg] = to
	return to, nil
}

// verdict is how top-level tests ended.
type verdict struct {
	passed, failed map[string]bool
	out            string
}

func (v verdict) knows(names []string) bool {
	return !slices.ContainsFunc(names, func(n string) bool { return !v.passed[n] && !v.failed[n] })
}

// together has tests of one package run at once.
func (m *mutant) together(all ...[]Tests) {
	for _, list := range all {
		for _, t := range list {
			for _, n := range t.Names {
				if !slices.Contains(m.wanted[t.Package], n) {
					m.wanted[t.Package] = append(m.wanted[t.Package], n)
				}
			}
		}
	}
}

// judge gives the verdict on tests. Those whose end is not known from the run of all (a panic ended it, say) run again alone.
func (m *mutant) judge(ctx context.Context, t Tests) (verdict, error) {
	v, ok := m.seen[t.Package]
	if !ok {
		var err error
		if v, err = m.run(ctx, Tests{t.Package, m.wanted[t.Package]}); err != nil {
			return v, err
		}
		m.seen[t.Package] = v
	}
	if v.knows(t.Names) {
		return v, nil
	}
	return m.run(ctx, t)
}

var ended = regexp.MustCompile(`(?m)^--- (PASS|FAIL): (\S+) `)

// run runs tests by name; the error is about the run, not about the tests.
func (m *mutant) run(ctx context.Context, t Tests) (v verdict, err error) {
	bin, err := m.build(ctx, t.Package)
	if err != nil {
		return v, err
	}
	out, err := m.command(ctx, filepath.Join(m.l.root, t.Package), bin, "-test.v", "-test.count=1", "-test.timeout="+(m.l.timeout-5*time.Second).String(),
		"-test.run=^("+strings.Join(t.Names, "|")+")$")
	v = verdict{map[string]bool{}, map[string]bool{}, out}
	for _, hit := range ended.FindAllStringSubmatch(out, -1) {
		if hit[1] == "PASS" {
			v.passed[hit[2]] = true
		} else {
			v.failed[hit[2]] = true
		}
	}
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		return v, fmt.Errorf("%w\n%s", err, tail(out))
	}
	return v, nil
}

// baseline sees every test of the table green on the code as it is.
func (l *lab) baseline(ctx context.Context, table []Control) error {
	m, err := l.mutant(nil)
	if err != nil {
		return err
	}
	defer m.close()
	for i := range table {
		m.together(table[i].Red, table[i].Green)
	}
	for pkg, tests := range m.wanted {
		if err := m.green(ctx, []Tests{{pkg, tests}}); err != nil {
			return fmt.Errorf("with all controls in place: %w", err)
		}
	}
	return nil
}

// green wants every test to pass.
func (m *mutant) green(ctx context.Context, all []Tests) error {
	for _, t := range all {
		v, err := m.judge(ctx, t)
		if err != nil {
			return err
		}
		for _, n := range t.Names {
			if !v.passed[n] {
				return fmt.Errorf("%s %s does not pass\n%s", t.Package, n, tail(v.out))
			}
		}
	}
	return nil
}

// red wants every test to fail: one that panicked, or did not end, or is not there has not failed.
func (m *mutant) red(ctx context.Context, c *Control) error {
	said := false
	for _, t := range c.Red {
		v, err := m.judge(ctx, t)
		if err != nil {
			return err
		}
		said = said || strings.Contains(v.out, c.Says)
		for _, n := range t.Names {
			switch {
			case v.passed[n]:
				return fmt.Errorf("it survives %s %s", t.Package, n)
			case !v.failed[n]:
				return fmt.Errorf("%s %s neither passes nor fails\n%s", t.Package, n, tail(v.out))
			}
		}
	}
	if !said {
		return fmt.Errorf("the failing tests do not say %q", c.Says)
	}
	return nil
}

// try removes one control.
func (l *lab) try(ctx context.Context, c *Control) Result {
	start := time.Now()
	r := Result{ID: c.ID, Removed: c.Removes, Rows: c.Rows, By: c.Red, Lock: c.Lock, HeldBy: c.Green}
	err := l.remove(ctx, c, &r)
	if err != nil {
		r.Problem = err.Error()
	}
	r.Seconds = float64(time.Since(start).Round(100*time.Millisecond)) / float64(time.Second)
	return r
}

func (l *lab) remove(ctx context.Context, c *Control, r *Result) error {
	m, err := l.mutant(c.Edits)
	if err != nil {
		return err
	}
	defer m.close()
	m.together(c.Red)
	if len(c.With) == 0 {
		m.together(c.Green)
	}
	if err := m.red(ctx, c); err != nil {
		return err
	}
	r.Caught = true
	if c.alone() {
		return nil
	}
	held := m
	if len(c.With) > 0 {
		if held, err = l.mutant(append(slices.Clone(c.Edits), c.With...)); err != nil {
			return err
		}
		defer held.close()
		held.together(c.Green)
	}
	if err := held.green(ctx, c.Green); err != nil {
		return fmt.Errorf("the second lock does not hold: %w", err)
	}
	r.Held = true
	return nil
}

// tail is the end of a long output.
func tail(s string) string {
	const most = 3000
	if len(s) > most {
		s = "…" + s[len(s)-most:]
	}
	return strings.TrimSpace(s)
}
