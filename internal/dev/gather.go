package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// fetch asks a child's management listener.
func (c *child) fetch(ctx context.Context, path string) (int, string, error) {
	ctx, cancel := context.WithTimeout(ctx, 6*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.management+path, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	return resp.StatusCode, string(b), err
}

// notReady gives what the processes that cannot serve say of it, a line for each; "" = all can. notes is what the others tell besides.
func (a *apart) notReady(ctx context.Context) (why, notes string) {
	answers := make([]struct{ why, notes string }, len(a.children))
	var asking sync.WaitGroup
	for i, c := range a.children {
		asking.Go(func() {
			status, text, err := c.fetch(ctx, "/readyz")
			switch {
			case err != nil:
				answers[i].why = c.role + ": the process does not answer\n"
			case status != http.StatusOK:
				answers[i].why = strings.TrimPrefix(text, "not ready: ")
			default:
				_, answers[i].notes, _ = strings.Cut(text, "\n")
			}
		})
	}
	asking.Wait()
	for _, x := range slices.Backward(answers) { // in the order in which a single process tells of its roles
		why, notes = why+x.why, notes+x.notes
	}
	return strings.TrimSpace(why), notes
}

// untilReady waits for all processes.
func (a *apart) untilReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		why, _ := a.notReady(ctx)
		if why == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the platform did not become ready (%s): %w", why, context.Cause(ctx))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// management answers for all processes.
func (a *apart) management() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	m.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		why, notes := a.notReady(r.Context())
		if why != "" {
			http.Error(w, "not ready: "+why, http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ready\n" + notes))
	})
	m.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		families, err := a.metrics(r.Context())
		if err != nil {
			http.Error(w, "not every process gave its metrics", http.StatusServiceUnavailable)
			return
		}
		format := expfmt.NewFormat(expfmt.TypeTextPlain)
		w.Header().Set("Content-Type", string(format))
		e := expfmt.NewEncoder(w, format)
		for _, f := range families {
			if e.Encode(f) != nil {
				return
			}
		}
	})
	return m
}

// metrics are those of all processes, each with the label process.
func (a *apart) metrics(ctx context.Context) ([]*dto.MetricFamily, error) {
	all := map[string]*dto.MetricFamily{}
	for _, c := range a.children {
		status, text, err := c.fetch(ctx, "/metrics")
		if err == nil && status != http.StatusOK {
			err = errors.New("status")
		}
		if err != nil {
			return nil, err
		}
		p := expfmt.NewTextParser(model.UTF8Validation)
		families, err := p.TextToMetricFamilies(strings.NewReader(text))
		if err != nil {
			return nil, err
		}
		name, value := "process", c.role
		for k, f := range families {
			for _, m := range f.Metric {
				m.Label = append(m.Label, &dto.LabelPair{Name: &name, Value: &value})
			}
			if have := all[k]; have != nil {
				have.Metric = append(have.Metric, f.Metric...)
			} else {
				all[k] = f
			}
		}
	}
	return slices.SortedFunc(maps.Values(all), func(x, y *dto.MetricFamily) int { return strings.Compare(x.GetName(), y.GetName()) }), nil
}
