package mesh_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/mesh"
	"github.com/cordon-ehr/cordon/internal/rpc"
	"github.com/cordon-ehr/cordon/internal/telemetry"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// TestFaultsCross sends every kind of fault over the wire: all that is public comes through, the cause does not.
func TestFaultsCross(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	secret := errors.New("canary-cause")
	r := serve(t, id(mesh.Keys, ""), ca.source(t, id(mesh.Keys, "")), func(s *mesh.Server) {
		mesh.Handle(s, "keys.Lease", func(ctx context.Context, _ mesh.Identity, in fault.Kind) (string, error) {
			f := fault.Wrap(in, secret, "text %s", in)
			f.RetryAfter = 3 * time.Second
			f.Issues = []fault.Issue{{Severity: "error", Code: in.Code(), Diagnostics: "d", Expression: "Patient.name"}}
			if in == 200 {
				return telemetry.RequestID(ctx) + " " + rpc.Peer(ctx), nil
			}
			if in == 201 {
				<-ctx.Done()
				return "", ctx.Err()
			}
			if in == 202 {
				return "", secret
			}
			if in == 203 {
				panic("canary-panic")
			}
			return "", f
		})
	})
	l := link(t, id(mesh.Cell, "c1"), ca.source(t, id(mesh.Cell, "c1")), r)
	for k := fault.Internal; k <= fault.NotSupported; k++ {
		_, err := mesh.Call[fault.Kind, string](t.Context(), l, "keys.Lease", k)
		f := fault.Of(err)
		if f.Kind != k || f.Text != "text "+k.String() || f.RetryAfter != 3*time.Second || len(f.Issues) != 1 || f.Issues[0].Expression != "Patient.name" || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s came as %v, %+v", k, err, f)
		}
	}
	reqID := telemetry.NewRequestID()
	if got, err := mesh.Call[fault.Kind, string](telemetry.WithRequestID(t.Context(), reqID), l, "keys.Lease", 200); err != nil || got != reqID+" cell/c1" {
		t.Errorf("request id and peer: %q %v", got, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := mesh.Call[fault.Kind, string](ctx, l, "keys.Lease", 201); !fault.Is(err, fault.Unavailable) || time.Since(began) > 5*time.Second {
		t.Errorf("a deadline: %v after %v", err, time.Since(began))
	}
	for _, k := range []fault.Kind{202, 203} {
		if _, err := mesh.Call[fault.Kind, string](t.Context(), l, "keys.Lease", k); !fault.Is(err, fault.Internal) || strings.Contains(err.Error(), "canary") {
			t.Errorf("an error of no kind: %v", err)
		}
	}
}

// TestCallsAreStrict sends bodies that are not the call's.
func TestCallsAreStrict(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	type in struct{ A string }
	r := serve(t, id(mesh.Keys, ""), ca.source(t, id(mesh.Keys, "")), func(s *mesh.Server) {
		mesh.Handle(s, "keys.Lease", func(context.Context, mesh.Identity, in) (string, error) { return "served", nil })
	})
	l := link(t, id(mesh.Cell, "c1"), ca.source(t, id(mesh.Cell, "c1")), r)
	for body, want := range map[string]int{`{"A":"x"}`: 200, `{"A":"x","B":1}`: 400, `{"A":"x"}{}`: 400, `{"A":`: 400, ``: 400, `[]`: 400, `{"A":"` + strings.Repeat("x", 5<<20) + `"}`: 413} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+r.addr+"/mesh/1/keys.Lease", strings.NewReader(body))
		must(t, err)
		resp, err := l.SendRaw(req)
		must(t, err)
		if resp.Body.Close(); resp.StatusCode != want {
			t.Errorf("%.40s: %d, want %d", body, resp.StatusCode, want)
		}
	}
}

