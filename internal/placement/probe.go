package placement

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// tables are all tables of a chart database that hold tenant rows.
var tables = []string{"head", "version", "idx", "ref", "range", "audit"}

// errProbed rolls the probe's transaction back.
var errProbed = errors.New("probed")

// Probe checks the database's lock from inside, as the cell's own role: in the tenant's context no row of anyone else may be
// seen, no row of anyone else may be inserted; without a context nothing may be read at all. It leaves nothing behind.
func (c *Charts) Probe(ctx context.Context, t tenant.Tenant) error {
	if t.Number == 0 {
		return fault.New(fault.Internal, "probe: the tenant has no number")
	}
	for _, table := range tables {
		if err := c.probeReads(ctx, t, table); err != nil {
			return err
		}
	}
	err := c.pool.Tx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, contextSQL, numberText(t.Number)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO idx (tenant, token, sort, rid) VALUES ($1, 0, 0, 0)`, t.Number+1)
		if err == nil {
			return fault.New(fault.Internal, "probe: a row of another tenant could be inserted")
		}
		return errProbed
	})
	if !errors.Is(err, errProbed) {
		return err
	}
	return nil
}

func (c *Charts) probeReads(ctx context.Context, t tenant.Tenant, table string) error {
	name := pgx.Identifier{table}.Sanitize()
	var foreign bool
	var b pgx.Batch
	b.Queue(contextSQL, numberText(t.Number))
	b.Queue(fmt.Sprintf("SELECT EXISTS (SELECT 1 FROM %s WHERE tenant <> $1)", name), t.Number).QueryRow(func(r pgx.Row) error { return r.Scan(&foreign) })
	if err := c.pool.Pipeline(ctx, &b); err != nil {
		return fmt.Errorf("probe %s: %w", table, err)
	}
	if foreign {
		return fault.New(fault.Internal, "probe: a row of another tenant is seen in %s", table)
	}
	var any bool
	if err := c.pool.Row(ctx, fmt.Sprintf("SELECT EXISTS (SELECT 1 FROM %s)", name), nil, &any); err == nil {
		return fault.New(fault.Internal, "probe: %s can be read without a tenant", table)
	}
	return nil
}
