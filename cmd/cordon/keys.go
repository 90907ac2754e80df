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

type keysCmd struct {
	Disable        keysDisableCmd        `cmd:"" help:"Close a tenant at once: nothing of it can be read or written until its keys are enabled."`
	Enable         keysEnableCmd         `cmd:"" help:"Open a tenant whose keys are disabled."`
	Rotate         keysRotateCmd         `cmd:"" help:"Make a new key for what is written from now on; what was written before stays readable."`
	Status         keysStatusCmd         `cmd:"" help:"Show versions and states of a tenant's keys."`
	Identities     keysIdentitiesCmd     `cmd:"" help:"List service identities that the broker stopped."`
	ResumeIdentity keysResumeIdentityCmd `cmd:"" help:"Let a stopped service identity have leases again."`
}

type keyVersion struct {
	Kind    string    `json:"kind,omitempty"`
	Version int32     `json:"version"`
	State   string    `json:"state"`
	Created time.Time `json:"created"`
}

type keysView struct {
	Tenant     string       `json:"tenant"`
	State      string       `json:"state"`
	Mode       string       `json:"mode"`
	Generation int64        `json:"generation"`
	KEK        []keyVersion `json:"kek"`
	Secrets    []keyVersion `json:"secrets"`
	Took       *int64       `json:"took_ms,omitempty"`
}

func (k keysView) print() {
	fmt.Printf("%s: keys %s (mode %s)\n", k.Tenant, k.State, k.Mode)
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "  KEY\tVERSION\tSTATE\tCREATED")
	for _, v := range k.KEK {
		v.Kind = "kek"
		v.print(w)
	}
	for _, v := range k.Secrets {
		v.print(w)
	}
	_ = w.Flush()
	if k.Took != nil {
		fmt.Printf("every edge and cell has it after %d ms\n", *k.Took)
	}
}

func (v keyVersion) print(w *tabwriter.Writer) {
	_, _ = fmt.Fprintf(w, "  %s\t%d\t%s\t%s\n", v.Kind, v.Version, v.State, v.Created.UTC().Format(time.RFC3339))
}

// ofTenant are the flags of every key operation.
type ofTenant struct {
	global
	Tenant string `required:"" help:"Slug of the tenant."`
}

// keys sends a request about a tenant's keys and shows the answer.
func (t *ofTenant) keys(ctx context.Context, method, verb string, in any) error {
	c, err := t.connect()
	if err != nil {
		return err
	}
	var k keysView
	if err := c.call(ctx, method, "/tenants/"+url.PathEscape(t.Tenant)+"/keys"+verb, in, &k); err != nil {
		return err
	}
	return t.show(k, k.print)
}

type keysDisableCmd struct{ ofTenant }

// Run disables the keys; it returns when every edge and cell refuses.
func (c *keysDisableCmd) Run(ctx context.Context) error {
	return c.keys(ctx, http.MethodPost, "/disable", nil)
}

type keysEnableCmd struct{ ofTenant }

// Run enables the keys.
func (c *keysEnableCmd) Run(ctx context.Context) error {
	return c.keys(ctx, http.MethodPost, "/enable", nil)
}

type keysRotateCmd struct {
	ofTenant
	Kind string `help:"Which key: data (what is stored) or sign (access tokens)." default:"data" enum:"data,sign"`
}

// Run rotates.
func (c *keysRotateCmd) Run(ctx context.Context) error {
	return c.keys(ctx, http.MethodPost, "/rotate", map[string]string{"kind": c.Kind})
}

type keysStatusCmd struct{ ofTenant }

// Run shows the keys.
func (c *keysStatusCmd) Run(ctx context.Context) error { return c.keys(ctx, http.MethodGet, "", nil) }

type stop struct {
	Identity string     `json:"identity"`
	Reason   string     `json:"reason"`
	Since    time.Time  `json:"since"`
	Until    *time.Time `json:"until,omitempty"`
}

type keysIdentitiesCmd struct{ global }

// Run lists the stopped identities.
func (c *keysIdentitiesCmd) Run(ctx context.Context) error {
	con, err := c.connect()
	if err != nil {
		return err
	}
	list := []stop{}
	if err := con.call(ctx, http.MethodGet, "/identities", nil, &list); err != nil {
		return err
	}
	return c.show(list, func() {
		for _, s := range list {
			fmt.Printf("%s  stopped since %s: %s\n", s.Identity, s.Since.UTC().Format(time.RFC3339), s.Reason)
		}
		if len(list) == 0 {
			fmt.Println("no service identity is stopped")
		}
	})
}

type keysResumeIdentityCmd struct {
	global
	Identity string `arg:"" help:"Name of the service identity."`
}

// Run resumes the identity.
func (c *keysResumeIdentityCmd) Run(ctx context.Context) error {
	con, err := c.connect()
	if err != nil {
		return err
	}
	var out map[string]string
	if err := con.call(ctx, http.MethodPost, "/identities/resume", map[string]string{"identity": c.Identity}, &out); err != nil {
		return err
	}
	return c.show(out, func() { fmt.Println(c.Identity, "gets leases again") })
}
