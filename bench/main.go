// Command bench measures a platform from outside, with everything on (TLS, tokens, row security, sealing, durable audit), and
// beside it what Postgres alone does on the same machine in the same run. It prints one table; nothing is asserted.
//
//	go run ./bench [-patients 200] [-for 2s] [-rounds 3]
//	go run ./bench -scale 10000,100000,1000000
//	go run ./bench -tenants 10,2000
//
// Rounds are interleaved, and the median is shown: on a machine with neighbours compare ratios, not times.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

type options struct {
	patients, rounds int
	span             time.Duration
	binary, only     string
	apart            bool
	scale, tenants   string
}

func main() {
	var o options
	flag.IntVar(&o.patients, "patients", 200, "synthetic patients to load")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds, interleaved; the median counts")
	flag.DurationVar(&o.span, "for", 2*time.Second, "how long each measurement takes")
	flag.StringVar(&o.binary, "binary", "bin/cordon", "the program to measure")
	flag.StringVar(&o.only, "only", "", "measure only operations whose name holds this; neighbour measures what one tenant feels of another's flood")
	flag.BoolVar(&o.apart, "apart", false, "measure four processes, one a role")
	flag.StringVar(&o.scale, "scale", "", "measure one tenant as it grows to each of these numbers of resources: 10000,100000,1000000")
	flag.StringVar(&o.tenants, "tenants", "", "measure the platform as it grows to each of these numbers of pooled tenants: 10,2000")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	s, err := startServer(ctx, o.binary, o.apart)
	if err != nil {
		return err
	}
	defer s.stop()
	switch {
	case o.scale != "":
		return s.scale(ctx, o)
	case o.tenants != "":
		return s.tenants(ctx, o)
	}
	c, err := s.tenant(ctx, "bench")
	if err != nil {
		return err
	}
	fmt.Printf("loading %d synthetic patients\n", o.patients)
	data, err := c.load(ctx, o.patients)
	if err != nil {
		return err
	}
	if o.only == "neighbour" {
		return s.neighbour(ctx, c, data, o.rounds, o.span)
	}
	raw, err := newRaw(ctx, s, data)
	if err != nil {
		return err
	}
	defer raw.close()
	all := append(c.operations(data), raw.operations()...)
	all = slices.DeleteFunc(all, func(op operation) bool { return !strings.Contains(op.name, o.only) })
	table := newTable()
	for range o.rounds {
		for _, op := range all {
			for _, workers := range op.workers {
				m, err := measure(ctx, s, op, workers, o.span)
				if err != nil {
					return fmt.Errorf("%s: %w", op.name, err)
				}
				table.add(op.name, workers, m)
			}
		}
	}
	table.print(data)
	return nil
}
