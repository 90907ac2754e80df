// Package telemetry is how a process speaks about itself: structured logs that pass an allow-list, request ids, metrics
// and build facts. Nothing of a patient passes: an attribute whose key is not on the list is dropped, paths and ids of
// resources are not on it.
package telemetry

import (
	"context"
	"io"
	"log/slog"
)

// allowed are the attribute keys that may appear in a log line. Values are ids of the platform, numbers, names of code
// constants and texts written by us. A key is added here by a reviewer who knows that its values are never PHI.
var allowed = map[string]bool{
	"role": true, "tenant": true, "request": true, "method": true, "interaction": true, "type": true, "status": true, "kind": true,
	"duration_ms": true, "bytes": true, "client": true, "operator": true, "step": true, "state": true, "cell": true, "address": true, "version": true,
	"pid": true, "dir": true, "count": true, "attempt": true, "error": true, "reason": true, "decision": true, "event": true, "database": true, "url": true,
	"seconds": true, "signal": true, "placement": true, "identity": true, "stack": true,
}

// NewLogger writes JSON lines to w, attributes filtered by the allow-list.
func NewLogger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(allowList{slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})})
}

type allowList struct{ next slog.Handler }

func (a allowList) Enabled(ctx context.Context, l slog.Level) bool { return a.next.Enabled(ctx, l) }

func (a allowList) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	if id := RequestID(ctx); id != "" {
		out.AddAttrs(slog.String("request", id))
	}
	r.Attrs(func(at slog.Attr) bool {
		if allowed[at.Key] {
			out.AddAttrs(at)
		}
		return true
	})
	return a.next.Handle(ctx, out)
}

func (a allowList) WithAttrs(attrs []slog.Attr) slog.Handler {
	kept := attrs[:0:0]
	for _, at := range attrs {
		if allowed[at.Key] {
			kept = append(kept, at)
		}
	}
	return allowList{a.next.WithAttrs(kept)}
}

// WithGroup drops the group's name: groups would let a key hide from the list.
func (a allowList) WithGroup(string) slog.Handler { return a }
