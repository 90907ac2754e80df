package mesh_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/mesh"
)

const domain = "test.internal"

func id(role, name string) mesh.Identity {
	return mesh.Identity{Domain: domain, Role: role, Name: name}
}

// authority issues service certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &key.PublicKey, key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	a := &authority{cert, key, x509.NewCertPool()}
	a.pool.AddCert(cert)
	return a
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (a *authority) certificate(t testing.TB, uri string, notAfter time.Time) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	u, err := url.Parse(uri)
	must(t, err)
	tpl := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: notAfter, URIs: []*url.URL{u}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, tpl, a.cert, &key.PublicKey, a.key)
	must(t, err)
	leaf, err := x509.ParseCertificate(der)
	must(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// static is a source that never changes.
type static struct{ m *mesh.Material }

func (s static) Current() (*mesh.Material, error) { return s.m, nil }

func (a *authority) source(t testing.TB, i mesh.Identity) mesh.Source {
	t.Helper()
	m, err := mesh.NewMaterial(a.certificate(t, i.String(), time.Now().Add(time.Hour)), a.pool)
	must(t, err)
	return static{m}
}

// ledger keeps what was recorded.
type ledger struct {
	mu     sync.Mutex // guards the rest
	events []audit.Event
	away   bool
}

func (l *ledger) Record(_ context.Context, e audit.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away {
		return errors.New("away")
	}
	l.events = append(l.events, e)
	return nil
}

// sum gives how often something was recorded, and in how many events.
func (l *ledger) sum(subtype, method, reason string) (n, rows int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		if e.Subtype == subtype && (method == "" || e.Entity.Type == method) && e.Decision.Reason == reason {
			n += e.Entity.Count
			rows++
		}
	}
	return n, rows
}

// counters are metrics that nobody reads.
type counters struct{}

func (counters) MeshCall(string, string, string) {}
func (counters) MeshRefused(string)              {}

// role is a server under test, with its journal recorded into a ledger.
type role struct {
	*mesh.Server
	addr    string
	journal *mesh.Journal
	ledger  *ledger
	end     func() // ends the journal: all is recorded then
}

func newJournal(t testing.TB, self mesh.Identity) (*mesh.Journal, *ledger, func()) {
	t.Helper()
	j, l := mesh.NewJournal(self, counters{}, slog.New(slog.DiscardHandler)), &ledger{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); j.Run(ctx, l) }()
	end := sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(end)
	return j, l, end
}

// serve starts a role on a socket; methods are added by add.
func serve(t testing.TB, self mesh.Identity, src mesh.Source, add func(*mesh.Server)) *role {
	t.Helper()
	sock, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	return serveOn(t, sock, self, src, add)
}

func serveOn(t testing.TB, sock net.Listener, self mesh.Identity, src mesh.Source, add func(*mesh.Server)) *role {
	t.Helper()
	j, l, end := newJournal(t, self)
	s := mesh.NewServer(self, j, slog.New(slog.DiscardHandler))
	add(s)
	done := make(chan error, 1)
	go func() { done <- s.Serve(sock, src) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.Shutdown(ctx)
		<-done
	})
	return &role{s, sock.Addr().String(), j, l, end}
}

func link(t testing.TB, self mesh.Identity, src mesh.Source, to *role) *mesh.Link {
	t.Helper()
	j, _, _ := newJournal(t, self)
	l, err := mesh.Remote(self, to.Self(), "https://"+to.addr, src, j, slog.New(slog.DiscardHandler))
	must(t, err)
	return l
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not in time: " + what)
		}
	}
}

// echo adds the methods of the keys role.
func echo(s *mesh.Server) {
	for _, name := range mesh.Methods(mesh.Keys) {
		mesh.Handle(s, name, func(_ context.Context, peer mesh.Identity, in string) (string, error) {
			return in + " for " + peer.Site(), nil
		})
	}
}

