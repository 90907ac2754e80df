// Package placement is the only door to tenant rows. It mints the Scope, the capability to touch one tenant's data, and
// opens transactions for it; without a Scope there is no function to call.
//
// Law: a transaction's tenant is set by set_config(…, true) as its first statement, so that it ends with the
// transaction: a pooled connection, even behind a transaction-mode pooler, carries nothing over.
package placement

import (
	"github.com/cordon-ehr/cordon/internal/authn"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/routes"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Scope is the capability to touch one tenant's data on behalf of one principal. It is minted once per request, is
// immutable, and cannot be made outside this package; the zero Scope opens nothing.
type Scope struct {
	tenant    tenant.ID
	number    int32
	principal authn.Principal
	writes    bool
	events    bool // opens events and the log's bookmark, and no chart
}

// Mint makes the Scope of a verified principal at the route of its own tenant.
func Mint(p authn.Principal, r *routes.Route) (Scope, error) {
	if p.Tenant.IsZero() || p.Tenant != r.Tenant.ID || r.Tenant.Number == 0 {
		return Scope{}, fault.New(fault.Forbidden, "this access token is not valid for this tenant")
	}
	reads, writes := r.Tenant.State.Serves()
	if !reads {
		return Scope{}, fault.New(fault.Forbidden, "this tenant is %s", r.Tenant.State)
	}
	return Scope{tenant: p.Tenant, number: r.Tenant.Number, principal: p, writes: writes}, nil
}

// MintAudit makes the Scope under which control's ticket reads a tenant's audit events, whatever the tenant's state.
func MintAudit(p authn.Principal, r *routes.Route) (Scope, error) {
	if p.Kind != authn.Operator || p.Tenant != r.Tenant.ID || r.Tenant.Number == 0 {
		return Scope{}, fault.New(fault.Forbidden, "this ticket is not valid for this tenant")
	}
	return Scope{tenant: p.Tenant, number: r.Tenant.Number, principal: p, events: true}, nil
}

// Tenant is the one tenant of s.
func (s Scope) Tenant() tenant.ID { return s.tenant }

// Principal is on whose behalf.
func (s Scope) Principal() authn.Principal { return s.principal }

// check refuses the zero Scope.
func (s Scope) check(write bool) error {
	if s.number == 0 || s.tenant.IsZero() {
		return fault.New(fault.Internal, "no scope, no data")
	}
	if write && !s.writes {
		return fault.New(fault.Locked, "this tenant is read-only now")
	}
	return nil
}

// chart refuses Scopes that open no chart.
func (s Scope) chart(write bool) error {
	if s.events {
		return fault.New(fault.Internal, "this scope opens events and no chart")
	}
	return s.check(write)
}
