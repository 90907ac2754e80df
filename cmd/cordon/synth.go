package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"

	"github.com/cordon-ehr/cordon/internal/synth"
)

type synthCmd struct {
	Count     int    `short:"n" default:"10" help:"How many patients."`
	Seed      uint64 `default:"1" help:"Same seed, same patients."`
	Start     int    `help:"Index of the first patient."`
	Directory bool   `negatable:"" default:"true" help:"Print first the batch Bundle of organizations, locations and practitioners that patients refer to."`
}

// Run prints Bundles, one a line: the directory's first. Memory stays flat, whatever the count.
func (c *synthCmd) Run() error {
	if c.Count < 0 || c.Start < 0 {
		return fmt.Errorf("--count and --start are not negative")
	}
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	if c.Directory {
		_, _ = out.Write(bytes.TrimSpace(synth.Directory(c.Seed)))
		_ = out.WriteByte('\n')
	}
	for p := range synth.Patients(synth.Options{Seed: c.Seed, Count: c.Count, Start: c.Start}) {
		_, _ = out.Write(p.Bundle)
		if err := out.WriteByte('\n'); err != nil {
			return err
		}
	}
	return out.Flush()
}
