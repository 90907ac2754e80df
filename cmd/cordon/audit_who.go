package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"text/tabwriter"
	"time"
)

type auditWhoCmd struct {
	global
	Tenant  string    `required:"" help:"Slug of the tenant."`
	Patient string    `required:"" help:"The patient, as Patient/ID."`
	Since   time.Time `help:"Only from this moment on (2026-01-31T00:00:00Z)."`
	Limit   int       `help:"At most so many events, the newest."`
}

// Run prints one line for each event.
func (c *auditWhoCmd) Run(ctx context.Context) error {
	con, err := c.connect()
	if err != nil {
		return err
	}
	in := map[string]any{"patient": c.Patient, "limit": c.Limit}
	if !c.Since.IsZero() {
		in["since"] = c.Since
	}
	var out struct {
		Events []struct {
			At       time.Time `json:"recorded"`
			Kind     string    `json:"kind"`
			Who      string    `json:"who"`
			Client   string    `json:"client,omitempty"`
			What     string    `json:"what"`
			Resource string    `json:"resource,omitempty"`
			Count    int       `json:"count,omitempty"`
			From     string    `json:"from,omitempty"`
			Purpose  string    `json:"purpose,omitempty"`
			Outcome  string    `json:"outcome"`
			Reason   string    `json:"reason,omitempty"`
			Request  string    `json:"request_id,omitempty"`
			ID       string    `json:"event_id"`
		} `json:"events"`
		More bool `json:"more"`
	}
	if err := con.call(ctx, http.MethodPost, "/tenants/"+url.PathEscape(c.Tenant)+"/audit/who", in, &out); err != nil {
		return err
	}
	return c.show(out, func() {
		w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
		_, _ = fmt.Fprintln(w, "WHEN\tWHO\tWHAT\tRESOURCE\tFROM\tPURPOSE\tOUTCOME")
		for _, e := range out.Events {
			_, _ = fmt.Fprintf(w, "%s\t%s %s\t%s\t%s\t%s\t%s\t%s\n", e.At.UTC().Format("2006-01-02 15:04:05Z"), e.Kind, e.Who, e.What, e.Resource, e.From, e.Purpose, e.Outcome)
		}
		_ = w.Flush()
		if out.More {
			fmt.Println("… and older ones: raise --limit")
		}
	})
}
