package placement_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/cordontest"
	"github.com/cordon-ehr/cordon/internal/pg"
	"github.com/cordon-ehr/cordon/internal/placement"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// TestSlowReadsLeaveConnections holds up all reads of single versions: what else needs a connection of the same pool has one.
func TestSlowReadsLeaveConnections(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	pool, err := pg.Open(t.Context(), p.Info.Postgres.Cell, 8, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	c := placement.NewCharts(pool, 8, func(tenant.ID) {})
	f := placement.NewFinder(c, 1, 8)
	defer f.Close()
	s := scope(t, tenant.Active)
	tx, err := p.Superuser(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `LOCK TABLE version`); err != nil {
		t.Fatal(err)
	}
	var reads sync.WaitGroup
	tick := time.NewTicker(5 * time.Millisecond) // longer than a group counts as busy: each read begins another
	defer tick.Stop()
	for range 24 {
		<-tick.C
		reads.Go(func() { _, _, _ = f.Newest(t.Context(), s, 1) })
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := c.Read(ctx, s, func(b *placement.Batch) {
		b.Queue("SELECT count(*) FROM audit WHERE tenant = $1").QueryRow(func(r pgx.Row) error { return r.Scan(new(int)) })
	}); err != nil {
		t.Errorf("no connection is left: %v", err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
	reads.Wait()
}
