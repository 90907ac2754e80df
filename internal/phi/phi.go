// Package phi gives protected health information a type. A value of these types prints, formats, marshals and logs as
// "[PHI]"; whoever needs the content asks for it by name (Reveal), which is what a reviewer looks for.
package phi

import (
	"fmt"
	"log/slog"
)

const mask = "[PHI]"

// Text is a string that may hold PHI: a query, a patient's id, a name.
type Text string

// Reveal gives the content. Its result must not reach a log, metric, trace, URL or error text.
func (t Text) Reveal() string { return string(t) }

// String hides the content.
func (Text) String() string { return mask }

// GoString hides the content.
func (Text) GoString() string { return mask }

// Format hides the content whatever the verb.
func (Text) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(mask)) }

// LogValue hides the content.
func (Text) LogValue() slog.Value { return slog.StringValue(mask) }

// MarshalText hides the content: JSON of a struct that holds it is safe to log, and useless to send.
func (Text) MarshalText() ([]byte, error) { return []byte(mask), nil }

// Body is the bytes of a resource.
type Body []byte

// Reveal gives the content, under the rules of Text.Reveal.
func (b Body) Reveal() []byte { return b }

// String hides the content.
func (Body) String() string { return mask }

// GoString hides the content.
func (Body) GoString() string { return mask }

// Format hides the content whatever the verb.
func (Body) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(mask)) }

// LogValue hides the content.
func (Body) LogValue() slog.Value { return slog.StringValue(mask) }

// MarshalText hides the content.
func (Body) MarshalText() ([]byte, error) { return []byte(mask), nil }
