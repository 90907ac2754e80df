package control

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/authn"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/outcome"
	"github.com/cordon-ehr/cordon/internal/registry"
	"github.com/cordon-ehr/cordon/internal/rpc"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

func withAssertion(ctx context.Context, a rpc.Assertion) context.Context {
	return context.WithValue(ctx, assertionKey{}, a)
}

func assertion(ctx context.Context) rpc.Assertion {
	a, _ := ctx.Value(assertionKey{}).(rpc.Assertion)
	return a
}

// operatorRoutes are the operators' API, below /operator.
func (c *Control) operatorRoutes() *pages {
	m := newPages()
	for pattern, h := range map[string]func(*http.Request, audit.By) (any, error){
		"POST /v1/tenants":                c.createTenant,
		"GET /v1/tenants":                 c.listTenants,
		"GET /v1/tenants/{slug}":          c.showTenant,
		"POST /v1/tenants/{slug}/suspend": c.toState(tenant.Suspended),
		"POST /v1/tenants/{slug}/resume":  c.toState(tenant.Active),
		"POST /v1/tenants/{slug}/clients": c.createClient,
		"POST /v1/prove":                  c.prove,

		"POST /v1/tenants/{slug}/audit/who": c.whoSaw,

		"GET /v1/tenants/{slug}/keys":          c.showKeys,
		"POST /v1/tenants/{slug}/keys/disable": c.disableKeys,
		"POST /v1/tenants/{slug}/keys/enable":  c.enableKeys,
		"POST /v1/tenants/{slug}/keys/rotate":  c.rotateKeys,
		"GET /v1/identities":                   c.listStops,
		"POST /v1/identities/resume":           c.resumeIdentity,
	} {
		m.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			by := operator(r.Context())
			var err error
			if pattern != "POST /v1/prove" {
				err = c.walls.OK()
			}
			if err == nil {
				err = c.reading(r, by)
			}
			var v any
			if err == nil {
				v, err = h(r, by)
			}
			if err != nil {
				c.refuse(w, r, err)
				return
			}
			sendJSON(w, http.StatusOK, v)
		})
	}
	m.HandleFunc("GET /v1/tenants/{slug}/audit", c.exportAudit)
	m.HandleFunc("GET /v1/audit/stream", c.streamAudit)
	c.auditRoutes(m)
	m.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		outcome.Error(w, fault.New(fault.NotFound, "nothing is served here"))
	})
	return m
}

type operatorKey struct{}

func operator(ctx context.Context) audit.By {
	by, _ := ctx.Value(operatorKey{}).(audit.By)
	return by
}

// Operator implements edge.Control. Who the operator is comes from the token; a refusal is recorded.
func (c *Control) Operator(w http.ResponseWriter, r *http.Request, a rpc.Assertion) {
	token, err := authn.Bearer(r.Header.Get("Authorization"))
	var name string
	if err == nil {
		if name, err = c.registry.Operator(r.Context(), token); fault.Is(err, fault.NotFound) {
			err = fault.New(fault.Unauthenticated, "the operator's token is not valid")
		}
	}
	if fault.Is(err, fault.Unauthenticated) {
		nobody := audit.By{Agent: audit.Agent{Kind: "anonymous", Address: a.Address}, Request: a.Request}
		e := nobody.Event("control", tenant.ID{}, "operator", "refused", audit.Execute).Refused("unauthenticated", "")
		if rerr := c.refusals.Record(r.Context(), e); rerr != nil { // anyone can ask: a flood is a number
			err = rerr
		}
	}
	if err != nil {
		outcome.Error(w, err)
		return
	}
	by := audit.By{Request: a.Request, Agent: audit.Agent{Kind: "operator", ID: name, Address: a.Address, UserHash: audit.HashUserAgent(r.UserAgent())}}
	inner := below(r, a)
	c.api.ServeHTTP(w, inner.WithContext(context.WithValue(inner.Context(), operatorKey{}, by)))
}

