package placement

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/pg"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// tables are all tables of a chart database that hold tenant rows.
var tables = []string{"head", "version", "idx", "ref", "range", "audit", "ledger_head"}

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
	for _, table := range tables {
		for _, probe := range []func(context.Context, tenant.Tenant, string) error{c.probeReads, c.probeNoContext, c.probeInsert} {
			if err := probe(ctx, t, table); err != nil {
				return fmt.Errorf("probe %s: %w", table, err)
			}
		}
	}
	return nil
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

// checkSQL names what of the database's lock is missing: row security enabled and forced with its one policy for reads and
// writes on each of our tables, by a role that neither bypasses it nor owns a table nor can become the owner.
const checkSQL = `SELECT coalesce(string_agg(what, ', ' ORDER BY what), '') FROM (
SELECT 'the role bypasses row security' AS what FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolbypassrls)
UNION ALL SELECT 'no table ' || n FROM unnest($1::text[]) AS n WHERE to_regclass(n) IS NULL
UNION ALL SELECT 'row security of ' || relname FROM pg_class WHERE oid IN (SELECT to_regclass(n) FROM unnest($1::text[]) AS n)
  AND NOT (relrowsecurity AND relforcerowsecurity AND NOT pg_has_role(relowner, 'MEMBER')
  AND (SELECT count(*) = 1 AND bool_and(polcmd = '*' AND polqual IS NOT NULL AND polwithcheck IS NOT NULL) FROM pg_policy WHERE polrelid = pg_class.oid))) AS missing`

// Check reads in the catalog that the lock is on. It is cheap: readiness asks it again and again.
func (c *Charts) Check(ctx context.Context) error {
	var missing string
	if err := c.pool.Row(ctx, checkSQL, []any{tables}, &missing); err != nil {
		return err
	}
	if missing != "" {
		return fault.New(fault.Unavailable, "the walls of the chart database are not whole: %s", missing)
	}
	return nil
}
