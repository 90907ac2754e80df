package keys

import (
	"context"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/keyring"
	"github.com/cordon-ehr/cordon/internal/rpc"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Every operation is one transaction with its event: when the event cannot be written, nothing happened. Each may be repeated, and
// each answers with the keys as they are after it.

// DisableKeys refuses from now on whatever would unwrap or use the tenant's keys: leases, signatures, public keys.
func (b *Broker) DisableKeys(ctx context.Context, t tenant.ID, by audit.By) (rpc.Keyring, error) {
	err := b.store.SetState(ctx, t, keyring.Disabled, b.operation(t, "disable", by))
	b.sign.Invalidate(t) // this process's copy of the signing key ends now, not in its minute
	if err != nil {
		return rpc.Keyring{}, err
	}
	return b.Keyring(ctx, t)
}

// EnableKeys takes that back: all that was sealed opens again.
func (b *Broker) EnableKeys(ctx context.Context, t tenant.ID, by audit.By) (rpc.Keyring, error) {
	if err := b.store.SetState(ctx, t, keyring.Enabled, b.operation(t, "enable", by)); err != nil {
		return rpc.Keyring{}, err
	}
	return b.Keyring(ctx, t)
}

// RotateKeys makes a new version: of kind data, which new writes use as soon as a cell takes a lease; or of kind sign, which is
// published and does not sign before ActivateKeys. Faults: Invalid (kind), Locked.
func (b *Broker) RotateKeys(ctx context.Context, t tenant.ID, kind string, by audit.By) (rpc.Keyring, error) {
	k := keyring.Kind(kind)
	if k != keyring.Data && k != keyring.Sign {
		return rpc.Keyring{}, fault.New(fault.Invalid, "the kind of a rotation is data or sign")
	}
	if err := b.store.Rotate(ctx, t, k, b.operation(t, "rotate-"+kind, by)); err != nil {
		return rpc.Keyring{}, err
	}
	return b.Keyring(ctx, t)
}

// ActivateKeys puts the published signing key to use, once every edge and cell has it. The one before verifies until the last of
// its tokens has expired.
func (b *Broker) ActivateKeys(ctx context.Context, t tenant.ID, by audit.By) (rpc.Keyring, error) {
	if err := b.store.Activate(ctx, t, b.operation(t, "activate-sign", by)); err != nil {
		return rpc.Keyring{}, err
	}
	return b.Keyring(ctx, t)
}

// Keyring describes a tenant's keys, whatever their state.
func (b *Broker) Keyring(ctx context.Context, t tenant.ID) (rpc.Keyring, error) {
	return b.store.Keyring(ctx, t, b.cfg.Overlap)
}

func (*Broker) operation(t tenant.ID, what string, by audit.By) audit.Event {
	return by.Event("keys", t, "key", what, audit.Update)
}
