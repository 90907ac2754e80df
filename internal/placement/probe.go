package placement

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/pg"
	"github.com/cordon-ehr/cordon/internal/posture"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// errProbed rolls the probe's transaction back.
var errProbed = errors.New("probed")

// Probe checks the database's lock from inside, as the cell's own role: in the tenant's context no row of anyone else may be
// seen, no row of anyone else may be inserted; without a context nothing may be read at all. It leaves nothing behind. Only the
// lock's own refusal counts as one: a database that is away proves nothing.
func (c *Charts) Probe(ctx context.Context, t tenant.Tenant) error {
	if t.Number == 0 {
		return fault.New(fault.Internal, "probe: the tenant has no number")
	}
	if err := c.Check(ctx); err != nil {
		return err
	}
	return c.Rows(ctx, t)
}

// Rows is Probe by the rows alone, whatever the catalog says.
func (c *Charts) Rows(ctx context.Context, t tenant.Tenant) error {
	for _, table := range Expect().Tables {
		if !table.Walled {
			continue
		}
		for _, probe := range []func(context.Context, tenant.Tenant, string) error{c.probeReads, c.probeNoContext, c.probeInsert} {
			if err := probe(ctx, t, table.Name); err != nil {
				return fmt.Errorf("probe %s: %w", table.Name, err)
			}
		}
	}
	return nil
}

// AppendOnly tries, as the cell's own role and on no row, to change and to delete where that must be refused: no row changes its
// tenant, and what Expect gives no right to delete stays. Only the refusal itself counts.
func (c *Charts) AppendOnly(ctx context.Context, t tenant.Tenant) error {
	for _, table := range Expect().Tables {
		tries := []string{"UPDATE " + table.Name + " SET tenant = tenant WHERE false"}
		if table.Name == "version" || table.Name == "audit" {
			tries = append(tries, "UPDATE "+table.Name+" SET body = body WHERE false")
		}
		if !strings.Contains(table.Rights, "DELETE") {
			tries = append(tries, "DELETE FROM "+table.Name+" WHERE false")
		}
		for _, sql := range tries {
			if err := c.refused(ctx, t, sql); err != nil {
				return fmt.Errorf("probe %s: %w", table.Name, err)
			}
		}
	}
	return nil
}

func (c *Charts) refused(ctx context.Context, t tenant.Tenant, sql string) error {
	err := c.pool.Tx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, contextSQL, numberText(t.Number)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
		return errProbed
	})
	if errors.Is(err, errProbed) {
		return fault.New(fault.Internal, "what is stored can be changed")
	}
	return unless(err, "42501") // insufficient_privilege
}

func (c *Charts) probeReads(ctx context.Context, t tenant.Tenant, table string) error {
	var foreign bool
	var b pgx.Batch
	b.Queue(contextSQL, numberText(t.Number))
	b.Queue("SELECT EXISTS (SELECT 1 FROM "+table+" WHERE tenant <> $1)", t.Number).QueryRow(func(r pgx.Row) error { return r.Scan(&foreign) })
	if err := c.pool.Pipeline(ctx, &b); err != nil {
		return err
	}
	if foreign {
		return fault.New(fault.Internal, "a row of another tenant is seen")
	}
	return nil
}

func (c *Charts) probeNoContext(ctx context.Context, _ tenant.Tenant, table string) error {
	var any bool
	err := c.pool.Row(ctx, "SELECT EXISTS (SELECT 1 FROM "+table+")", nil, &any)
	if err == nil {
		return fault.New(fault.Internal, "it can be read without a tenant")
	}
	// The policy's current_setting: never set on this connection, or empty since a transaction that had it ended.
	return unless(err, "42704", "22P02")
}

// probeInsert gives a row no more than a tenant: the policy speaks before any other constraint.
func (c *Charts) probeInsert(ctx context.Context, t tenant.Tenant, table string) error {
	err := c.pool.Tx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, contextSQL, numberText(t.Number)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "INSERT INTO "+table+" (tenant) VALUES ($1)", t.Number+1); err != nil {
			return err
		}
		return errProbed
	})
	if errors.Is(err, errProbed) || unless(err, "23502") == nil { // not_null_violation: it went past the policy
		return fault.New(fault.Internal, "a row of another tenant could be inserted")
	}
	return unless(err, "42501") // insufficient_privilege: row security
}

// unless gives err, or nil when it is the database's refusal with one of the codes.
func unless(err error, codes ...string) error {
	if s, ok := errors.AsType[pg.State](err); ok && slices.Contains(codes, s.Code) {
		return nil
	}
	return err
}

// Check fails, with every reason, unless all walls of the chart database stand.
func (c *Charts) Check(ctx context.Context) error {
	e := Expect()
	e.Volatile = true // whether a commit lasts is no question of walls
	return posture.Check(ctx, c.pool, e)
}
