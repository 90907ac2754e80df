package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cordon-ehr/cordon/internal/synth"
)

// demoTenants are made by --demo: three clinics in one pool.
var demoTenants = []string{"riverside", "lakeside", "hilltop"}

// demoClient is what DIR/demo.json keeps of a tenant, so that a restart makes nothing twice.
type demoClient struct {
	registration
	Loaded int `json:"loaded"` // patients that are stored
}

// runDemo makes the demo tenants, loads their patients over the FHIR API like any client, and prints where to look.
func runDemo(ctx context.Context, dir string, patients int) error {
	g := &global{Dir: dir, As: "alice"}
	con, err := g.connect()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "demo.json")
	clients := map[string]*demoClient{}
	if b, err := os.ReadFile(path); err == nil {
		if err := json.Unmarshal(b, &clients); err != nil {
			return fmt.Errorf("%s is damaged: %w", path, err)
		}
	}
	save := func() error {
		b, err := json.Marshal(clients)
		if err != nil {
			return err
		}
		return os.WriteFile(path, b, 0o600)
	}
	views := make([]tenantView, len(demoTenants))
	for i, slug := range demoTenants {
		if err := con.call(ctx, http.MethodPost, "/tenants", map[string]string{"slug": slug, "placement": "pooled"}, &views[i]); err != nil {
			return err
		}
		if clients[slug] == nil {
			r, err := con.register(ctx, slug, "demo", "system/*.cruds", "")
			if err != nil {
				return err
			}
			clients[slug] = &demoClient{registration: r}
			if err := save(); err != nil {
				return err
			}
		}
	}
	var loads errgroup.Group
	for i, slug := range demoTenants {
		loads.Go(func() error { return loadDemo(ctx, con.http, views[i], clients[slug], uint64(i+1), patients) })
	}
	if err := errors.Join(loads.Wait(), save()); err != nil {
		return err
	}
	printDemo(filepath.Join(dir, "ca.pem"), views, clients)
	return nil
}

// loadDemo stores the patients that are missing, each as one transaction.
func loadDemo(ctx context.Context, h *http.Client, t tenantView, c *demoClient, seed uint64, patients int) error {
	if c.Loaded >= patients {
		return nil
	}
	token, err := fetchToken(ctx, h, t.TokenURL, c.registration)
	if err != nil {
		return err
	}
	if c.Loaded == 0 {
		if err := postBundle(ctx, h, t.FHIRBase, token, synth.Directory(seed)); err != nil {
			return err
		}
	}
	for p := range synth.Patients(synth.Options{Seed: seed, Start: c.Loaded, Count: patients - c.Loaded}) {
		if err := postBundle(ctx, h, t.FHIRBase, token, p.Bundle); err != nil {
			return err
		}
		c.Loaded++
	}
	return nil
}

func fetchToken(ctx context.Context, h *http.Client, at string, r registration) (string, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {r.ClientID}, "client_secret": {r.Secret}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := h.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	var t struct {
		AccessToken string `json:"access_token"`
		Error       string `json:"error"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&t); err != nil || t.AccessToken == "" {
		return "", fmt.Errorf("the token endpoint answered %s %s", resp.Status, t.Error)
	}
	return t.AccessToken, nil
}

func postBundle(ctx context.Context, h *http.Client, base, token string, b []byte) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base, bytes.NewReader(b))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/fhir+json")
	resp, err := h.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("load a demo patient: %w", refusal(resp))
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

func printDemo(ca string, views []tenantView, clients map[string]*demoClient) {
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "\nTENANT\tPATIENTS\tFHIR BASE\tCLIENT ID")
	for _, t := range views {
		_, _ = fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", t.Slug, clients[t.Slug].Loaded, t.FHIRBase, clients[t.Slug].ClientID)
	}
	_ = w.Flush()
	t := views[0]
	c := clients[t.Slug]
	fmt.Printf(`
Ask for two patients of %s:

curl -s --cacert %[2]s -H "Authorization: Bearer $(curl -s --cacert %[2]s -u %[3]s:%[4]s -d grant_type=client_credentials %[5]s | sed 's/.*"access_token":"\([^"]*\)".*/\1/')" '%[6]s/Patient?_count=2'

Ctrl-C stops the platform.
`, t.Slug, ca, c.ClientID, c.Secret, t.TokenURL, t.FHIRBase)
}
