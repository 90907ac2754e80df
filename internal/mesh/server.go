package mesh

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/outcome"
	"github.com/cordon-ehr/cordon/internal/rpc"
	"github.com/cordon-ehr/cordon/internal/telemetry"
)

// method is one thing that a role offers, in both forms.
type method struct {
	name    string
	callers []string
	local   any // the typed function
	wire    func(w http.ResponseWriter, r *http.Request, peer Identity)
}

// Server is one role as the others may call it. Methods are added before it serves; then it is safe for concurrent use.
type Server struct {
	self     Identity
	journal  *Journal
	sessions *sessions
	methods  map[string]*method
	log      *slog.Logger
	http     *http.Server
	closing  context.Context //nolint:containedctx // ends when the server is asked to: long polls watch it
	close    context.CancelFunc
}

// NewServer makes a role's end, with no methods yet.
func NewServer(self Identity, j *Journal, log *slog.Logger) *Server {
	s := &Server{self: self, journal: j, sessions: &sessions{byID: map[keyID]*session{}}, methods: map[string]*method{}, log: log.With(slog.String("role", self.Role))}
	s.closing, s.close = context.WithCancel(context.Background())
	s.http = &http.Server{Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 5 * time.Minute, MaxHeaderBytes: 256 << 10,
		ErrorLog:    slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), // its texts may quote what a caller sent
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) }}
	return s
}

// connKey finds the connection of a request.
type connKey struct{}

// Self is whom the server serves as.
func (s *Server) Self() Identity { return s.self }

// add enters a method. One that the policy does not name is a mistake of ours, found at the start.
func (s *Server) add(name string, local any, wire func(http.ResponseWriter, *http.Request, Identity)) {
	r, ok := policy()[name]
	if !ok {
		panic("mesh: internal error: the policy has no method " + name)
	}
	s.methods[name] = &method{name, r.callers, local, wire}
}

// admit is the one decision, for both forms of a call; it is counted and recorded either way.
func (s *Server) admit(peer Identity, name, address string) (*method, error) {
	m := s.methods[name]
	if m == nil || peer.Domain != s.self.Domain || !slices.Contains(m.callers, peer.Role) {
		if m == nil {
			name = "unknown" // a caller's text does not go on record
		}
		s.journal.denied(peer, name, "not in the policy", address)
		return nil, fault.New(fault.Forbidden, "the policy does not let this role call this")
	}
	s.journal.allowed(peer, name)
	return m, nil
}

// Serve answers connections until Shutdown.
func (s *Server) Serve(l net.Listener, src Source) error {
	if err := s.http.Serve(listen(l, src, s.journal.refused)); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown ends long polls, waits for calls under way until ctx ends, and cuts off what is left.
func (s *Server) Shutdown(ctx context.Context) {
	s.close()
	if err := s.http.Shutdown(ctx); err != nil {
		_ = s.http.Close()
	}
}

// Until gives a context that ends with ctx or when the server is asked to end: for a method that waits for something to happen.
func (s *Server) Until(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.closing, cancel)
	return ctx, func() { stop(); cancel() }
}

// forwardHeader tells a forwarded request from a call, and names the method.
const forwardHeader = "Cordon-Forward"

// callPath is where calls are.
const callPath = "/mesh/1/"

// serve answers one request of a connection whose peer is proven.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	c, ok := r.Context().Value(connKey{}).(*peerConn)
	if !ok {
		panic(http.ErrAbortHandler) // no listener of ours made this connection
	}
	ctx := rpc.WithPeer(r.Context(), c.peer.String())
	name := r.Header.Get(forwardHeader)
	forwarded := name != ""
	if !forwarded {
		name = strings.TrimPrefix(r.URL.Path, callPath)
		if id := r.Header.Get("X-Request-Id"); id != "" {
			ctx = telemetry.WithRequestID(ctx, telemetry.CleanRequestID(id))
		}
	}
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { //nolint:errorlint // the server's own sentinel, compared as it does
				panic(p)
			}
			s.log.ErrorContext(ctx, "panic", slog.String("stack", string(debug.Stack())))
			s.refuse(w, r, fault.New(fault.Internal, "internal error"), forwarded)
		}
	}()
	m, err := s.admit(c.peer, name, host(c))
	if err != nil {
		s.refuse(w, r, err, forwarded)
		return
	}
	m.wire(w, r.WithContext(ctx), c.peer)
}

// refuse answers an error: to the public, which a forwarded request comes from, as an outcome; to a role as a fault.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error, forwarded bool) {
	if fault.Of(err).Kind == fault.Internal {
		s.log.ErrorContext(r.Context(), "call failed", slog.String("error", err.Error()))
	}
	if forwarded {
		outcome.Error(w, err)
		return
	}
	sendFault(w, err)
}
