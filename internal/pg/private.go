package pg

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// private refuses an address that could be reached in clear: over TCP without TLS, or with TLS that may be given up (sslmode
// disable, allow and prefer).
func private(c *pgx.ConnConfig) error {
	open := c.TLSConfig == nil && !socket(c.Host)
	for _, f := range c.Fallbacks {
		open = open || (f.TLSConfig == nil && !socket(f.Host))
	}
	if open {
		return fmt.Errorf("the address of database %s allows a connection in clear: set sslmode=verify-full, or use a unix socket", c.Database)
	}
	return nil
}

// socket tells a unix socket's folder from a host.
func socket(host string) bool { return strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") }

// ear hears the text of every statement, on its own or in a pipeline.
type ear func(sql string)

// TraceQueryStart implements pgx.QueryTracer.
func (e ear) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	e(d.SQL)
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (ear) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TraceBatchStart implements pgx.BatchTracer.
func (e ear) TraceBatchStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceBatchStartData) context.Context {
	for _, q := range d.Batch.QueuedQueries {
		e(q.SQL)
	}
	return ctx
}

// TraceBatchQuery implements pgx.BatchTracer.
func (ear) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements pgx.BatchTracer.
func (ear) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}
