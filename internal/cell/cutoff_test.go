package cell_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/cordon-ehr/cordon/internal/authn"
	"github.com/cordon-ehr/cordon/internal/cell"
	"github.com/cordon-ehr/cordon/internal/cordontest"
	"github.com/cordon-ehr/cordon/internal/keyring"
	"github.com/cordon-ehr/cordon/internal/keys"
	"github.com/cordon-ehr/cordon/internal/pg"
	"github.com/cordon-ehr/cordon/internal/routes"
	"github.com/cordon-ehr/cordon/internal/rpc"
	"github.com/cordon-ehr/cordon/internal/telemetry"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// cutOff is a second cell process of a running platform that control does not reach: its directory is what it was when it started. Its
// broker is a second process, too, on the platform's keyring.
type cutOff struct {
	*cell.Cell
	n  *cordontest.Tenant
	id tenant.ID
}

func newCutOff(t *testing.T, n *cordontest.Tenant, life time.Duration) cutOff {
	t.Helper()
	pool, err := pg.Open(t.Context(), n.P.RoleDSN(t, "cordon_keys", "cordon_keyring"), 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	kms, err := keyring.OpenFileKMS(filepath.Join(n.P.Dir, "kms.json"), "")
	if err != nil {
		t.Fatal(err)
	}
	ticket, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	broker := keys.NewBroker(keyring.NewStore(pool, kms), keys.Config{Lease: life, Control: &ticket.PublicKey}, time.Now)
	id, err := tenant.ParseID(n.ID)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.TrimSuffix(n.Base, "/fhir")
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(n.P.Send(t, http.MethodGet, at+"/oauth/jwks.json", nil, nil).Want(t, http.StatusOK).Body, &set); err != nil {
		t.Fatal(err)
	}
	route := routes.Route{Tenant: tenant.Tenant{ID: id, Slug: tenant.Slug(n.Slug), State: tenant.Active, Placement: tenant.Pooled, Cell: "cell1"},
		Issuer: at, Keys: authn.PublicKeys(set), KeysGeneration: 1}
	if err := n.P.SuperuserOn(t, "cordon_control").QueryRow(t.Context(), `SELECT number FROM tenant WHERE slug = $1`, n.Slug).Scan(&route.Tenant.Number); err != nil {
		t.Fatal(err)
	}
	p := &peers{snap: routes.Snapshot{Version: 1, Routes: []routes.Route{route}}}
	c, err := cell.New(t.Context(), cell.Config{Name: "cell1", Database: n.P.Info.Postgres.Cell, Connections: 2}, cell.Peers{Broker: broker, Control: p, Denials: p},
		telemetry.NewMetrics(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	cordontest.Eventually(t, "the cell is ready", func() bool { return c.Ready(ctx) == nil })
	return cutOff{c, n, id}
}

// ask sends a request to this cell alone.
func (c cutOff) ask(t *testing.T, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/t/x/fhir"+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+c.n.Token())
	if body != "" {
		r.Header.Set("Content-Type", "application/fhir+json")
	}
	w := httptest.NewRecorder()
	below, _, _ := strings.Cut(path, "?")
	c.Forward(w, r, rpc.Assertion{Tenant: c.id, Request: "r", Path: below})
	return w
}

// TestAValueOfALaterKey reads and replaces what another process sealed under a key that this cell's lease does not hold: the lease is
// renewed, and the request succeeds.
func TestAValueOfALaterKey(t *testing.T) {
	t.Parallel()
	n := cordontest.Shared(t).Tenant(t)
	c := newCutOff(t, n, time.Minute)
	create := func() string {
		return n.Do(t, http.MethodPost, "/Patient", `{"resourceType":"Patient","name":[{"family":"Sealed"}]}`).Want(t, http.StatusCreated).ID(t)
	}
	id := create()
	if w := c.ask(t, http.MethodGet, "/Patient/"+id, ""); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for _, x := range []struct{ what, method, path, body string }{
		{"read", http.MethodGet, "/Patient/ID", ""}, {"search", http.MethodGet, "/Patient?family=Sealed", ""}, {"history", http.MethodGet, "/Patient/ID/_history", ""},
		{"everything", http.MethodGet, "/Patient/ID/$everything", ""}, {"update", http.MethodPut, "/Patient/ID", `{"resourceType":"Patient","id":"ID"}`}, {"delete", http.MethodDelete, "/Patient/ID", ""},
	} {
		n.P.Operator(t, http.MethodPost, "/tenants/"+n.Slug+"/keys/rotate", nil).Want(t, http.StatusOK)
		id := create()
		at := func(s string) string { return strings.ReplaceAll(s, "ID", id) }
		w := c.ask(t, x.method, at(x.path), at(x.body))
		if w.Code/100 != 2 || (x.method == http.MethodGet && !strings.Contains(w.Body.String(), "Sealed")) {
			t.Errorf("%s of a value of a later key: %d %.300s", x.what, w.Code, w.Body)
		}
	}
}

// TestTheSecondLayer disables a tenant's keys while control does not reach the cell: it serves for as long as its lease lives, and then
// answers 423, too.
func TestTheSecondLayer(t *testing.T) {
	t.Parallel()
	n := cordontest.Shared(t).Tenant(t)
	c := newCutOff(t, n, 2*time.Second)
	read := func() int { return c.ask(t, http.MethodGet, "/Patient", "").Code }
	if got := read(); got != http.StatusOK {
		t.Fatal(got)
	}
	n.P.Operator(t, http.MethodPost, "/tenants/"+n.Slug+"/keys/disable", nil).Want(t, http.StatusOK)
	start := time.Now()
	var got int
	cordontest.Eventually(t, "the lease ends", func() bool { got = read(); return got != http.StatusOK })
	if got != http.StatusLocked || time.Since(start) > 2*time.Second {
		t.Errorf("after %s: %d", time.Since(start), got)
	}
	n.P.Operator(t, http.MethodPost, "/tenants/"+n.Slug+"/keys/enable", nil).Want(t, http.StatusOK)
	if got := read(); got != http.StatusOK {
		t.Errorf("enabled again: %d", got)
	}
}
