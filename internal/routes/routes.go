// Package routes is the snapshot of which tenants exist, where they live and which public keys sign their tokens, as edge
// and cell pull it from control. It may be stale by the time of one pull, and it never guesses: what it does not hold does
// not exist.
package routes

import (
	"context"
	"crypto"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Route is what edge and cell know of a tenant.
type Route struct {
	Tenant tenant.Tenant
	Issuer string                      // https://host/t/slug
	Keys   map[string]crypto.PublicKey // by kid: verifies this tenant's tokens, and no other's
	// KeysDisabled closes the tenant to everyone, whatever lease a cell still holds.
	KeysDisabled bool
	// KeysGeneration counts changes of the tenant's keys: a lease of an earlier one is renewed before it is used.
	KeysGeneration int64
}

// Usable refuses when the tenant's keys are disabled: Locked. It is asked after the caller has proved to be of the tenant.
func (r *Route) Usable() error {
	if r.KeysDisabled {
		return tenant.KeysDisabled()
	}
	return nil
}

// FHIRBase is the base URL of the tenant's FHIR API and the audience of its tokens.
func (r *Route) FHIRBase() string { return r.Issuer + "/fhir" }

// Snapshot is the whole directory at one version. It is immutable.
type Snapshot struct {
	Version int64
	Routes  []Route
}

// Source is control as its pullers see it.
type Source interface {
	// Pull waits until the directory is newer than known, or ctx ends, and gives it. A puller names itself, so that control
	// can tell when every one has seen a change.
	Pull(ctx context.Context, puller string, known int64) (Snapshot, error)
}

// Table answers lookups from the newest snapshot pulled. It is safe for concurrent use.
type Table struct {
	state atomic.Pointer[view]
	ready chan struct{} // closed after the first pull
	once  sync.Once
	heard func(Snapshot) // see Hear; nil = nobody
}

type view struct {
	version int64
	bySlug  map[tenant.Slug]*Route
	byID    map[tenant.ID]*Route
}

// NewTable makes an empty table: no tenant exists until the first pull.
func NewTable() *Table {
	t := &Table{ready: make(chan struct{})}
	t.state.Store(&view{})
	return t
}

// Hear names who is told of each snapshot, before it is acknowledged to control. It is called once, before Run.
func (t *Table) Hear(f func(Snapshot)) { t.heard = f }

// Run pulls until ctx ends. Errors of the source are retried; meanwhile the last snapshot answers.
func (t *Table) Run(ctx context.Context, puller string, src Source) error {
	for ctx.Err() == nil {
		s, err := src.Pull(ctx, puller, t.state.Load().version)
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
			continue
		}
		t.set(s)
	}
	return nil
}

func (t *Table) set(s Snapshot) {
	v := &view{version: s.Version, bySlug: make(map[tenant.Slug]*Route, len(s.Routes)), byID: make(map[tenant.ID]*Route, len(s.Routes))}
	for i := range s.Routes {
		r := &s.Routes[i]
		v.bySlug[r.Tenant.Slug], v.byID[r.Tenant.ID] = r, r
	}
	t.state.Store(v)
	if t.heard != nil {
		t.heard(s)
	}
	t.once.Do(func() { close(t.ready) })
}

// Ready is closed when the first snapshot has come.
func (t *Table) Ready() <-chan struct{} { return t.ready }

// BySlug finds a tenant by its name in the URL.
func (t *Table) BySlug(s tenant.Slug) (*Route, bool) { r, ok := t.state.Load().bySlug[s]; return r, ok }

// ByID finds a tenant by its id.
func (t *Table) ByID(id tenant.ID) (*Route, bool) { r, ok := t.state.Load().byID[id]; return r, ok }
