package cell

import (
	"context"
	"log/slog"
	"strings"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/placement"
	"github.com/cordon-ehr/cordon/internal/posture"
	"github.com/cordon-ehr/cordon/internal/telemetry"
)

// watch makes the cell's self-check. What it finds stops every request, and is an event of control's: the chart database is the one
// that is not to be trusted then.
func (c *Cell) watch(metrics *telemetry.Metrics) *posture.Watch {
	e := placement.Expect()
	e.Volatile = c.cfg.Posture.Volatile
	eye := placement.NewCharts(c.eye, 0, nil)
	look := func(ctx context.Context) (posture.Findings, error) { return eye.Look(ctx, e) }
	return posture.NewWatch(look, e, c.cfg.Posture.Every, func(ctx context.Context, reasons []string) error {
		metrics.Walls("cell", len(reasons))
		c.log.ErrorContext(ctx, "the walls changed", slog.String("reason", strings.Join(reasons, ", ")), slog.Int("count", len(reasons)))
		return c.peers.Denials.Record(ctx, audit.Walls(audit.Source{Role: "cell", Site: c.cfg.Name}, reasons))
	})
}
