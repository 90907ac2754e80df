package telemetry

import (
	"context"
	"crypto/rand"
	"encoding/hex"
)

type requestKey struct{}

// WithRequestID attaches a request's id.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestKey{}, id)
}

// RequestID gives the id attached to ctx, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestKey{}).(string)
	return id
}

// NewRequestID makes an id of 128 random bits.
func NewRequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// CleanRequestID accepts a caller's X-Request-Id when it is a short plain token, so that it can stand in logs and audit
// events; anything else is replaced.
func CleanRequestID(s string) string {
	if len(s) < 8 || len(s) > 64 {
		return NewRequestID()
	}
	for _, c := range []byte(s) {
		if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return NewRequestID()
		}
	}
	return s
}
