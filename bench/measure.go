package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"
)

// operation is one thing that is measured: do is called by several workers at once, with a number that no two calls share.
type operation struct {
	name    string
	workers []int
	do      func(ctx context.Context, n int64) error
	whole   func(ctx context.Context, workers int, span time.Duration) (float64, error) // a program that counts by itself
}

// measurement is one run of one operation.
type measurement struct {
	rate          float64 // calls a second
	p50, p95, p99 time.Duration
	own, database time.Duration // CPU of cordon, and of Postgres, a call
}

func measure(ctx context.Context, s *server, op operation, workers int, span time.Duration) (measurement, error) {
	if op.whole != nil {
		rate, err := op.whole(ctx, workers, span)
		return measurement{rate: rate}, err
	}
	ctx, cancel := context.WithTimeout(ctx, span+30*time.Second)
	defer cancel()
	var mu sync.Mutex // guards times and failed
	var times []time.Duration
	var failed error
	own, database := s.cpu()
	start := time.Now()
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			var mine []time.Duration
			for time.Since(start) < span {
				at := time.Now()
				if err := op.do(ctx, serial.Add(1)); err != nil {
					mu.Lock()
					failed = errors.Join(failed, err)
					mu.Unlock()
					return
				}
				mine = append(mine, time.Since(at))
			}
			mu.Lock()
			times = append(times, mine...)
			mu.Unlock()
		})
	}
	wait.Wait()
	took := time.Since(start)
	if failed != nil || len(times) == 0 {
		return measurement{}, errors.Join(failed, ctx.Err())
	}
	ownNow, databaseNow := s.cpu()
	n := time.Duration(len(times))
	slices.Sort(times)
	at := func(q float64) time.Duration { return times[min(len(times)-1, int(q*float64(len(times))))] }
	return measurement{float64(len(times)) / took.Seconds(), at(0.5), at(0.95), at(0.99), (ownNow - own) / n, (databaseNow - database) / n}, nil
}

// serial numbers the calls of the whole run.
var serial atomic.Int64

type row struct {
	name    string
	workers int
	all     []measurement
}

type table struct{ rows []*row }

func newTable() *table { return &table{} }

func (t *table) add(name string, workers int, m measurement) {
	for _, r := range t.rows {
		if r.name == name && r.workers == workers {
			r.all = append(r.all, m)
			return
		}
	}
	t.rows = append(t.rows, &row{name, workers, []measurement{m}})
}

// median takes each figure's median over the rounds.
func (r *row) median() measurement {
	pick := func(f func(measurement) float64) float64 {
		v := make([]float64, len(r.all))
		for i, m := range r.all {
			v[i] = f(m)
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	d := func(f func(measurement) time.Duration) time.Duration {
		return time.Duration(pick(func(m measurement) float64 { return float64(f(m)) }))
	}
	return measurement{pick(func(m measurement) float64 { return m.rate }), d(func(m measurement) time.Duration { return m.p50 }),
		d(func(m measurement) time.Duration { return m.p95 }), d(func(m measurement) time.Duration { return m.p99 }), d(func(m measurement) time.Duration { return m.own }),
		d(func(m measurement) time.Duration { return m.database })}
}

func (t *table) find(name string, workers int) (m measurement, ok bool) {
	for _, r := range t.rows {
		if r.name == name && r.workers == workers {
			return r.median(), true
		}
	}
	return m, false
}

func (t *table) print(d *dataset) {
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "operation\tworkers\tcalls/s\tp50 ms\tp95 ms\tp99 ms\tCPU ms/call\tof it cordon\tPostgres\t")
	cpu := func(d time.Duration) string { return fmt.Sprintf("%.3f", float64(d.Microseconds())/1000) }
	ms := func(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d.Microseconds())/1000) }
	for _, r := range t.rows {
		m := r.median()
		_, _ = fmt.Fprintf(w, "%s\t%d\t%.0f\t%s\t%s\t%s\t%s\t%s\t%s\t\n", r.name, r.workers, m.rate, ms(m.p50), ms(m.p95), ms(m.p99), cpu(m.own+m.database), cpu(m.own), cpu(m.database))
	}
	_ = w.Flush()
	ratio := func(label, a string, wa int, b string, wb int, goal float64) {
		x, ok1 := t.find(a, wa)
		y, ok2 := t.find(b, wb)
		if ok1 && ok2 && y.rate > 0 {
			fmt.Printf("%s: %.2f (goal %.2f)\n", label, x.rate/y.rate, goal)
		}
	}
	fmt.Printf("\n%d resources in %d Bundles\n", d.resources, len(d.bundles))
	ratio("read against pgbench -S, 16 clients", "read", 16, "raw: pgbench -S", 16, 0.35)
	ratio("Bundle ingest against bare INSERT … SELECT unnest of the same rows, 4 clients", "bundle", 4, "raw: unnest insert", 4, 0.40)
}
