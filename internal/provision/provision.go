// Package provision carries a tenant from requested to active as a plan of idempotent, recorded steps. Whoever was killed
// in the middle resumes by running the same plan: done steps are skipped, a step that was cut off is done again. Until the
// last step, which activates, the tenant answers nothing.
package provision

import (
	"context"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/registry"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Broker is the keys role as provisioning sees it.
type Broker interface {
	// Mint gives the tenant its keys; it may be repeated.
	Mint(ctx context.Context, t tenant.ID, by audit.By) error
	// PublicKeys gives the keys that verify the tenant's tokens.
	PublicKeys(ctx context.Context, t tenant.ID) (jose.JSONWebKeySet, error)
}

// Cell is the cell role as provisioning sees it.
type Cell interface {
	// Prepare makes the tenant's place in the cell; it may be repeated.
	Prepare(ctx context.Context, t tenant.Tenant) error
	// Probe reads as the new tenant and as its neighbours, and fails when either sees a row of the other.
	Probe(ctx context.Context, t tenant.Tenant) error
}

// Runner runs plans. It is safe for concurrent use: two runs of one plan meet in the registry and make no difference.
type Runner struct {
	Registry *registry.Registry
	Broker   Broker
	Cell     Cell
	// After is called when a step was recorded; tests end the process there.
	After func(step string)
}

type step struct {
	name string
	run  func(ctx context.Context, r *Runner, e registry.Entry, by audit.By) error
}

// plan is the order of steps for every placement that this release provisions.
var plan = []step{
	{"keys", func(ctx context.Context, r *Runner, e registry.Entry, by audit.By) error {
		return r.Broker.Mint(ctx, e.ID, by)
	}},
	{"public-keys", func(ctx context.Context, r *Runner, e registry.Entry, _ audit.By) error {
		set, err := r.Broker.PublicKeys(ctx, e.ID)
		if err != nil {
			return err
		}
		return r.Registry.SetKeys(ctx, e.ID, set)
	}},
	{"placement", func(ctx context.Context, r *Runner, e registry.Entry, _ audit.By) error {
		return r.Cell.Prepare(ctx, e.Tenant)
	}},
	{"leak-probe", func(ctx context.Context, r *Runner, e registry.Entry, _ audit.By) error {
		return r.Cell.Probe(ctx, e.Tenant)
	}},
}

// Create requests a tenant and runs its plan to the end. Repeated, it resumes, or finds that there is nothing to do; with
// another placement than the tenant has, Conflict.
func (r *Runner) Create(ctx context.Context, slug tenant.Slug, p tenant.Placement, cell string, by audit.By) (registry.Entry, error) {
	e, _, err := r.Registry.Request(ctx, slug, p, cell, func(id tenant.ID) audit.Event { return event(id, "request", by) })
	if err != nil {
		return e, err
	}
	if e.Placement != p {
		return e, fault.New(fault.Conflict, "the tenant exists with placement %s", e.Placement)
	}
	if err := r.run(ctx, &e, by); err != nil {
		return e, err
	}
	return r.Registry.BySlug(ctx, slug)
}

func (r *Runner) run(ctx context.Context, e *registry.Entry, by audit.By) error {
	if e.State == tenant.Requested {
		err := r.Registry.Advance(ctx, e.ID, tenant.Requested, tenant.Provisioning, event(e.ID, "provision", by))
		if err != nil && !fault.Is(err, fault.Conflict) {
			return err
		}
		e.State = tenant.Provisioning
		r.after("provision")
	}
	if e.State != tenant.Provisioning {
		return nil
	}
	done, err := r.Registry.Done(ctx, e.ID)
	if err != nil {
		return err
	}
	for _, s := range plan {
		if done[s.name] {
			continue
		}
		if err := s.run(ctx, r, *e, by); err != nil {
			return fmt.Errorf("provision tenant %s: step %s: %w", e.ID, s.name, err)
		}
		if err := r.Registry.MarkDone(ctx, e.ID, s.name, event(e.ID, "step-"+s.name, by)); err != nil {
			return err
		}
		r.after(s.name)
	}
	err = r.Registry.Advance(ctx, e.ID, tenant.Provisioning, tenant.Active, event(e.ID, "activate", by))
	if fault.Is(err, fault.Conflict) {
		return nil // another run of the same plan came first
	}
	if err != nil {
		return err
	}
	r.after("activate")
	return nil
}

func (r *Runner) after(step string) {
	if r.After != nil {
		r.After(step)
	}
}

// event describes an operator's act on a tenant.
func event(id tenant.ID, what string, by audit.By) audit.Event {
	return by.Event("control", id, "tenant", what, audit.Update)
}
