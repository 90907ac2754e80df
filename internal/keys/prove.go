package keys

import (
	"context"
	"slices"

	"github.com/cordon-ehr/cordon/internal/keyring"
	"github.com/cordon-ehr/cordon/internal/prove"
)

// Prove runs the broker's probes, whether or not its walls stand.
func (b *Broker) Prove(ctx context.Context) ([]prove.Result, error) {
	return []prove.Result{prove.Try(ctx, "keys.walls", func(ctx context.Context) (string, error) {
		e := keyring.Expect()
		e.Volatile = b.cfg.Posture.Volatile
		f, err := b.store.Look(ctx, e)
		if err != nil {
			return "", err
		}
		shared, err := b.store.Shared(ctx)
		if err != nil {
			return "", err
		}
		return "the broker's role may do what it must and no more, and no two tenants share a key", e.Fault(slices.Concat(f.Breaches, f.Missing, shared))
	})}, nil
}
