// Package fault stands for the real one.
package fault

import "fmt"

type Kind int

type Issue struct{ Diagnostics, Expression string }

type Fault struct {
	Kind   Kind
	Text   string
	Issues []Issue
	cause  error
}

func New(k Kind, format string, args ...any) *Fault {
	return &Fault{Kind: k, Text: fmt.Sprintf(format, args...)}
}

func Wrap(k Kind, cause error, format string, args ...any) *Fault {
	f := New(k, format, args...)
	f.cause = cause
	return f
}

func (f *Fault) Error() string { return f.Text }
