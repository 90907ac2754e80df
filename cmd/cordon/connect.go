package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/cordon-ehr/cordon/internal/dev"
)

// connection is a platform's operators' API with a token.
type connection struct {
	url, token string
	http       *http.Client
}

// connect finds the platform: by --dir or CORDON_DIR, else by the profile CORDON_URL, CORDON_TOKEN and, for a private
// authority, CORDON_CA.
func (g *global) connect() (*connection, error) {
	url, token, ca := os.Getenv("CORDON_URL"), os.Getenv("CORDON_TOKEN"), os.Getenv("CORDON_CA")
	if g.Dir != "" {
		info, err := dev.Read(g.Dir)
		if err != nil {
			return nil, err
		}
		url, token, ca = info.URL, info.Operators[g.As], info.CA
	}
	if url == "" || token == "" {
		return nil, errors.New("no platform named: give --dir, or set CORDON_DIR, or CORDON_URL and CORDON_TOKEN")
	}
	client, err := httpClient(ca)
	return &connection{url, token, client}, err
}

// httpClient trusts the authority in a file besides the system's; "" is the system's alone.
func httpClient(ca string) (*http.Client, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("read the platform's authority: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", ca)
		}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: t, MaxIdleConnsPerHost: 16}}, nil
}

// call sends a request to the operators' API and decodes the answer.
func (c *connection) call(ctx context.Context, method, path string, in, out any) error {
	resp, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	return json.NewDecoder(resp.Body).Decode(out)
}

func (c *connection) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.url+"/operator/v1"+path, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("reach the platform: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		defer func() { _ = resp.Body.Close() }()
		return nil, refusal(resp)
	}
	return resp, nil
}

// refusal reads the reason out of an OperationOutcome.
func refusal(resp *http.Response) error {
	var o struct {
		Issue []struct {
			Diagnostics string `json:"diagnostics"`
		} `json:"issue"`
	}
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if json.Unmarshal(b, &o) == nil && len(o.Issue) > 0 {
		return errors.New(o.Issue[0].Diagnostics)
	}
	return fmt.Errorf("the platform answered %s", resp.Status)
}

// show prints a value: as JSON, or by the function for people.
func (g *global) show(v any, people func()) error {
	if !g.JSON {
		people()
		return nil
	}
	e := json.NewEncoder(os.Stdout)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
