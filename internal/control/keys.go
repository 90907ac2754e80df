package control

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/registry"
	"github.com/cordon-ehr/cordon/internal/rpc"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// keyBroker are the key operations of the broker. Each is recorded there in one transaction with its effect, may be repeated, and
// answers with the keys as they are after it.
type keyBroker interface {
	DisableKeys(ctx context.Context, t tenant.ID, by audit.By) (rpc.Keyring, error)
	EnableKeys(ctx context.Context, t tenant.ID, by audit.By) (rpc.Keyring, error)
	RotateKeys(ctx context.Context, t tenant.ID, kind string, by audit.By) (rpc.Keyring, error)
	ActivateKeys(ctx context.Context, t tenant.ID, by audit.By) (rpc.Keyring, error)
	Keyring(ctx context.Context, t tenant.ID) (rpc.Keyring, error)
	Stops(ctx context.Context) ([]rpc.Stop, error)
	ResumeIdentity(ctx context.Context, identity string, by audit.By) error
}

// KeysView is a tenant's keys as the operators' API and the commands show them.
type KeysView struct {
	Tenant     string           `json:"tenant"`
	State      string           `json:"state"`
	Mode       string           `json:"mode"`
	Generation int64            `json:"generation"`
	KEK        []rpc.KeyVersion `json:"kek"`
	Secrets    []rpc.KeyVersion `json:"secrets"`
	Took       *int64           `json:"took_ms,omitempty"` // until every edge and cell had the change; nil = nothing was changed
}

func viewKeys(slug tenant.Slug, k rpc.Keyring) KeysView {
	return KeysView{Tenant: string(slug), State: k.State, Mode: k.Mode, Generation: k.Generation, KEK: k.KEK, Secrets: k.Secrets}
}

// keyTime bounds a key operation. A mark in the directory that is older than markTime is of an operation that nobody runs any more.
const (
	keyTime  = 15 * time.Second
	markTime = 2 * keyTime
)

// operateKeys runs one key operation: the intent is written with its event, then the broker does it with an event of its own, then the directory
// says so and every edge and cell has it. An operator who goes away does not cut it off. A process that is killed in between leaves the
// mark, by which resumeKeys ends it; so does the same command given again.
func (c *Control) operateKeys(r *http.Request, by audit.By, what, after string, run func(ctx context.Context, t tenant.ID) (rpc.Keyring, error)) (any, error) {
	start := time.Now()
	slug, e, err := c.keyTenant(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), keyTime)
	defer cancel()
	ev := by.Event("control", e.ID, "key", "request-"+what, audit.Update)
	ev.Before, ev.After = map[bool]string{true: "disabled", false: "enabled"}[e.KeysDisabled], after
	mark, err := c.registry.BeginKeys(ctx, e.ID, ev)
	if err != nil {
		return nil, err
	}
	c.step("keys-begin")
	if _, err := run(ctx, e.ID); err != nil {
		return nil, err
	}
	c.step("keys-broker")
	k, err := c.publishKeys(ctx, e.ID, by)
	if err != nil {
		return nil, err
	}
	if err := c.registry.FinishKeys(ctx, e.ID, mark, k.Due); err != nil {
		return nil, err
	}
	v := viewKeys(slug, k)
	took := time.Since(start).Milliseconds()
	v.Took = &took
	return v, nil
}

// publishKeys brings the directory, and all who pull it, to what the broker says of a tenant's keys. A signing key that they all
// know then is put to use.
func (c *Control) publishKeys(ctx context.Context, id tenant.ID, by audit.By) (rpc.Keyring, error) {
	k, err := c.mirrorKeys(ctx, id)
	if err != nil {
		return k, err
	}
	c.step("keys-mirror")
	if err := c.hub.settle(ctx); err != nil {
		return k, err
	}
	waiting := slices.ContainsFunc(k.Secrets, func(v rpc.KeyVersion) bool { return v.State == "next" })
	if !waiting || k.State == "disabled" {
		return k, nil
	}
	if _, err := c.broker.ActivateKeys(ctx, id, by); err != nil {
		return k, err
	}
	if k, err = c.mirrorKeys(ctx, id); err != nil {
		return k, err
	}
	return k, c.hub.settle(ctx)
}

