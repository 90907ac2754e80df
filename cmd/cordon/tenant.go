package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"text/tabwriter"
)

type tenantCmd struct {
	Create  tenantCreateCmd  `cmd:"" help:"Create a tenant, or resume a creation that was cut off."`
	List    tenantListCmd    `cmd:"" help:"List all tenants."`
	Show    tenantShowCmd    `cmd:"" help:"Show one tenant."`
	Suspend tenantSuspendCmd `cmd:"" help:"Stop a tenant from answering."`
	Resume  tenantResumeCmd  `cmd:"" help:"Let a suspended tenant answer again."`
}

type tenantView struct {
	ID        string `json:"id"`
	Slug      string `json:"slug"`
	State     string `json:"state"`
	Placement string `json:"placement"`
	Cell      string `json:"cell"`
	FHIRBase  string `json:"fhir_base"`
	TokenURL  string `json:"token_url"`
}

func (t tenantView) print() {
	fmt.Printf("%s (%s)\n  id         %s\n  placement  %s on %s\n  FHIR base  %s\n  token URL  %s\n", t.Slug, t.State, t.ID, t.Placement, t.Cell, t.FHIRBase, t.TokenURL)
}

// one sends a request about one tenant and shows the answer.
func (g *global) one(ctx context.Context, method, path string, in any) error {
	c, err := g.connect()
	if err != nil {
		return err
	}
	var t tenantView
	if err := c.call(ctx, method, path, in, &t); err != nil {
		return err
	}
	return g.show(t, t.print)
}

type tenantCreateCmd struct {
	global
	Slug      string `arg:"" help:"Name of the tenant in URLs."`
	Placement string `help:"Where its charts live: pooled, schema, database or dedicated." default:"pooled" enum:"pooled,schema,database,dedicated"`
}

// Run creates the tenant.
func (c *tenantCreateCmd) Run(ctx context.Context) error {
	return c.one(ctx, http.MethodPost, "/tenants", map[string]string{"slug": c.Slug, "placement": c.Placement})
}

type tenantListCmd struct{ global }

// Run lists tenants.
func (c *tenantListCmd) Run(ctx context.Context) error {
	con, err := c.connect()
	if err != nil {
		return err
	}
	list := []tenantView{}
	if err := con.call(ctx, http.MethodGet, "/tenants", nil, &list); err != nil {
		return err
	}
	return c.show(list, func() {
		w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
		_, _ = fmt.Fprintln(w, "SLUG\tSTATE\tPLACEMENT\tCELL\tFHIR BASE")
		for _, t := range list {
			_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", t.Slug, t.State, t.Placement, t.Cell, t.FHIRBase)
		}
		_ = w.Flush()
	})
}

type tenantShowCmd struct {
	global
	Slug string `arg:""`
}

// Run shows one tenant.
func (c *tenantShowCmd) Run(ctx context.Context) error {
	return c.one(ctx, http.MethodGet, "/tenants/"+url.PathEscape(c.Slug), nil)
}

type tenantSuspendCmd struct {
	global
	Slug string `arg:""`
}

// Run suspends a tenant.
func (c *tenantSuspendCmd) Run(ctx context.Context) error {
	return c.one(ctx, http.MethodPost, "/tenants/"+url.PathEscape(c.Slug)+"/suspend", nil)
}

type tenantResumeCmd struct {
	global
	Slug string `arg:""`
}

// Run resumes a tenant.
func (c *tenantResumeCmd) Run(ctx context.Context) error {
	return c.one(ctx, http.MethodPost, "/tenants/"+url.PathEscape(c.Slug)+"/resume", nil)
}
