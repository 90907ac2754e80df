package cell_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/authn"
	"github.com/cordon-ehr/cordon/internal/cell"
	"github.com/cordon-ehr/cordon/internal/cordontest"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/lease"
	"github.com/cordon-ehr/cordon/internal/routes"
	"github.com/cordon-ehr/cordon/internal/rpc"
	"github.com/cordon-ehr/cordon/internal/telemetry"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

func TestMain(m *testing.M) { cordontest.Main(m) }

// peers are the other roles: a directory of two tenants, a broker that gives nothing, and a place for denials.
type peers struct {
	snap    routes.Snapshot
	mu      sync.Mutex // guards denials and leases
	denials []audit.Event
	leases  int
}

func (p *peers) Pull(ctx context.Context, _ string, known int64) (routes.Snapshot, error) {
	if known == p.snap.Version {
		<-ctx.Done()
		return routes.Snapshot{}, ctx.Err()
	}
	return p.snap, nil
}

func (p *peers) Record(_ context.Context, e audit.Event) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.denials = append(p.denials, e)
	return nil
}

func (p *peers) Lease(context.Context, lease.Request) (lease.Grant, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leases++
	return lease.Grant{}, fault.New(fault.Locked, "keys disabled")
}

type neighbour struct {
	route routes.Route
	key   *ecdsa.PrivateKey
}

func newNeighbour(t *testing.T, slug string, number int32) neighbour {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return neighbour{routes.Route{Tenant: tenant.Tenant{ID: tenant.NewID(), Slug: tenant.Slug(slug), State: tenant.Active, Placement: tenant.Pooled, Cell: "cell1", Number: number},
		Issuer: "https://host/t/" + slug, Keys: map[string]crypto.PublicKey{"1": &k.PublicKey}}, k}
}

func (n neighbour) token(t *testing.T) string {
	t.Helper()
	sg, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: n.key, KeyID: "1"}}, (&jose.SignerOptions{}).WithType(authn.TokenType))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	b, err := json.Marshal(authn.Claims{Issuer: n.route.Issuer, Audience: n.route.FHIRBase(), Subject: "c", Client: "c", Scope: "system/*.cruds", Tenant: n.route.Tenant.ID.String(),
		TokenID: "j", Issued: now, Expires: now + 300})
	if err != nil {
		t.Fatal(err)
	}
	sig, err := sg.Sign(b)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sig.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestTheCellTrustsNoEdge forwards what an edge that was taken over might: the cell verifies the token itself, wants it to be of
// the tenant that the edge names, and asks for no keys before.
func TestTheCellTrustsNoEdge(t *testing.T) {
	t.Parallel()
	alpha, bravo, shut := newNeighbour(t, "alpha", 1), newNeighbour(t, "bravo", 2), newNeighbour(t, "shut", 3)
	shut.route.KeysDisabled = true
	p := &peers{snap: routes.Snapshot{Version: 1, Routes: []routes.Route{alpha.route, bravo.route, shut.route}}}
	log := slog.New(slog.DiscardHandler)
	c, err := cell.New(t.Context(), cell.Config{Name: "cell1", Database: cordontest.Shared(t).Info.Postgres.Cell}, cell.Peers{Broker: p, Control: p, Denials: p}, telemetry.NewMetrics(), log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	for c.Ready(ctx) != nil {
		time.Sleep(time.Millisecond)
	}
	for _, x := range []struct {
		name, header string
		at           tenant.ID
		want, denied int
	}{
		{"no token", "", alpha.route.Tenant.ID, 401, 1},
		{"no bearer", "Basic " + alpha.token(t), alpha.route.Tenant.ID, 401, 1},
		{"junk", "Bearer junk", alpha.route.Tenant.ID, 401, 1},
		{"the neighbour's token", "Bearer " + bravo.token(t), alpha.route.Tenant.ID, 403, 1},
		{"an unknown tenant", "Bearer " + alpha.token(t), tenant.NewID(), 503, 0},
		{"no token, keys disabled", "", shut.route.Tenant.ID, 401, 1},
		{"the neighbour's token, keys disabled", "Bearer " + bravo.token(t), shut.route.Tenant.ID, 403, 1},
		{"a good token, keys disabled", "Bearer " + shut.token(t), shut.route.Tenant.ID, 423, 1},
		{"a good token, but no keys", "Bearer " + alpha.token(t), alpha.route.Tenant.ID, 423, 1},
	} {
		before, leases := len(p.denials), p.leases
		r := httptest.NewRequest(http.MethodGet, "/t/alpha/fhir/Patient/1", nil)
		r.Header.Set("Authorization", x.header)
		w := httptest.NewRecorder()
		c.Forward(w, r, rpc.Assertion{Tenant: x.at, Request: "r", Path: "/Patient/1"})
		if w.Code != x.want || len(p.denials)-before != x.denied {
			t.Errorf("%s: %d, want %d; %d denials on record, want %d: %s", x.name, w.Code, x.want, len(p.denials)-before, x.denied, w.Body)
		}
		if asked := p.leases > leases; asked != (x.name == "a good token, but no keys") {
			t.Errorf("%s: asked the broker: %v", x.name, asked)
		}
	}
}
