package wire

import (
	"context"

	"github.com/cordon-ehr/cordon/internal/mesh"
	"github.com/cordon-ehr/cordon/internal/prove"
)

// proving is the broker's part of a proof, provingCell the cell's.
type proving interface {
	Prove(ctx context.Context) ([]prove.Result, error)
}

type provingCell interface {
	Prove(ctx context.Context, ask prove.Ask) ([]prove.Result, error)
}

func serveProvingKeys(s *mesh.Server, k proving) {
	mesh.Handle(s, "keys.Prove", func(ctx context.Context, _ mesh.Identity, _ none) ([]prove.Result, error) { return k.Prove(ctx) })
}

func serveProvingCell(s *mesh.Server, c provingCell) {
	mesh.Handle(s, "cell.Prove", func(ctx context.Context, _ mesh.Identity, in prove.Ask) ([]prove.Result, error) {
		return c.Prove(ctx, in)
	})
}

// Prove implements control.Broker.
func (k *Keys) Prove(ctx context.Context) ([]prove.Result, error) {
	return mesh.Call[none, []prove.Result](ctx, k.link, "keys.Prove", none{})
}

// Prove implements control.Cell.
func (c *Cell) Prove(ctx context.Context, ask prove.Ask) ([]prove.Result, error) {
	return mesh.Call[prove.Ask, []prove.Result](ctx, c.link, "cell.Prove", ask)
}
