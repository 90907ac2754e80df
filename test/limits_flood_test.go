package test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/cordontest"
	"github.com/cordon-ehr/cordon/internal/synth"
)

// flood keeps many connections busy until it is ended, and counts the answers by status; 0 is none.
type flood struct {
	seen    [600]atomic.Int64
	unclear atomic.Int64 // 429 or 503 without Retry-After or an OperationOutcome
	end     chan struct{}
	once    sync.Once
	wait    sync.WaitGroup
}

func startFlood(t testing.TB, n *cordontest.Tenant, workers int, ask func(i int) (method, path string, body []byte)) *flood {
	f := &flood{end: make(chan struct{})}
	t.Cleanup(func() { f.stop() }) // a test that fails must not leave it running
	hc := &http.Client{Transport: n.P.HTTP.Transport.(*http.Transport).Clone(), Timeout: time.Minute}
	hc.Transport.(*http.Transport).MaxIdleConnsPerHost = workers
	for w := range workers {
		f.wait.Go(func() {
			for i := w; more(f.end); i++ {
				method, path, body := ask(i)
				f.send(hc, n, method, path, body)
			}
		})
	}
	return f
}

func (f *flood) send(hc *http.Client, n *cordontest.Tenant, method, path string, body []byte) {
	r, err := http.NewRequest(method, n.Base+path, bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	if t := n.Token(); t != "" {
		r.Header.Set("Authorization", "Bearer "+t)
	}
	r.Header.Set("Content-Type", "application/fhir+json")
	resp, err := hc.Do(r)
	if err != nil {
		f.seen[0].Add(1)
		return
	}
	b, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	f.seen[resp.StatusCode].Add(1)
	if (resp.StatusCode == 429 || resp.StatusCode == 503) && (resp.Header.Get("Retry-After") == "" || !strings.Contains(string(b), `"OperationOutcome"`)) {
		f.unclear.Add(1)
	}
}

// stop ends the flood and gives what was answered.
func (f *flood) stop() map[int]int64 {
	f.once.Do(func() { close(f.end) })
	f.wait.Wait()
	out := map[int]int64{}
	for s := range f.seen {
		if n := f.seen[s].Load(); n > 0 {
			out[s] = n
		}
	}
	return out
}

func scrape(t *testing.T, p *cordontest.Platform) string {
	t.Helper()
	return p.Metrics(t)
}

// TestNeighbourOfAFlood has one tenant flood with expensive searches and Bundles over many connections. It is refused what is over its limits,
// with 429 and a time to come again; another tenant's reads and writes are all served, and soon; who watches the platform gets
// answers. Afterwards nothing is held, and the flooder is served again.
func TestNeighbourOfAFlood(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	quietAfter(t, p)
	a, b := p.Tenant(t), p.Tenant(t)
	a.Do(t, http.MethodPost, "", synth.Directory(7)).Want(t, http.StatusOK)
	var bundles [][]byte
	for s := range synth.Patients(synth.Options{Seed: 7, Count: 8}) {
		a.Do(t, http.MethodPost, "", s.Bundle).Want(t, http.StatusOK)
		bundles = append(bundles, s.Bundle)
	}
	b.Do(t, http.MethodPut, "/Patient/p", `{"resourceType":"Patient","id":"p"}`).Want(t, http.StatusCreated)
	f := startFlood(t, a, 160, func(i int) (string, string, []byte) {
		if i%2 == 0 {
			return http.MethodPost, "", bundles[i%len(bundles)]
		}
		return http.MethodGet, "/Observation?_count=300&_total=accurate&code:not=x&_include=Observation:subject", [][]byte{nil, []byte("x")}[i/2%2] // a body that nobody reads frees from no queue
	})
	cordontest.Eventually(t, "the flooder is refused", func() bool { return f.seen[429].Load() > 20 })
	var times []time.Duration
	for i := range 60 {
		start := time.Now()
		b.Do(t, http.MethodGet, "/Patient/p", nil).Want(t, http.StatusOK)
		times = append(times, time.Since(start))
		if i%10 == 0 {
			b.Do(t, http.MethodPost, "/Patient", `{"resourceType":"Patient"}`).Want(t, http.StatusCreated)
			b.Do(t, http.MethodGet, "/Patient?_count=5", nil).Want(t, http.StatusOK)
			p.Send(t, http.MethodGet, p.Info.Management+"/healthz", nil, nil).Want(t, http.StatusOK)
			p.Send(t, http.MethodGet, p.Info.Management+"/readyz", nil, nil).Want(t, http.StatusOK)
		}
	}
	metrics := scrape(t, p)
	seen := f.stop()
	slices.Sort(times)
	t.Logf("flooder: %v; neighbour: median %v, longest %v", seen, times[len(times)/2], times[len(times)-1])
	if times[len(times)/2] > time.Second || times[len(times)-1] > 5*time.Second {
		t.Errorf("a neighbour's reads take %v in the median, %v at most", times[len(times)/2], times[len(times)-1])
	}
	if seen[200] == 0 || seen[429] == 0 || f.unclear.Load() > 0 {
		t.Errorf("the flooder got %v, %d of them unclear", seen, f.unclear.Load())
	}
	for s := range seen {
		if s != 200 && s != 201 && s != 429 {
			t.Errorf("the flooder got %d answers of status %d", seen[s], s)
		}
	}
	if !strings.Contains(metrics, `cordon_limited_total{limit="queue of the tenant",role="cell"}`) || strings.Contains(metrics, "cordon_cell_waiting 0\n") {
		t.Error("the metrics do not show that requests wait and are refused")
	}
	if strings.Contains(metrics, a.Slug) || strings.Contains(metrics, a.ID) {
		t.Error("the metrics name a tenant")
	}
	cordontest.Eventually(t, "nothing is held", func() bool {
		m := scrape(t, p)
		return strings.Contains(m, "cordon_cell_waiting 0\n") && strings.Contains(m, "cordon_cell_running 0\n") && strings.Contains(m, "cordon_cell_body_bytes 0\n") &&
			strings.Contains(m, "cordon_edge_requests 0\n")
	})
	a.Do(t, http.MethodGet, "/Patient?_count=1", nil).Want(t, http.StatusOK)
	limited := 0
	for _, e := range a.Events(t) {
		if e["subtype"] == "limited" {
			limited += counted(e)
		}
	}
	if int64(limited) != seen[429] {
		t.Errorf("%d refusals by a limit are on record, %d were answered", limited, seen[429])
	}
}

// counted is for how many refusals an event stands.
func counted(e map[string]any) int {
	if n, ok := e["entity"].(map[string]any)["count"].(float64); ok {
		return int(n)
	}
	return 1
}

// TestFloodOfStrangers asks thousands of times without a token that is good: the record grows by a few rows with the number of all of them, and
// callers with tokens are served meanwhile.
func TestFloodOfStrangers(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	n, b := p.Tenant(t), p.Tenant(t)
	b.Do(t, http.MethodPut, "/Patient/p", `{"resourceType":"Patient","id":"p"}`).Want(t, http.StatusCreated)
	strangers := &cordontest.Tenant{Client: &cordontest.Client{P: p, Base: n.Base}}
	f := startFlood(t, strangers, 200, func(i int) (string, string, []byte) { return http.MethodGet, fmt.Sprint("/Patient/", i), nil })
	cordontest.Eventually(t, "strangers are refused", func() bool { return f.seen[401].Load() > 1000 })
	for range 20 {
		b.Do(t, http.MethodGet, "/Patient/p", nil).Want(t, http.StatusOK)
	}
	seen := f.stop()
	rows, refusals := 0, 0
	cordontest.Eventually(t, "all are on record", func() bool {
		rows, refusals = 0, 0
		for _, e := range n.Events(t) {
			if e["subtype"] == "refused" {
				rows, refusals = rows+1, refusals+counted(e)
			}
		}
		return int64(refusals) == seen[401]+seen[429]
	})
	t.Logf("%v answers, %d rows", seen, rows)
	if rows > refusals/4 || seen[401]+seen[429] == 0 || len(seen) > 2 {
		t.Errorf("%d rows for %d refusals: %v", rows, refusals, seen)
	}
}

// TestLocksHoldNoConnections has many tenants wait for locks of their conditions, more of them than the cell has connections: reads are served
// meanwhile, and all conditions are kept in the end.
func TestLocksHoldNoConnections(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	var tenants []*cordontest.Tenant
	for range 10 {
		tenants = append(tenants, p.Tenant(t))
	}
	reader := p.Tenant(t)
	reader.Do(t, http.MethodPut, "/Patient/p", `{"resourceType":"Patient","id":"p"}`).Want(t, http.StatusCreated)
	su := p.Superuser(t)
	tx, err := su.Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), "LOCK TABLE version IN EXCLUSIVE MODE") // who holds a condition's lock cannot write, and so not end
	}
	if err != nil {
		t.Fatal(err)
	}
	var created, found atomic.Int64
	var wait sync.WaitGroup
	for _, n := range tenants {
		for range 8 {
			wait.Go(func() {
				switch r := n.Do(t, http.MethodPost, "/Patient", `{"resourceType":"Patient","identifier":[{"system":"s","value":"1"}]}`, "If-None-Exist", "identifier=s|1"); r.Status {
				case http.StatusCreated:
					created.Add(1)
				case http.StatusOK:
					found.Add(1)
				default:
					t.Errorf("a conditional create: %d %.200s", r.Status, r.Body)
				}
			})
		}
	}
	watch := p.Superuser(t)
	waiting := func() (n int) {
		if err := watch.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE usename = 'cordon_cell' AND wait_event_type = 'Lock'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	cordontest.Eventually(t, "transactions wait for locks", func() bool { return waiting() >= 10 })
	start := time.Now()
	for range 15 {
		reader.Do(t, http.MethodGet, "/Patient/p", nil).Want(t, http.StatusOK)
		reader.Do(t, http.MethodGet, "/Patient?_count=1", nil).Want(t, http.StatusOK)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("30 reads beside waiting locks took %v", took)
	}
	t.Logf("%d connections waited for locks", waiting())
	if n := waiting(); n > 12 {
		t.Errorf("%d of 24 connections wait for locks, want 12 at most", n)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	wait.Wait()
	if created.Load() != 10 || found.Load() != 70 {
		t.Errorf("%d created and %d found, want 10 and 70", created.Load(), found.Load())
	}
}

// TestDatabaseRestartsInAFlood kills Postgres under the requests of two tenants: each gets an answer soon, a good one or 503 with a time to
// come again, and afterwards both are served.
func TestDatabaseRestartsInAFlood(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	a, b := p.Tenant(t), p.Tenant(t)
	var floods []*flood
	for _, n := range []*cordontest.Tenant{a, b} {
		n.Do(t, http.MethodPut, "/Patient/p", `{"resourceType":"Patient","id":"p"}`).Want(t, http.StatusCreated)
		floods = append(floods, startFlood(t, n, 40, func(i int) (string, string, []byte) {
			switch i % 4 {
			case 0:
				return http.MethodPost, "/Patient", []byte(`{"resourceType":"Patient"}`)
			case 1:
				return http.MethodGet, "/Patient?_count=20", nil
			}
			return http.MethodGet, "/Patient/p", nil
		}))
	}
	for range 2 {
		good := floods[0].seen[200].Load()
		cordontest.Eventually(t, "requests are served", func() bool { return floods[0].seen[200].Load() > good+50 })
		bad := floods[0].seen[503].Load()
		kill(t, cordontest.Postmaster(t, p.Dir))
		cordontest.Eventually(t, "requests are refused", func() bool { return floods[0].seen[503].Load() > bad })
	}
	for _, f := range floods {
		good := f.seen[200].Load()
		cordontest.Eventually(t, "requests are served again", func() bool { return f.seen[200].Load() > good+50 })
	}
	for _, f := range floods {
		seen := f.stop()
		t.Logf("%v", seen)
		for s := range seen {
			if s != 200 && s != 201 && s != 429 && s != 503 {
				t.Errorf("%d answers of status %d", seen[s], s)
			}
		}
		if f.unclear.Load() > 0 {
			t.Errorf("%d refusals do not say when to come again", f.unclear.Load())
		}
	}
	cordontest.Eventually(t, "nothing is held", func() bool {
		m := scrape(t, p)
		return strings.Contains(m, "cordon_cell_waiting 0\n") && strings.Contains(m, "cordon_cell_running 0\n")
	})
}
