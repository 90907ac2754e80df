package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime/pprof"
	"time"

	"github.com/cordon-ehr/cordon/internal/dev"
	"github.com/cordon-ehr/cordon/internal/telemetry"
)

type devCmd struct {
	Dir      string            `required:"" env:"CORDON_DIR" help:"Folder for data, keys and certificates; what is in it survives a restart."`
	Listen   string            `default:"127.0.0.1:8443" help:"Address of the FHIR API and the operators' API."`
	PGBin    string            `name:"pg-bin" type:"existingdir" help:"Folder with Postgres' programs; found by itself when it is in a usual place."`
	Demo     bool              `help:"Make demo tenants with synthetic patients."`
	Patients int               `default:"25" help:"Synthetic patients of each demo tenant."`
	Apart    bool              `help:"Run each role as a process of its own, over mTLS."`
	Verbose  bool              `short:"v" help:"Log each request."`
	Profile  string            `hidden:"" help:"Write a CPU profile of the whole run to this file."`
	CertLife time.Duration     `hidden:"" help:"Life of service certificates with --apart."`
	PGSet    map[string]string `hidden:"" name:"pg-set" help:"Further settings of Postgres."`
}

// Run serves in the foreground until it is interrupted.
func (c *devCmd) Run(ctx context.Context) error {
	level := slog.LevelWarn
	if c.Verbose {
		level = slog.LevelInfo
	}
	log := telemetry.NewLogger(os.Stderr, level)
	if c.Profile != "" {
		f, err := os.Create(c.Profile)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	demo := make(chan error, 1)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := dev.Run(ctx, dev.Options{Dir: c.Dir, Listen: c.Listen, Bin: c.PGBin, Passphrase: os.Getenv("CORDON_KMS_PASSPHRASE"), Log: log, Apart: c.Apart, CertLife: c.CertLife,
		Settings: c.PGSet, Step: stopAfter(os.Getenv("CORDON_TEST_STOP_AFTER")),
		Ready: func(i dev.Info) error {
			if !c.Demo {
				close(demo)
				fmt.Printf("cordon serves at %s (folder %s); Ctrl-C stops it\n", i.URL, c.Dir)
				return nil
			}
			go func() {
				err := runDemo(ctx, c.Dir, c.Patients)
				demo <- err
				if err != nil {
					cancel(err)
				}
			}()
			return nil
		}})
	if c.Demo {
		select {
		case derr := <-demo:
			if derr != nil && context.Cause(ctx) == derr { //nolint:errorlint // the very error that ended it
				return fmt.Errorf("make the demo: %w", derr)
			}
		default:
		}
	}
	return err
}

// stopAfter makes the process die where a test wants it to: right after a recorded step of provisioning.
func stopAfter(step string) func(string) {
	if step == "" {
		return nil
	}
	return func(done string) {
		if done == step {
			p, _ := os.FindProcess(os.Getpid())
			_ = p.Kill()
			select {}
		}
	}
}
