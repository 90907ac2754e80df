package placement_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/authn"
	"github.com/cordon-ehr/cordon/internal/cordontest"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/pg"
	"github.com/cordon-ehr/cordon/internal/placement"
	"github.com/cordon-ehr/cordon/internal/routes"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

func TestMain(m *testing.M) { cordontest.Main(m) }

func route(s tenant.State, number int32) *routes.Route {
	return &routes.Route{Tenant: tenant.Tenant{ID: tenant.NewID(), Slug: "alpha", State: s, Placement: tenant.Pooled, Cell: "cell1", Number: number}}
}

// TestMint makes a Scope of what is not one tenant's: none comes of it.
func TestMint(t *testing.T) {
	t.Parallel()
	at := route(tenant.Active, 7)
	if s, err := placement.Mint(authn.Principal{Tenant: at.Tenant.ID}, at); err != nil || s.Tenant() != at.Tenant.ID {
		t.Fatal(err)
	}
	operator := authn.Principal{Tenant: at.Tenant.ID, Kind: authn.Operator}
	if _, err := placement.MintAudit(operator, at); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		who authn.Principal
		at  *routes.Route
	}{
		"another tenant": {authn.Principal{Tenant: tenant.NewID()}, at}, "no tenant": {authn.Principal{}, at}, "no tenant at none": {authn.Principal{}, &routes.Route{}},
		"no number": {authn.Principal{Tenant: at.Tenant.ID}, &routes.Route{Tenant: tenant.Tenant{ID: at.Tenant.ID, State: tenant.Active}}},
	} {
		if s, err := placement.Mint(c.who, c.at); !fault.Is(err, fault.Forbidden) || !s.Tenant().IsZero() {
			t.Errorf("%s: %v", name, err)
		}
		c.who.Kind = authn.Operator
		if _, err := placement.MintAudit(c.who, c.at); !fault.Is(err, fault.Forbidden) {
			t.Errorf("%s, for the log: %v", name, err)
		}
	}
	if _, err := placement.MintAudit(authn.Principal{Tenant: at.Tenant.ID, Kind: authn.Client}, at); !fault.Is(err, fault.Forbidden) {
		t.Errorf("a client reads the log: %v", err)
	}
	for _, state := range []tenant.State{tenant.Requested, tenant.Provisioning, tenant.Suspended, tenant.Offboarding, tenant.Archived, tenant.Destroyed} {
		at := route(state, 7)
		if _, err := placement.Mint(authn.Principal{Tenant: at.Tenant.ID}, at); !fault.Is(err, fault.Forbidden) {
			t.Errorf("a tenant that is %s: %v", state, err)
		}
	}
}

