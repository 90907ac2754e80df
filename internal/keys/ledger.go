package keys

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/ledger"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Connect names control as the witness of the broker's logs. It is called once, before the broker serves.
func (b *Broker) Connect(witness ledger.Witness) { b.keep(witness) }

func (b *Broker) keep(witness ledger.Witness) {
	l := b.cfg.Ledger
	b.keeper = ledger.NewKeeper(ledger.Config{Stream: ledger.StreamKeys, Store: l.Store, Source: b.store, Signing: l.Signing, Verifiers: l.Verifiers,
		Witness: witness, Interval: l.Interval, Sweep: l.Sweep, Log: b.cfg.Log, Alert: b.alert, Genuine: b.store.Opener})
	b.watcher = &ledger.Watcher{Heads: b.store, Signing: l.Signing, Verifiers: l.Verifiers, Streams: []string{ledger.StreamControl}, Alert: b.alert, Now: b.now}
	b.store.OnWrite(b.keeper.Mark)
}

// Run looks at the walls, and keeps the logs of the broker's events, until ctx ends.
func (b *Broker) Run(ctx context.Context) error {
	var watching sync.WaitGroup
	watching.Go(func() { b.walls.Run(ctx) })
	err := b.keeper.Run(ctx)
	watching.Wait()
	return err
}

func (b *Broker) alert(t tenant.ID, stream string, why *ledger.Broken) {
	if b.cfg.Alerted != nil {
		b.cfg.Alerted(stream, why.Kind)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := b.store.Record(ctx, audit.LedgerAlert(t, source(), stream, why.Kind, why.Event)); err != nil {
		b.cfg.Log.ErrorContext(ctx, "a security alert could not be recorded", slog.String("error", err.Error()))
	}
}

func source() audit.Source { return audit.Source{Role: "keys"} }

// Cosign implements ledger.Witness for control's logs.
func (b *Broker) Cosign(ctx context.Context, a ledger.Ask) (ledger.Cosigned, error) {
	return b.watcher.Cosign(ctx, a)
}

// Witnessed gives the newest note of a log that this role has cosigned; none before the first.
func (b *Broker) Witnessed(ctx context.Context, origin string) ([]byte, error) {
	note, _, err := b.store.Seen(ctx, origin)
	return note, err
}

// VerifyLog recomputes the log of a tenant's key events; that it was asked for is one of them.
func (b *Broker) VerifyLog(ctx context.Context, t tenant.ID, by audit.By) (*ledger.Report, error) {
	if err := b.store.Record(ctx, audit.LogUse(t, source(), "verify", by)); err != nil {
		return nil, err
	}
	return b.keeper.Verify(ctx, t, b.store.Opener(t))
}

var errEnough = errors.New("nobody listens any more")

// ExportLog streams the log of a tenant's key events with what verifies it offline.
func (b *Broker) ExportLog(ctx context.Context, t tenant.ID, by audit.By) ledger.Lines {
	return func(yield func(ledger.Line, error) bool) {
		err := b.store.Record(ctx, audit.LogUse(t, source(), "export", by))
		if err == nil {
			err = b.keeper.Export(ctx, t, b.store.Opener(t), func(l ledger.Line) error {
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
func (b *Broker) LogProgress(ctx context.Context, t tenant.ID, from int64) (ledger.Progress, error) {
	return b.keeper.Progress(ctx, t, from)
}

// ProveEvent implements ledger.Logs.
func (b *Broker) ProveEvent(ctx context.Context, t tenant.ID, event uuid.UUID) (ledger.Inclusion, error) {
	return b.keeper.Prove(ctx, t, event)
}

// StoppedLogs names the logs that cannot go on, and why.
func (b *Broker) StoppedLogs() map[string]string { return b.keeper.Stopped() }