// TestStreams gives whole streams whole, and tells of one that failed or was cut off.
func TestStreams(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	var sending atomic.Int64
	r := serve(t, id(mesh.Keys, ""), ca.source(t, id(mesh.Keys, "")), func(s *mesh.Server) {
		mesh.HandleStream(s, "keys.Events", func(ctx context.Context, _ mesh.Identity, in string) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for i := 0; in == "endless" || i < 5000; i++ {
					sending.Store(int64(i))
					if in == "cut" && i == 3000 {
						panic(http.ErrAbortHandler)
					}
					if in == "fails" && i == 3000 || in == "refused" {
						yield("", fault.New(fault.Locked, "stop"))
						return
					}
					if !yield(fmt.Sprint("<", i, ">", strings.Repeat("y", 40)), nil) || ctx.Err() != nil {
						sending.Store(-1)
						return
					}
				}
			}
		})
	})
	wire := link(t, id(mesh.Control, ""), ca.source(t, id(mesh.Control, "")), r)
	for _, l := range []*mesh.Link{wire, mesh.Local(id(mesh.Control, ""), r.Server)} {
		for _, x := range []struct {
			in   string
			kind fault.Kind
			n    int
		}{{"whole", 0, 5000}, {"fails", fault.Locked, 3000}, {"refused", fault.Locked, 0}, {"cut", fault.Unavailable, -1}} {
			if x.in == "cut" && l != wire {
				continue
			}
			n, last := 0, error(nil)
			for item, err := range mesh.Stream[string, string](t.Context(), l, "keys.Events", x.in) {
				if last = err; err == nil {
					if !strings.HasPrefix(item, fmt.Sprint("<", n, ">")) {
						t.Fatalf("item %d is %q", n, item)
					}
					n++
				}
			}
			if (x.n >= 0 && n != x.n) || (last == nil) != (x.in == "whole") || (last != nil && !fault.Is(last, x.kind)) {
				t.Errorf("%s: %d items, then %v", x.in, n, last)
			}
		}
	}
	for range mesh.Stream[string, string](t.Context(), wire, "keys.Events", "endless") {
		break
	}
	eventually(t, "who is not listened to stops", func() bool { return sending.Load() == -1 })
}

// forwarding is a cell that says what it was asked.
func forwarding(s *mesh.Server) {
	mesh.HandleForward(s, "cell.Forward", func(w http.ResponseWriter, r *http.Request, a rpc.Assertion) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if a.Path == "/abort" {
			_, _ = w.Write(bytes.Repeat([]byte("x"), 100<<10))
			panic(http.ErrAbortHandler)
		}
		if a.Path == "/wait" {
			<-r.Context().Done()
			return
		}
		w.Header().Set("X-Seen", strings.Join([]string{r.Method, a.Tenant.String(), a.Path, a.Cell, a.Request, a.Address, r.URL.RawQuery, r.Header.Get("Authorization"), fmt.Sprint(len(b))}, "|"))
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write(b)
	})
}

func request(method, query string, body io.Reader) *http.Request {
	r := httptest.NewRequest(method, "/anything/at/all?"+query, body)
	r.Header.Set("Authorization", "Bearer token")
	return r
}

// TestForward passes requests on in both forms, which do not differ.
func TestForward(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	r := serve(t, id(mesh.Cell, "c1"), ca.source(t, id(mesh.Cell, "c1")), forwarding)
	edge := id(mesh.Edge, "e1")
	a := rpc.Assertion{Tenant: tenant.NewID(), Request: "r1", Address: "10.0.0.1", Path: "/Patient/ü%2F;x"}
	for form, l := range map[string]*mesh.Link{"wire": link(t, edge, ca.source(t, edge), r), "process": mesh.Local(edge, r.Server)} {
		for _, query := range []string{"", "name=a%20b&x=;y&%zz", "a=b c"} {
			for _, body := range []string{"", "hello", strings.Repeat("z", 3<<20)} {
				method := map[bool]string{true: "GET", false: "PUT"}[body == ""]
				in := request(method, "", strings.NewReader(body))
				in.URL.RawQuery = query
				w := httptest.NewRecorder()
				l.Forward(w, in, "cell.Forward", a)
				want := strings.Join([]string{method, a.Tenant.String(), a.Path, "c1", "r1", "10.0.0.1", strings.ReplaceAll(query, " ", "%20"), "Bearer token", fmt.Sprint(len(body))}, "|")
				if w.Code != http.StatusTeapot || w.Header().Get("X-Seen") != want || w.Body.String() != body {
					t.Errorf("%s: %d %s, want %s", form, w.Code, w.Header().Get("X-Seen"), want)
				}
			}
		}
	}
}

