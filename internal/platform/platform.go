// Package platform builds the roles of one process, any set of the four, and runs them behind a public and a management
// listener. Roles meet only through the interfaces that each declares of the others; behind each stands a stub over the mesh, which
// calls within the process or over mTLS by the same checks.
package platform

import (
	"context"
	"crypto"
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"github.com/cordon-ehr/cordon/internal/cell"
	"github.com/cordon-ehr/cordon/internal/control"
	"github.com/cordon-ehr/cordon/internal/edge"
	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/keyring"
	"github.com/cordon-ehr/cordon/internal/keys"
	"github.com/cordon-ehr/cordon/internal/limit"
	"github.com/cordon-ehr/cordon/internal/mesh"
	"github.com/cordon-ehr/cordon/internal/pg"
	"github.com/cordon-ehr/cordon/internal/telemetry"
	"github.com/cordon-ehr/cordon/internal/wire"
)

// Config is one process. Each of its roles has its own part and its own database role; what belongs to roles that are elsewhere
// is left empty.
type Config struct {
	Roles   Roles
	Mesh    Mesh
	Edge    edge.Config
	Cell    cell.Config
	Control control.Config
	Keys    Keys
	TLS     *tls.Config       // of the public listener
	Accept  limit.Connections // of the public listener
}

// Keys configures the broker.
type Keys struct {
	Database string // DSN as the broker's role
	KMS      keyring.KMS
	Ticket   crypto.PublicKey // verifies control's job tickets
	Lease    time.Duration    // see keys.Config
	Overlap  time.Duration    // see keys.Config
	Limits   keys.Limits      // of one service identity
}

// Platform is a started process. What belongs to a role that is elsewhere is nil.
type Platform struct {
	Control *control.Control
	Metrics *telemetry.Metrics
	edge    *edge.Edge
	cell    *cell.Cell
	broker  *keys.Broker
	keys    *pg.Pool
	members map[string]*member
	log     *slog.Logger
	cfg     Config
}

// New builds the roles from the innermost out: keys, control, cell, edge. A role that is elsewhere need not run yet.
func New(ctx context.Context, cfg Config, log *slog.Logger) (*Platform, error) {
	if cfg.Mesh.Domain == "" {
		cfg.Mesh.Domain = "cordon.internal"
	}
	p := &Platform{Metrics: telemetry.NewMetrics(), log: log, cfg: cfg, members: map[string]*member{}}
	if err := p.join(); err != nil {
		return nil, err
	}
	for _, b := range []struct {
		role  string
		build func(context.Context) error
	}{{mesh.Keys, p.buildKeys}, {mesh.Control, p.buildControl}, {mesh.Cell, p.buildCell}, {mesh.Edge, p.buildEdge}} {
		if !cfg.Roles.Has(b.role) {
			continue
		}
		if err := b.build(ctx); err != nil {
			return nil, fmt.Errorf("start the %s role: %w", b.role, err)
		}
	}
	return p, nil
}

func (p *Platform) buildKeys(ctx context.Context) (err error) {
	if p.keys, err = pg.Open(ctx, p.cfg.Keys.Database, 8); err != nil {
		return err
	}
	store := keyring.NewStore(p.keys, p.cfg.Keys.KMS)
	p.broker = keys.NewBroker(store, keys.Config{Lease: p.cfg.Keys.Lease, Control: p.cfg.Keys.Ticket, Overlap: p.cfg.Keys.Overlap,
		Limits: p.cfg.Keys.Limits, Metrics: p.Metrics, Log: p.log}, time.Now)
	p.members[mesh.Keys].rec = store
	wire.ServeKeys(p.members[mesh.Keys].server, p.broker)
	return nil
}

func (p *Platform) buildControl(ctx context.Context) error {
	broker, err := p.toKeys(mesh.Control)
	if err != nil {
		return err
	}
	at, err := p.toCell(mesh.Control, p.cfg.Control.Cell)
	if err != nil {
		return err
	}
	cfg := p.cfg.Control
	cfg.KnownType = func(t string) bool { return fhir.ResourceType(t) != nil }
	if p.Control, err = control.New(ctx, cfg, broker, p.log); err != nil {
		return err
	}
	p.Control.Connect(at)
	p.members[mesh.Control].rec = p.Control
	wire.ServeControl(p.members[mesh.Control].server, p.Control)
	return nil
}

func (p *Platform) buildCell(ctx context.Context) error {
	broker, err := p.toKeys(mesh.Cell)
	if err != nil {
		return err
	}
	at, err := p.toControl(mesh.Cell)
	if err != nil {
		return err
	}
	if p.cell, err = cell.New(ctx, p.cfg.Cell, cell.Peers{Broker: broker, Control: at, Denials: at}, p.Metrics, p.log); err != nil {
		return err
	}
	p.members[mesh.Cell].rec = at
	wire.ServeCell(p.members[mesh.Cell].server, p.cell)
	return nil
}

func (p *Platform) buildEdge(context.Context) error {
	cells, err := p.toCells(mesh.Edge)
	if err != nil {
		return err
	}
	at, err := p.toControl(mesh.Edge)
	if err != nil {
		return err
	}
	p.members[mesh.Edge].rec = at
	p.edge, err = edge.New(p.cfg.Edge, cells, at, p.Metrics, p.log)
	return err
}
