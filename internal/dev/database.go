package dev

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
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
	admin, err := pg.Open(ctx, s.DSN(user, password, "postgres"), 2, nil)
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

// makeRoles makes the roles with all that is set on them in one transaction: a start that was killed has made all of it or
// nothing.
func makeRoles(ctx context.Context, admin *pg.Pool, st *state) error {
	var n int
	if err := admin.Row(ctx, `SELECT count(*) FROM pg_roles WHERE rolname = ANY($1)`, []any{[]string{roleOwner, roleCell, roleControl, roleKeys}}, &n); err != nil {
		return err
	}
	if n == 4 {
		return nil
	}
	return admin.Tx(ctx, func(tx pgx.Tx) error {
		for _, sql := range roleSQL(st) {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return fmt.Errorf("make the database roles: %w", err)
			}
		}
		return nil
	})
}

func roleSQL(st *state) []string {
	// The databases that come with Postgres are open to every role; ours have no business there.
	out := []string{"REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC"}
	for _, r := range []string{roleOwner, roleCell, roleControl, roleKeys} {
		// Role names are constants and passwords are URL-safe base64: nothing here needs quoting. CREATE ROLE takes no parameters.
		login := "NOLOGIN INHERIT" // the owner is pg_database_owner by inheritance
		if p := st.Passwords[r]; p != "" {
			login = "LOGIN NOINHERIT PASSWORD '" + p + "'"
		}
		out = append(out, fmt.Sprintf(`DO $do$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '%[1]s') THEN
CREATE ROLE %[1]s NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS NOREPLICATION; END IF; ALTER ROLE %[1]s %[2]s; END $do$`, r, login))
	}
	// The cell's queries spell out the order of joins over opaque tokens, about which statistics say nothing: a plan is made
	// once per statement, and walks indexes (docs/adr/0002).
	for _, set := range []string{"plan_cache_mode = force_generic_plan", "enable_seqscan = off", "enable_bitmapscan = off", "enable_hashjoin = off",
		"enable_mergejoin = off", "enable_material = off", "jit = off", "statement_timeout = '60s'", "idle_in_transaction_session_timeout = '60s'"} {
		out = append(out, "ALTER ROLE "+roleCell+" SET "+set)
	}
	return out
}

// makeDatabase makes a database that its one role alone may enter. CREATE DATABASE knows no transaction, so one that a killed
// start left open to everyone is closed now.
func makeDatabase(ctx context.Context, admin *pg.Pool, d database) error {
	var have, closed bool
	if err := admin.Row(ctx, `SELECT count(*) > 0, coalesce(bool_and(has_database_privilege($2, oid, 'CONNECT') AND NOT has_database_privilege('public', oid, 'CONNECT')), false)
FROM pg_database WHERE datname = $1`, []any{d.name, d.role}, &have, &closed); err != nil || closed {
		return err
	}
	if !have {
		if _, err := admin.Exec(ctx, "CREATE DATABASE "+d.name+" OWNER "+roleOwner); err != nil {
			return fmt.Errorf("make database %s: %w", d.name, err)
		}
	}
	if _, err := admin.Exec(ctx, "GRANT CONNECT ON DATABASE "+d.name+" TO "+d.role); err != nil {
		return fmt.Errorf("grant on database %s: %w", d.name, err)
	}
	if _, err := admin.Exec(ctx, "REVOKE ALL ON DATABASE "+d.name+" FROM PUBLIC"); err != nil {
		return fmt.Errorf("close database %s: %w", d.name, err)
	}
	return nil
}