// TestConnectionsRefused knocks in every wrong way: each is refused, recorded with its reason, and a flood of one kind is a few events
// whose counts say all of it.
func TestConnectionsRefused(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t), newAuthority(t)
	r := serve(t, id(mesh.Keys, ""), ours.source(t, id(mesh.Keys, "")), echo)
	hour := time.Now().Add(time.Hour)
	noURI := ours.certificate(t, "https://example.org/", hour)
	for _, x := range []struct {
		reason string
		cert   *tls.Certificate
	}{
		{"no certificate", nil},
		{"expired certificate", ours.certificate(t, id(mesh.Cell, "c1").String(), time.Now().Add(-time.Minute))},
		{"unknown authority", theirs.certificate(t, id(mesh.Cell, "c1").String(), hour)},
		{"wrong trust domain", ours.certificate(t, "spiffe://other.internal/cell/c1", hour)},
		{"wrong identity", noURI},
		{"wrong identity", ours.certificate(t, "spiffe://"+domain+"/janitor", hour)},
		{"wrong identity", ours.certificate(t, "spiffe://"+domain+"/cell", hour)}, // a cell has a name
	} {
		before, _ := r.ledger.sum("refused", "", x.reason)
		cfg := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}
		if x.cert != nil {
			cfg.Certificates = []tls.Certificate{*x.cert}
		}
		c, err := tls.Dial("tcp", r.addr, cfg)
		if err == nil { // in TLS 1.3 the client learns of it when it reads
			_, err = c.Read(make([]byte, 1))
			c.Close()
		}
		if err == nil {
			t.Errorf("%s: accepted", x.reason)
		}
		eventually(t, "on record: "+x.reason, func() bool { n, _ := r.ledger.sum("refused", "", x.reason); return n == before+1 })
	}
	old, err := tls.Dial("tcp", r.addr, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12})
	if err == nil {
		old.Close()
		t.Error("TLS 1.2 is spoken between roles")
	}
	const flood = 400
	for range flood {
		c, err := net.Dial("tcp", r.addr)
		must(t, err)
		_, _ = c.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
		_, _ = c.Read(make([]byte, 100))
		c.Close()
	}
	eventually(t, "the flood is counted", func() bool {
		a, _ := r.ledger.sum("refused", "", "plaintext")
		b, _ := r.ledger.sum("refused", "", "too many handshakes")
		return a+b == flood
	})
	if _, rows := r.ledger.sum("refused", "", "plaintext"); rows > 30 {
		t.Errorf("%d refusals became %d events", flood, rows)
	}
}

