package control

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/identity"
	"github.com/cordon-ehr/cordon/internal/prove"
	"github.com/cordon-ehr/cordon/internal/registry"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// canaryLife is how long a canary's token lives: as long as a run.
const canaryLife = 5 * time.Minute

// prove runs the probes of all roles between the canaries, which it makes where they are missing, and gives the caller what an
// outsider needs for the rest. It is served while walls are down, too: to tell which.
func (c *Control) prove(r *http.Request, by audit.By) (any, error) {
	var in struct {
		Tenant string `json:"tenant"`
	}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	ctx := r.Context()
	var target registry.Entry
	if in.Tenant != "" {
		slug, err := tenant.ParseSlug(in.Tenant)
		if err != nil {
			return nil, err
		}
		if target, err = c.registry.BySlug(ctx, slug); err != nil {
			return nil, err
		}
		if reads, _ := target.State.Serves(); !reads {
			return nil, fault.New(fault.Conflict, "the tenant is %s: nothing is served that could be tried", target.State)
		}
	}
	if err := c.registry.Record(ctx, audit.New(audit.Event{Tenant: target.ID, Type: "security", Subtype: "prove", Action: audit.Execute, Outcome: audit.Success,
		Agent: by.Agent, Source: audit.Source{Role: "control"}, Request: by.Request, Decision: audit.Decision{Allow: true, Policy: "operator/1"}})); err != nil {
		return nil, err
	}
	var out prove.Canaries
	for i, into := range []*prove.Canary{&out.A, &out.B} {
		e, err := c.canary(ctx, tenant.Canaries()[i], by)
		if err != nil {
			return nil, err
		}
		if *into, err = c.canaryTokens(ctx, e, by); err != nil {
			return nil, err
		}
	}
	if err := c.hub.settle(ctx); err != nil {
		return nil, err
	}
	ask := prove.Ask{A: out.A, B: out.B}
	if in.Tenant != "" {
		ask.Target, out.Target = target.ID.String(), c.view(target).FHIRBase
	}
	inside, err := c.cell.Prove(ctx, ask)
	if err != nil {
		return nil, err
	}
	broker, err := c.broker.Prove(ctx)
	if err != nil {
		return nil, err
	}
	own := prove.Try(ctx, "control.walls", func(ctx context.Context) (string, error) {
		return "control's role enters no chart, and may do what it must and no more", c.walls.Look(ctx)
	})
	logs := prove.Try(ctx, "ledger.whole", func(ctx context.Context) (string, error) { return c.proveLogs(ctx, by) })
	out.Probes = slices.Concat(inside, broker, []prove.Result{own, logs})
	return out, nil
}

// proveLogs verifies the trail of a canary, row by row, against write-once storage and the witnesses.
func (c *Control) proveLogs(ctx context.Context, by audit.By) (string, error) {
	e, err := c.registry.BySlug(ctx, tenant.Canaries()[0])
	if err != nil {
		return "", err
	}
	v, err := c.verdict(ctx, e, by)
	if err != nil {
		return "", err
	}
	if !v.OK {
		return "", fmt.Errorf("%d problems, the first in %s: %s", len(v.Problems), v.Problems[0].Log, v.Problems[0].Kind)
	}
	return fmt.Sprintf("%d events in %d logs are as they were written, signed and witnessed", v.Size, len(v.Logs)), nil
}

// canary gives one of the two canaries, made when it is missing. One that exists is left as it is: it was provisioned behind whole
// walls, and stays a witness when they are not.
func (c *Control) canary(ctx context.Context, slug tenant.Slug, by audit.By) (registry.Entry, error) {
	e, err := c.registry.BySlug(ctx, slug)
	if err == nil && e.State == tenant.Active {
		return e, nil
	}
	if err != nil && !fault.Is(err, fault.NotFound) {
		return e, err
	}
	return c.runner.Create(ctx, slug, tenant.Pooled, c.cfg.Cell, by)
}

// canaryTokens signs two tokens of a canary, one of them too old. There is no such thing for any other tenant.
func (c *Control) canaryTokens(ctx context.Context, e registry.Entry, by audit.By) (prove.Canary, error) {
	if !e.Slug.Canary() {
		return prove.Canary{}, fault.New(fault.Internal, "the tenant is no canary")
	}
	v := c.view(e)
	out := prove.Canary{Tenant: v.ID, Slug: v.Slug, Base: v.FHIRBase}
	at := identity.Issuer{Tenant: e.ID, URL: c.cfg.PublicURL + "/t/" + v.Slug}
	var err error
	if out.Token, err = c.identity.Canary(ctx, at, by, canaryLife); err != nil {
		return out, err
	}
	out.Expired, err = c.identity.Canary(ctx, at, by, -canaryLife)
	return out, err
}
