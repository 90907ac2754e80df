// Command mutation takes Cordon's controls away, one at a time, and runs the tests: each removed control must be caught by the
// tests named for it, while the second lock of the same wall still holds. A proof counts only if it fails without its control.
//
// The table is in controls/: see table.go for its form. Nothing in the tree changes: the go command is given the changed
// files by -overlay. An edit that no longer applies, a test that is no longer there and a mutant that does not compile are errors
// of the table, not controls that were caught.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"
)

func main() {
	o := options{}
	flag.StringVar(&o.root, "root", ".", "the repository")
	flag.StringVar(&o.only, "only", "", "run the controls whose id matches this expression")
	flag.IntVar(&o.jobs, "jobs", max(1, runtime.NumCPU()/2), "mutants at a time")
	flag.DurationVar(&o.timeout, "timeout", 3*time.Minute, "bound of one build or one run of tests")
	flag.BoolVar(&o.short, "short", false, "only the controls whose tests need no platform")
	flag.BoolVar(&o.json, "json", false, "print one JSON value")
	flag.BoolVar(&o.markdown, "markdown", false, "print the table as it stands in docs/mutations.md, and run nothing")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "mutation:", err)
		os.Exit(1)
	}
}

type options struct {
	root, only            string
	jobs                  int
	timeout               time.Duration
	short, json, markdown bool
}

// run reads the table, sees the tests green on the code as it is, and then removes each control.
func run(ctx context.Context, o options) error {
	table, err := readTable(filepath.Join(o.root, "test/mutation/controls"))
	if err != nil {
		return err
	}
	if o.markdown {
		fmt.Print(markdown(table))
		return nil
	}
	if table, err = choose(table, o); err != nil {
		return err
	}
	l, err := newLab(o.root, o.timeout)
	if err != nil {
		return err
	}
	defer l.close()
	if err := l.baseline(ctx, table); err != nil {
		return err
	}
	results := make([]Result, len(table))
	work := make(chan int)
	var wait sync.WaitGroup
	for range o.jobs {
		wait.Go(func() {
			for i := range work {
				results[i] = l.try(ctx, &table[i])
				if !o.json {
					fmt.Println(results[i].line())
				}
			}
		})
	}
	for i := range table {
		work <- i
	}
	close(work)
	wait.Wait()
	return report(results, o.json)
}

// choose keeps the controls that were asked for.
func choose(table []Control, o options) (out []Control, err error) {
	want, err := regexp.Compile(o.only)
	if err != nil {
		return nil, err
	}
	for _, c := range table {
		if want.MatchString(c.ID) && (!o.short || !c.platform()) {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no control matches")
	}
	return out, nil
}

// Result is what came of one removed control.
type Result struct {
	ID      string  `json:"id"`
	Removed string  `json:"removed"`
	Rows    string  `json:"rows"`
	Caught  bool    `json:"caught"`
	By      []Tests `json:"caught_by"`
	Lock    string  `json:"second_lock"`
	Held    bool    `json:"held"` // the second lock's tests passed; false when there is no second lock
	HeldBy  []Tests `json:"held_by,omitempty"`
	Seconds float64 `json:"seconds"`
	Problem string  `json:"problem,omitempty"` // why it counts as neither
}

func (r *Result) ok() bool { return r.Problem == "" }

func (r *Result) line() string {
	state := "caught"
	if !r.ok() {
		state = "PROBLEM"
	}
	lock := r.Lock
	if r.Held {
		lock += " (holds)"
	}
	s := fmt.Sprintf("%-8s %5.1fs  %-28s %s | %s", state, r.Seconds, r.ID, names(r.By), lock)
	if r.Problem != "" {
		s += "\n         " + strings.ReplaceAll(r.Problem, "\n", "\n         ")
	}
	return s
}

// report ends a run: an error when a mutant survived, or its second lock did not hold.
func report(results []Result, asJSON bool) error {
	bad := 0
	var held int
	for i := range results {
		if !results[i].ok() {
			bad++
		}
		if results[i].Held {
			held++
		}
	}
	if asJSON {
		b, err := json.MarshalIndent(map[string]any{"ok": bad == 0, "controls": results}, "", "  ")
		if err != nil {
			return err
		}
		fmt.Println(string(b))
	} else {
		fmt.Printf("%d controls removed, %d caught, %d with a second lock that was seen to hold\n", len(results), len(results)-bad, held)
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d removed controls are not proven", bad, len(results))
	}
	return nil
}