// charts is the door to the chart database through one connection, and that connection's pool.
func charts(t *testing.T) (*placement.Charts, *pg.Pool) {
	t.Helper()
	pool, err := pg.Open(t.Context(), cordontest.Shared(t).Info.Postgres.Cell, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return placement.NewCharts(pool, 0, func(tenant.ID) {}), pool
}

func scope(t *testing.T, s tenant.State) placement.Scope {
	t.Helper()
	at := route(s, 1_000_007)
	out, err := placement.Mint(authn.Principal{Tenant: at.Tenant.ID}, at)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

const probe = "SELECT current_setting('app.tenant')"

// doors are all ways in; seen is the tenant that the database sees inside, where that can be asked.
func doors(t *testing.T, c *placement.Charts, s placement.Scope, seen *string) map[string]func(context.Context) error {
	t.Helper()
	ask := func(b *placement.Batch) {
		b.Queue("SELECT current_setting('app.tenant') WHERE $1::int4 > 0").QueryRow(func(r pgx.Row) error { return r.Scan(seen) })
	}
	f := placement.NewFinder(c, 1)
	t.Cleanup(f.Close)
	return map[string]func(context.Context) error{
		"Read":  func(ctx context.Context) error { return c.Read(ctx, s, ask) },
		"Write": func(ctx context.Context) error { return c.Write(ctx, s, ask) },
		"Within": func(ctx context.Context) error {
			return c.Within(ctx, s, func(tx *placement.Tx) error { return tx.Run(ctx, ask) })
		},
		"AppendAudit": func(ctx context.Context) error {
			return c.AppendAudit(ctx, []audit.Entry[placement.Scope]{{For: s, Rows: []audit.Row{{ID: uuid.New(), KeyVersion: 1, Body: []byte("x")}}}})
		},
		"Newest": func(ctx context.Context) error { _, _, err := f.Newest(ctx, s, 1); return err },
		"At":     func(ctx context.Context) error { _, _, err := f.At(ctx, s, 1, 1); return err },
	}
}

// tells are the doors behind which one can ask for the tenant.
var tells = []string{"Read", "Write", "Within"}

// TestContextEndsWithItsTransaction goes through each door and then looks at the same connection: the tenant was set inside and is
// not afterwards, so that whoever has the connection next has no tenant.
func TestContextEndsWithItsTransaction(t *testing.T) {
	t.Parallel()
	c, pool := charts(t)
	s := scope(t, tenant.Active)
	var inside string
	for name, door := range doors(t, c, s, &inside) {
		inside = ""
		if err := door(t.Context()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if inside != "1000007" && slices.Contains(tells, name) {
			t.Errorf("%s: the tenant inside is %q", name, inside)
		}
		var after string
		if err := pool.Row(t.Context(), probe, nil, &after); err == nil && after != "" {
			t.Errorf("%s leaves tenant %s on the connection", name, after)
		}
	}
}

// TestNoScopeNoDoor opens each door with the zero Scope, and those that write with one that may not.
func TestNoScopeNoDoor(t *testing.T) {
	t.Parallel()
	c, _ := charts(t)
	var inside string
	for name, door := range doors(t, c, placement.Scope{}, &inside) {
		if err := door(t.Context()); !fault.Is(err, fault.Internal) || inside != "" {
			t.Errorf("%s without a scope: %v", name, err)
		}
	}
	if err := c.Events(t.Context(), placement.Scope{}, func(placement.Event) error { return nil }); !fault.Is(err, fault.Internal) {
		t.Errorf("Events without a scope: %v", err)
	}
	moving := doors(t, c, scope(t, tenant.Moving), &inside)
	for _, name := range []string{"Write", "Within"} {
		if err := moving[name](t.Context()); !fault.Is(err, fault.Locked) {
			t.Errorf("%s of a tenant that only reads: %v", name, err)
		}
	}
}

// TestReadsGoTogetherAndComeApart has two tenants with a resource under the same blind id read it at once, through one worker: each
// gets its own row.
func TestReadsGoTogetherAndComeApart(t *testing.T) {
	t.Parallel()
	c, _ := charts(t)
	const rid = 77
	scopes := make([]placement.Scope, 2)
	for i := range scopes {
		at := route(tenant.Active, int32(1_000_020+i))
		var err error
		if scopes[i], err = placement.Mint(authn.Principal{Tenant: at.Tenant.ID}, at); err != nil {
			t.Fatal(err)
		}
		err = c.Write(t.Context(), scopes[i], func(b *placement.Batch) {
			b.Queue("INSERT INTO version (tenant, rid, lu, ver, keyver, type, op, body) VALUES ($1, $2, 1, 1, 1, 1, 1, $3)", rid, []byte{byte(i)})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	f := placement.NewFinder(c, 1)
	defer f.Close()
	var wait sync.WaitGroup
	for i := range 200 {
		wait.Go(func() {
			v, found, err := f.Newest(t.Context(), scopes[i%2], rid)
			if err != nil || !found || len(v.Body) != 1 || v.Body[0] != byte(i%2) {
				t.Errorf("tenant %d: %v %v, %v", i%2, found, v.Body, err)
			}
		})
	}
	wait.Wait()
}
