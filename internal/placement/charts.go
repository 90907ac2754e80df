package placement

import (
	"context"
	"embed"
	"io/fs"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/limit"
	"github.com/cordon-ehr/cordon/internal/pg"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations are those of a chart database.
func Migrations() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic("placement: internal error: " + err.Error())
	}
	return sub
}

// Charts opens transactions on the chart database of one cell. It is safe for concurrent use.
type Charts struct {
	pool  *pg.Pool
	mark  func(tenant.ID) // hears of each tenant whose events were written
	uses  *limit.Gate     // of connections; nil where the caller bounds itself
	waits *limit.Gate     // of transactions that may wait for a lock with a connection in hand
	use   limit.Share
	wait  limit.Share
}

// waiting bounds who waits for a connection: of one tenant, and over all.
const waiting = 256

// NewCharts serves from the pool of the cell's database role, which has so many connections; 0 leaves them to the caller. Tenants share them:
// one alone gets half, and transactions that may wait for a lock half of all, a quarter of each tenant. A quarter is left for the Finder and for
// the process' own questions. So neither a tenant nor its locks keep the others from reading.
func NewCharts(pool *pg.Pool, connections int, mark func(tenant.ID)) *Charts {
	if mark == nil {
		mark = func(tenant.ID) {}
	}
	if connections == 0 {
		return &Charts{pool: pool, mark: mark}
	}
	share := func(part int) limit.Share {
		n := max(1, connections*part/4)
		return limit.Share{Light: n, CrowdedLight: n, Waiting: waiting}
	}
	return &Charts{pool: pool, mark: mark, use: share(2), wait: share(1),
		uses:  limit.NewGate(limit.Total{Slots: max(1, connections*3/4), Waiting: 4 * waiting}),
		waits: limit.NewGate(limit.Total{Slots: max(1, connections/2), Waiting: 4 * waiting})}
}

// enter takes a turn at a gate.
func enter(ctx context.Context, g *limit.Gate, s Scope, share *limit.Share) (limit.Pass, error) {
	if g == nil {
		return limit.Pass{}, nil
	}
	return g.Enter(ctx, s.tenant, share, limit.Light)
}

// contextSQL is the first statement of every transaction. The setting is gone at its end; the policies read it.
const contextSQL = "SELECT set_config('app.tenant', $1, true)"

// Batch collects statements of one pipelined, implicit transaction. Every statement's $1 is the tenant number.
type Batch struct {
	b      pgx.Batch
	number int32
}

// Queue adds a statement; args are $2 and on.
func (b *Batch) Queue(sql string, args ...any) *pgx.QueuedQuery {
	return b.b.Queue(sql, append([]any{b.number}, args...)...)
}

// Audit adds event rows to the transaction: they become durable with the work they describe.
func (b *Batch) Audit(rows []audit.Row) { audit.Queue(&b.b, b.number, rows, false) }

// Read runs a pipeline that only reads, in one round trip. A connection that died before it answered is replaced once.
func (c *Charts) Read(ctx context.Context, s Scope, fill func(*Batch)) error {
	err := c.pipeline(ctx, s, false, fill)
	if fault.Is(err, fault.Unavailable) && pg.Lost(err) && ctx.Err() == nil {
		err = c.pipeline(ctx, s, false, fill)
	}
	return err
}

// Write runs a pipeline as one transaction in one round trip: all of it is committed when Write returns nil, none of it
// when it returns a fault of the database, and either when the connection was lost meanwhile.
func (c *Charts) Write(ctx context.Context, s Scope, fill func(*Batch)) error {
	return c.pipeline(ctx, s, true, fill)
}

func (c *Charts) pipeline(ctx context.Context, s Scope, write bool, fill func(*Batch)) error {
	if err := s.chart(write); err != nil {
		return err
	}
	p, err := enter(ctx, c.uses, s, &c.use)
	if err != nil {
		return err
	}
	defer p.Leave()
	b := Batch{number: s.number}
	b.b.Queue(contextSQL, numberText(s.number))
	fill(&b)
	err = c.pool.Pipeline(ctx, &b.b)
	if write {
		c.mark(s.tenant) // whatever became of it: the log looks
	}
	return err
}

// Tx is an explicit transaction of one tenant: for work that must look before it writes, under a lock.
type Tx struct {
	tx     pgx.Tx
	number int32
}

// Within runs fn in an explicit transaction and commits when it returns nil.
func (c *Charts) Within(ctx context.Context, s Scope, fn func(*Tx) error) error {
	if err := s.chart(true); err != nil {
		return err
	}
	defer c.mark(s.tenant)
	w, err := enter(ctx, c.waits, s, &c.wait)
	if err != nil {
		return err
	}
	defer w.Leave()
	p, err := enter(ctx, c.uses, s, &c.use)
	if err != nil {
		return err
	}
	defer p.Leave()
	return c.pool.Tx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, contextSQL, numberText(s.number)); err != nil {
			return err
		}
		return fn(&Tx{tx, s.number})
	})
}

// Run sends a pipeline inside the transaction.
func (t *Tx) Run(ctx context.Context, fill func(*Batch)) error {
	b := Batch{number: t.number}
	fill(&b)
	return pg.Fault(t.tx.SendBatch(ctx, &b.b).Close())
}

// Lock takes transaction-scoped advisory locks, in the order given, which must be the same everywhere (ascending). Keys
// are blind hashes under the tenant's index key, so tenants cannot meet except by a 64-bit chance, which costs a wait.
func (t *Tx) Lock(ctx context.Context, keys []int64) error {
	_, err := t.tx.Exec(ctx, "SELECT pg_advisory_xact_lock(k) FROM unnest($1::int8[]) WITH ORDINALITY AS u(k, n) ORDER BY n", keys)
	return pg.Fault(err)
}

// AppendAudit makes events of several requests, of any tenants, durable in one transaction. Between tenants the context
// is set anew, and row security checks each row against it. When the connection is lost they are sent once more, and stored once;
// again says that they may be stored already.
func (c *Charts) AppendAudit(ctx context.Context, entries []audit.Entry[Scope], again bool) error {
	byTenant := map[int32][]audit.Row{}
	var order []int32
	for _, e := range entries {
		if err := e.For.check(false); err != nil {
			return err
		}
		if _, ok := byTenant[e.For.number]; !ok {
			order = append(order, e.For.number)
		}
		byTenant[e.For.number] = append(byTenant[e.For.number], e.Rows...)
	}
	send := func(again bool) error {
		var b pgx.Batch
		for _, n := range order {
			b.Queue(contextSQL, numberText(n))
			audit.Queue(&b, n, byTenant[n], again)
		}
		return c.pool.Pipeline(ctx, &b)
	}
	err := send(again)
	if err != nil && pg.Lost(err) && ctx.Err() == nil {
		err = send(true)
	}
	for _, e := range entries {
		c.mark(e.For.tenant)
	}
	return err
}

// Ping asks the database for a sign of life.
func (c *Charts) Ping(ctx context.Context) error { return c.pool.Ping(ctx) }

func numberText(n int32) string { return strconv.Itoa(int(n)) }
