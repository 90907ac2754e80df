// Package wire puts each role behind the mesh: for every method, what the callee does on a call, and the stub that a caller
// holds in place of the callee. Roles know neither: they declare interfaces, and platform hands them a stub.
//
// A file per callee; its two halves stand beside each other.
package wire

import (
	"context"
	"iter"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/authn"
	"github.com/cordon-ehr/cordon/internal/lease"
	"github.com/cordon-ehr/cordon/internal/mesh"
	"github.com/cordon-ehr/cordon/internal/seal"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// KeysRole is the keys role.
type KeysRole interface {
	lease.Broker
	Mint(ctx context.Context, t tenant.ID, by audit.By) error
	PublicKeys(ctx context.Context, t tenant.ID) (jose.JSONWebKeySet, error)
	Sign(ctx context.Context, t tenant.ID, c authn.Claims) (string, error)
	Events(ctx context.Context, t tenant.ID, each func([]byte) error) error
	keyOperations
}

type (
	mint struct {
		Tenant tenant.ID `json:"tenant"`
		By     audit.By  `json:"by"`
	}
	ofTenant struct {
		Tenant tenant.ID `json:"tenant"`
	}
	sign struct {
		Tenant tenant.ID    `json:"tenant"`
		Claims authn.Claims `json:"claims"`
	}
	none struct{}
)

// ServeKeys puts the keys role behind the mesh.
func ServeKeys(s *mesh.Server, k KeysRole) {
	mesh.Handle(s, "keys.Lease", func(ctx context.Context, _ mesh.Identity, in lease.Request) (grant, error) {
		g, err := k.Lease(ctx, in)
		return toGrant(g), err
	})
	mesh.Handle(s, "keys.Mint", func(ctx context.Context, _ mesh.Identity, in mint) (none, error) {
		return none{}, k.Mint(ctx, in.Tenant, in.By)
	})
	mesh.Handle(s, "keys.PublicKeys", func(ctx context.Context, _ mesh.Identity, in ofTenant) (jose.JSONWebKeySet, error) {
		return k.PublicKeys(ctx, in.Tenant)
	})
	mesh.Handle(s, "keys.Sign", func(ctx context.Context, _ mesh.Identity, in sign) (string, error) {
		return k.Sign(ctx, in.Tenant, in.Claims)
	})
	mesh.HandleStream(s, "keys.Events", func(ctx context.Context, _ mesh.Identity, in ofTenant) iter.Seq2[raw, error] {
		return pulled(func(each func([]byte) error) error { return k.Events(ctx, in.Tenant, each) })
	})
	serveKeyOperations(s, k)
}

// Keys is the keys role as its callers hold it.
type Keys struct{ link *mesh.Link }

// NewKeys makes the stub.
func NewKeys(l *mesh.Link) *Keys { return &Keys{l} }

// Lease implements lease.Broker.
func (k *Keys) Lease(ctx context.Context, r lease.Request) (lease.Grant, error) {
	g, err := mesh.Call[lease.Request, grant](ctx, k.link, "keys.Lease", r)
	if err != nil {
		return lease.Grant{}, err
	}
	return g.grant()
}

// Mint implements provision.Broker.
func (k *Keys) Mint(ctx context.Context, t tenant.ID, by audit.By) error {
	_, err := mesh.Call[mint, none](ctx, k.link, "keys.Mint", mint{t, by})
	return err
}

// PublicKeys implements provision.Broker.
func (k *Keys) PublicKeys(ctx context.Context, t tenant.ID) (jose.JSONWebKeySet, error) {
	return mesh.Call[ofTenant, jose.JSONWebKeySet](ctx, k.link, "keys.PublicKeys", ofTenant{t})
}

// Sign implements identity.Signer.
func (k *Keys) Sign(ctx context.Context, t tenant.ID, c authn.Claims) (string, error) {
	return mesh.Call[sign, string](ctx, k.link, "keys.Sign", sign{t, c})
}

// Events implements control.Broker.
func (k *Keys) Events(ctx context.Context, t tenant.ID, each func([]byte) error) error {
	for b, err := range mesh.Stream[ofTenant, raw](ctx, k.link, "keys.Events", ofTenant{t}) {
		if err != nil {
			return err
		}
		if err := each(b); err != nil {
			return err
		}
	}
	return nil
}

// grant is lease.Grant on the wire: here, and nowhere else, keys show themselves. The lists of keys stand for those of the grant.
type grant struct {
	lease.Grant
	Expires time.Time
	Record  []key
	Audit   []key
	Cursor  []key
	Index   []key
}

type key struct {
	Version int32
	Secret  []byte
}

func toGrant(g lease.Grant) grant {
	out := grant{Grant: g, Expires: g.Expires}
	for to, from := range map[*[]key][]lease.Key{&out.Record: g.Record, &out.Audit: g.Audit, &out.Cursor: g.Cursor, &out.Index: g.Index} {
		for _, k := range from {
			*to = append(*to, key{k.Version, k.Secret.Reveal()})
		}
	}
	return out
}

func (g grant) grant() (lease.Grant, error) {
	out := g.Grant
	out.Expires = g.Expires
	for to, from := range map[*[]lease.Key][]key{&out.Record: g.Record, &out.Audit: g.Audit, &out.Cursor: g.Cursor, &out.Index: g.Index} {
		*to = nil
		for _, k := range from {
			s, err := seal.SecretFrom(k.Secret)
			if err != nil {
				return lease.Grant{}, err
			}
			*to = append(*to, lease.Key{Version: k.Version, Secret: s})
		}
	}
	return out, nil
}
