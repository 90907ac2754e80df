//go:build conformance

package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestConformanceTablesAreCurrent compiles HL7's package (under CORDON_SHARED) and Medplum's folder (CORDON_DEFS), each where it is
// named: the committed tables must be what both say.
func TestConformanceTablesAreCurrent(t *testing.T) {
	t.Parallel()
	var inputs []string
	if shared := os.Getenv("CORDON_SHARED"); shared != "" {
		inputs = append(inputs, filepath.Join(shared, "data/definitions/hl7.fhir.r4.core-4.0.1.tgz"))
	}
	if defs := os.Getenv("CORDON_DEFS"); defs != "" {
		inputs = append(inputs, defs)
	}
	for _, defs := range inputs {
		out := t.TempDir()
		if err := run(defs, out, corrections); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"types.txt", "search.txt", "compartment.txt"} {
			if read(t, out, name) != read(t, "../../internal/fhir/spec", name) {
				t.Errorf("%s is not what specgen makes of %s", name, defs)
			}
		}
	}
}
