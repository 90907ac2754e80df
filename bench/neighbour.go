package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// flooders is how many connections the noisy tenant keeps busy.
const flooders = 128

// neighbour measures what a tenant's reads feel of another's flood: expensive searches and large Bundles over many connections. Quiet and flood
// take turns; the generator shares the cores with the server, so that the number is an upper bound.
func (s *server) neighbour(ctx context.Context, noisy *client, d *dataset, rounds int, span time.Duration) error {
	quiet, err := s.tenant(ctx, "quiet")
	if err != nil {
		return err
	}
	for i := range 20 {
		body := fmt.Appendf(nil, `{"resourceType":"Patient","id":"p%d","name":[{"family":"Quiet"}]}`, i)
		if err := quiet.fhir(ctx, http.MethodPut, fmt.Sprintf("/Patient/p%d", i), body, nil); err != nil {
			return err
		}
	}
	fmt.Println("round       quiet p50    p99   | flood p50    p99   p99 ratio | flooder: served   429   503  other")
	var ratios []float64
	for round := range rounds {
		before, err := quiet.paced(ctx, span)
		if err != nil {
			return err
		}
		flood := noisy.flood(ctx, d)
		time.Sleep(500 * time.Millisecond) // the flood builds up
		during, err := quiet.paced(ctx, span)
		seen := flood()
		if err != nil {
			return fmt.Errorf("the neighbour: %w", err)
		}
		q := func(t []time.Duration, at float64) time.Duration {
			return t[int(at*float64(len(t)))].Round(10 * time.Microsecond)
		}
		ratios = append(ratios, float64(q(during, 0.99))/float64(q(before, 0.99)))
		fmt.Printf("%5d  %14v %8v | %8v %8v  %9.2f | %15d %6d %5d %5d\n", round+1, q(before, 0.5), q(before, 0.99), q(during, 0.5), q(during, 0.99), ratios[round],
			seen[200], seen[429], seen[503], seen[0])
		time.Sleep(time.Second)
	}
	slices.Sort(ratios)
	fmt.Printf("neighbour's p99 during a flood against quiet: %.2f (goal 1.50)\n", ratios[len(ratios)/2])
	return nil
}

// paced reads at 200 a second from four connections, and gives the times, sorted.
func (s *client) paced(ctx context.Context, span time.Duration) ([]time.Duration, error) {
	var mu sync.Mutex // guards all and failed
	var all []time.Duration
	var failed error
	var wait sync.WaitGroup
	end := time.Now().Add(span)
	for w := range 4 {
		wait.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for n := w; time.Now().Before(end); n++ {
				<-tick.C
				at := time.Now()
				err := s.fhir(ctx, http.MethodGet, fmt.Sprintf("/Patient/p%d", n%20), nil, nil)
				mu.Lock()
				all, failed = append(all, time.Since(at)), err
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wait.Wait()
	slices.Sort(all)
	return all, failed
}

// flood starts the noise; the function that it gives ends it, and tells what was answered.
func (s *client) flood(ctx context.Context, d *dataset) func() map[int]int64 {
	ctx, stop := context.WithCancel(ctx)
	var seen [600]atomic.Int64
	var wait sync.WaitGroup
	noise := &http.Client{Transport: &http.Transport{TLSClientConfig: s.http.Transport.(*http.Transport).TLSClientConfig.Clone(), MaxIdleConnsPerHost: flooders,
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}}
	for w := range flooders {
		wait.Go(func() {
			for n := w; ctx.Err() == nil; n++ {
				seen[s.noise(ctx, noise, d, n)].Add(1)
			}
		})
	}
	return func() map[int]int64 {
		stop()
		wait.Wait()
		noise.CloseIdleConnections()
		out := map[int]int64{}
		for i := range seen {
			if i != 200 && i != 429 && i != 503 {
				out[0] += seen[i].Load()
			} else {
				out[i] = seen[i].Load()
			}
		}
		out[0] = max(0, out[0]-flooders) // those cut off at the end
		return out
	}
}

// noise sends one expensive request, and gives the status of the answer; 0 is none.
func (s *client) noise(ctx context.Context, c *http.Client, d *dataset, n int) int {
	token, err := s.bearer(ctx)
	if err != nil {
		return 0
	}
	method, path, body := http.MethodGet, "/Observation?_count=500&_total=accurate&_include=Observation:subject&date=ge2000&_sort=-date", []byte(nil)
	switch n % 3 {
	case 0:
		method, path, body = http.MethodPost, "", d.bundles[n%len(d.bundles)]
	case 1:
		path = "/Observation?_count=200&status:not=final&code:not=" + url.QueryEscape(d.observations[n%len(d.observations)].code)
	}
	r, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(body))
	if err != nil {
		return 0
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/fhir+json")
	resp, err := c.Do(r)
	if err != nil {
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}
