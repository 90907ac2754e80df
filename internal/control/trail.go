package control

import (
	"bytes"
	"context"
	"slices"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/authn"
	"github.com/cordon-ehr/cordon/internal/authz"
	"github.com/cordon-ehr/cordon/internal/fault"
)

// AuditPage gives a tenant's events of control and keys to the cell that serves one of the tenant's auditors. The cell's word is not
// enough: the auditor's token is verified here again, must be of that tenant, and must grant AuditEvent. A refusal is an event.
func (c *Control) AuditPage(ctx context.Context, a audit.Ask) ([]audit.Plain, error) {
	if err := c.auditor(ctx, a); fault.Is(err, fault.Unavailable) {
		return nil, err
	} else if err != nil {
		f := fault.Of(err)
		e := audit.New(audit.Event{Tenant: a.Tenant, Type: "audit", Subtype: "refused", Action: audit.Read, Outcome: audit.MinorFailure,
			OutcomeDesc: f.Kind.String(), Agent: audit.Agent{Kind: audit.Anonymous}, Source: audit.Source{Role: "control"},
			Decision: audit.Decision{Policy: "token/1", Reason: authn.ReasonOf(err)}})
		if rerr := c.refusals.Record(ctx, e); rerr != nil {
			return nil, rerr
		}
		return nil, err
	}
	r := a.Range.Filled()
	own, err := c.registry.EventPage(ctx, a.Tenant, r)
	if err != nil {
		return nil, err
	}
	keys, err := c.broker.EventPage(ctx, a.Tenant, r)
	if err != nil {
		return nil, err
	}
	all := append(own, keys...)
	slices.SortFunc(all, func(x, y audit.Plain) int {
		if r.Newest {
			x, y = y, x
		}
		return bytes.Compare(x.ID[:], y.ID[:])
	})
	return all[:min(len(all), r.Limit)], nil
}

// auditor verifies the proof of an Ask.
func (c *Control) auditor(ctx context.Context, a audit.Ask) error {
	select {
	case <-c.table.Ready():
	default:
		return fault.New(fault.Unavailable, "control has no directory yet")
	}
	at, ok := c.table.ByID(a.Tenant)
	if !ok {
		return fault.New(fault.NotFound, "no such tenant")
	}
	p, err := c.verifier.Verify(ctx, a.Proof, at)
	if err != nil {
		return err
	}
	if !p.Scopes.Decide(authz.Read, "AuditEvent").Allow && !p.Scopes.Decide(authz.Search, "AuditEvent").Allow {
		return fault.New(fault.Forbidden, "the access token does not grant AuditEvent")
	}
	return nil
}
