package keys

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/keyring"
	"github.com/cordon-ehr/cordon/internal/posture"
)

// sharedEvery is at which look again all keys are walked, for those that two tenants share: the catalog is cheap, they are many.
const sharedEvery = 3

// selfCheck makes the broker's self-check: its database role, and what tenants share of keys.
func (b *Broker) selfCheck() *posture.Watch {
	e := keyring.Expect()
	e.Volatile = b.cfg.Posture.Volatile
	var n atomic.Int64
	var shared atomic.Pointer[[]string]
	look := func(ctx context.Context) (posture.Findings, error) {
		f, err := b.store.Look(ctx, e)
		if err != nil {
			return f, err
		}
		if (n.Add(1)-1)%sharedEvery == 0 || shared.Load() == nil {
			s, err := b.store.Shared(ctx)
			if err != nil {
				return f, err
			}
			shared.Store(&s)
		}
		f.Breaches = append(f.Breaches, *shared.Load()...)
		return f, nil
	}
	return posture.NewWatch(look, e, b.cfg.Posture.Every, func(ctx context.Context, reasons []string) error {
		b.cfg.Metrics.Walls("keys", len(reasons))
		b.cfg.Log.ErrorContext(ctx, "the walls changed", slog.String("reason", strings.Join(reasons, ", ")), slog.Int("count", len(reasons)))
		return b.store.Record(ctx, audit.Walls(audit.Source{Role: "keys"}, reasons))
	})
}

// Ready reports whether the broker can serve, and names every wall that does not stand.
func (b *Broker) Ready(ctx context.Context) error { return b.walls.Look(ctx) }
