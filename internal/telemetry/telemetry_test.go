package telemetry_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/cordon-ehr/cordon/internal/telemetry"
)

func TestLogsPassAnAllowList(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	l := telemetry.NewLogger(&b, slog.LevelInfo).With(slog.String("role", "cell"), slog.String("patient", "canary-1"))
	ctx := telemetry.WithRequestID(context.Background(), "feedbeef")
	l.WithGroup("g").InfoContext(ctx, "request", slog.String("path", "/Patient/canary-2"), slog.String("query", "canary-3"), slog.Int("status", 200),
		slog.Group("more", slog.String("x", "canary-4")), slog.Group("type", slog.String("x", "canary-5")))
	out := b.String()
	if strings.Contains(out, "canary") {
		t.Errorf("what is not on the list was logged: %s", out)
	}
	for _, want := range []string{`"role":"cell"`, `"status":200`, `"request":"feedbeef"`} {
		if !strings.Contains(out, want) {
			t.Errorf("%s is missing in %s", want, out)
		}
	}
}

func TestCleanRequestID(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"0af7651916cd43dd8448eb211c80319c", "0B5B2C4E-5F7C-4A0C-9A59-6A2F3A1B2C3D", telemetry.NewRequestID()} {
		if telemetry.CleanRequestID(id) != id {
			t.Errorf("the plain id %s was replaced", id)
		}
	}
	for _, bad := range []string{"", "short", "Patient/Lovelace", "0af76519\r\nX: y", strings.Repeat("a", 65), "name=Lovelace", "\x1b[31m0af7651916",
		"987-65-4329", "deadbeef", strings.Repeat("1", 32), strings.Repeat("a", 33), strings.Repeat("a", 36), "0b5b2c4e5f7c-4a0c-9a59-6a2f-3a1b2c3d", "0af7651916cd43dd8448eb211c80319\n"} {
		if got := telemetry.CleanRequestID(bad); got == bad || len(got) != 32 {
			t.Errorf("%q became %q", bad, got)
		}
	}
}
