// Command cordon is the platform and its tools in one binary: the roles (dev, serve), and the operators' verbs.
//
// Exit codes: 0 done, 1 refused or failed (the reason is on stderr), 2 usage.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"
)

// cli is the command line. Names of flags and commands are a stable surface.
type cli struct {
	Dev    devCmd    `cmd:"" help:"Run a whole platform with its own Postgres in one folder."`
	Serve  serveCmd  `cmd:"" help:"Run the roles on given databases."`
	Tenant tenantCmd `cmd:"" help:"Create and change tenants."`
	Client clientCmd `cmd:"" help:"Register client applications of a tenant."`
	Keys   keysCmd   `cmd:"" help:"Disable, enable and rotate a tenant's keys."`
	Audit  auditCmd  `cmd:"" help:"Read a tenant's audit events."`
	Synth  synthCmd  `cmd:"" help:"Print synthetic patients as FHIR Bundles, one a line."`
}

// global are the flags of every command that talks to a platform.
type global struct {
	Dir  string `help:"Folder of a development platform." env:"CORDON_DIR"`
	As   string `help:"Operator to act as, on a development platform." default:"alice" enum:"alice,bob"`
	JSON bool   `help:"Print one JSON value."`
}

func main() {
	// Requests make much garbage and keep little: at the default the collector runs hundreds of times a second over a heap of a
	// few megabytes. GOGC and GOMEMLIMIT still win.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c cli
	usage := 0
	parser, err := kong.New(&c, kong.Name("cordon"), kong.Description("Cordon: FHIR charts of many clinics, each behind its own walls."),
		kong.UsageOnError(), kong.Exit(func(code int) { usage = code + 1000 }), kong.BindTo(ctx, (*context.Context)(nil)))
	if err != nil {
		fmt.Fprintln(os.Stderr, "cordon:", err)
		return 1
	}
	k, err := parser.Parse(args)
	if usage == 1000 { // --help
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cordon:", err)
		return 2
	}
	if err := k.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "cordon:", err)
		return 1
	}
	return 0
}
