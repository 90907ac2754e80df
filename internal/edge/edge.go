// Package edge is the front door: it finds the tenant from host or path, checks that the token is that tenant's, and forwards
// to the cell or to control. It holds no SQL, no keys and no PHI. Header and query parameters never name a tenant.
package edge

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/authn"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/outcome"
	"github.com/cordon-ehr/cordon/internal/routes"
	"github.com/cordon-ehr/cordon/internal/rpc"
	"github.com/cordon-ehr/cordon/internal/tally"
	"github.com/cordon-ehr/cordon/internal/telemetry"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Config of the edge role.
type Config struct {
	PublicURL string   // https://host[:port]: under which callers know the platform
	Hosts     []string // further names of the platform itself, without port
	Domain    string   // SLUG.Domain is a tenant's own host; "" = tenants have none
	Limits    Limits
}

// Control is the control role as the edge sees it.
type Control interface {
	routes.Source
	rpc.Denials
	// Tenant serves a tenant's own pages of control: token endpoint, keys, discovery. path is below /t/slug.
	Tenant(w http.ResponseWriter, r *http.Request, a rpc.Assertion)
	// Operator serves the operators' API. path is below /operator.
	Operator(w http.ResponseWriter, r *http.Request, a rpc.Assertion)
}

// Edge serves the public listener. It is safe for concurrent use.
type Edge struct {
	cfg      Config
	hosts    map[string]bool
	table    *routes.Table
	verifier *authn.Verifier
	cell     rpc.Forwarder
	control  Control
	doors    doors
	refusals *tally.Tally
	metrics  *telemetry.Metrics
	log      *slog.Logger
}

// New builds the edge; Run keeps its directory fresh.
func New(cfg Config, cell rpc.Forwarder, control Control, metrics *telemetry.Metrics, log *slog.Logger) (*Edge, error) {
	u, err := url.Parse(cfg.PublicURL)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fault.New(fault.Invalid, "the public URL of the platform is https://host[:port]")
	}
	cfg.Limits = cfg.Limits.filled()
	table := routes.NewTable()
	e := &Edge{cfg: cfg, hosts: map[string]bool{u.Hostname(): true}, table: table, verifier: authn.NewVerifier(table, time.Now), cell: cell, control: control,
		metrics: metrics, log: log.With(slog.String("role", "edge"))}
	e.doors, e.refusals = newDoors(), tally.New(control, cfg.Limits.Refusals, time.Now)
	metrics.Gauge("cordon_edge_requests", "Requests of tenants under way in the edge.", func() float64 { return float64(e.doors.tenants.Inside()) })
	for _, h := range cfg.Hosts {
		e.hosts[h] = true
	}
	return e, nil
}

// Run pulls the directory until ctx ends, then writes what refusals are not on the record yet.
func (e *Edge) Run(ctx context.Context) error {
	err := e.table.Run(ctx, "edge", e.control)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	e.refusals.Close(stop)
	return err
}

// Ready reports whether the edge can serve.
func (e *Edge) Ready(context.Context) error {
	select {
	case <-e.table.Ready():
		return nil
	default:
		return fault.New(fault.Unavailable, "no directory yet")
	}
}

// ServeHTTP answers everything of the public listener.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	id := telemetry.CleanRequestID(r.Header.Get("X-Request-Id"))
	ctx := telemetry.WithRequestID(r.Context(), id)
	w.Header().Set("X-Request-Id", id)
	w.Header().Set("Strict-Transport-Security", "max-age=31536000")
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { //nolint:errorlint // the server's own sentinel, compared as it does
				panic(p)
			}
			e.log.ErrorContext(ctx, "panic", slog.String("stack", string(debug.Stack())))
			outcome.Error(w, fault.New(fault.Internal, "internal error"))
		}
	}()
	ctx, end, err := e.bound(ctx, w, r)
	defer end()
	if err == nil {
		strip(r.Header)
		err = e.route(ctx, w, r.WithContext(ctx), id)
	}
	if err != nil {
		outcome.Error(w, err)
		e.metrics.Request("edge", "refused", fault.Of(err).Kind.Status(), time.Since(start))
		e.log.InfoContext(ctx, "refused", slog.Int("status", fault.Of(err).Kind.Status()), slog.String("reason", authn.ReasonOf(err)))
	}
}

// strip takes away what could pretend to come from a proxy or from the edge itself.
func strip(h http.Header) {
	for k := range h {
		if strings.HasPrefix(k, "X-Forwarded") || strings.HasPrefix(k, "Cordon-") || k == "Forwarded" || k == "X-Real-Ip" || k == "X-Original-Url" || k == "X-Rewrite-Url" ||
			k == "Connection" { // what it lists would be taken out on the way to a role
			h.Del(k)
		}
	}
}

