package wire

import (
	"context"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/mesh"
	"github.com/cordon-ehr/cordon/internal/rpc"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// keyOperations are the acts of operators on a tenant's keys.
type keyOperations interface {
	DisableKeys(ctx context.Context, t tenant.ID, by audit.By) (rpc.Keyring, error)
	EnableKeys(ctx context.Context, t tenant.ID, by audit.By) (rpc.Keyring, error)
	RotateKeys(ctx context.Context, t tenant.ID, kind string, by audit.By) (rpc.Keyring, error)
	ActivateKeys(ctx context.Context, t tenant.ID, by audit.By) (rpc.Keyring, error)
	Keyring(ctx context.Context, t tenant.ID) (rpc.Keyring, error)
	Stops(ctx context.Context) ([]rpc.Stop, error)
	ResumeIdentity(ctx context.Context, identity string, by audit.By) error
}

type (
	operate struct {
		Tenant tenant.ID `json:"tenant"`
		Kind   string    `json:"kind,omitempty"`
		By     audit.By  `json:"by"`
	}
	resume struct {
		Identity string   `json:"identity"`
		By       audit.By `json:"by"`
	}
)

func serveKeyOperations(s *mesh.Server, k keyOperations) {
	for name, run := range map[string]func(context.Context, tenant.ID, audit.By) (rpc.Keyring, error){
		"keys.Disable": k.DisableKeys, "keys.Enable": k.EnableKeys, "keys.Activate": k.ActivateKeys,
	} {
		mesh.Handle(s, name, func(ctx context.Context, _ mesh.Identity, in operate) (rpc.Keyring, error) {
			return run(ctx, in.Tenant, in.By)
		})
	}
	mesh.Handle(s, "keys.Rotate", func(ctx context.Context, _ mesh.Identity, in operate) (rpc.Keyring, error) {
		return k.RotateKeys(ctx, in.Tenant, in.Kind, in.By)
	})
	mesh.Handle(s, "keys.Keyring", func(ctx context.Context, _ mesh.Identity, in ofTenant) (rpc.Keyring, error) {
		return k.Keyring(ctx, in.Tenant)
	})
	mesh.Handle(s, "keys.Stops", func(ctx context.Context, _ mesh.Identity, _ none) ([]rpc.Stop, error) { return k.Stops(ctx) })
	mesh.Handle(s, "keys.ResumeIdentity", func(ctx context.Context, _ mesh.Identity, in resume) (none, error) {
		return none{}, k.ResumeIdentity(ctx, in.Identity, in.By)
	})
}

func (k *Keys) operate(ctx context.Context, method string, in operate) (rpc.Keyring, error) {
	return mesh.Call[operate, rpc.Keyring](ctx, k.link, method, in)
}

// DisableKeys implements control.Broker.
func (k *Keys) DisableKeys(ctx context.Context, t tenant.ID, by audit.By) (rpc.Keyring, error) {
	return k.operate(ctx, "keys.Disable", operate{Tenant: t, By: by})
}

// EnableKeys implements control.Broker.
func (k *Keys) EnableKeys(ctx context.Context, t tenant.ID, by audit.By) (rpc.Keyring, error) {
	return k.operate(ctx, "keys.Enable", operate{Tenant: t, By: by})
}

// RotateKeys implements control.Broker.
func (k *Keys) RotateKeys(ctx context.Context, t tenant.ID, kind string, by audit.By) (rpc.Keyring, error) {
	return k.operate(ctx, "keys.Rotate", operate{t, kind, by})
}

// ActivateKeys implements control.Broker.
func (k *Keys) ActivateKeys(ctx context.Context, t tenant.ID, by audit.By) (rpc.Keyring, error) {
	return k.operate(ctx, "keys.Activate", operate{Tenant: t, By: by})
}

// Keyring implements control.Broker.
func (k *Keys) Keyring(ctx context.Context, t tenant.ID) (rpc.Keyring, error) {
	return mesh.Call[ofTenant, rpc.Keyring](ctx, k.link, "keys.Keyring", ofTenant{t})
}

// Stops implements control.Broker.
func (k *Keys) Stops(ctx context.Context) ([]rpc.Stop, error) {
	return mesh.Call[none, []rpc.Stop](ctx, k.link, "keys.Stops", none{})
}

// ResumeIdentity implements control.Broker.
func (k *Keys) ResumeIdentity(ctx context.Context, identity string, by audit.By) error {
	_, err := mesh.Call[resume, none](ctx, k.link, "keys.ResumeIdentity", resume{identity, by})
	return err
}
