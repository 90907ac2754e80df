package edge_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/edge"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/routes"
	"github.com/cordon-ehr/cordon/internal/rpc"
	"github.com/cordon-ehr/cordon/internal/telemetry"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// inner is what stands behind the edge: it keeps the request that came through.
type inner struct {
	snap   routes.Snapshot
	record error // the answer to a denial
	got    *http.Request
	a      rpc.Assertion
}

func (i *inner) Pull(ctx context.Context, _ string, known int64) (routes.Snapshot, error) {
	if known < i.snap.Version {
		return i.snap, nil
	}
	<-ctx.Done()
	return routes.Snapshot{}, ctx.Err()
}

func (i *inner) Record(context.Context, audit.Event) error { return i.record }

func (i *inner) Forward(_ http.ResponseWriter, r *http.Request, a rpc.Assertion)  { i.got, i.a = r, a }
func (i *inner) Tenant(_ http.ResponseWriter, r *http.Request, a rpc.Assertion)   { i.got, i.a = r, a }
func (i *inner) Operator(_ http.ResponseWriter, r *http.Request, a rpc.Assertion) { i.got, i.a = r, a }

func newEdge(t *testing.T) (*edge.Edge, *inner) {
	t.Helper()
	i := &inner{snap: routes.Snapshot{Version: 1, Routes: []routes.Route{{Tenant: tenant.Tenant{ID: tenant.NewID(), Slug: "alpha", State: tenant.Active, Number: 1}}}}}
	e, err := edge.New(edge.Config{PublicURL: "https://h.example", Domain: "h.example"}, i, i, telemetry.NewMetrics(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	for e.Ready(ctx) != nil {
	}
	return e, i
}

// TestHeadersOfProxiesEndHere sends what could pretend to come from a proxy, or from the edge itself: nothing of it reaches a role
// behind.
func TestHeadersOfProxiesEndHere(t *testing.T) {
	t.Parallel()
	e, behind := newEdge(t)
	for _, path := range []string{"/t/alpha/fhir/metadata", "/t/alpha/oauth/token", "/operator/v1/tenants"} {
		r := httptest.NewRequest(http.MethodGet, "https://h.example"+path, nil)
		gone := []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Real-Ip", "X-Original-Url", "X-Rewrite-Url", "Cordon-Tenant", "Cordon-Assertion"}
		for _, h := range append(gone, "Accept") {
			r.Header.Set(h, "bravo")
		}
		behind.got = nil
		e.ServeHTTP(httptest.NewRecorder(), r)
		if behind.got == nil {
			t.Fatalf("%s was not handed on", path)
		}
		for _, h := range gone {
			if v := behind.got.Header.Get(h); v != "" {
				t.Errorf("%s: %s went through", path, h)
			}
		}
		if behind.got.Header.Get("Accept") != "bravo" {
			t.Errorf("%s: a plain header was lost", path)
		}
	}
}

// TestARefusalIsOnRecordOrAFailure refuses while nothing can be recorded: the caller learns that, and nothing goes through.
func TestARefusalIsOnRecordOrAFailure(t *testing.T) {
	t.Parallel()
	e, behind := newEdge(t)
	for _, url := range []string{"https://h.example/t/alpha/fhir/Patient/1", "https://h.example/t/nobody/fhir/Patient/1", "https://evil.example/", "https://alpha.h.example/t/bravo/fhir/Patient/1"} {
		for _, want := range []int{0, http.StatusServiceUnavailable} {
			behind.record = nil
			if want != 0 {
				behind.record = fault.New(fault.Unavailable, "no audit")
			}
			w := httptest.NewRecorder()
			e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, url, nil))
			if behind.got != nil || (want != 0 && w.Code != want) || (want == 0 && (w.Code < 400 || w.Code > 404)) {
				t.Errorf("%s: %d, handed on: %v", url, w.Code, behind.got != nil)
			}
		}
	}
}
