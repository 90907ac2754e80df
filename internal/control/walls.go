package control

import (
	"context"
	"log/slog"
	"strings"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/posture"
	"github.com/cordon-ehr/cordon/internal/registry"
)

// watch makes control's self-check: its database role enters no chart, and may do in its own database what it must and no more.
func (c *Control) watch() *posture.Watch {
	e := registry.Expect()
	e.Volatile = c.cfg.Posture.Volatile
	look := func(ctx context.Context) (posture.Findings, error) { return c.registry.Look(ctx, e) }
	return posture.NewWatch(look, e, c.cfg.Posture.Every, func(ctx context.Context, reasons []string) error {
		if c.cfg.Metrics != nil {
			c.cfg.Metrics.Walls("control", len(reasons))
		}
		c.log.ErrorContext(ctx, "the walls changed", slog.String("reason", strings.Join(reasons, ", ")), slog.Int("count", len(reasons)))
		return c.registry.Record(ctx, audit.Walls(audit.Source{Role: "control"}, reasons))
	})
}
