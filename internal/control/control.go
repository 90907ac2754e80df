// Package control is the control plane: tenants, their clients and tokens, the directory that edge and cell pull, the
// operators' API. It knows customers and never charts: its database role has no grant on any chart table.
package control

import (
	"context"
	"crypto/ecdsa"
	"log/slog"
	"sync"
	"time"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/authn"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/identity"
	"github.com/cordon-ehr/cordon/internal/ledger"
	"github.com/cordon-ehr/cordon/internal/pg"
	"github.com/cordon-ehr/cordon/internal/posture"
	"github.com/cordon-ehr/cordon/internal/prove"
	"github.com/cordon-ehr/cordon/internal/provision"
	"github.com/cordon-ehr/cordon/internal/registry"
	"github.com/cordon-ehr/cordon/internal/routes"
	"github.com/cordon-ehr/cordon/internal/rpc"
	"github.com/cordon-ehr/cordon/internal/tally"
	"github.com/cordon-ehr/cordon/internal/telemetry"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Config of the control role.
type Config struct {
	Database  string // DSN as control's role
	PublicURL string // issuers are PublicURL/t/slug
	Cell      string // where new tenants are placed
	TicketKey *ecdsa.PrivateKey
	AuditKey  []byte // authenticates control's events
	Ledger    ledger.Role
	Alerted   func(stream, kind string) // counts alerts of the ledger
	KnownType func(string) bool
	Posture   posture.Options
	Metrics   *telemetry.Metrics
	Step      func(step string) // called after each recorded step of a plan or key operation; nil outside of tests
}

// Broker is the keys role as control sees it.
type Broker interface {
	provision.Broker
	identity.Signer
	Events(ctx context.Context, t tenant.ID, each func([]byte) error) error
	// EventPage gives a page of a tenant's key events, for an auditor whose token control verified.
	EventPage(ctx context.Context, t tenant.ID, r audit.Range) ([]audit.Plain, error)
	// Feed gives a page of a tenant's key events in the order of their transactions.
	Feed(ctx context.Context, a audit.FeedAsk) (audit.FeedPage, error)
	// Prove runs the broker's probes.
	Prove(ctx context.Context) ([]prove.Result, error)
	keyBroker
	logBroker
}

// Cell is the cell role as control sees it.
type Cell interface {
	provision.Cell
	// Events streams a tenant's chart events, against a ticket for that tenant.
	Events(ctx context.Context, t tenant.ID, ticket string, by audit.By) rpc.Events
	// Feed gives a page of a tenant's chart events in the order of their transactions, against a ticket, without what could be
	// of a patient (audit.Event.Minimal).
	Feed(ctx context.Context, a audit.FeedAsk) (audit.FeedPage, error)
	// Who gives events of one patient, against a ticket.
	Who(ctx context.Context, a audit.WhoAsk) ([]audit.Plain, error)
	logCell
	// Prove runs the cell's probes between two canaries, with their tokens.
	Prove(ctx context.Context, ask prove.Ask) ([]prove.Result, error)
}

// Control serves tenants' pages and the operators' API. It is safe for concurrent use.
type Control struct {
	cfg      Config
	pool     *pg.Pool
	registry *registry.Registry
	refusals *tally.Tally // of callers without a token that is good
	hub      *hub
	identity *identity.Server
	table    *routes.Table // its own directory as others see it, for tokens that are shown to it
	verifier *authn.Verifier
	runner   *provision.Runner
	broker   Broker
	cell     Cell
	tenants  *pages
	api      *pages
	keeper   *ledger.Keeper
	watcher  *ledger.Watcher
	walls    *posture.Watch
	log      *slog.Logger
}

// New builds control; Connect gives it the cell, which pulls from control and so comes later.
func New(ctx context.Context, cfg Config, broker Broker, log *slog.Logger) (*Control, error) {
	pool, err := pg.Open(ctx, cfg.Database, 8, nil)
	if err != nil {
		return nil, err
	}
	reg := registry.New(pool, cfg.AuditKey)
	refusals := tally.New(reg, tally.Config{}, time.Now)
	c := &Control{cfg: cfg, pool: pool, registry: reg, refusals: refusals, broker: broker, log: log.With(slog.String("role", "control")),
		identity: &identity.Server{Registry: reg, Refusals: refusals, Signer: broker, KnownType: cfg.KnownType, Now: time.Now, Lifetime: 5 * time.Minute}}
	c.hub = newHub(reg, func(slug string) string { return cfg.PublicURL + "/t/" + slug })
	if err := c.hub.refresh(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	c.table = routes.NewTable()
	c.verifier = authn.NewVerifier(c.table, time.Now)
	c.tenants, c.api = c.tenantRoutes(), c.operatorRoutes()
	c.keep()
	c.guardEvents()
	c.walls = c.watch()
	return c, nil
}

// Connect names the cell on which tenants are placed. It is called once, before Run.
func (c *Control) Connect(cell Cell) {
	c.cell = cell
	c.runner = &provision.Runner{Registry: c.registry, Broker: c.broker, Cell: cell, After: c.cfg.Step}
}

// Run keeps the directory fresh until ctx ends, then writes what refusals are not on the record yet, and closes.
func (c *Control) Run(ctx context.Context) error {
	var own sync.WaitGroup
	own.Go(func() { _ = c.table.Run(ctx, "control", c) }) // these end with ctx, and never otherwise
	own.Go(func() { c.walls.Run(ctx) })
	own.Go(func() { _ = c.keeper.Run(ctx) })
	c.hub.run(ctx, c.resumeKeys)
	own.Wait()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	c.refusals.Close(stop)
	c.pool.Close()
	return nil
}

// Ready reports whether control can serve, and names every wall that does not stand.
func (c *Control) Ready(ctx context.Context) error { return c.walls.Look(ctx) }

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
