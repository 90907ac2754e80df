// Package cell is the data plane: it serves FHIR for the tenants placed on it. Its database role cannot bypass row security,
// and its identity alone unwraps nothing: keys come by lease, against the caller's live token.
package cell

import (
	"context"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/cordon-ehr/cordon/internal/alert"
	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/authn"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhirhttp"
	"github.com/cordon-ehr/cordon/internal/lease"
	"github.com/cordon-ehr/cordon/internal/ledger"
	"github.com/cordon-ehr/cordon/internal/outcome"
	"github.com/cordon-ehr/cordon/internal/pg"
	"github.com/cordon-ehr/cordon/internal/phi"
	"github.com/cordon-ehr/cordon/internal/placement"
	"github.com/cordon-ehr/cordon/internal/posture"
	"github.com/cordon-ehr/cordon/internal/record"
	"github.com/cordon-ehr/cordon/internal/routes"
	"github.com/cordon-ehr/cordon/internal/rpc"
	"github.com/cordon-ehr/cordon/internal/tally"
	"github.com/cordon-ehr/cordon/internal/telemetry"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Config of the cell role.
type Config struct {
	Name        string // the cell's name, in the directory and in audit events
	Database    string // DSN as the cell's role
	Connections int32  // 0 = 24
	Limits      Limits
	Ledger      ledger.Role
	Finders     int // workers that read single versions for many requests together; 0 = as Flushers
	Flushers    int // group-commit workers for audit events of reads; 0 = one for two cores, two at least
	Posture     posture.Options
	Heard       func(sql string) // hears every statement on charts; nil outside of tests
}

// Peers are the other roles as the cell sees them.
type Peers struct {
	Broker  lease.Broker
	Control routes.Source
	Denials rpc.Denials
	Trail   record.Elsewhere // a tenant's events of control and keys
	Witness ledger.Witness
}

// Cell serves charts. It is safe for concurrent use.
type Cell struct {
	cfg      Config
	pool     *pg.Pool
	own      *pg.Pool // the flusher's own
	eye      *pg.Pool // the self-check's own: it looks while all others are busy
	walls    *posture.Watch
	alarm    *alert.Alarm
	charts   *placement.Charts
	finder   *placement.Finder
	flusher  *audit.Flusher[placement.Scope]
	table    *routes.Table
	verifier *authn.Verifier
	leases   *lease.Cache
	refusals *tally.Tally
	face     *fhirhttp.Face
	keeper   *ledger.Keeper
	peers    Peers
	feeds    feedRings
	log      *slog.Logger
}

// New builds the cell's parts; Run serves them.
func New(ctx context.Context, cfg Config, peers Peers, metrics *telemetry.Metrics, log *slog.Logger) (*Cell, error) {
	if cfg.Connections == 0 {
		cfg.Connections = 24
	}
	if cfg.Flushers == 0 {
		// Measured on two cores with reads of 16 workers: 2 flushers 6,300 a second, 1 as many, 4 5,300, 8 4,400. Larger groups beat
		// more commits; with more cores there is more to gather.
		cfg.Flushers = max(2, runtime.GOMAXPROCS(0)/2)
	}
	if cfg.Finders == 0 {
		cfg.Finders = max(2, runtime.GOMAXPROCS(0)/2)
	}
	cfg.Limits = cfg.Limits.filled()
	pool, err := pg.Open(ctx, cfg.Database, cfg.Connections, cfg.Heard)
	if err != nil {
		return nil, err
	}
	c := &Cell{} // its keeper hears of what charts write
	written := func(t tenant.ID) { c.keeper.Mark(t) }
	charts := placement.NewCharts(pool, int(cfg.Connections), written)
	// Events of requests that hold a connection while they wait must not wait for one of the same pool.
	events, err := pg.Open(ctx, cfg.Database, int32(cfg.Flushers), cfg.Heard)
	if err != nil {
		return nil, err
	}
	eye, err := pg.Open(ctx, cfg.Database, 1, nil)
	if err != nil {
		return nil, err
	}
	flusher := audit.NewFlusher[placement.Scope](placement.NewCharts(events, 0, written), cfg.Flushers, metrics.Audited)
	table, leases := routes.NewTable(), lease.NewCache(peers.Broker, time.Now)
	finder := placement.NewFinder(charts, cfg.Finders, int(cfg.Connections))
	log = log.With(slog.String("role", "cell"), slog.String("cell", cfg.Name))
	*c = Cell{cfg: cfg, pool: pool, own: events, eye: eye, charts: charts, finder: finder, flusher: flusher, table: table,
		verifier: authn.NewVerifier(table, time.Now), leases: leases, refusals: tally.New(peers.Denials, cfg.Limits.Refusals, time.Now),
		peers: peers, log: log, alarm: alert.New(peers.Denials, audit.Source{Role: "cell", Site: cfg.Name}, metrics, log, time.Now)}
	c.keeper = c.newKeeper(metrics.LedgerAlert)
	c.face = fhirhttp.New(record.New(charts, finder, flusher, peers.Trail, cfg.Name, time.Now), c.doors(metrics), metrics, log)
	c.walls = c.watch(metrics)
	table.Hear(c.heard)
	return c, nil
}

// heard gives up the keys of tenants that are disabled, before control hears that this cell has the snapshot.
func (c *Cell) heard(s routes.Snapshot) {
	for i := range s.Routes {
		if s.Routes[i].KeysDisabled {
			c.leases.Drop(s.Routes[i].Tenant.ID)
			c.feeds.drop(s.Routes[i].Tenant.ID)
		}
	}
}

// Run pulls the directory until ctx ends, then writes what audit events are under way and closes.
func (c *Cell) Run(ctx context.Context) error {
	var own sync.WaitGroup
	own.Go(func() { c.walls.Run(ctx) })
	own.Go(func() {
		select {
		case <-c.table.Ready(): // before, no log is known
			_ = c.keeper.Run(ctx) // ends with ctx, and never otherwise
		case <-ctx.Done():
		}
	})
	err := c.table.Run(ctx, "cell/"+c.cfg.Name, c.peers.Control)
	own.Wait()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	c.refusals.Close(stop)
	c.finder.Close()
	c.flusher.Close()
	c.own.Close()
	c.eye.Close()
	c.pool.Close()
	return err
}

// Ready reports whether the cell can serve, and names every wall that does not stand.
func (c *Cell) Ready(ctx context.Context) error {
	select {
	case <-c.table.Ready():
		return c.walls.Look(ctx)
	default:
		return fault.New(fault.Unavailable, "no directory yet")
	}
}

// Forward implements rpc.Forwarder. The edge's word is not enough: the token is verified here again, and must be of the tenant
// that the edge names.
func (c *Cell) Forward(w http.ResponseWriter, r *http.Request, a rpc.Assertion) {
	ctx := telemetry.WithRequestID(r.Context(), a.Request)
	if err := c.walls.OK(); err != nil {
		outcome.Error(w, err)
		return
	}
	route, ok := c.table.ByID(a.Tenant)
	if !ok || route.Tenant.Cell != c.cfg.Name {
		outcome.Error(w, fault.New(fault.Unavailable, "the tenant is not served here now"))
		return
	}
	if a.Path == "/metadata" {
		c.face.Metadata(w, r, route.FHIRBase())
		return
	}
	caller, err := c.caller(ctx, r, route, a)
	if err != nil {
		outcome.Error(w, c.deny(ctx, r, a, err))
		return
	}
	c.face.Serve(w, r.WithContext(ctx), caller, c.cfg.Limits.Of(route), a.Path)
}

// caller turns a verified token into the Scope and the keys of one request.
func (c *Cell) caller(ctx context.Context, r *http.Request, route *routes.Route, a rpc.Assertion) (*record.Caller, error) {
	token, err := authn.Bearer(r.Header.Get("Authorization"))
	if err != nil {
		return nil, err
	}
	p, err := c.verifier.Verify(ctx, token, route)
	if err != nil {
		return nil, err
	}
	scope, err := placement.Mint(p, route)
	if err != nil {
		return nil, err
	}
	if err := route.Usable(); err != nil {
		return nil, err
	}
	need := lease.Need{Tenant: p.Tenant, Token: token, Request: a.Request, Generation: route.KeysGeneration}
	ring, err := c.leases.For(ctx, need)
	if err != nil {
		return nil, err
	}
	renew := sync.OnceValues(func() (*lease.Ring, error) { return c.leases.Renew(ctx, need, ring) })
	return &record.Caller{Scope: scope, Ring: ring, Renew: renew, Request: a.Request, Base: route.FHIRBase(), Proof: token, Query: phi.Text(r.URL.RawQuery),
		Agent: audit.Agent{Kind: string(p.Kind), ID: p.Subject, Client: p.Client, TokenID: p.TokenID, Address: a.Address,
			UserHash: audit.HashUserAgent(r.UserAgent())},
		Broken: func(table, kind string) { c.alarm.SealBroken(ctx, p.Tenant, table, kind, a.Request) }}, nil
}

// deny records a refusal that happened before there was a Scope.
func (c *Cell) deny(ctx context.Context, r *http.Request, a rpc.Assertion, err error) error {
	f := fault.Of(err)
	switch f.Kind {
	case fault.Unauthenticated, fault.Forbidden, fault.Locked:
	default:
		return err
	}
	e := audit.New(audit.Event{Tenant: a.Tenant, Type: "rest", Subtype: "refused", Action: audit.Execute, Outcome: audit.MinorFailure,
		OutcomeDesc: f.Kind.String(), Agent: audit.Agent{Kind: "anonymous", Address: a.Address, UserHash: audit.HashUserAgent(r.UserAgent())},
		Source: audit.Source{Role: "cell", Site: c.cfg.Name}, Request: a.Request, Decision: audit.Decision{Policy: "token/1", Reason: authn.ReasonOf(err)}})
	if rerr := c.refusals.Record(ctx, e); rerr != nil {
		return rerr
	}
	return err
}

// Prepare implements provision.Cell: a pooled tenant needs no tables of its own, so its place is the migrated database.
func (c *Cell) Prepare(ctx context.Context, t tenant.Tenant) error {
	if t.Placement != tenant.Pooled {
		return fault.New(fault.NotSupported, "placement %s is not offered by this release", t.Placement)
	}
	return c.charts.Ping(ctx)
}

// Probe implements provision.Cell.
func (c *Cell) Probe(ctx context.Context, t tenant.Tenant) error { return c.charts.Probe(ctx, t) }