// route finds whom a request is for and hands it on.
func (e *Edge) route(ctx context.Context, w http.ResponseWriter, r *http.Request, id string) error {
	a := rpc.Assertion{Request: id, Address: address(r.RemoteAddr)}
	byHost, own, err := e.host(r.Host)
	if err != nil {
		return e.deny(ctx, r, a, err)
	}
	path := r.URL.Path
	if strings.ContainsRune(path, 0) {
		return fault.New(fault.Invalid, "the path holds a NUL")
	}
	if rest, ok := strings.CutPrefix(path, "/operator/"); ok && own {
		a.Path = "/" + rest
		return e.page(ctx, r, a, func() { e.control.Operator(w, r, a) })
	}
	slug, rest := byHost, path
	if s, ok := strings.CutPrefix(path, "/t/"); ok {
		name, below, _ := strings.Cut(s, "/")
		if byHost != "" && name != byHost {
			return e.deny(ctx, r, a, fault.Wrap(fault.Forbidden, authn.Reason("host and path name different tenants"), "host and path do not name the same tenant"))
		}
		slug, rest = name, "/"+below
	}
	if slug == "" {
		return fault.New(fault.NotFound, "nothing is served here")
	}
	at, err := e.tenant(ctx, slug)
	if err != nil {
		return e.deny(ctx, r, a, err)
	}
	a.Tenant = at.Tenant.ID
	return e.serve(ctx, w, r, a, at, rest)
}

// host judges the Host header: the platform's own name, or a tenant's.
func (e *Edge) host(hostport string) (slug string, own bool, err error) {
	h := hostname(hostport)
	if e.hosts[h] {
		return "", true, nil
	}
	if label, ok := strings.CutSuffix(h, "."+e.cfg.Domain); ok && e.cfg.Domain != "" && label != "" && !strings.Contains(label, ".") {
		return label, false, nil
	}
	return "", false, fault.Wrap(fault.Forbidden, authn.Reason("unknown host"), "this host is not served here")
}

// hostname is the name in host[:port], "" when there is more than that: what follows a name must be a port number, or a host
// such as slug.domain:1.evil.example would read as ours.
func hostname(hostport string) string {
	h := hostport
	if name, port, err := net.SplitHostPort(hostport); err == nil {
		if _, err := strconv.ParseUint(port, 10, 16); port != "" && err != nil {
			return ""
		}
		h = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(h, "[]"), "."))
}

// tenant finds a tenant that answers. One that is not provisioned yet is not there.
func (e *Edge) tenant(ctx context.Context, slug string) (*routes.Route, error) {
	if err := e.Ready(ctx); err != nil {
		return nil, err // what is not known yet is not "not there"
	}
	at, ok := e.table.BySlug(tenant.Slug(slug))
	if !ok || at.Tenant.State == tenant.Requested || at.Tenant.State == tenant.Provisioning || at.Tenant.State == tenant.Destroyed {
		return nil, fault.New(fault.NotFound, "no such tenant")
	}
	if reads, _ := at.Tenant.State.Serves(); !reads {
		return nil, fault.Wrap(fault.Forbidden, authn.Reason("tenant is "+string(at.Tenant.State)), "this tenant is %s", at.Tenant.State)
	}
	return at, nil
}

// serve hands a request for one tenant to the role that answers it.
func (e *Edge) serve(ctx context.Context, w http.ResponseWriter, r *http.Request, a rpc.Assertion, at *routes.Route, rest string) error {
	below, isFHIR := strings.CutPrefix(rest, "/fhir")
	if isFHIR && below != "" && below[0] != '/' {
		isFHIR = false
	}
	if !isFHIR || below == "/.well-known/smart-configuration" {
		a.Path = rest
		return e.page(ctx, r, a, func() { e.control.Tenant(w, r, a) })
	}
	a.Path, a.Cell = below, at.Tenant.Cell
	if below == "" {
		a.Path = "/"
	}
	if a.Path == "/metadata" {
		return e.page(ctx, r, a, func() { e.cell.Forward(w, r, a) })
	}
	token, err := authn.Bearer(r.Header.Get("Authorization"))
	if err != nil {
		return e.deny(ctx, r, a, err)
	}
	p, err := e.verifier.Verify(ctx, token, at)
	if err == nil {
		err = at.Usable() // after the token: who is not of the tenant learns nothing of its keys
	}
	if err != nil {
		return e.deny(ctx, r, a, err)
	}
	limits := e.cfg.Limits.Of(at)
	if err := e.doors.tenants.Enter(a.Tenant, limits.Rate, limits.InFlight); err != nil {
		return e.limited(ctx, r, a, audit.Agent{Kind: string(p.Kind), ID: p.Subject, Client: p.Client, TokenID: p.TokenID}, err)
	}
	defer e.doors.tenants.Leave(a.Tenant)
	e.cell.Forward(w, r, a)
	return nil
}

// deny records a refusal; when that fails, the caller learns that instead.
func (e *Edge) deny(ctx context.Context, r *http.Request, a rpc.Assertion, err error) error {
	return e.record(ctx, a, "refused", audit.Agent{Kind: "anonymous", UserHash: audit.HashUserAgent(r.UserAgent())}, authn.ReasonOf(err), err)
}

func address(remote string) string {
	if h, _, err := net.SplitHostPort(remote); err == nil {
		return h
	}
	return ""
}
