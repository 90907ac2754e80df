package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
)

type clientCmd struct {
	Create clientCreateCmd `cmd:"" help:"Register a client: with a secret, or with its own keys."`
}

type clientCreateCmd struct {
	global
	Tenant string `required:"" help:"Slug of the tenant."`
	Name   string `required:"" help:"What the client is called in audit events."`
	Scope  string `required:"" help:"SMART scopes, separated by spaces: system/*.cruds"`
	JWKS   string `name:"jwks" help:"File with the client's public keys (JWK set): it authenticates by private_key_jwt." type:"existingfile"`
}

type registration struct {
	ClientID string `json:"client_id"`
	Secret   string `json:"client_secret,omitempty"`
}

// Run registers the client.
func (c *clientCreateCmd) Run(ctx context.Context) error {
	con, err := c.connect()
	if err != nil {
		return err
	}
	r, err := con.register(ctx, c.Tenant, c.Name, c.Scope, c.JWKS)
	if err != nil {
		return err
	}
	return c.show(r, func() {
		fmt.Println("client id     ", r.ClientID)
		if r.Secret != "" {
			fmt.Println("client secret ", r.Secret, " (shown this once)")
		}
	})
}

func (c *connection) register(ctx context.Context, tenant, name, scope, keys string) (r registration, err error) {
	in := map[string]any{"name": name, "scope": scope}
	if keys != "" {
		b, err := os.ReadFile(keys)
		if err != nil {
			return r, err
		}
		in["jwks"] = json.RawMessage(b)
	}
	err = c.call(ctx, http.MethodPost, "/tenants/"+url.PathEscape(tenant)+"/clients", in, &r)
	return r, err
}
