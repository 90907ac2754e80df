// Package control is the control plane: tenants, their clients and tokens, the directory that edge and cell pull, the
// operators' API. It knows customers and never charts: its database role has no grant on any chart table.
package control

import (
	"context"
	"crypto/ecdsa"
	"log/slog"
	"net/http"
	"time"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/identity"
	"github.com/cordon-ehr/cordon/internal/pg"
	"github.com/cordon-ehr/cordon/internal/provision"
	"github.com/cordon-ehr/cordon/internal/registry"
	"github.com/cordon-ehr/cordon/internal/routes"
	"github.com/cordon-ehr/cordon/internal/rpc"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Config of the control role.
type Config struct {
	Database  string // DSN as control's role
	PublicURL string // issuers are PublicURL/t/slug
	Cell      string // where new tenants are placed
	TicketKey *ecdsa.PrivateKey
	KnownType func(string) bool
	Step      func(step string) // called after each recorded step of a plan or key operation; nil outside of tests
}

// Broker is the keys role as control sees it.
type Broker interface {
	provision.Broker
	identity.Signer
	Events(ctx context.Context, t tenant.ID, each func([]byte) error) error
	keyBroker
}

// Cell is the cell role as control sees it.
type Cell interface {
	provision.Cell
	// Events streams a tenant's chart events, against a ticket for that tenant.
	Events(ctx context.Context, t tenant.ID, ticket string, by audit.By) rpc.Events
}

// Control serves tenants' pages and the operators' API. It is safe for concurrent use.
type Control struct {
	cfg      Config
	pool     *pg.Pool
	registry *registry.Registry
	hub      *hub
	identity *identity.Server
	runner   *provision.Runner
	broker   Broker
	cell     Cell
	tenants  *http.ServeMux
	api      *http.ServeMux
	log      *slog.Logger
}

// New builds control; Connect gives it the cell, which pulls from control and so comes later.
func New(ctx context.Context, cfg Config, broker Broker, log *slog.Logger) (*Control, error) {
	pool, err := pg.Open(ctx, cfg.Database, 8)
	if err != nil {
		return nil, err
	}
	reg := registry.New(pool)
	c := &Control{cfg: cfg, pool: pool, registry: reg, broker: broker, log: log.With(slog.String("role", "control")),
		identity: &identity.Server{Registry: reg, Signer: broker, KnownType: cfg.KnownType, Now: time.Now, Lifetime: 5 * time.Minute}}
	c.hub = newHub(reg, func(slug string) string { return cfg.PublicURL + "/t/" + slug })
	if err := c.hub.refresh(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	c.tenants, c.api = c.tenantRoutes(), c.operatorRoutes()
	return c, nil
}

// Connect names the cell on which tenants are placed. It is called once, before Run.
func (c *Control) Connect(cell Cell) {
	c.cell = cell
	c.runner = &provision.Runner{Registry: c.registry, Broker: c.broker, Cell: cell, After: c.cfg.Step}
}

// Run keeps the directory fresh until ctx ends, then closes.
func (c *Control) Run(ctx context.Context) error {
	c.hub.run(ctx, c.resumeKeys)
	c.pool.Close()
	return nil
}

// Ready reports whether control can serve.
func (c *Control) Ready(ctx context.Context) error { return c.registry.Ping(ctx) }

// Pull implements routes.Source.
func (c *Control) Pull(ctx context.Context, puller string, known int64) (routes.Snapshot, error) {
	return c.hub.pull(ctx, puller, known)
}

// Record implements rpc.Denials.
func (c *Control) Record(ctx context.Context, e audit.Event) error { return c.registry.Record(ctx, e) }

// SetOperator gives an operator a token.
func (c *Control) SetOperator(ctx context.Context, name, token string) error {
	return c.registry.SetOperator(ctx, name, token)
}

// change moves a tenant to a state and waits until edge and cell know.
func (c *Control) change(ctx context.Context, slug tenant.Slug, to tenant.State, by audit.By) (registry.Entry, error) {
	e, err := c.registry.BySlug(ctx, slug)
	if err != nil {
		return e, err
	}
	if err := tenant.Transition(e.State, to); err != nil {
		return e, err
	}
	if e.State == tenant.Requested || e.State == tenant.Provisioning {
		return e, fault.New(fault.Conflict, "the tenant is not provisioned yet; create it again to resume")
	}
	if e.State != to {
		ev := by.Event("control", e.ID, "tenant", string(to), audit.Update)
		ev.Before, ev.After = string(e.State), string(to)
		if err := c.registry.Advance(ctx, e.ID, e.State, to, ev); err != nil {
			return e, err
		}
	}
	if err := c.hub.settle(ctx); err != nil {
		return e, err
	}
	return c.registry.BySlug(ctx, slug)
}
