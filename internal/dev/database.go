package dev

import (
	"context"
	"fmt"
	"io/fs"

	"golang.org/x/sync/errgroup"

	"github.com/cordon-ehr/cordon/internal/keyring"
	"github.com/cordon-ehr/cordon/internal/pg"
	"github.com/cordon-ehr/cordon/internal/pgserver"
	"github.com/cordon-ehr/cordon/internal/placement"
	"github.com/cordon-ehr/cordon/internal/registry"
)

// The database roles: one per role of the platform, none of which owns a table, and the owner, who cannot log in.
const (
	roleOwner   = "cordon_owner"
	roleCell    = "cordon_cell"
	roleControl = "cordon_control"
	roleKeys    = "cordon_keys"
)

// database is one database of the platform.
type database struct {
	name, role string
	migrations fs.FS
}

func databases() []database {
	return []database{
		{"cordon_cell1", roleCell, placement.Migrations()},
		{"cordon_control", roleControl, registry.Migrations()},
		{"cordon_keyring", roleKeys, keyring.Migrations()},
	}
}

// prepare makes roles and databases where they are missing, and migrates each database. It may be repeated.
func prepare(ctx context.Context, s *pgserver.Server, st *state) error {
	user, password := s.Superuser()
	admin, err := pg.Open(ctx, s.DSN(user, password, "postgres"), 2)
	if err != nil {
		return err
	}
	defer admin.Close()
	if err := makeRoles(ctx, admin, st); err != nil {
		return err
	}
	var g errgroup.Group
	for _, d := range databases() {
		if err := makeDatabase(ctx, admin, d); err != nil {
			return err
		}
		g.Go(func() error { return pg.Migrate(ctx, s.DSN(user, password, d.name), roleOwner, d.migrations) })
	}
	return g.Wait()
}

func makeRoles(ctx context.Context, admin *pg.Pool, st *state) error {
	var n int
	if err := admin.Row(ctx, `SELECT count(*) FROM pg_roles WHERE rolname = ANY($1)`, []any{[]string{roleOwner, roleCell, roleControl, roleKeys}}, &n); err != nil {
		return err
	}
	if n == 4 {
		return nil
	}
	for _, r := range []string{roleOwner, roleCell, roleControl, roleKeys} {
		// Role names are constants and passwords are URL-safe base64: nothing here needs quoting. CREATE ROLE takes no parameters.
		login := "NOLOGIN INHERIT" // the owner is pg_database_owner by inheritance
		if p := st.Passwords[r]; p != "" {
			login = "LOGIN NOINHERIT PASSWORD '" + p + "'"
		}
		sql := fmt.Sprintf(`DO $do$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '%[1]s') THEN
CREATE ROLE %[1]s NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS NOREPLICATION; END IF; ALTER ROLE %[1]s %[2]s; END $do$`, r, login)
		if _, err := admin.Exec(ctx, sql); err != nil {
			return fmt.Errorf("make database role %s: %w", r, err)
		}
	}
	// The cell's queries spell out the order of joins over opaque tokens, about which statistics say nothing: a plan is made
	// once per statement, and walks indexes (STORAGE.md §1).
	for _, set := range []string{"plan_cache_mode = force_generic_plan", "enable_seqscan = off", "enable_bitmapscan = off", "enable_hashjoin = off",
		"enable_mergejoin = off", "enable_material = off", "jit = off", "statement_timeout = '60s'", "idle_in_transaction_session_timeout = '60s'"} {
		if _, err := admin.Exec(ctx, "ALTER ROLE "+roleCell+" SET "+set); err != nil {
			return err
		}
	}
	return nil
}

func makeDatabase(ctx context.Context, admin *pg.Pool, d database) error {
	var have bool
	if err := admin.Row(ctx, `SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)`, []any{d.name}, &have); err != nil || have {
		return err
	}
	if _, err := admin.Exec(ctx, "CREATE DATABASE "+d.name+" OWNER "+roleOwner); err != nil {
		return fmt.Errorf("make database %s: %w", d.name, err)
	}
	for _, sql := range []string{"REVOKE ALL ON DATABASE " + d.name + " FROM PUBLIC", "GRANT CONNECT ON DATABASE " + d.name + " TO " + d.role} {
		if _, err := admin.Exec(ctx, sql); err != nil {
			return fmt.Errorf("grant on database %s: %w", d.name, err)
		}
	}
	return nil
}
