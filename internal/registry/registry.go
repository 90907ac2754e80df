// Package registry is the directory of tenants, their clients and the platform's operators, in control's database. A tenant's
// state changes by compare-and-swap only, each change with its audit event in the same transaction.
package registry

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"

	"github.com/go-jose/go-jose/v4"
	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/auditlog"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/pg"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations are those of control's database.
func Migrations() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic("registry: internal error: " + err.Error())
	}
	return sub
}

// Registry is safe for concurrent use.
type Registry struct {
	*auditlog.Log
	pool *pg.Pool
}

// New works as control's database role.
func New(pool *pg.Pool) *Registry { return &Registry{auditlog.New(pool), pool} }

// Entry is a tenant with the public keys of its tokens.
type Entry struct {
	tenant.Tenant
	JWKS         jose.JSONWebKeySet
	KeysDisabled bool  // as the broker last said
	Generation   int64 // of its keys
}

const columns = `id, slug, state, placement, cell, number, coalesce(jwks, '{"keys":[]}'), keys_state = 'disabled', keys_generation`

func scan(r pgx.Row) (Entry, error) {
	var e Entry
	var id [16]byte
	var jwks []byte
	if err := r.Scan(&id, &e.Slug, &e.State, &e.Placement, &e.Cell, &e.Number, &jwks, &e.KeysDisabled, &e.Generation); err != nil {
		return e, pg.Fault(err)
	}
	e.ID = tenant.IDFromBytes(id)
	if err := json.Unmarshal(jwks, &e.JWKS); err != nil {
		return e, fmt.Errorf("read the keys of tenant %s: %w", e.ID, err)
	}
	return e, nil
}

// Request enters a tenant in state requested, or gives the one that has the slug already; made tells which.
func (g *Registry) Request(ctx context.Context, slug tenant.Slug, p tenant.Placement, cell string, e func(tenant.ID) audit.Event) (out Entry, made bool, err error) {
	id := tenant.NewID()
	err = g.pool.Tx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `INSERT INTO tenant (id, slug, state, placement, cell) VALUES ($1, $2, 'requested', $3, $4) ON CONFLICT (slug) DO NOTHING`,
			id.Bytes(), slug, p, cell)
		if err != nil {
			return err
		}
		if made = tag.RowsAffected() == 1; made {
			if err := g.Insert(ctx, tx, e(id)); err != nil {
				return err
			}
		}
		out, err = scan(tx.QueryRow(ctx, `SELECT `+columns+` FROM tenant WHERE slug = $1`, slug))
		return err
	})
	return out, made, err
}

// BySlug finds a tenant. Faults: NotFound.
func (g *Registry) BySlug(ctx context.Context, slug tenant.Slug) (out Entry, err error) {
	err = g.pool.Tx(ctx, func(tx pgx.Tx) error {
		out, err = scan(tx.QueryRow(ctx, `SELECT `+columns+` FROM tenant WHERE slug = $1`, slug))
		return err
	})
	return out, err
}

// ByID finds a tenant. Faults: NotFound.
func (g *Registry) ByID(ctx context.Context, id tenant.ID) (out Entry, err error) {
	err = g.pool.Tx(ctx, func(tx pgx.Tx) error {
		out, err = scan(tx.QueryRow(ctx, `SELECT `+columns+` FROM tenant WHERE id = $1`, id.Bytes()))
		return err
	})
	return out, err
}

// Advance moves a tenant from one state to another, in one step with its event, and raises the directory's version. When the
// tenant is not in the state from any more, Conflict.
func (g *Registry) Advance(ctx context.Context, id tenant.ID, from, to tenant.State, e audit.Event) error {
	if err := tenant.Transition(from, to); err != nil {
		return err
	}
	return g.pool.Tx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE tenant SET state = $3, changed = now() WHERE id = $1 AND state = $2`, id.Bytes(), from, to)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return fault.New(fault.Conflict, "the tenant is not %s any more", from)
		}
		if _, err := tx.Exec(ctx, `UPDATE directory SET version = version + 1`); err != nil {
			return err
		}
		return g.Insert(ctx, tx, e)
	})
}

// SetKeys stores the public keys of a tenant's tokens.
func (g *Registry) SetKeys(ctx context.Context, id tenant.ID, set jose.JSONWebKeySet) error {
	b, err := json.Marshal(set)
	if err != nil {
		return fmt.Errorf("encode keys: %w", err)
	}
	_, err = g.pool.Exec(ctx, `UPDATE tenant SET jwks = $2 WHERE id = $1`, id.Bytes(), b)
	return err
}

// Directory gives all tenants and the version of the directory, as one snapshot.
func (g *Registry) Directory(ctx context.Context) (version int64, out []Entry, err error) {
	err = g.pool.Tx(ctx, func(tx pgx.Tx) error {
		out = out[:0]
		if err := tx.QueryRow(ctx, `SELECT version FROM directory`).Scan(&version); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT `+columns+` FROM tenant ORDER BY slug`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			e, err := scan(rows)
			if err != nil {
				return err
			}
			out = append(out, e)
		}
		return rows.Err()
	})
	return version, out, err
}

// Done tells which steps of a tenant's plan are recorded as done.
func (g *Registry) Done(ctx context.Context, id tenant.ID) (map[string]bool, error) {
	out := map[string]bool{}
	err := g.pool.Rows(ctx, `SELECT name FROM step WHERE tenant = $1`, []any{id.Bytes()}, func(r pgx.Rows) error {
		var n string
		err := r.Scan(&n)
		out[n] = true
		return err
	})
	return out, err
}

// MarkDone records a step with its event.
func (g *Registry) MarkDone(ctx context.Context, id tenant.ID, step string, e audit.Event) error {
	return g.pool.Tx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `INSERT INTO step (tenant, name) VALUES ($1, $2) ON CONFLICT DO NOTHING`, id.Bytes(), step)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		return g.Insert(ctx, tx, e)
	})
}

// Ping asks the database for a sign of life.
func (g *Registry) Ping(ctx context.Context) error { return g.pool.Ping(ctx) }