// reading records that an operator looks at the directory; changes record themselves.
func (c *Control) reading(r *http.Request, by audit.By) error {
	if r.Method != http.MethodGet {
		return nil
	}
	return c.registry.Record(r.Context(), by.Event("control", tenant.ID{}, "tenant", "read", audit.Read))
}

func (c *Control) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if fault.Of(err).Kind == fault.Internal {
		c.log.ErrorContext(r.Context(), "operator request failed", slog.String("error", err.Error()))
	}
	kind := fault.Of(err).Kind.String()
	e := operator(r.Context()).Event("control", tenant.ID{}, "operator", "refused", audit.Execute).Refused(kind, kind)
	if rerr := c.registry.Record(r.Context(), e); rerr != nil {
		err = rerr
	}
	outcome.Error(w, err)
}

// TenantView is a tenant as the operators' API and the commands show it.
type TenantView struct {
	ID        string `json:"id"`
	Slug      string `json:"slug"`
	State     string `json:"state"`
	Placement string `json:"placement"`
	Cell      string `json:"cell"`
	FHIRBase  string `json:"fhir_base"`
	TokenURL  string `json:"token_url"`
}

func (c *Control) view(e registry.Entry) TenantView {
	at := c.cfg.PublicURL + "/t/" + string(e.Slug)
	return TenantView{e.ID.String(), string(e.Slug), string(e.State), string(e.Placement), e.Cell, at + "/fhir", at + "/oauth/token"}
}

func decode(r *http.Request, into any) error {
	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 1<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fault.Wrap(fault.Invalid, err, "the body is not the JSON that this call takes")
	}
	return nil
}

func slugOf(r *http.Request) (tenant.Slug, error) { return tenant.ParseSlug(r.PathValue("slug")) }

func (c *Control) createTenant(r *http.Request, who audit.By) (any, error) {
	var in struct {
		Slug      string `json:"slug"`
		Placement string `json:"placement"`
	}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	slug, err := tenant.ParseSlug(in.Slug)
	if err != nil {
		return nil, err
	}
	if slug.Canary() {
		return nil, fault.New(fault.Invalid, "this tenant slug is reserved")
	}
	p, err := tenant.ParsePlacement(in.Placement)
	if err != nil {
		return nil, err
	}
	e, err := c.runner.Create(r.Context(), slug, p, c.cfg.Cell, who)
	if err != nil {
		return nil, err
	}
	return c.view(e), c.hub.settle(r.Context())
}

func (c *Control) listTenants(r *http.Request, _ audit.By) (any, error) {
	_, entries, err := c.registry.Directory(r.Context())
	out := make([]TenantView, 0, len(entries))
	for _, e := range entries {
		if !e.Slug.Canary() { // they are the platform's, not customers
			out = append(out, c.view(e))
		}
	}
	return out, err
}

func (c *Control) showTenant(r *http.Request, _ audit.By) (any, error) {
	slug, err := slugOf(r)
	if err != nil {
		return nil, err
	}
	e, err := c.registry.BySlug(r.Context(), slug)
	return c.view(e), err
}

func (c *Control) toState(to tenant.State) func(*http.Request, audit.By) (any, error) {
	return func(r *http.Request, who audit.By) (any, error) {
		slug, err := slugOf(r)
		if err != nil {
			return nil, err
		}
		e, err := c.change(r.Context(), slug, to, who)
		return c.view(e), err
	}
}

func (c *Control) createClient(r *http.Request, who audit.By) (any, error) {
	var in struct {
		Name  string              `json:"name"`
		Scope string              `json:"scope"`
		JWKS  *jose.JSONWebKeySet `json:"jwks,omitempty"`
	}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	slug, err := slugOf(r)
	if err != nil {
		return nil, err
	}
	e, err := c.registry.BySlug(r.Context(), slug)
	if err != nil {
		return nil, err
	}
	return c.identity.Register(r.Context(), e.ID, strings.TrimSpace(in.Name), in.Scope, in.JWKS, who)
}