// TestForwardEndsAsItEnded: what is cut off stays cut off, and who goes away is not worked for.
func TestForwardEndsAsItEnded(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	r := serve(t, id(mesh.Cell, "c1"), ca.source(t, id(mesh.Cell, "c1")), forwarding)
	l := link(t, id(mesh.Edge, ""), ca.source(t, id(mesh.Edge, "")), r)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.Forward(w, r, "cell.Forward", rpc.Assertion{Tenant: tenant.NewID(), Path: r.URL.Path})
	}))
	defer front.Close()
	resp, err := http.Get(front.URL + "/abort")
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	if err == nil {
		t.Error("an answer that was cut off looks whole")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, front.URL+"/wait", nil)
	must(t, err)
	if _, err := http.DefaultClient.Do(req); err == nil {
		t.Error("answered")
	}
	stop, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	r.Shutdown(stop) // waits for requests under way: there must be none
	if stop.Err() != nil {
		t.Error("work goes on for a caller that has gone")
	}
}

// TestAssertions forwards with assertions that are not what the edge made for this request, this callee and this moment. All are
// refused, each on record.
func TestAssertions(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	r := serve(t, id(mesh.Cell, "c1"), ca.source(t, id(mesh.Cell, "c1")), forwarding)
	edge, other := id(mesh.Edge, "e1"), id(mesh.Edge, "e2")
	l, second := link(t, edge, ca.source(t, edge), r), link(t, other, ca.source(t, other), r)
	a := rpc.Assertion{Tenant: tenant.NewID(), Request: "r1", Path: "/Patient/1"}
	send := func(by *mesh.Link, method, query, token, assertion string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "https://"+r.addr+"/?"+query, nil)
		must(t, err)
		req.Header.Set(mesh.ForwardHeader, "cell.Forward")
		req.Header.Set("Authorization", token)
		if assertion != "" {
			req.Header.Set("Cordon-Assertion", assertion)
		}
		resp, err := by.SendRaw(req)
		must(t, err)
		resp.Body.Close()
		return resp.StatusCode
	}
	made := func() string { _, v := l.Sign(a, request("GET", "q=1", nil)); return v }
	if got := send(l, "GET", "q=1", "Bearer token", made()); got != http.StatusTeapot {
		t.Fatalf("a good assertion: %d", got)
	}
	spent := made()
	send(l, "GET", "q=1", "Bearer token", spent)
	good := made()
	flip := func(s string, at int) string {
		b := []byte(s)
		b[at] = map[bool]byte{true: 'B', false: 'A'}[b[at] == 'A']
		return string(b)
	}
	stranger := mesh.Local(edge, mesh.NewServer(id(mesh.Cell, "c1"), r.journal, slog.New(slog.DiscardHandler)))
	for _, x := range []struct {
		name, reason string
		by           *mesh.Link
		method       string
		query, token string
		assertion    string
		want         int
	}{
		{"none", "no assertion", l, "GET", "q=1", "Bearer token", "", 401},
		{"replayed", "replayed assertion", l, "GET", "q=1", "Bearer token", spent, 401},
		{"late", "expired assertion", l, "GET", "q=1", "Bearer token", l.SignLate(a, request("GET", "q=1", nil)), 401},
		{"another verb", "altered assertion or request", l, "DELETE", "q=1", "Bearer token", made(), 401},
		{"another query", "altered assertion or request", l, "GET", "q=2", "Bearer token", made(), 401},
		{"another token", "altered assertion or request", l, "GET", "q=1", "Bearer other", made(), 401},
		{"another tenant", "altered assertion or request", l, "GET", "q=1", "Bearer token", flip(good, 50), 401},
		{"another path", "altered assertion or request", l, "GET", "q=1", "Bearer token", flip(good, strings.IndexByte(good, '.')-2), 401},
		{"another MAC", "altered assertion or request", l, "GET", "q=1", "Bearer token", flip(good, len(good)-5), 401},
		{"junk", "malformed assertion", l, "GET", "q=1", "Bearer token", "junk", 401},
		{"junk in two parts", "malformed assertion", l, "GET", "q=1", "Bearer token", "ju.nk", 401},
		{"a key that nobody introduced", "assertion under an unknown key", l, "GET", "q=1", "Bearer token", func() string { _, v := stranger.Sign(a, request("GET", "q=1", nil)); return v }(), 503},
		{"by another edge", "assertion under another edge's key", second, "GET", "q=1", "Bearer token", made(), 403},
		{"for another cell", "assertion for another role or cell", l, "GET", "q=1", "Bearer token", l.SignFor(id(mesh.Cell, "c2"), a, request("GET", "q=1", nil)), 403},
		{"for control", "assertion for another role or cell", l, "GET", "q=1", "Bearer token", l.SignFor(id(mesh.Control, ""), a, request("GET", "q=1", nil)), 403},
	} {
		before, _ := r.ledger.sum("denied", "cell.Forward", x.reason)
		if got := send(x.by, x.method, x.query, x.token, x.assertion); got != x.want {
			t.Errorf("%s: %d, want %d", x.name, got, x.want)
		}
		eventually(t, x.name+" is on record", func() bool { n, _ := r.ledger.sum("denied", "cell.Forward", x.reason); return n == before+1 })
	}
	if got := send(l, "GET", "q=1", "Bearer token", good); got != http.StatusTeapot {
		t.Errorf("the one that was altered on the way is itself still good: %d", got)
	}
	for _, peer := range []mesh.Identity{id(mesh.Control, ""), id(mesh.Keys, ""), id(mesh.Cell, "c1")} {
		by := link(t, peer, ca.source(t, peer), r)
		if got := send(by, "GET", "q=1", "Bearer token", made()); got != http.StatusForbidden {
			t.Errorf("%s forwards: %d", peer.Role, got)
		}
		_, err := mesh.Call[map[string][]byte, struct{}](t.Context(), by, "mesh.Session", map[string][]byte{"id": make([]byte, 16), "key": make([]byte, 32)})
		if !fault.Is(err, fault.Forbidden) {
			t.Errorf("%s introduces a session: %v", peer.Role, err)
		}
	}
}

