// Package test is the platform's behaviour from outside: everything goes through the surface that users have.
package test

import (
	"testing"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

func TestMain(m *testing.M) { cordontest.Main(m) }
