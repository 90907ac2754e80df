package platform

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/limit"
	"github.com/cordon-ehr/cordon/internal/mesh"
)

// drain bounds how long requests under way may take when the process is asked to stop.
const drain = 10 * time.Second

// Run serves until ctx ends: first the listeners are drained, then edge and cell end, after their last events are durable, then what
// was decided is recorded, then control and keys end, on which the others' records rest. public is nil where there is no edge. ready is called once when every role of the process can serve.
func (p *Platform) Run(ctx context.Context, public, management net.Listener, ready func() error) error {
	outer, inner := p.runs()
	end := inTurn(ctx, outer, inner)
	endJournals := p.journals(context.WithoutCancel(ctx))
	var serving errgroup.Group
	servers := []*http.Server{p.listen(&serving, p.management(), management, nil)}
	if p.edge != nil {
		bounded := limit.Listen(public, p.cfg.Accept)
		p.Metrics.Gauge("cordon_connections", "Connections of the public listener.", func() float64 { n, _ := bounded.Count(); return float64(n) })
		servers = append(servers, p.listen(&serving, p.edge, bounded, p.cfg.TLS))
	}
	for _, m := range p.members {
		if m.Listener != nil {
			serving.Go(func() error { return m.server.Serve(m.Listener, m.Source) })
		}
	}
	err := p.untilReady(ctx)
	if err == nil && ctx.Err() == nil {
		err = ready()
	}
	if err == nil {
		<-ctx.Done()
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	var stopping sync.WaitGroup
	for _, s := range servers[1:] {
		stopping.Go(func() { shutdown(stop, s) })
	}
	stopping.Wait() // the edge's requests may still call the roles here
	for _, m := range p.members {
		stopping.Go(func() { m.server.Shutdown(stop) })
	}
	stopping.Wait()
	shutdown(stop, servers[0])
	serr := serving.Wait()
	rerr := end(endJournals)
	if p.keys != nil {
		p.keys.Close()
	}
	return errors.Join(err, serr, rerr)
}

// run is a role's: it ends with ctx.
type run func(ctx context.Context) error

// runs gives the roles of the process: outer ones record what they refused with an inner one until they end.
func (p *Platform) runs() (outer, inner []run) {
	if p.broker != nil {
		inner = append(inner, p.broker.Run)
	}
	if p.Control != nil {
		inner = append(inner, p.Control.Run)
	}
	if p.cell != nil {
		outer = append(outer, p.cell.Run)
	}
	if p.edge != nil {
		outer = append(outer, p.edge.Run)
	}
	return outer, inner
}

// inTurn runs roles, whatever becomes of ctx, until the function that it gives is called: it ends the outer ones, then does what is
// to be done between, then ends the inner ones.
func inTurn(ctx context.Context, outer, inner []run) (end func(between func()) error) {
	begin := func(roles []run) func() error {
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		var running errgroup.Group
		for _, r := range roles {
			running.Go(func() error { return r(ctx) })
		}
		return func() error { cancel(); return running.Wait() }
	}
	endInner, endOuter := begin(inner), begin(outer)
	return func(between func()) error {
		err := endOuter()
		between()
		return errors.Join(err, endInner())
	}
}

// journals records the members' decisions until the function that it gives is called: control's last, since others record with it.
func (p *Platform) journals(ctx context.Context) (end func()) {
	var ends []func()
	for _, role := range []string{mesh.Edge, mesh.Cell, mesh.Keys, mesh.Control} {
		m := p.members[role]
		if m == nil {
			continue
		}
		ctx, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() { defer close(done); m.journal.Run(ctx, m.rec) }()
		ends = append(ends, func() { cancel(); <-done })
	}
	return func() {
		for _, e := range ends {
			e()
		}
	}
}

// shutdown lets requests end; who is still sending after the drain is cut off.
func shutdown(ctx context.Context, s *http.Server) {
	if err := s.Shutdown(ctx); err != nil {
		_ = s.Close()
	}
}

// listen serves a handler. It bounds what a caller can hold open: headers come within ten seconds and are at most 64 kB, and an HTTP/2
// connection has at most 100 streams. How fast a body has to come is the edge's to say.
func (p *Platform) listen(g *errgroup.Group, h http.Handler, l net.Listener, t *tls.Config) *http.Server {
	s := &http.Server{Handler: h, TLSConfig: t, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 5 * time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 100, SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second,
			WriteByteTimeout: 30 * time.Second},
		ErrorLog: slog.NewLogLogger(quiet{p.log.Handler()}, slog.LevelDebug)}
	if bounded, ok := l.(*limit.Listener); ok {
		s.ConnState = bounded.State
	}
	if t != nil {
		l = tls.NewListener(l, t)
	}
	g.Go(func() error {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return s
}

// quiet drops the messages of net/http, whose text may quote what a caller sent; that there was one is counted elsewhere.
type quiet struct{ slog.Handler }

func (quiet) Enabled(context.Context, slog.Level) bool { return false }

// untilReady waits half a minute for a process that has all it needs in it. One whose peers are elsewhere waits for them: /readyz
// says what is missing.
func (p *Platform) untilReady(ctx context.Context) error {
	if len(p.cfg.Roles) == len(AllRoles()) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
	}
	for wait := 2 * time.Millisecond; ; wait = min(wait*5/4, 100*time.Millisecond) {
		err := p.notReady(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return nil // asked to end
			}
			return fmt.Errorf("the platform did not become ready: %w", err)
		case <-time.After(wait):
		}
	}
}

// notReady names every role that cannot serve, with its reasons.
func (p *Platform) notReady(ctx context.Context) error {
	var all []error
	checks := map[string]func(context.Context) error{}
	if p.broker != nil {
		checks[mesh.Keys] = p.broker.Ready
	}
	if p.Control != nil {
		checks[mesh.Control] = p.Control.Ready
	}
	if p.cell != nil {
		checks[mesh.Cell] = p.cell.Ready
	}
	if p.edge != nil {
		checks[mesh.Edge] = p.edge.Ready
	}
	for _, role := range AllRoles() {
		if ready := checks[role]; ready != nil {
			if err := ready(ctx); err != nil {
				all = append(all, fmt.Errorf("%s: %s", role, fault.Of(err).Text))
			}
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
		// A log that is stopped does not stop the platform: it is told of here, in an event, a metric and by verification.
		for log, why := range p.stoppedLogs() {
			_, _ = fmt.Fprintf(w, "log %s is stopped: %s\n", log, why)
		}
	})
	m.Handle("GET /metrics", p.Metrics.Handler())
	return m
}
