package identity

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/authn"
)

// Canary signs a token for a probe of the platform at a canary tenant, recorded before. Whoever calls it has made sure that the tenant
// is one. A negative life makes a token that is too old.
func (s *Server) Canary(ctx context.Context, at Issuer, by audit.By, life time.Duration) (string, error) {
	const probe = "00000000-0000-0000-0000-0000000c0a17" // no client has it: they are random
	now := s.Now()
	claims := authn.Claims{Issuer: at.URL, Audience: at.URL + "/fhir", Subject: probe, Client: probe, Scope: "system/*.cruds",
		Tenant: at.Tenant.String(), TokenID: uuid.NewString(), Issued: now.Add(min(0, 2*life)).Unix(), Expires: now.Add(life).Unix()}
	e := event(at, Caller{Agent: by.Agent, Request: by.Request}, "issue")
	e.Decision = audit.Decision{Allow: true, Policy: "canary/1", Reason: "a probe of the platform"}
	if err := s.Registry.Record(ctx, e); err != nil {
		return "", err
	}
	return s.Signer.Sign(ctx, at.Tenant, claims)
}
