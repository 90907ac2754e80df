// Package platform wires the four roles into one process, and runs them behind a public and a management listener. Roles meet
// only through the interfaces that each declares of the others; a wire will take their place without a change in a role.
package platform

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cordon-ehr/cordon/internal/cell"
	"github.com/cordon-ehr/cordon/internal/control"
	"github.com/cordon-ehr/cordon/internal/edge"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/keyring"
	"github.com/cordon-ehr/cordon/internal/keys"
	"github.com/cordon-ehr/cordon/internal/pg"
	"github.com/cordon-ehr/cordon/internal/posture"
	"github.com/cordon-ehr/cordon/internal/telemetry"
)

// Config is one process with all four roles. Each role has its own part and its own database role.
type Config struct {
	Edge    edge.Config
	Cell    cell.Config
	Control control.Config
	Keys    Keys
	TLS     *tls.Config
}

// Keys configures the broker.
type Keys struct {
	Database string // DSN as the broker's role
	KMS      keyring.KMS
	Lease    time.Duration
	Posture  posture.Options
}

// Platform is a started process.
type Platform struct {
	Control *control.Control
	Metrics *telemetry.Metrics
	edge    *edge.Edge
	cell    *cell.Cell
	broker  *keys.Broker
	keys    *pg.Pool
	log     *slog.Logger
	cfg     Config
}

// New builds the roles from the innermost out: keys, control, cell, edge.
func New(ctx context.Context, cfg Config, ticket *ecdsa.PrivateKey, log *slog.Logger) (*Platform, error) {
	p := &Platform{Metrics: telemetry.NewMetrics(), log: log, cfg: cfg}
	var err error
	if p.keys, err = pg.Open(ctx, cfg.Keys.Database, 8, nil); err != nil {
		return nil, fmt.Errorf("start the keys role: %w", err)
	}
	p.broker = keys.NewBroker(keyring.NewStore(p.keys, cfg.Keys.KMS), keys.Config{Lease: cfg.Keys.Lease, Control: &ticket.PublicKey,
		Posture: cfg.Keys.Posture, Metrics: p.Metrics, Log: log.With(slog.String("role", "keys"))}, time.Now)
	cfg.Control.TicketKey, cfg.Control.Metrics = ticket, p.Metrics
	cfg.Control.KnownType = func(t string) bool { return fhir.ResourceType(t) != nil }
	if p.Control, err = control.New(ctx, cfg.Control, p.broker, log); err != nil {
		return nil, fmt.Errorf("start the control role: %w", err)
	}
	if p.cell, err = cell.New(ctx, cfg.Cell, cell.Peers{Broker: p.broker, Control: p.Control, Denials: p.Control}, p.Metrics, log); err != nil {
		return nil, fmt.Errorf("start the cell role: %w", err)
	}
	p.Control.Connect(p.cell)
	if p.edge, err = edge.New(cfg.Edge, p.cell, p.Control, p.Metrics, log); err != nil {
		return nil, fmt.Errorf("start the edge role: %w", err)
	}
	return p, nil
}

// drain bounds how long requests under way may take when the process is asked to stop.
const drain = 10 * time.Second

// Run serves until ctx ends: first the listeners are drained, then the roles end, the cell after its last event is durable.
// ready is called once when every role can serve.
func (p *Platform) Run(ctx context.Context, public, management net.Listener, ready func() error) error {
	roles, stopRoles := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRoles()
	var running errgroup.Group
	for _, run := range []func(context.Context) error{p.broker.Run, p.Control.Run, p.cell.Run, p.edge.Run} {
		running.Go(func() error { return run(roles) })
	}
	servers := []*http.Server{p.server(p.edge, p.cfg.TLS), p.server(p.management(), nil)}
	var serving errgroup.Group
	for i, l := range []net.Listener{public, management} {
		if servers[i].TLSConfig != nil {
			l = tls.NewListener(l, servers[i].TLSConfig)
		}
		serving.Go(func() error {
			if err := servers[i].Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
	}
	err := p.untilReady(ctx)
	if err == nil {
		err = ready()
	}
	if err == nil {
		<-ctx.Done()
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	for _, s := range servers {
		if serr := s.Shutdown(stop); serr != nil {
			_ = s.Close() // who is still sending after the drain is cut off
		}
	}
	serr := serving.Wait()
	stopRoles()
	rerr := running.Wait()
	p.keys.Close()
	return errors.Join(err, serr, rerr)
}

// server bounds what a caller can hold open: headers come within ten seconds and are at most 64 kB.
func (p *Platform) server(h http.Handler, t *tls.Config) *http.Server {
	return &http.Server{Handler: h, TLSConfig: t, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 5 * time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(quiet{p.log.Handler()}, slog.LevelDebug)}
}

// quiet drops the messages of net/http, whose text may quote what a caller sent; that there was one is counted elsewhere.
type quiet struct{ slog.Handler }

func (quiet) Enabled(context.Context, slog.Level) bool { return false }

func (p *Platform) untilReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		err := p.notReady(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the platform did not become ready: %w", err)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// notReady names every role that cannot serve, with its reasons.
func (p *Platform) notReady(ctx context.Context) error {
	var all []error
	for _, r := range []struct {
		name  string
		ready func(context.Context) error
	}{{"keys", p.broker.Ready}, {"control", p.Control.Ready}, {"cell", p.cell.Ready}, {"edge", p.edge.Ready}} {
		if err := r.ready(ctx); err != nil {
			all = append(all, fmt.Errorf("%s: %s", r.name, fault.Of(err).Text))
		}
	}
	return errors.Join(all...)
}

// management answers probes and scrapes, on a listener of its own that the public cannot reach.
func (p *Platform) management() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	m.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		if err := p.notReady(ctx); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ready\n"))
	})
	m.Handle("GET /metrics", p.Metrics.Handler())
	return m
}
