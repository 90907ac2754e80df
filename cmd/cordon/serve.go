package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/cordon-ehr/cordon/internal/keyring"
	"github.com/cordon-ehr/cordon/internal/pg"
	"github.com/cordon-ehr/cordon/internal/placement"
	"github.com/cordon-ehr/cordon/internal/platform"
	"github.com/cordon-ehr/cordon/internal/registry"
	"github.com/cordon-ehr/cordon/internal/telemetry"
)

type serveCmd struct {
	Config  string `required:"" type:"existingfile" help:"Configuration file (JSON; docs/serve.md)."`
	Role    string `help:"Roles of this process: any of edge,cell,keys,control, separated by commas; all when it is not given."`
	Log     string `default:"info" enum:"info,warn" help:"What is logged: info is a line for each request."`
	Migrate bool   `help:"Bring the databases of the roles to this release's schema, then end."`
}

// Run serves, or migrates.
func (c *serveCmd) Run(ctx context.Context) error {
	file, err := platform.ReadFile(c.Config)
	if err != nil {
		return err
	}
	roles, err := platform.ParseRoles(c.Role)
	if err != nil {
		return err
	}
	if c.Migrate {
		return migrate(ctx, file, roles)
	}
	level := slog.LevelInfo
	if c.Log == "warn" {
		level = slog.LevelWarn
	}
	return serve(ctx, file, roles, telemetry.NewLogger(os.Stderr, level))
}

func migrate(ctx context.Context, f *platform.File, roles platform.Roles) error {
	var errs []error
	if roles.Has("cell") {
		errs = append(errs, pg.Migrate(ctx, f.Databases.Cell.Migrate, f.Owner, placement.Migrations()))
	}
	if roles.Has("control") {
		errs = append(errs, pg.Migrate(ctx, f.Databases.Control.Migrate, f.Owner, registry.Migrations()))
	}
	if roles.Has("keys") {
		errs = append(errs, pg.Migrate(ctx, f.Databases.Keys.Migrate, f.Owner, keyring.Migrations()))
	}
	return errors.Join(errs...)
}

func serve(ctx context.Context, f *platform.File, roles platform.Roles, log *slog.Logger) error {
	o, err := f.Open(ctx, roles)
	if err != nil {
		return err
	}
	o.Control.Step = stopAfter(os.Getenv("CORDON_TEST_STOP_AFTER"))
	p, err := platform.New(ctx, o.Config, log)
	if err != nil {
		return err
	}
	for name, token := range o.Operators {
		if err := p.Control.SetOperator(ctx, name, token); err != nil {
			return err
		}
	}
	return p.Run(ctx, o.Public, o.Management, func() error { return nil })
}
