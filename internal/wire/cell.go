package wire

import (
	"context"
	"net/http"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/mesh"
	"github.com/cordon-ehr/cordon/internal/outcome"
	"github.com/cordon-ehr/cordon/internal/rpc"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// CellRole is the cell role.
type CellRole interface {
	rpc.Forwarder
	Prepare(ctx context.Context, t tenant.Tenant) error
	Probe(ctx context.Context, t tenant.Tenant) error
	Events(ctx context.Context, t tenant.ID, ticket string, by audit.By) rpc.Events
}

type events struct {
	Tenant tenant.ID `json:"tenant"`
	Ticket string    `json:"ticket"`
	By     audit.By  `json:"by"`
}

// ServeCell puts the cell role behind the mesh.
func ServeCell(s *mesh.Server, c CellRole) {
	mesh.HandleForward(s, "cell.Forward", c.Forward)
	mesh.Handle(s, "cell.Prepare", func(ctx context.Context, _ mesh.Identity, in tenant.Tenant) (none, error) {
		return none{}, c.Prepare(ctx, in)
	})
	mesh.Handle(s, "cell.Probe", func(ctx context.Context, _ mesh.Identity, in tenant.Tenant) (none, error) {
		return none{}, c.Probe(ctx, in)
	})
	mesh.HandleStream(s, "cell.Events", func(ctx context.Context, _ mesh.Identity, in events) rpc.Events {
		return c.Events(ctx, in.Tenant, in.Ticket, in.By)
	})
}

// Cells are the cells as edge and control hold them: each call goes to the cell that the tenant is placed on.
type Cells struct{ links map[string]*mesh.Link }

// NewCells makes the stub of all cells, by name.
func NewCells(links map[string]*mesh.Link) *Cells { return &Cells{links} }

func (c *Cells) at(name string) (*mesh.Link, error) {
	if l := c.links[name]; l != nil {
		return l, nil
	}
	return nil, fault.New(fault.Unavailable, "the tenant's cell is not known here")
}

// Forward implements rpc.Forwarder.
func (c *Cells) Forward(w http.ResponseWriter, r *http.Request, a rpc.Assertion) {
	l, err := c.at(a.Cell)
	if err != nil {
		outcome.Error(w, err)
		return
	}
	l.Forward(w, r, "cell.Forward", a)
}

// Prepare implements provision.Cell.
func (c *Cells) Prepare(ctx context.Context, t tenant.Tenant) error {
	return c.call(ctx, "cell.Prepare", t)
}

// Probe implements provision.Cell.
func (c *Cells) Probe(ctx context.Context, t tenant.Tenant) error {
	return c.call(ctx, "cell.Probe", t)
}

func (c *Cells) call(ctx context.Context, name string, t tenant.Tenant) error {
	l, err := c.at(t.Cell)
	if err == nil {
		_, err = mesh.Call[tenant.Tenant, none](ctx, l, name, t)
	}
	return err
}

// Cell is one cell as control holds it.
type Cell struct {
	*Cells
	link *mesh.Link
}

// NewCell makes the stub of the cell called name.
func NewCell(name string, l *mesh.Link) *Cell {
	return &Cell{NewCells(map[string]*mesh.Link{name: l}), l}
}

// Events implements control.Cell.
func (c *Cell) Events(ctx context.Context, t tenant.ID, ticket string, by audit.By) rpc.Events {
	return mesh.Stream[events, rpc.Event](ctx, c.link, "cell.Events", events{t, ticket, by})
}
