// Package pg is Postgres mechanics and nothing else: pools, pipelines, transactions, SQLSTATE to fault, migrations. It is
// the only room that opens a pool, and it knows no tenant.
package pg

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Pool is a pool of connections as one database role.
type Pool struct{ p *pgxpool.Pool }

// Open makes a pool of at most max connections and checks that the database answers. A connection that leaves the machine, or
// its kernel's sockets, is encrypted or not made. heard, which may be nil, hears the text of every statement: for tests.
func Open(ctx context.Context, dsn string, max int32, heard func(sql string)) (*Pool, error) {
	c, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("read a database address: %w", err)
	}
	if err := private(c.ConnConfig); err != nil {
		return nil, err
	}
	if heard != nil {
		c.ConnConfig.Tracer = ear(heard)
	}
	c.MaxConns = max
	c.MaxConnIdleTime = 10 * time.Minute
	c.HealthCheckPeriod = 30 * time.Second
	c.ConnConfig.ConnectTimeout = 10 * time.Second
	c.ConnConfig.StatementCacheCapacity = 512
	// A query error may quote its parameters in the detail; we never ask for detail from the server's log, and Fault
	// drops it from what a caller sees.
	p, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("open pool: %w", err)
	}
	if err := p.Ping(ctx); err != nil {
		p.Close()
		return nil, fmt.Errorf("reach database %s as %s: %w", c.ConnConfig.Database, c.ConnConfig.User, err)
	}
	return &Pool{p}, nil
}

// Close waits for connections in use and closes all.
func (p *Pool) Close() { p.p.Close() }

// Ping asks the database for a sign of life.
func (p *Pool) Ping(ctx context.Context) error { return p.fault(ctx, p.p.Ping(ctx)) }

// fault is Fault. Where one connection died by itself, the idle ones died with it, as when Postgres restarts: they are thrown
// away, so that not every request after has to find one dead.
func (p *Pool) fault(ctx context.Context, err error) error {
	f := Fault(err)
	if f != nil && ctx.Err() == nil && Lost(f) {
		p.p.Reset()
	}
	return f
}

// Pipeline sends every queued statement in one round trip with one Sync: PostgreSQL runs them as one implicit transaction,
// all or nothing. Results go to the callbacks given when queueing. When it returns nil, the transaction is committed.
//
// When the server ended our connection before it answered anything, nothing of the pipeline was committed unless the
// commit itself was under way: only reads are tried again (see placement).
func (p *Pool) Pipeline(ctx context.Context, b *pgx.Batch) error {
	return p.fault(ctx, p.p.SendBatch(ctx, b).Close())
}

// Tx runs fn in an explicit transaction (READ COMMITTED) and commits when fn returns nil.
func (p *Pool) Tx(ctx context.Context, fn func(pgx.Tx) error) error {
	return p.fault(ctx, pgx.BeginFunc(ctx, p.p, fn))
}

// Exec runs one statement in its own transaction.
func (p *Pool) Exec(ctx context.Context, sql string, args ...any) (int64, error) {
	tag, err := p.p.Exec(ctx, sql, args...)
	return tag.RowsAffected(), p.fault(ctx, err)
}

// Row runs a query of exactly one row; none is a NotFound fault.
func (p *Pool) Row(ctx context.Context, sql string, args []any, into ...any) error {
	return p.fault(ctx, p.p.QueryRow(ctx, sql, args...).Scan(into...))
}

// Rows runs a query and calls each for every row; each scans with rows.Scan.
func (p *Pool) Rows(ctx context.Context, sql string, args []any, each func(pgx.Rows) error) error {
	rows, err := p.p.Query(ctx, sql, args...)
	if err != nil {
		return p.fault(ctx, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err != nil {
			return Fault(err)
		}
	}
	return p.fault(ctx, rows.Err())
}
