package mesh

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/outcome"
	"github.com/cordon-ehr/cordon/internal/rpc"
	"github.com/cordon-ehr/cordon/internal/telemetry"
)

// Forwarded serves a request that an edge passes on, with what it asserts of it.
type Forwarded func(w http.ResponseWriter, r *http.Request, a rpc.Assertion)

// HandleForward adds a method to which whole HTTP requests are passed on. Of the request's URL only the query is the caller's:
// the path is in the assertion.
func HandleForward(s *Server, name string, fn Forwarded) {
	if s.methods[sessionMethod] == nil {
		s.serveSessions()
	}
	s.add(name, fn, func(w http.ResponseWriter, r *http.Request, peer Identity) {
		header := r.Header.Get(assertionHeader)
		r.Header.Del(assertionHeader)
		r.Header.Del(forwardHeader)
		a, err := s.assert(peer, name, header, r)
		if err != nil {
			if fault.Is(err, fault.Unavailable) {
				w.Header().Set("Connection", "close") // a new connection introduces itself
			}
			s.refuse(w, r, err, true)
			return
		}
		fn(w, r.WithContext(telemetry.WithRequestID(r.Context(), a.Request)), a)
	})
}

// assert verifies an assertion and records a refusal.
func (s *Server) assert(peer Identity, name, header string, r *http.Request) (rpc.Assertion, error) {
	a, reason, err := s.sessions.verify(peer, s.self, header, r)
	if err != nil {
		s.journal.denied(peer, name, reason, "")
	}
	return a, err
}

// Forward passes a request on, and its answer back. Bodies stream both ways; an answer that is cut off stays cut off; the caller's
// going away ends the work. Only an edge can: nobody else has a session.
func (l *Link) Forward(w http.ResponseWriter, r *http.Request, name string, a rpc.Assertion) {
	if l.signer == nil {
		outcome.Error(w, fault.New(fault.Internal, "only an edge passes requests on"))
		return
	}
	if strings.Contains(r.URL.RawQuery, " ") { // HTTP/2 lets it through; on the next line it would end the query
		r.URL.RawQuery = strings.ReplaceAll(r.URL.RawQuery, " ", "%20")
	}
	if l.server == nil {
		if r.Body != nil && r.Body != http.NoBody {
			b := &body{ReadCloser: r.Body}
			r = r.WithContext(context.WithValue(r.Context(), bodyKey{}, b))
			r.Body = b
		}
		r.Header[forwardHeader] = []string{name}
		r.Header[assertionHeader] = []string{l.signer.sign(a, audience(l.remote.target), r)}
		l.remote.proxy.ServeHTTP(w, r)
		return
	}
	m, err := l.server.admit(l.self, name, "")
	if err != nil {
		outcome.Error(w, err)
		return
	}
	fn, ok := m.local.(Forwarded)
	if !ok {
		outcome.Error(w, fault.New(fault.Internal, "the two ends of %s differ", name))
		return
	}
	if a, err = l.server.assert(l.self, name, l.signer.sign(a, audience(l.server.self), r), r); err != nil {
		outcome.Error(w, err)
		return
	}
	fn(w, r, a)
}

// newProxy is the standard library's, which knows the hop-by-hop headers.
func (r *remote) newProxy(log *slog.Logger) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{Transport: r, BufferPool: &buffers{sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}},
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
		Rewrite: func(p *httputil.ProxyRequest) {
			u := p.Out.URL
			u.Scheme, u.Host, u.Path, u.RawPath, u.RawQuery = r.base.Scheme, r.base.Host, "/", "", p.In.URL.RawQuery
			p.Out.Host = ""
			p.Out.Header.Del("Expect") // ours reads the body when the role does
		},
		ModifyResponse: func(resp *http.Response) error {
			resp.Header.Del("X-Request-Id") // the edge has set it
			if b, ok := resp.Request.Context().Value(bodyKey{}).(*body); ok && resp.StatusCode >= http.StatusBadRequest {
				// The role saw half a body, or that its connection went away meanwhile; why it was cut is known here.
				return b.fault()
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, req *http.Request, err error) {
			if b, ok := req.Context().Value(bodyKey{}).(*body); ok {
				if f := b.fault(); f != nil {
					outcome.Error(w, f)
					return
				}
			}
			if !errors.Is(err, context.Canceled) {
				log.WarnContext(req.Context(), "a request could not be passed on", slog.String("error", r.unreachable(err).Error()))
			}
			f := fault.New(fault.Unavailable, "the %s role does not answer now", r.target.Role)
			if req.Method != http.MethodGet && req.Method != http.MethodHead {
				f = fault.New(fault.Unavailable, "the %s role did not answer: whether the request was carried out is not known", r.target.Role)
			}
			outcome.Error(w, f)
		}}
}

// body remembers that reading it failed: then the caller, and not the role, is why a request could not be passed on.
type body struct {
	io.ReadCloser
	mu  sync.Mutex // guards err
	err error
}

type bodyKey struct{}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, http.ErrBodyReadAfterClose) {
		b.mu.Lock()
		b.err = err
		b.mu.Unlock()
	}
	return n, err
}

func (b *body) fault() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, large := errors.AsType[*http.MaxBytesError](b.err); large {
		return fault.New(fault.TooLarge, "the body is too large")
	}
	if f, known := errors.AsType[*fault.Fault](b.err); known { // as of a body that came too slowly
		return f
	}
	if b.err != nil {
		return fault.Wrap(fault.Invalid, b.err, "the body could not be read")
	}
	return nil
}

// buffers are those of copying bodies.
type buffers struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte { return *b.pool.Get().(*[]byte) }

// Put implements httputil.BufferPool.
func (b *buffers) Put(p []byte) { b.pool.Put(&p) }
