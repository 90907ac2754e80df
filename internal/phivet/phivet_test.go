package phivet_test

import (
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"

	"github.com/cordon-ehr/cordon/internal/phivet"
)

// TestSeededLeaks has one leak of each kind found, each where it is, and nothing in code that does what is meant to be done.
func TestSeededLeaks(t *testing.T) {
	t.Parallel()
	analysistest.Run(t, analysistest.TestData(), phivet.New("example.org/house"), "example.org/house/internal/caught", "example.org/house/internal/legal")
}
