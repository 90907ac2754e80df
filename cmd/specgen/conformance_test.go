//go:build conformance

package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestTablesAreCurrent compiles HL7's package again: the committed tables must be what it says.
func TestTablesAreCurrent(t *testing.T) {
	t.Parallel()
	shared := os.Getenv("CORDON_SHARED")
	if shared == "" {
		return
	}
	out := t.TempDir()
	if err := run(filepath.Join(shared, "data/definitions/hl7.fhir.r4.core-4.0.1.tgz"), out); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"types.txt", "search.txt", "compartment.txt"} {
		if read(t, out, name) != read(t, "../../internal/fhir/spec", name) {
			t.Errorf("%s is not what specgen writes", name)
		}
	}
}
