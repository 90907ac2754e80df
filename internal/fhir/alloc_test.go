//go:build !race

package fhir_test

import (
	"testing"

	"github.com/cordon-ehr/cordon/internal/fhir"
)

// Not under -race, where pools forget on purpose.
func TestParseReusesItsTape(t *testing.T) {
	src := []byte(observation)
	allocs := testing.AllocsPerRun(100, func() {
		d, err := fhir.Parse(src, fhir.Limits{})
		if err != nil {
			t.Error(err)
			return
		}
		d.Release()
		d.Release() // twice is harmless
	})
	if allocs > 1 {
		t.Errorf("%.1f allocations a parse", allocs)
	}
}
