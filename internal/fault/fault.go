// Package fault is the one error type that crosses rpc and HTTP.
//
// A Fault carries a kind (what the caller may conclude), a public text (safe to show: it names places, never values of a
// patient) and a wrapped cause (for the log, never for the caller). An error that is not a Fault is an internal one: the
// caller learns only that, with the id of its request.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what went wrong in terms a caller can act on.
type Kind uint8

// The kinds. Each has one HTTP status (see Kind.Status).
const (
	Internal Kind = iota
	Invalid
	Unauthenticated
	Forbidden
	NotFound
	MethodNotAllowed
	NotAcceptable
	Conflict
	Gone
	Precondition
	TooLarge
	UnsupportedMedia
	Unprocessable
	Locked
	TooMany
	Unavailable
	NotSupported
	Timeout
	LongURI
	LargeHeaders
)

type row struct {
	name, code string // name on the wire; FHIR issue type (R4 valueset-issue-type)
	status     int
}

func (k Kind) row() row {
	switch k {
	case Invalid:
		return row{"invalid", "invalid", 400}
	case Unauthenticated:
		return row{"unauthenticated", "login", 401}
	case Forbidden:
		return row{"forbidden", "forbidden", 403}
	case NotFound:
		return row{"not-found", "not-found", 404}
	case MethodNotAllowed:
		return row{"method-not-allowed", "not-supported", 405}
	case NotAcceptable:
		return row{"not-acceptable", "not-supported", 406}
	case Conflict:
		return row{"conflict", "conflict", 409}
	case Gone:
		return row{"gone", "deleted", 410}
	case Precondition:
		return row{"precondition", "conflict", 412}
	case TooLarge:
		return row{"too-large", "too-long", 413}
	case UnsupportedMedia:
		return row{"unsupported-media", "not-supported", 415}
	case Unprocessable:
		return row{"unprocessable", "processing", 422}
	case Locked:
		return row{"locked", "suppressed", 423}
	case TooMany:
		return row{"too-many", "throttled", 429}
	case NotSupported:
		return row{"not-supported", "not-supported", 400}
	case Timeout:
		return row{"timeout", "timeout", 408}
	case LongURI:
		return row{"long-uri", "too-long", 414}
	case LargeHeaders:
		return row{"large-headers", "too-long", 431}
	case Unavailable:
		return row{"unavailable", "transient", 503}
	default:
		return row{"internal", "exception", 500}
	}
}

// Status is the HTTP status of k.
func (k Kind) Status() int { return k.row().status }

// Code is the FHIR R4 issue type of k (OperationOutcome.issue.code).
func (k Kind) Code() string { return k.row().code }

func (k Kind) String() string { return k.row().name }

// KindNamed is the inverse of Kind.String; an unknown name is Internal.
func KindNamed(name string) Kind {
	for k := Internal; k <= LargeHeaders; k++ {
		if k.String() == name {
			return k
		}
	}
	return Internal
}

// Issue is one finding about a request, shaped like OperationOutcome.issue. Diagnostics names what is wrong with the
// place in Expression; it never repeats a value of the resource.
type Issue struct {
	Severity    string `json:"severity"` // fatal | error | warning | information
	Code        string `json:"code"`     // FHIR R4 issue-type
	Diagnostics string `json:"diagnostics,omitempty"`
	Expression  string `json:"expression,omitempty"` // FHIRPath of the place, "Patient.name[0].family"
}

// Fault is an error with a public face.
type Fault struct {
	Kind       Kind
	Text       string        // public; no PHI
	Issues     []Issue       // public; when empty, Text is the one issue
	RetryAfter time.Duration // for TooMany and Unavailable; zero = not said
	cause      error
}

// New makes a fault. The text is public: it must not hold a value of a patient.
func New(k Kind, format string, args ...any) *Fault {
	return &Fault{Kind: k, Text: fmt.Sprintf(format, args...)}
}

// Wrap makes a fault with a public text over a private cause.
func Wrap(k Kind, cause error, format string, args ...any) *Fault {
	f := New(k, format, args...)
	f.cause = cause
	return f
}

// Issues makes an Invalid or Unprocessable fault out of findings; nil when none is an error.
func Issues(k Kind, issues []Issue) *Fault {
	for _, i := range issues {
		if i.Severity == "error" || i.Severity == "fatal" {
			return &Fault{Kind: k, Text: i.Diagnostics, Issues: issues}
		}
	}
	return nil
}

// Error gives kind, public text and cause: for the log.
func (f *Fault) Error() string {
	if f.cause != nil {
		return f.Kind.String() + ": " + f.Text + ": " + f.cause.Error()
	}
	return f.Kind.String() + ": " + f.Text
}

// Unwrap gives the private cause.
func (f *Fault) Unwrap() error { return f.cause }

// Of finds the fault in err's chain; an error without one becomes an Internal fault that wraps it. Of(nil) is nil.
func Of(err error) *Fault {
	if err == nil {
		return nil
	}
	if f, ok := errors.AsType[*Fault](err); ok {
		return f
	}
	return Wrap(Internal, err, "internal error")
}

// Is reports whether err carries a fault of kind k.
func Is(err error, k Kind) bool {
	f, ok := errors.AsType[*Fault](err)
	return ok && f.Kind == k
}
