// Package words hands text on: what it does is known where it is called.
package words

import (
	"errors"

	"example.org/house/internal/phi"
)

// Name gives revealed text.
func Name(t phi.Text) string { return t.Reveal() }

// Both gives what it is given.
func Both(a, b string) string { return a + ", " + b }

// Second gives one of two.
func Second(_, b string) string { return b }

// Fail prints its argument.
func Fail(what string) error { return errors.New("failed: " + what) }
