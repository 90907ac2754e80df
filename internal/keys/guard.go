package keys

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/phi"
	"github.com/cordon-ehr/cordon/internal/rpc"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Limits are how many distinct tenants one service identity may ask for within Window. An honest cell holds a live token for each
// tenant that it asks for: it is hardly ever refused, and is granted no more tenants than it serves.
type Limits struct {
	Window  time.Duration // 0 = a minute
	Refused int           // distinct tenants with refused proofs; 0 = 20
	Granted int           // distinct tenants granted; 0 = 10,000
	Stop    time.Duration // how long an identity stays stopped; 0 = until an operator resumes it, and after too many grants 5 minutes
}

func (l Limits) withDefaults() Limits {
	if l.Window == 0 {
		l.Window = time.Minute
	}
	if l.Refused == 0 {
		l.Refused = 20
	}
	if l.Granted == 0 {
		l.Granted = 10_000
	}
	return l
}

// guard counts per service identity. Counts are this process's own; a stop is in the database, for every broker process.
type guard struct {
	limits Limits
	now    func() time.Time
	mu     sync.Mutex // guards seen
	seen   map[string]*asked
}

// asked is what one identity asked for lately, by tenant, with the last time.
type asked struct{ refused, granted map[tenant.ID]time.Time }

func newGuard(l Limits, now func() time.Time) *guard {
	return &guard{limits: l.withDefaults(), now: now, seen: map[string]*asked{}}
}

// note counts a tenant for an identity, and says why the identity is to be stopped, "" if it is not.
func (g *guard) note(identity string, t tenant.ID, granted bool) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.seen[identity]
	if a == nil {
		a = &asked{map[tenant.ID]time.Time{}, map[tenant.ID]time.Time{}}
		g.seen[identity] = a
	}
	of, limit, what := a.refused, g.limits.Refused, "refused"
	if granted {
		of, limit, what = a.granted, g.limits.Granted, "granted"
	}
	now := g.now()
	of[t] = now
	if len(of) <= limit {
		return ""
	}
	for id, at := range of {
		if now.Sub(at) >= g.limits.Window {
			delete(of, id)
		}
	}
	if len(of) <= limit {
		return ""
	}
	return fmt.Sprintf("leases %s for more than %d tenants within %s", what, limit, g.limits.Window)
}

// forget begins to count anew.
func (g *guard) forget(identity string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.seen, identity)
}

// errStopped is the answer to a stopped identity. It is Unavailable: to a tenant's client the cell cannot serve now, and nothing is
// wrong with its token.
func errStopped() error {
	f := fault.New(fault.Unavailable, "keys are not handed to this service now: it was stopped after unusual requests, and an operator must resume it")
	f.RetryAfter = 30 * time.Second
	return f
}

// peer is the verified identity of the caller.
func (b *Broker) peer(ctx context.Context) string {
	if p := rpc.Peer(ctx); p != "" {
		return p
	}
	return b.cfg.Local
}

// admit refuses an identity that is stopped.
func (b *Broker) admit(ctx context.Context, identity string) error {
	stopped, err := b.store.Stopped(ctx, identity)
	if err != nil {
		return err
	}
	if stopped {
		b.cfg.Metrics.Lease("stopped")
		return errStopped()
	}
	return nil
}

// grantedStop ends a stop after too many grants by itself: each had a live token, so it may be a cell that serves more tenants than
// was thought, and all of them wait.
const grantedStop = 5 * time.Minute

// watch counts a lease, and stops the identity when it asked for too many tenants: one event, one line, one count. The lease that
// went too far is not given.
func (b *Broker) watch(ctx context.Context, identity string, t tenant.ID, granted bool) error {
	reason := b.guard.note(identity, t, granted)
	if reason == "" {
		return nil
	}
	e := audit.New(audit.Event{Type: "security", Subtype: "identity-stopped", Action: audit.Execute, Outcome: audit.SeriousFail, OutcomeDesc: reason,
		Agent: audit.Agent{Kind: "service", ID: identity}, Source: audit.Source{Role: "keys"}, Entity: audit.Entity{Type: "service", ID: phi.Text(identity)},
		Decision: audit.Decision{Policy: "broker/1", Reason: reason}, Before: "active", After: "stopped"})
	stop := b.guard.limits.Stop
	if stop == 0 && granted {
		stop = grantedStop
	}
	made, err := b.store.Stop(ctx, identity, reason, stop, e)
	if err != nil {
		return err // not stopped, and no lease: the next request comes here again
	}
	b.guard.forget(identity) // it begins anew when it is resumed
	if made {
		b.cfg.Metrics.IdentityStopped()
		b.cfg.Log.ErrorContext(ctx, "a service identity was stopped", slog.String("role", "keys"), slog.String("identity", identity), slog.String("reason", reason))
	}
	return errStopped()
}

// Stops lists the identities that are stopped.
func (b *Broker) Stops(ctx context.Context) ([]rpc.Stop, error) { return b.store.Stops(ctx) }

// ResumeIdentity ends the stop of an identity. Faults: NotFound when it is not stopped.
func (b *Broker) ResumeIdentity(ctx context.Context, identity string, by audit.By) error {
	e := by.Event("keys", tenant.ID{}, "security", "identity-resumed", audit.Update)
	e.Entity, e.Before, e.After = audit.Entity{Type: "service", ID: phi.Text(identity)}, "stopped", "active"
	done, err := b.store.Resume(ctx, identity, e)
	if err == nil && !done {
		return fault.New(fault.NotFound, "no such service identity is stopped")
	}
	return err
}
