// Command phivet is the analyzer of internal/phivet for go vet: go vet -vettool=bin/phivet ./...
package main

import (
	"golang.org/x/tools/go/analysis/unitchecker"

	"github.com/cordon-ehr/cordon/internal/phivet"
)

func main() { unitchecker.Main(phivet.New("github.com/cordon-ehr/cordon")) }
