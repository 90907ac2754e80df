package pg

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// Migrate brings a database to the newest of the embedded migrations, as the owner of its tables. Each migration is one
// transaction and is recorded with it, so a killed run resumes. A lock keeps two starters apart.
//
// The rule for every migration: expand, then contract in a later release; code N runs on the schema of N-1.
func Migrate(ctx context.Context, dsn, owner string, files fs.FS) error {
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		return fmt.Errorf("read a database address: %w", err)
	}
	if err := private(c); err != nil {
		return err
	}
	c.RuntimeParams["role"] = owner
	c.RuntimeParams["lock_timeout"] = "10s"
	db := stdlib.OpenDB(*c)
	db.SetMaxOpenConns(2) // one holds the lock, one migrates
	defer func() { _ = db.Close() }()
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithVerbose(false))
	if err != nil {
		return fmt.Errorf("read migrations of %s: %w", c.Database, err)
	}
	// Asked of the database only when the table of versions is there: goose asks it once per provider.
	var made bool
	if err := db.QueryRowContext(ctx, "SELECT to_regclass('goose_db_version') IS NOT NULL").Scan(&made); err != nil {
		return fmt.Errorf("reach %s: %w", c.Database, err)
	}
	if made {
		if pending, err := p.HasPending(ctx); err == nil && !pending {
			return nil
		}
	}
	lock, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("reach %s: %w", c.Database, err)
	}
	defer func() { _ = lock.Close() }()
	if _, err := lock.ExecContext(ctx, "SELECT pg_advisory_lock(4242)"); err != nil {
		return fmt.Errorf("lock migrations of %s: %w", c.Database, err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate %s: %w", c.Database, err)
	}
	return nil
}