// mirrorKeys writes into the directory what the broker says. When it says twice what is older than the directory, its database was put
// back: nothing is claimed to be done then.
func (c *Control) mirrorKeys(ctx context.Context, id tenant.ID) (rpc.Keyring, error) {
	k, err := c.mirrorOnce(ctx, id)
	if fault.Is(err, fault.Conflict) { // another operation may have come between
		k, err = c.mirrorOnce(ctx, id)
	}
	return k, err
}

func (c *Control) mirrorOnce(ctx context.Context, id tenant.ID) (rpc.Keyring, error) {
	k, err := c.broker.Keyring(ctx, id)
	if err != nil {
		return k, err
	}
	if k.State == "disabled" {
		return k, c.registry.MirrorKeys(ctx, id, true, k.Generation, nil)
	}
	set, err := c.broker.PublicKeys(ctx, id)
	if err != nil {
		return k, err
	}
	return k, c.registry.MirrorKeys(ctx, id, false, k.Generation, &set)
}

// resumeKeys ends operations that were cut off, and takes signing keys out of the directory whose last token has expired.
func (c *Control) resumeKeys(ctx context.Context) {
	list, err := c.registry.DueKeys(ctx)
	for _, d := range list { // one tenant's trouble is not another's
		k, terr := c.publishKeys(ctx, d.ID, audit.By{Agent: audit.Agent{Kind: "service", ID: "control"}})
		if terr == nil && time.Since(d.Mark) > markTime { // before, whoever made the mark may still be at it
			terr = c.registry.FinishKeys(ctx, d.ID, d.Mark, k.Due)
		}
		err = errors.Join(err, terr)
	}
	if err != nil && ctx.Err() == nil {
		c.log.WarnContext(ctx, "keys are not in the directory as the broker has them; trying again", slog.String("error", err.Error()))
	}
}

func (c *Control) step(name string) {
	if c.cfg.Step != nil {
		c.cfg.Step(name)
	}
}

// keyTenant finds the tenant that a key operation names. One that is not provisioned has no keys to operate on.
func (c *Control) keyTenant(r *http.Request) (tenant.Slug, registry.Entry, error) {
	slug, err := slugOf(r)
	if err != nil {
		return slug, registry.Entry{}, err
	}
	e, err := c.registry.BySlug(r.Context(), slug)
	if err == nil && (e.State == tenant.Requested || e.State == tenant.Provisioning) {
		err = fault.New(fault.Conflict, "the tenant is not provisioned yet; create it again to resume")
	}
	return slug, e, err
}

func (c *Control) disableKeys(r *http.Request, by audit.By) (any, error) {
	return c.operateKeys(r, by, "disable", "disabled", func(ctx context.Context, t tenant.ID) (rpc.Keyring, error) { return c.broker.DisableKeys(ctx, t, by) })
}

func (c *Control) enableKeys(r *http.Request, by audit.By) (any, error) {
	return c.operateKeys(r, by, "enable", "enabled", func(ctx context.Context, t tenant.ID) (rpc.Keyring, error) { return c.broker.EnableKeys(ctx, t, by) })
}

func (c *Control) rotateKeys(r *http.Request, by audit.By) (any, error) {
	in := struct {
		Kind string `json:"kind"`
	}{"data"}
	if err := decode(r, &in); err != nil && !errors.Is(err, io.EOF) { // no body = data
		return nil, err
	}
	if in.Kind != "data" && in.Kind != "sign" {
		return nil, fault.New(fault.Invalid, "the kind of a rotation is data or sign")
	}
	return c.operateKeys(r, by, "rotate-"+in.Kind, "rotated", func(ctx context.Context, t tenant.ID) (rpc.Keyring, error) {
		return c.broker.RotateKeys(ctx, t, in.Kind, by)
	})
}

func (c *Control) showKeys(r *http.Request, _ audit.By) (any, error) {
	slug, e, err := c.keyTenant(r)
	if err != nil {
		return nil, err
	}
	k, err := c.broker.Keyring(r.Context(), e.ID)
	return viewKeys(slug, k), err
}

// listStops shows which service identities the broker stopped.
func (c *Control) listStops(r *http.Request, _ audit.By) (any, error) {
	return c.broker.Stops(r.Context())
}

func (c *Control) resumeIdentity(r *http.Request, by audit.By) (any, error) {
	var in struct {
		Identity string `json:"identity"`
	}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	if err := c.broker.ResumeIdentity(r.Context(), in.Identity, by); err != nil {
		return nil, err
	}
	return in, nil
}
