package control

import (
	"context"
	"log/slog"
	"time"

	"github.com/cordon-ehr/cordon/internal/alert"
	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/ledger"
	"github.com/cordon-ehr/cordon/internal/telemetry"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// logBroker is the keys role as a keeper of logs, and as the witness of control's.
type logBroker interface {
	ledger.Logs
	ledger.Witness
	// Witnessed gives the newest note of a log of control that the broker has cosigned; none before the first.
	Witnessed(ctx context.Context, origin string) ([]byte, error)
	VerifyLog(ctx context.Context, t tenant.ID, by audit.By) (*ledger.Report, error)
	ExportLog(ctx context.Context, t tenant.ID, by audit.By) ledger.Lines
}

// logCell is a cell as a keeper of logs. VerifyLog and ExportLog open the tenant's events against a ticket.
type logCell interface {
	ledger.Logs
	VerifyLog(ctx context.Context, t tenant.ID, ticket string, by audit.By) (*ledger.Report, error)
	ExportLog(ctx context.Context, t tenant.ID, ticket string, by audit.By) ledger.Lines
}

// keep makes control's logs, and its memory of those of the cells and the broker.
func (c *Control) keep() {
	l := c.cfg.Ledger
	c.keeper = ledger.NewKeeper(ledger.Config{Stream: ledger.StreamControl, Store: l.Store, Source: c.registry.Log, Signing: l.Signing, Verifiers: l.Verifiers,
		Witness: c.broker, Interval: l.Interval, Sweep: l.Sweep, Log: c.log, Alert: c.alert, Genuine: c.registry.Opener})
	c.watcher = &ledger.Watcher{Heads: c.registry, Signing: l.Signing, Verifiers: l.Verifiers, Streams: []string{ledger.StreamCell, ledger.StreamKeys},
		Alert: c.alert, Now: time.Now}
	c.registry.OnWrite(c.keeper.Mark)
}

// guardEvents raises the alarm for rows among control's events that control did not write.
func (c *Control) guardEvents() {
	metrics := c.cfg.Metrics
	if metrics == nil {
		metrics = telemetry.NewMetrics()
	}
	alarm := alert.New(c.registry, source(), metrics, c.log, time.Now)
	c.registry.OnForged(source(), func(ctx context.Context, t tenant.ID) { alarm.SealBroken(ctx, t, "audit", "AuditEvent", "") })
}

func (c *Control) alert(t tenant.ID, stream string, why *ledger.Broken) {
	if c.cfg.Alerted != nil {
		c.cfg.Alerted(stream, why.Kind)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := c.registry.Record(ctx, audit.LedgerAlert(t, source(), stream, why.Kind, why.Event)); err != nil {
		c.log.ErrorContext(ctx, "a security alert could not be recorded", slog.String("error", err.Error()))
	}
}

func source() audit.Source { return audit.Source{Role: "control"} }

// Cosign implements ledger.Witness for the logs of cells and of the broker.
func (c *Control) Cosign(ctx context.Context, a ledger.Ask) (ledger.Cosigned, error) {
	return c.watcher.Cosign(ctx, a)
}

// StoppedLogs names the logs that cannot go on, and why.
func (c *Control) StoppedLogs() map[string]string { return c.keeper.Stopped() }
