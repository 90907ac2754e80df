package control

import (
	"context"
	"sync"
	"time"

	"github.com/cordon-ehr/cordon/internal/authn"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/registry"
	"github.com/cordon-ehr/cordon/internal/routes"
)

// hub publishes the directory to its pullers, and knows which version each of them has.
type hub struct {
	registry *registry.Registry
	issuer   func(slug string) string
	mu       sync.Mutex // guards the rest
	snap     routes.Snapshot
	changed  chan struct{} // closed and replaced when snap or seen changes
	seen     map[string]puller
}

type puller struct {
	version int64
	at      time.Time
}

func newHub(r *registry.Registry, issuer func(string) string) *hub {
	return &hub{registry: r, issuer: issuer, changed: make(chan struct{}), seen: map[string]puller{}}
}

// refresh reads the directory from the database.
func (h *hub) refresh(ctx context.Context) error {
	version, entries, err := h.registry.Directory(ctx)
	if err != nil {
		return err
	}
	snap := routes.Snapshot{Version: version, Routes: make([]routes.Route, len(entries))}
	for i, e := range entries {
		snap.Routes[i] = routes.Route{Tenant: e.Tenant, Issuer: h.issuer(string(e.Slug)), Keys: authn.PublicKeys(e.JWKS),
			KeysDisabled: e.KeysDisabled, KeysGeneration: e.Generation}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if version > h.snap.Version {
		h.snap = snap
		h.wake()
	}
	return nil
}

// wake tells all that wait to look again. h.mu is held.
func (h *hub) wake() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// pull implements routes.Source: asking with a version acknowledges it.
func (h *hub) pull(ctx context.Context, name string, known int64) (routes.Snapshot, error) {
	for {
		h.mu.Lock()
		if h.seen[name].version != known {
			h.seen[name] = puller{known, time.Now()}
			h.wake()
		}
		h.seen[name] = puller{known, time.Now()}
		snap, changed := h.snap, h.changed
		h.mu.Unlock()
		if snap.Version != known { // smaller after control's database was restored: a puller takes it all the same
			return snap, nil
		}
		select {
		case <-ctx.Done():
			return routes.Snapshot{}, ctx.Err()
		case <-changed:
		}
	}
}

// settle publishes the directory as it is now, and waits until every puller of the last minute has it, so that who changed a
// tenant may rely on the change when the command returns. One that does not ask within a moment is told
// of: the change is made, but may not be everywhere.
func (h *hub) settle(ctx context.Context) error {
	if err := h.refresh(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	for {
		h.mu.Lock()
		behind := false
		for _, p := range h.seen {
			behind = behind || (p.version != h.snap.Version && time.Since(p.at) < time.Minute)
		}
		changed := h.changed
		h.mu.Unlock()
		if !behind {
			return nil
		}
		select {
		case <-ctx.Done():
			return fault.New(fault.Unavailable, "the change is made, but not every edge and cell has it yet")
		case <-changed:
		}
	}
}

// run refreshes now and then: another process of control may have changed a tenant. resume finishes what one left undone.
func (h *hub) run(ctx context.Context, resume func(context.Context)) {
	t := time.NewTicker(2 * time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			_ = h.refresh(ctx) // the next tick tries again; pullers keep what they have
			resume(ctx)
		}
	}
}
