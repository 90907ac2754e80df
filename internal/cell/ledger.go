package cell

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/ledger"
	"github.com/cordon-ehr/cordon/internal/placement"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

func (c *Cell) newKeeper(count func(stream, kind string)) *ledger.Keeper {
	return ledger.NewKeeper(ledger.Config{Stream: ledger.StreamCell, Store: c.cfg.Ledger.Store, Source: chartLogs{c}, Signing: c.cfg.Ledger.Signing,
		Verifiers: c.cfg.Ledger.Verifiers, Witness: c.peers.Witness, Interval: c.cfg.Ledger.Interval, Sweep: c.cfg.Ledger.Sweep, Log: c.log,
		Alert: func(t tenant.ID, stream string, b *ledger.Broken) {
			count(stream, b.Kind)
			// A cell has no key of the tenant now: its alert goes where its denials go.
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			if err := c.peers.Denials.Record(ctx, audit.LedgerAlert(t, c.source(), stream, b.Kind, b.Event)); err != nil {
				c.log.ErrorContext(ctx, "a security alert could not be recorded", slog.String("error", err.Error()))
			}
		}})
}

func (c *Cell) source() audit.Source { return audit.Source{Role: "cell", Site: c.cfg.Name} }

// chartLogs are the logs of the tenants on this cell, each read under a Scope minted for it.
type chartLogs struct{ c *Cell }

func (l chartLogs) scope(t tenant.ID) (placement.Scope, error) {
	route, ok := l.c.table.ByID(t)
	if !ok || route.Tenant.Cell != l.c.cfg.Name {
		return placement.Scope{}, fault.New(fault.NotFound, "the tenant is not served here now")
	}
	return placement.MintLedger(route)
}

// Logs implements ledger.Source.
func (l chartLogs) Logs(context.Context) ([]tenant.ID, error) {
	var out []tenant.ID
	for _, r := range l.c.table.All() {
		if r.Tenant.Cell == l.c.cfg.Name {
			out = append(out, r.Tenant.ID)
		}
	}
	return out, nil
}

// Boundary implements ledger.Source.
func (l chartLogs) Boundary(ctx context.Context, _ tenant.ID) (settled, newest uint64, err error) {
	return l.c.charts.Boundary(ctx)
}

// Rows implements ledger.Source.
func (l chartLogs) Rows(ctx context.Context, t tenant.ID, after ledger.Position, including bool, n int) ([]ledger.Row, error) {
	s, err := l.scope(t)
	if err != nil {
		return nil, err
	}
	return l.c.charts.EventRows(ctx, s, after, including, n)
}

// Head implements ledger.Source.
func (l chartLogs) Head(ctx context.Context, t tenant.ID) (ledger.Head, error) {
	s, err := l.scope(t)
	if err != nil {
		return ledger.Head{}, err
	}
	return l.c.charts.LogHead(ctx, s)
}

// Advance implements ledger.Source.
func (l chartLogs) Advance(ctx context.Context, t tenant.ID, from int64, to ledger.Head) (bool, error) {
	s, err := l.scope(t)
	if err != nil {
		return false, err
	}
	return l.c.charts.AdvanceLog(ctx, s, from, to)
}

// opener opens a tenant's events by control's ticket, after it has made the use of the log an event of the log.
func (c *Cell) opener(ctx context.Context, t tenant.ID, ticket, use string, by audit.By) (ledger.Opener, error) {
	scope, ring, err := c.auditAccess(ctx, t, ticket, by)
	if err != nil {
		return nil, err
	}
	if err := c.recordReading(ctx, scope, ring, use, by); err != nil {
		return nil, err
	}
	unseal := c.unsealer(ctx, t, ring, ticket, by)
	return func(r ledger.Row) (ledger.Opened, error) {
		if r.Key == 0 {
			return ledger.Opened{}, fault.New(fault.Internal, "an event of a chart that is not sealed")
		}
		salt, json, err := unseal(placement.Stored(r))
		return ledger.Opened{Salt: salt, JSON: json}, err
	}, nil
}

// VerifyLog recomputes the tenant's log, against control's ticket.
func (c *Cell) VerifyLog(ctx context.Context, t tenant.ID, ticket string, by audit.By) (*ledger.Report, error) {
	open, err := c.opener(ctx, t, ticket, "verify", by)
	if err != nil {
		return nil, err
	}
	return c.keeper.Verify(ctx, t, open)
}

var errEnough = errors.New("nobody listens any more")

// ExportLog streams the tenant's log with what verifies it offline, against control's ticket.
func (c *Cell) ExportLog(ctx context.Context, t tenant.ID, ticket string, by audit.By) ledger.Lines {
	return func(yield func(ledger.Line, error) bool) {
		open, err := c.opener(ctx, t, ticket, "export", by)
		if err == nil {
			err = c.keeper.Export(ctx, t, open, func(l ledger.Line) error {
				if !yield(l, nil) {
					return errEnough
				}
				return nil
			})
		}
		if err != nil && !errors.Is(err, errEnough) {
			yield(ledger.Line{}, err)
		}
	}
}

// LogProgress implements ledger.Logs.
func (c *Cell) LogProgress(ctx context.Context, t tenant.ID, from int64) (ledger.Progress, error) {
	return c.keeper.Progress(ctx, t, from)
}

// ProveEvent implements ledger.Logs.
func (c *Cell) ProveEvent(ctx context.Context, t tenant.ID, event uuid.UUID) (ledger.Inclusion, error) {
	return c.keeper.Prove(ctx, t, event)
}

// StoppedLogs names the logs that cannot go on, and why.
func (c *Cell) StoppedLogs() map[string]string { return c.keeper.Stopped() }