// TestSilentPeersBlockNobody opens connections that say nothing, and calls.
func TestSilentPeersBlockNobody(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	r := serve(t, id(mesh.Keys, ""), ca.source(t, id(mesh.Keys, "")), echo)
	for range 50 {
		c, err := net.Dial("tcp", r.addr)
		must(t, err)
		defer c.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	got, err := mesh.Call[string, string](ctx, link(t, id(mesh.Cell, "c1"), ca.source(t, id(mesh.Cell, "c1")), r), "keys.Lease", "a")
	if err != nil || got != "a for cell/c1" {
		t.Errorf("%q %v", got, err)
	}
}

// TestCalleeMustBeWho is about the other direction: a caller does not speak to somebody who is not the role, or not the cell, that it
// wants.
func TestCalleeMustBeWho(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	r := serve(t, id(mesh.Keys, ""), ca.source(t, id(mesh.Control, "")), echo) // shows control's certificate
	j, l, _ := newJournal(t, id(mesh.Cell, "c1"))
	to, err := mesh.Remote(id(mesh.Cell, "c1"), id(mesh.Keys, ""), "https://"+r.addr, ca.source(t, id(mesh.Cell, "c1")), j, slog.New(slog.DiscardHandler))
	must(t, err)
	if _, err := mesh.Call[string, string](t.Context(), to, "keys.Lease", "a"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a false keys role is spoken to: %v", err)
	}
	eventually(t, "it is on record", func() bool { n, _ := l.sum("refused", "", "callee: wrong identity"); return n == 1 })
}

// TestPolicy calls every method as every role, in both forms: what the policy names goes through, anything else is 403, and every
// decision is on record: as many as calls.
func TestPolicy(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	callers := map[string]string{}
	for _, name := range mesh.Methods(mesh.Keys) {
		callers[name] = mesh.Control // who asks the broker for anything but a lease
	}
	callers["keys.Lease"] = mesh.Cell
	for _, form := range []string{"wire", "process"} {
		r := serve(t, id(mesh.Keys, ""), ca.source(t, id(mesh.Keys, "")), echo)
		want := map[string]int{}
		denied := 0
		for _, peer := range []mesh.Identity{id(mesh.Edge, ""), id(mesh.Cell, "c1"), id(mesh.Control, ""), id(mesh.Keys, "")} {
			l := mesh.Local(peer, r.Server)
			if form == "wire" {
				if peer.Role == mesh.Edge {
					continue // the broker takes no session: see the last lines
				}
				l = link(t, peer, ca.source(t, peer), r)
			}
			for _, name := range mesh.Methods(mesh.Keys) {
				for range 3 {
					got, err := mesh.Call[string, string](t.Context(), l, name, "a")
					if allowed := callers[name] == peer.Role; allowed != (err == nil) || (!allowed && !fault.Is(err, fault.Forbidden)) || (allowed && got != "a for "+peer.Site()) {
						t.Errorf("%s: %s calls %s: %q %v", form, peer.Role, name, got, err)
					}
					if callers[name] == peer.Role {
						want[name]++
					} else {
						denied++
					}
				}
			}
		}
		if form == "wire" { // an edge does not come as far as a call: the broker takes no session
			_, err := mesh.Call[string, string](t.Context(), link(t, id(mesh.Edge, ""), ca.source(t, id(mesh.Edge, "")), r), "keys.Lease", "a")
			if !fault.Is(err, fault.Unavailable) {
				t.Errorf("an edge calls the broker: %v", err)
			}
			denied++
		}
		stranger := mesh.Local(mesh.Identity{Domain: "other", Role: mesh.Cell, Name: "c1"}, r.Server)
		if _, err := mesh.Call[string, string](t.Context(), stranger, "keys.Lease", "a"); !fault.Is(err, fault.Forbidden) {
			t.Errorf("another trust domain: %v", err)
		}
		r.end()
		for name, n := range want {
			if got, rows := r.ledger.sum("allowed", name, ""); got != n || rows != 1 {
				t.Errorf("%s: %s: %d allowed in %d events, want %d in 1", form, name, got, rows, n)
			}
		}
		if got, _ := r.ledger.sum("denied", "", "not in the policy"); got != denied+1 {
			t.Errorf("%s: %d denied on record, want %d", form, got, denied+1)
		}
		for _, e := range r.ledger.events {
			if e.Decision.Policy != mesh.Version || e.Source.Role != mesh.Keys || !strings.HasPrefix(e.Agent.ID, "spiffe://") {
				t.Errorf("an event without its policy, role or peer: %+v", e)
			}
		}
	}
}

// TestDecisionsOutliveTheRecorder takes the recorder away: nothing is lost from the count, and nothing is counted twice.
func TestDecisionsOutliveTheRecorder(t *testing.T) {
	t.Parallel()
	j, l, end := newJournal(t, id(mesh.Keys, ""))
	s := mesh.NewServer(id(mesh.Keys, ""), j, slog.New(slog.DiscardHandler))
	echo(s)
	l.mu.Lock()
	l.away = true
	l.mu.Unlock()
	wrong := mesh.Local(id(mesh.Edge, ""), s)
	for range 100 {
		_, _ = mesh.Call[string, string](t.Context(), wrong, "keys.Lease", "a")
		time.Sleep(15 * time.Millisecond) // over more than one flush
	}
	l.mu.Lock()
	l.away = false
	l.mu.Unlock()
	end()
	if n, _ := l.sum("denied", "keys.Lease", "not in the policy"); n != 100 {
		t.Errorf("%d of 100 denials on record", n)
	}
}

// TestNoConnectionOutlivesItsCertificate holds a connection that is in use until the peer's certificate ends.
func TestNoConnectionOutlivesItsCertificate(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	r := serve(t, id(mesh.Keys, ""), ca.source(t, id(mesh.Keys, "")), echo)
	end := time.Now().Add(3 * time.Second)
	c, err := tls.Dial("tcp", r.addr, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*ca.certificate(t, id(mesh.Cell, "c1").String(), end)}})
	must(t, err)
	defer c.Close()
	in := bufio.NewReader(c)
	for n := 0; ; n++ {
		_, err := c.Write([]byte("POST /mesh/1/keys.Lease HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n\"a\""))
		var resp *http.Response
		if err == nil {
			resp, err = http.ReadResponse(in, nil)
		}
		if err != nil {
			if n == 0 || time.Now().Before(end.Add(-1100*time.Millisecond)) { // certificates count whole seconds
				t.Errorf("the connection ended early, after %d calls: %v", n, err)
			}
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if time.Now().After(end.Add(2 * time.Second)) {
			t.Fatal("the connection outlives its certificate")
		}
		time.Sleep(10 * time.Millisecond)
	}
}
