package test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// attempt sends a request of a client and gives the error of a broken answer instead of failing. Redirects are not followed.
func attempt(t testing.TB, c *cordontest.Tenant, method, path, body string) (cordontest.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, c.Base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+c.Token())
	r.Header.Set("Content-Type", "application/fhir+json")
	client := *c.P.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(r)
	if err != nil {
		return cordontest.Response{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return cordontest.Response{Status: resp.StatusCode, Header: resp.Header, Body: b}, err
}

// rawWire sends bytes as they are over TLS and reads one answer: for what an HTTP client would not send.
func rawWire(t testing.TB, p *cordontest.Platform, text string) cordontest.Response {
	t.Helper()
	u, err := url.Parse(p.Info.URL)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(p.Info.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	c, err := tls.Dial("tcp", u.Host, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	go func() { _, _ = io.WriteString(c, text) }() // an early answer must not wait for the rest
	method, _, _ := strings.Cut(text, " ")
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%.60q: no answer: %v", text, err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, _ := io.ReadAll(resp.Body) // a cut answer is short, and judged by its status
	return cordontest.Response{Status: resp.StatusCode, Header: resp.Header, Body: b}
}

func mustEncode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
