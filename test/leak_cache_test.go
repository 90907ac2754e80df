package test

import (
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// TestForeignCursor pages on with a cursor of another tenant: it is as good as no cursor.
func TestForeignCursor(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	alpha, bravo := p.Tenant(t), p.Tenant(t)
	loadCrafted(t, alpha, "alpha", "bravo", bravo.Base)
	loadCrafted(t, bravo, "bravo", "alpha", alpha.Base)
	leakCursors(t, newLeakBoard(), alpha, bravo)
}

// leakCursors sends Bravo's cursors, bent cursors, and cursors of other queries: each answer is that for a forged one.
func leakCursors(t *testing.T, board *leakBoard, alpha, bravo *cordontest.Tenant) {
	t.Helper()
	for _, query := range []string{"/Patient?_count=1", "/Patient?_count=1&_sort=family", "/Observation?_count=1&_sort=-date", "/Patient?_count=1&_tag=urn:tag|"} {
		page := func(n *cordontest.Tenant) string {
			c := cursorForm.FindString(string(n.Do(t, "GET", query, nil).Want(t, http.StatusOK).Body))
			if c == "" {
				t.Fatalf("%s: no next page", query)
			}
			return c
		}
		cursor, own := page(bravo), page(alpha)
		alpha.Do(t, "GET", query+"&"+own, nil).Want(t, http.StatusOK)
		foreign := wholeAnswer(alpha.Do(t, "GET", query+"&"+cursor, nil).Want(t, http.StatusBadRequest))
		raw := own[len("_cursor="):]
		junk := []string{strings.Repeat("A", len(cursor)-len("_cursor=")), raw + "AA", "x", raw[:len(raw)-3], strings.ToUpper(raw), strings.Repeat(raw, 2), cursor[len("_cursor="):] + raw, raw[:20] + cursor[len("_cursor=")+20:]}
		for at := 0; at < len(raw); at += 7 {
			bent := []byte(raw)
			bent[at] = map[bool]byte{true: 'B', false: 'A'}[bent[at] == 'A']
			junk = append(junk, string(bent))
		}
		for _, j := range junk {
			a := leakAsk{"GET", query + "&_cursor=" + j, "", nil}
			if got := a.send(t, alpha.Client); got != foreign {
				t.Errorf("%s: a foreign cursor differs from a forged one\n%s\n%s", a, foreign, got)
			}
			board.count(a)
		}
		// It is of its own query, too, and a Bundle opens it no further.
		for _, elsewhere := range []string{"/Encounter?_count=1", query + "&_lastUpdated=gt2000", query + "&_total=accurate", strings.Replace(query, "_count=1", "_count=2", 1)} {
			for _, c := range []string{own, cursor} {
				a := leakAsk{"GET", elsewhere + "&" + c, "", nil}
				if got := a.send(t, alpha.Client); !strings.HasPrefix(got, "400") {
					t.Errorf("%s: %.200s", a, got)
				}
				board.count(a)
			}
		}
		in := leakAsk{"POST", "", bundleOf("batch", asking("GET", strings.TrimPrefix(query, "/")+"&"+cursor)), nil}
		if got := in.send(t, alpha.Client); !strings.Contains(got, `"400 `) {
			t.Errorf("a foreign cursor in a batch: %.300s", got)
		}
		board.count(in)
	}
}

// TestSameIDsInParallel reads and writes what two tenants call by the same name, from both in turn over one kept connection, over the
// streams of one HTTP/2 connection, and over many: no cache of tokens, keys, plans, buffers or connections gives one the other's.
func TestSameIDsInParallel(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	alpha, bravo := p.Tenant(t), p.Tenant(t)
	loadCrafted(t, alpha, "alpha", "bravo", bravo.Base)
	loadCrafted(t, bravo, "bravo", "alpha", alpha.Base)
	roots := p.HTTP.Transport.(*http.Transport).TLSClientConfig.RootCAs
	transport := func(two bool, conns int) *http.Client {
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, MaxConnsPerHost: conns, MaxIdleConnsPerHost: 16, ForceAttemptHTTP2: two}
		t.Cleanup(tr.CloseIdleConnections)
		return &http.Client{Transport: tr, Timeout: time.Minute}
	}
	for name, c := range map[string]struct {
		client  *http.Client
		proto   int
		workers int
	}{
		"one kept connection": {transport(false, 1), 1, 1}, "streams of one HTTP/2 connection": {transport(true, 1), 2, 8}, "many connections": {transport(false, 0), 1, 8},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			alpha.Renew(t) // it may have waited for other tests for long
			bravo.Renew(t)
			interleave(t, c.client, c.proto, c.workers, alpha, bravo)
		})
	}
}

// interleaved are requests for names that both have.
var interleaved = []leakAsk{
	{"GET", "/Patient/shared", "", nil}, {"GET", "/Observation?subject=Patient/shared&_include=Observation:subject", "", nil}, {"GET", "/Patient/shared/$everything", "", nil}, {"GET", "/Patient/shared/_history", "", nil},
	{"GET", "/Patient/shared/_history/1", "", nil}, {"GET", "/Patient?identifier=MRN-same", "", nil}, {"GET", "/Patient?_sort=family&_count=2", "", nil},
	{"POST", "", bundleOf("batch", asking("GET", "Patient/shared"), asking("GET", "Encounter/shared"), asking("GET", "Patient?name=same")), nil},
	{"POST", "/Patient/_search", "identifier=MRN-same", []string{"Content-Type", "application/x-www-form-urlencoded"}},
}

func interleave(t *testing.T, client *http.Client, proto, workers int, alpha, bravo *cordontest.Tenant) {
	t.Helper()
	sides := [2]struct {
		n           *cordontest.Tenant
		own, others string
	}{{alpha, "alphaunspoken", "bravounspoken"}, {bravo, "bravounspoken", "alphaunspoken"}}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range 2 * len(interleaved) * 3 {
				side, a := sides[(i+w)%2], interleaved[(i/2+w)%len(interleaved)]
				r, err := http.NewRequestWithContext(t.Context(), a.method, side.n.Base+a.path, strings.NewReader(a.body))
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("Authorization", "Bearer "+side.n.Token())
				r.Header.Set("Content-Type", "application/fhir+json")
				for h := 0; h+1 < len(a.headers); h += 2 {
					r.Header.Set(a.headers[h], a.headers[h+1])
				}
				resp, err := client.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				b, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				body := string(b)
				if err != nil || resp.ProtoMajor != proto || resp.StatusCode != http.StatusOK || !strings.Contains(body, side.own) || strings.Contains(body, side.others) || strings.Contains(body, `rl":"`+sides[(i+w+1)%2].n.Base) {
					t.Errorf("%s as %s over HTTP/%d: %d %v %.300s", a, side.own, resp.ProtoMajor, resp.StatusCode, err, body)
					return
				}
			}
		})
	}
	wg.Wait()
}
