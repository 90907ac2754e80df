package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/cordon-ehr/cordon/internal/dev"
	"github.com/cordon-ehr/cordon/internal/prove"
)

type proveCmd struct {
	global
	Tenant string `help:"Slug of a tenant: prove its walls, too, without a look into its charts."`
}

// Run proves the walls: the roles run their probes inside, this command those of the front door. It ends with 1 when one fails.
func (c *proveCmd) Run(ctx context.Context) error {
	con, err := c.connect()
	if err != nil {
		return err
	}
	var inside prove.Canaries
	if err := con.call(ctx, http.MethodPost, "/prove", map[string]string{"tenant": c.Tenant}, &inside); err != nil {
		return err
	}
	door := prove.Door{HTTP: con.http, Canaries: inside, Events: con.events}
	if c.Dir != "" {
		if info, err := dev.Read(c.Dir); err == nil {
			door.Management = info.Management
		}
	}
	report := prove.Report{Probes: append(inside.Probes, door.Run(ctx)...)}
	if err := c.show(report, func() { printReport(report) }); err != nil {
		return err
	}
	if n := report.Failed(); n > 0 {
		return fmt.Errorf("%d of %d probes failed", n, len(report.Probes))
	}
	return nil
}

func printReport(r prove.Report) {
	for _, p := range r.Probes {
		word := "ok    "
		if !p.OK {
			word = "FAILED"
		}
		_, _ = fmt.Fprintf(os.Stdout, "%s  %-18s %s\n%26s  %s\n", word, p.ID, p.Detail, "", strings.Join(p.Control, ", "))
	}
}

// events exports a tenant's events.
func (c *connection) events(ctx context.Context, slug string) (string, error) {
	resp, err := c.send(ctx, http.MethodGet, "/tenants/"+url.PathEscape(slug)+"/audit", nil)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}
