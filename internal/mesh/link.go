package mesh

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// Link is one role's way to another: in the process, or over mTLS. Callers do not see which. It is safe for concurrent use.
type Link struct {
	self   Identity
	signer *signer // an edge's; else nil
	server *Server // the callee, in this process; or
	remote *remote // elsewhere
}

// Local is the way to a role of the same process.
func Local(self Identity, to *Server) *Link {
	l := &Link{self: self, server: to}
	if self.Role == Edge {
		l.signer = newSigner()
		// No certificate stands behind it: it is good as long as the process.
		if err := to.sessions.introduce(self, l.signer.id, l.signer.key, time.Unix(math.MaxInt32, 0)); err != nil {
			panic("mesh: internal error: a new session is refused: " + err.Error())
		}
	}
	return l
}

// Remote is the way to a role at an address (https://host:port). target says who must be there: its role, and for a cell its name.
// The role need not run yet.
func Remote(self, target Identity, address string, src Source, j *Journal, log *slog.Logger) (*Link, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.Path != "" || u.RawQuery != "" {
		return nil, fault.New(fault.Invalid, "the address of the %s role is https://host:port", target.Role)
	}
	l := &Link{self: self, remote: &remote{target: target, base: u, source: src, journal: j}}
	if self.Role == Edge {
		l.signer = newSigner()
		l.remote.signer = l.signer
	}
	l.remote.proxy = l.remote.newProxy(log)
	return l, nil
}

// Poll is how long a method that waits for something to happen may wait in one call, so that no call outlives its connection. Zero
// means that the link has no such bound.
func (l *Link) Poll() time.Duration {
	if l.remote == nil {
		return 0
	}
	m, err := l.remote.source.Current()
	if err != nil {
		return time.Second
	}
	return max(50*time.Millisecond, min(20*time.Second, time.Until(m.Certificate.Leaf.NotAfter)/4))
}

// remote is the client side of a link over mTLS.
type remote struct {
	target  Identity
	base    *url.URL
	source  Source
	journal *Journal
	signer  *signer
	proxy   *httputil.ReverseProxy
	mu      sync.Mutex // held while generations change
	now     atomic.Pointer[generation]
}

// generation is a set of connections that are given up together, when half of what their certificates had left is over: requests
// under way end in peace, new ones use the next generation. So the caller retires connections, never the callee, and no request is
// sent into a connection that is being closed.
type generation struct {
	*http.Transport
	end atomic.Int64 // Unix nanoseconds
}

// RoundTrip implements http.RoundTripper.
func (r *remote) RoundTrip(req *http.Request) (*http.Response, error) {
	return r.generation().RoundTrip(req)
}

func (r *remote) generation() *generation {
	g := r.now.Load()
	if g != nil && time.Now().UnixNano() < g.end.Load() {
		return g
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.now.Load(); now != g {
		return now
	}
	next := &generation{}
	next.end.Store(time.Now().Add(15 * time.Minute).UnixNano()) // each handshake may bring it forward
	next.Transport = &http.Transport{DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		return r.dial(ctx, next, network, address)
	},
		MaxIdleConnsPerHost: 512, IdleConnTimeout: 30 * time.Second, DisableCompression: true, WriteBufferSize: 16 << 10, ReadBufferSize: 16 << 10,
		ResponseHeaderTimeout: 3 * time.Minute, MaxResponseHeaderBytes: 256 << 10}
	r.now.Store(next)
	if g != nil {
		g.CloseIdleConnections()
	}
	return next
}

// dial makes a connection for a generation: handshake, and an edge's session.
func (r *remote) dial(ctx context.Context, g *generation, network, address string) (net.Conn, error) {
	m, err := r.source.Current()
	if err != nil {
		return nil, noMaterial
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	p, err := r.shake(ctx, c, m)
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	end := half(time.Now(), p.until).UnixNano()
	for at := g.end.Load(); end < at && !g.end.CompareAndSwap(at, end); at = g.end.Load() {
	}
	return p, nil
}

func (r *remote) shake(ctx context.Context, c net.Conn, m *Material) (*peerConn, error) {
	t := tls.Client(c, config(m, x509.ExtKeyUsageServerAuth, func(id Identity) error {
		if id.Role != r.target.Role || (r.target.Name != "" && id.Name != r.target.Name) {
			return wrongIdentity
		}
		return nil
	}))
	if err := t.HandshakeContext(ctx); err != nil {
		if why, ours := errors.AsType[refusal](err); ours {
			r.journal.refused("callee: "+why, host(c))
		}
		return nil, err
	}
	p, err := newPeerConn(t, m)
	if err != nil {
		return nil, err
	}
	if r.signer != nil {
		if err := r.introduce(ctx, p); err != nil {
			_ = p.Close()
			return nil, err
		}
	}
	return p, nil
}

// introduce sends the session's key as the connection's first request, before the connection is used.
func (r *remote) introduce(ctx context.Context, c net.Conn) error {
	body, err := encode(introduction{r.signer.id[:], r.signer.key[:]})
	if err != nil {
		return err
	}
	//phi:allow the address of a role, from the configuration
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.base.String()+callPath+sessionMethod, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if at, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(at); err != nil {
			return err
		}
	}
	if err := req.Write(c); err != nil {
		return err
	}
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxRequest))
	_ = resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK || resp.Close || in.Buffered() > 0 {
		return fmt.Errorf("introduce a session: status %d", resp.StatusCode)
	}
	return c.SetDeadline(time.Time{})
}
