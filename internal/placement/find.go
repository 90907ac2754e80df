package placement

import (
	"context"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/gather"
	"github.com/cordon-ehr/cordon/internal/pg"
)

// Version is one stored row of the version log.
type Version struct {
	Rid, Lu     int64
	Ver, KeyVer int32
	Type, Op    int16
	Body        []byte // sealed
}

// findSQL gives, of each resource asked for, the newest version that is not newer than asked.
const findSQL = `SELECT u.n, v.rid, v.lu, v.ver, v.keyver, v.type, v.op, v.body FROM unnest($2::int4[], $3::int8[], $4::int4[]) AS u(n, rid, ver)
CROSS JOIN LATERAL (SELECT rid, lu, ver, keyver, type, op, body FROM version WHERE tenant = $1 AND rid = u.rid AND ver <= u.ver ORDER BY ver DESC LIMIT 1) AS v`

// Finder reads single versions for many requests together: of a read's cost in the database the most is the transaction around
// it, and one carries many. The tenants of a group never meet: each has its own context and its own statement, as when they come
// alone. It is safe for concurrent use.
type Finder struct {
	pool    *pg.Pool
	workers *gather.Workers[*finding]
}

type finding struct {
	scope Scope
	rid   int64
	ver   int32
	out   Version
	found bool
	done  chan error
}

// Bounds of a group: it must not hold many bodies at once, nor wait for ever. Rows in memory are found in a fraction of
// findPatience; while a disk is asked for some, others are not kept waiting.
const (
	maxFind      = 64
	findTimeout  = 30 * time.Second
	findPatience = 3 * time.Millisecond
	findSlow     = 8 // workers for each quick one
	findShare    = 4 // of so many connections finders take one: searches and writes have the rest, however slow the disk is
)

// NewFinder starts workers over the pool of the cell's role, of which busy run at once while the database answers at once;
// Close ends them. However slow it answers, finders hold no more than a quarter of connections, or busy when that is more.
func NewFinder(c *Charts, busy, connections int) *Finder {
	f := &Finder{pool: c.pool}
	f.workers = gather.New(gather.Config{Busy: busy, Workers: min(findSlow*busy, connections/findShare), Patience: findPatience, Most: maxFind}, f.run)
	return f
}

// Close refuses further reads and waits for those under way.
func (f *Finder) Close() { f.workers.Close() }

// Newest gives the newest version of a resource.
func (f *Finder) Newest(ctx context.Context, s Scope, rid int64) (Version, bool, error) {
	return f.find(ctx, s, rid, math.MaxInt32)
}

// At gives one version of a resource.
func (f *Finder) At(ctx context.Context, s Scope, rid int64, ver int32) (Version, bool, error) {
	v, ok, err := f.find(ctx, s, rid, ver)
	return v, ok && v.Ver == ver, err
}

func (f *Finder) find(ctx context.Context, s Scope, rid int64, ver int32) (Version, bool, error) {
	if err := s.chart(false); err != nil {
		return Version{}, false, err
	}
	w := &finding{scope: s, rid: rid, ver: ver, done: make(chan error, 1)}
	if err := f.workers.Hand(ctx, w); err != nil {
		return Version{}, false, fault.Wrap(fault.Unavailable, err, "the request was ended before the database answered")
	}
	select {
	case err := <-w.done:
		return w.out, w.found, err
	case <-ctx.Done():
		return Version{}, false, fault.Wrap(fault.Unavailable, ctx.Err(), "the request was ended before the database answered")
	}
}

// run reads a group. A connection that died before it answered is replaced once; when a group fails all the same, its members
// are tried one by one, so that one fails alone.
func (f *Finder) run(group []*finding) {
	ctx, cancel := context.WithTimeout(context.Background(), findTimeout)
	defer cancel()
	err := f.read(ctx, group)
	if fault.Is(err, fault.Unavailable) && pg.Lost(err) {
		err = f.read(ctx, group)
	}
	for i, w := range group {
		each := err
		if err != nil && len(group) > 1 {
			each = f.read(ctx, group[i:i+1])
		}
		w.done <- each
	}
}

// read asks for a group in one round trip: each tenant's under that tenant's context.
func (f *Finder) read(ctx context.Context, group []*finding) error {
	type asked struct {
		n, ver []int32
		rid    []int64
	}
	byTenant := make(map[int32]*asked, 1)
	var order []int32
	for i, w := range group {
		w.found = false
		a := byTenant[w.scope.number]
		if a == nil {
			a = &asked{}
			byTenant[w.scope.number] = a
			order = append(order, w.scope.number)
		}
		a.n, a.rid, a.ver = append(a.n, int32(i)), append(a.rid, w.rid), append(a.ver, w.ver)
	}
	var b pgx.Batch
	for _, number := range order {
		a := byTenant[number]
		b.Queue(contextSQL, numberText(number))
		b.Queue(findSQL, number, a.n, a.rid, a.ver).Query(func(rows pgx.Rows) error { return scanFound(rows, group, number) })
	}
	return f.pool.Pipeline(ctx, &b)
}

// scanFound hands rows to those that asked, and to nobody of another tenant.
func scanFound(rows pgx.Rows, group []*finding, number int32) error {
	for rows.Next() {
		var n int32
		var v Version
		if err := rows.Scan(&n, &v.Rid, &v.Lu, &v.Ver, &v.KeyVer, &v.Type, &v.Op, &v.Body); err != nil {
			return err
		}
		if n < 0 || int(n) >= len(group) || group[n].scope.number != number || group[n].rid != v.Rid {
			return fault.New(fault.Internal, "the database answered with a row that nobody asked for")
		}
		group[n].out, group[n].found = v, true
	}
	return rows.Err()
}