// rotating is a source whose certificate lives for three seconds and is renewed every second.
type rotating struct {
	t    *testing.T
	ca   *authority
	self mesh.Identity
	mu   sync.Mutex // guards the rest
	m    *mesh.Material
	at   time.Time
	n    int
}

func (r *rotating) Current() (*mesh.Material, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.at) > time.Second {
		m, err := mesh.NewMaterial(r.ca.certificate(r.t, r.self.String(), time.Now().Add(3*time.Second)), r.ca.pool)
		if err != nil {
			return nil, err
		}
		r.m, r.at = m, time.Now()
		r.n++
	}
	return r.m, nil
}

// TestRotation calls and forwards without pause over several lives of all certificates: not one call is lost, though no connection
// outlives its certificate.
func TestRotation(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	at, by := &rotating{t: t, ca: ca, self: id(mesh.Cell, "c1")}, &rotating{t: t, ca: ca, self: id(mesh.Edge, "")}
	ctl := &rotating{t: t, ca: ca, self: id(mesh.Control, "")}
	r := serve(t, at.self, at, func(s *mesh.Server) {
		forwarding(s)
		mesh.Handle(s, "cell.Probe", func(ctx context.Context, _ mesh.Identity, in string) (string, error) {
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
			return in, ctx.Err()
		})
	})
	edge, control := link(t, by.self, by, r), link(t, ctl.self, ctl, r)
	end := time.Now().Add(8 * time.Second)
	var calls, forwards atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for time.Now().Before(end) {
				w := httptest.NewRecorder()
				edge.Forward(w, request("POST", "", strings.NewReader("body")), "cell.Forward", rpc.Assertion{Tenant: tenant.NewID(), Path: "/x"})
				if forwards.Add(1); w.Code != http.StatusTeapot {
					t.Errorf("a request was lost: %d %s", w.Code, w.Body)
					return
				}
			}
		})
		all.Go(func() {
			for time.Now().Before(end) {
				if got, err := mesh.Call[string, string](t.Context(), control, "cell.Probe", "x"); err != nil || got != "x" {
					t.Errorf("a call was lost: %v", err)
					return
				}
				calls.Add(1)
			}
		})
	}
	all.Wait()
	if at.n < 4 || by.n < 4 {
		t.Errorf("%d and %d certificates: the test rotates nothing", at.n, by.n)
	}
	t.Logf("%d calls and %d forwarded requests over %d certificates", calls.Load(), forwards.Load(), by.n)
}
