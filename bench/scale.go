package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/cordon-ehr/cordon/internal/synth"
)

// growth is the same operations measured at several sizes.
type growth struct {
	what  string
	sizes []int
	rows  []*growthRow
}

type growthRow struct {
	name string
	at   []measurement
}

func sizesOf(list string) ([]int, error) {
	var out []int
	for s := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n < 1 || (len(out) > 0 && n <= out[len(out)-1]) {
			return nil, fmt.Errorf("%q is no list of growing sizes", list)
		}
		out = append(out, n)
	}
	return out, nil
}

// measure runs each operation at the size that the platform has now.
func (g *growth) measure(ctx context.Context, s *server, o options, size int, ops []operation) error {
	g.sizes = append(g.sizes, size)
	for _, op := range ops {
		if !strings.Contains(op.name, o.only) {
			continue
		}
		t := newTable()
		for range o.rounds {
			m, err := measure(ctx, s, op, 4, o.span)
			if err != nil {
				return fmt.Errorf("%s at %d: %w", op.name, size, err)
			}
			t.add(op.name, 4, m)
		}
		m, _ := t.find(op.name, 4)
		g.row(op.name).at = append(g.row(op.name).at, m)
	}
	return nil
}

func (g *growth) row(name string) *growthRow {
	for _, r := range g.rows {
		if r.name == name {
			return r
		}
	}
	r := &growthRow{name: name}
	g.rows = append(g.rows, r)
	return r
}

func (g *growth) print() {
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprint(w, "4 workers: p50 / p99 ms\t")
	for _, n := range g.sizes {
		_, _ = fmt.Fprintf(w, "%d %s\t", n, g.what)
	}
	_, _ = fmt.Fprintln(w, "growth of p50, p99\t")
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	for _, r := range g.rows {
		_, _ = fmt.Fprintf(w, "%s\t", r.name)
		for _, m := range r.at {
			_, _ = fmt.Fprintf(w, "%.2f / %.2f\t", ms(m.p50), ms(m.p99))
		}
		first, last := r.at[0], r.at[len(r.at)-1]
		_, _ = fmt.Fprintf(w, "%.2f, %.2f\t\n", ms(last.p50)/ms(first.p50), ms(last.p99)/ms(first.p99))
	}
	_ = w.Flush()
}

// scale measures one tenant as it grows.
func (s *server) scale(ctx context.Context, o options) error {
	sizes, err := sizesOf(o.scale)
	if err != nil {
		return err
	}
	c, err := s.tenant(ctx, "bench")
	if err != nil {
		return err
	}
	if err := c.fhir(ctx, "POST", "", synth.Directory(7), nil); err != nil {
		return err
	}
	d, g := &dataset{}, &growth{what: "resources"}
	next, stop := iter.Pull(synth.Patients(synth.Options{Seed: 7, Count: sizes[len(sizes)-1]})) // a patient has more than one resource
	defer stop()
	for _, size := range sizes {
		start, had := time.Now(), d.resources
		if err := c.grow(ctx, d, size, next); err != nil {
			return err
		}
		fmt.Printf("%d resources (%.0f a second)\n", d.resources, float64(d.resources-had)/time.Since(start).Seconds())
		if err := c.learn(ctx, d); err != nil {
			return err
		}
		if err := g.measure(ctx, s, o, d.resources, c.operations(d)); err != nil {
			return err
		}
	}
	g.print()
	return nil
}

// grow loads patients, four Bundles at a time, until the tenant has so many resources.
func (s *client) grow(ctx context.Context, d *dataset, size int, next func() (synth.Patient, bool)) error {
	var mu sync.Mutex // guards d, next and failed
	var failed error
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for {
				mu.Lock()
				p, ok := synth.Patient{}, d.resources < size && failed == nil
				if ok {
					if p, ok = next(); ok {
						d.add(p)
					}
				}
				mu.Unlock()
				if !ok {
					return
				}
				if err := s.fhir(ctx, "POST", "", p.Bundle, nil); err != nil {
					mu.Lock()
					failed = errors.Join(failed, err)
					mu.Unlock()
				}
			}
		})
	}
	wait.Wait()
	return failed
}

// perTenant is how many patients each tenant of a platform that grows has.
const perTenant = 3

// tenants measures a platform as it grows by pooled tenants, each with a small chart of its own.
func (s *server) tenants(ctx context.Context, o options) error {
	sizes, err := sizesOf(o.tenants)
	if err != nil {
		return err
	}
	g := &growth{what: "tenants"}
	var all [][]operation // of each tenant
	for _, size := range sizes {
		start, had := time.Now(), len(all)
		var took time.Duration
		for len(all) < size {
			at := time.Now()
			c, err := s.tenant(ctx, fmt.Sprintf("bench-%d", len(all)))
			took += time.Since(at)
			if err != nil {
				return err
			}
			d, err := c.load(ctx, perTenant)
			if err != nil {
				return err
			}
			all = append(all, c.operations(d))
		}
		fmt.Printf("%d tenants (%.1f ms to provision one with a client; loaded in %.0f s)\n", size, took.Seconds()*1000/float64(size-had), time.Since(start).Seconds())
		if err := g.measure(ctx, s, o, size, ofAny(all)); err != nil {
			return err
		}
	}
	g.print()
	return nil
}

// ofAny makes operations of which each call is some tenant's.
func ofAny(all [][]operation) []operation {
	out := make([]operation, len(all[0]))
	for i := range out {
		out[i] = operation{name: all[0][i].name, do: func(ctx context.Context, n int64) error {
			return all[int(n*7919)%len(all)][i].do(ctx, n)
		}}
	}
	return out
}
