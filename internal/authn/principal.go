// Package authn answers who is calling: it verifies a tenant's access token and gives the principal. A token is good for
// one tenant, whose key signed it, at that tenant's FHIR base, for minutes.
package authn

import (
	"time"

	"github.com/cordon-ehr/cordon/internal/authz"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Kind says what sort of caller a principal is.
type Kind string

// The kinds. Users and jobs come with sign-in and with the job runner.
const (
	Client   Kind = "client"
	Operator Kind = "operator"
)

// Principal is who calls: always of exactly one tenant, except operators, who are of the platform and hold no scopes.
type Principal struct {
	Tenant  tenant.ID
	Kind    Kind
	Subject string // client id, user id
	Client  string // client application
	TokenID string // jti
	Scopes  authz.Scopes
	Expires time.Time
}
