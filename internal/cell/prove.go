package cell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/lease"
	"github.com/cordon-ehr/cordon/internal/prove"
	"github.com/cordon-ehr/cordon/internal/routes"
	"github.com/cordon-ehr/cordon/internal/seal"
	"github.com/cordon-ehr/cordon/internal/telemetry"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Prove runs the cell's probes, as the cell's own database role and with the canaries' own keys. It runs while the walls are down,
// too: to tell which.
func (c *Cell) Prove(ctx context.Context, ask prove.Ask) ([]prove.Result, error) {
	var at []*routes.Route
	for _, id := range []string{ask.A.Tenant, ask.B.Tenant, ask.Target} {
		if id == "" {
			continue
		}
		t, err := tenant.ParseID(id)
		if err != nil {
			return nil, err
		}
		r, ok := c.table.ByID(t)
		if !ok {
			return nil, fault.New(fault.Unavailable, "a tenant of the proof is not known here yet")
		}
		at = append(at, r)
	}
	if len(at) < 2 || at[0] == at[1] || !at[0].Tenant.Slug.Canary() || !at[1].Tenant.Slug.Canary() {
		return nil, fault.New(fault.Invalid, "a proof needs two canaries")
	}
	return []prove.Result{
		prove.Try(ctx, "chart.walls", func(ctx context.Context) (string, error) {
			return "every table, right and object of the chart database is as expected", c.charts.Check(ctx)
		}),
		prove.Try(ctx, "chart.rows", func(ctx context.Context) (string, error) {
			for _, r := range at {
				if err := c.charts.Rows(ctx, r.Tenant); err != nil {
					return "", err
				}
			}
			return fmt.Sprintf("as each of %d tenants: no row of another, no insert for another, nothing without a tenant", len(at)), nil
		}),
		prove.Try(ctx, "chart.append-only", func(ctx context.Context) (string, error) {
			return "the cell's role can change or delete no version and no event", c.charts.AppendOnly(ctx, at[0].Tenant)
		}),
		prove.Try(ctx, "keys.lease", func(ctx context.Context) (string, error) { return c.proveLease(ctx, at[0], at[1], ask) }),
		prove.Try(ctx, "seal.bound", func(ctx context.Context) (string, error) { return c.proveSeal(ctx, at[0], at[1], ask) }),
		prove.Try(ctx, "index.blind", func(ctx context.Context) (string, error) { return c.proveIndex(ctx, at[0], at[1], ask) }),
		prove.Try(ctx, "log.allow-list", proveLog),
	}, nil
}

func (c *Cell) grant(ctx context.Context, t *routes.Route, proof string) (lease.Grant, error) {
	return c.peers.Broker.Lease(ctx, lease.Request{Tenant: t.Tenant.ID, Purpose: lease.Chart, Proof: proof})
}

// proveLease asks the broker past the cell's cache, and wants keys for a live token of the tenant only.
func (c *Cell) proveLease(ctx context.Context, a, b *routes.Route, ask prove.Ask) (string, error) {
	if _, err := c.grant(ctx, a, ask.A.Token); err != nil {
		return "", fmt.Errorf("a live token gets no lease: %w", err)
	}
	for what, proof := range map[string]string{"no token": "", "junk": "junk", "the neighbour's token": ask.B.Token, "an expired token": ask.A.Expired} {
		_, err := c.grant(ctx, a, proof)
		if err == nil {
			return "", fmt.Errorf("%s unwraps a tenant's keys", what)
		}
		if k := fault.Of(err).Kind; k != fault.Unauthenticated && k != fault.Forbidden {
			return "", fmt.Errorf("%s could not be tried: %w", what, err)
		}
	}
	if _, err := c.grant(ctx, b, ask.A.Token); err == nil {
		return "", errors.New("a token unwraps the neighbour's keys")
	}
	return "the cell's identity unwraps nothing without a live token of the tenant", nil
}

