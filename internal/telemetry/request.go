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

// CleanRequestID accepts a caller's X-Request-Id when it has the form of a random id, 32 hexadecimal digits with or without the
// dashes of a UUID, so that it can stand in logs and audit events; anything else is replaced. A shorter one, or one of digits
// alone, could be a number of a patient: 987-65-4329.
func CleanRequestID(s string) string {
	digits, letters := 0, 0
	for i, c := range []byte(s) {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'):
			letters++
		case c != '-' || len(s) != 36 || (i != 8 && i != 13 && i != 18 && i != 23):
			return NewRequestID()
		}
	}
	if digits+letters != 32 || letters == 0 || (len(s) != 32 && len(s) != 36) {
		return NewRequestID()
	}
	return s
}