// rings are both canaries' keys.
func (c *Cell) rings(ctx context.Context, a, b *routes.Route, ask prove.Ask) (ra, rb *lease.Ring, err error) {
	for _, x := range []struct {
		at    *routes.Route
		proof string
		into  **lease.Ring
	}{{a, ask.A.Token, &ra}, {b, ask.B.Token, &rb}} {
		g, err := c.grant(ctx, x.at, x.proof)
		if err == nil {
			*x.into, err = lease.Prepare(g)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("a canary gets no keys: %w", err)
		}
	}
	return ra, rb, nil
}

// proveSeal seals a word as a version's body, and moves it everywhere that a superuser could.
func (c *Cell) proveSeal(ctx context.Context, a, b *routes.Route, ask prove.Ask) (string, error) {
	ra, rb, err := c.rings(ctx, a, b, ask)
	if err != nil {
		return "", err
	}
	word := []byte("canary")
	home := seal.Place{Tenant: a.Tenant.ID, Table: "version", Kind: 1, ID: 2, Version: 3}
	sealed := ra.Write.Seal(nil, word, home)
	if got, err := ra.Write.Open(nil, sealed, home); err != nil || !bytes.Equal(got, word) {
		return "", errors.New("a value does not open in its own place")
	}
	moved := 0
	for what, move := range map[string]func(*seal.Place){
		"tenant": func(p *seal.Place) { p.Tenant = b.Tenant.ID }, "table": func(p *seal.Place) { p.Table = "audit" }, "type": func(p *seal.Place) { p.Kind++ },
		"id": func(p *seal.Place) { p.ID++ }, "version": func(p *seal.Place) { p.Version++ }, "time": func(p *seal.Place) { p.Sub[0]++ }, "operation": func(p *seal.Place) { p.Sub[9]++ },
	} {
		to := home
		move(&to)
		if _, err := ra.Write.Open(nil, sealed, to); err == nil {
			return "", fmt.Errorf("a value opens under another %s", what)
		}
		moved++
	}
	for _, at := range []seal.Place{home, {Tenant: b.Tenant.ID, Table: "version", Kind: 1, ID: 2, Version: 3}} {
		if _, err := rb.Write.Open(nil, sealed, at); err == nil {
			return "", errors.New("a value opens under the neighbour's key")
		}
	}
	if _, err := ra.Events.Open(nil, sealed, home); err == nil {
		return "", errors.New("a value of a chart opens under the key of events")
	}
	sealed[len(sealed)/2] ^= 1
	if _, err := ra.Write.Open(nil, sealed, home); err == nil {
		return "", errors.New("a changed value opens")
	}
	return fmt.Sprintf("a sealed value opens in its place and in none of %d others", moved+4), nil
}

// proveIndex wants one value to be two in the index.
func (c *Cell) proveIndex(ctx context.Context, a, b *routes.Route, ask prove.Ask) (string, error) {
	ra, rb, err := c.rings(ctx, a, b, ask)
	if err != nil {
		return "", err
	}
	word := []byte("canary")
	if ra.Index.Sum64(word) == rb.Index.Sum64(word) || ra.Shift == rb.Shift {
		return "", errors.New("two tenants index one value alike")
	}
	return "one value has another token, and one date another place, with each tenant", nil
}

// proveLog logs what must not be.
func proveLog(ctx context.Context) (string, error) {
	var b bytes.Buffer
	const word = "CanaryWord"
	telemetry.NewLogger(&b, slog.LevelInfo).With(slog.String("patient", word)).WithGroup("status").InfoContext(ctx, "probe", slog.Int("status", 200), slog.String("path", word), slog.Group("type", slog.String("name", word)),
		slog.String("query", word), slog.String("body", word))
	if s := b.String(); !strings.Contains(s, `"status":200`) {
		return "", errors.New("the log keeps nothing at all")
	} else if strings.Contains(s, word) {
		return "", errors.New("the log keeps what is not on its list")
	}
	return "attributes that are not on the list are dropped", nil
}
