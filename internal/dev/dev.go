package dev

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cordon-ehr/cordon/internal/cell"
	"github.com/cordon-ehr/cordon/internal/control"
	"github.com/cordon-ehr/cordon/internal/edge"
	"github.com/cordon-ehr/cordon/internal/keyring"
	"github.com/cordon-ehr/cordon/internal/pgserver"
	"github.com/cordon-ehr/cordon/internal/platform"
)

// Options of a development platform.
type Options struct {
	Dir        string
	Listen     string            // host:port; port 0 takes a free one
	Bin        string            // folder with Postgres' programs; "" = find
	Passphrase string            // of the root key; "" = DIR/kms.json holds the key itself
	Settings   map[string]string // further settings of Postgres
	Log        *slog.Logger
	Ready      func(Info) error     // called when DIR/dev.json is there
	Step       func(string)         // see control.Config
	Apart      bool                 // each role is a process of its own
	Binary     string               // cordon, for the processes of Apart; "" = this program
	CertLife   time.Duration        // of service certificates; 0 = 1 hour
	Keys       func(*platform.Keys) // changes the broker's part, for tests; nil = as it is
}

// cellName is the one cell of a development platform.
const cellName = "cell1"

// Run starts everything and serves until ctx ends; then it stops everything, Postgres last. Errors are for a person to read.
func Run(ctx context.Context, o Options) (err error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	// Before anything is touched: a folder of another version may hold another Postgres, too.
	if _, err := read(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	forget(dir)
	public, err := listen(ctx, o.Listen)
	if err != nil {
		return err
	}
	defer func() { _ = public.Close() }()
	management, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer func() { _ = management.Close() }()
	db, err := supervise(ctx, pgserver.Config{Dir: dir, Bin: o.Bin, Settings: o.Settings, Log: o.Log}, o.Log)
	if err != nil {
		return err
	}
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		err = errors.Join(err, db.stop(stop))
	}()
	return serve(ctx, dir, o, db, public, management)
}

func listen(ctx context.Context, at string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", at)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("the address %s is taken by another program: choose another with --listen", at)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", at, err)
	}
	return l, nil
}

// serve runs the platform on a started Postgres, and ends when it is told to, or when Postgres cannot be kept running.
func serve(ctx context.Context, dir string, o Options, sv *supervisor, public, management net.Listener) error {
	db := sv.server()
	st, err := load(dir)
	if err != nil {
		return err
	}
	if err := prepare(ctx, db, st); err != nil {
		return err
	}
	cfg, err := configure(dir, o, st, db, public.Addr().String())
	if err != nil {
		return err
	}
	user, password := db.Superuser()
	info := Info{URL: cfg.Edge.PublicURL, Management: "http://" + management.Addr().String(), CA: filepath.Join(dir, "ca.pem"), Operators: st.Operators,
		Postgres: Postgres{Superuser: db.DSN(user, password, databases()[0].name), Cell: cfg.Cell.Database}, PID: os.Getpid()}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if err := sv.watch(ctx); err != nil {
			cancel(err)
		}
	}()
	if err := os.RemoveAll(filepath.Join(dir, "apart")); err != nil { // of a run that was killed
		return err
	}
	if o.Apart {
		err = runApart(ctx, dir, o, cfg, st, public, management, info)
	} else {
		err = runTogether(ctx, dir, o, cfg, st, public, management, info)
	}
	if rerr := os.Remove(filepath.Join(dir, "dev.json")); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	cause := context.Cause(ctx)
	cancel(nil)
	<-watched
	if err == nil && cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	return err
}

// runTogether serves with all roles in this process.
func runTogether(ctx context.Context, dir string, o Options, cfg platform.Config, st *state, public, management net.Listener, info Info) error {
	p, err := platform.New(ctx, cfg, o.Log)
	if err != nil {
		return err
	}
	for name, token := range st.Operators {
		if err := p.Control.SetOperator(ctx, name, token); err != nil {
			return err
		}
	}
	return p.Run(ctx, public, management, func() error {
		if err := writeJSON(filepath.Join(dir, "dev.json"), info); err != nil {
			return err
		}
		if o.Ready != nil {
			return o.Ready(info)
		}
		return nil
	})
}

// configure gives each role its own part.
func configure(dir string, o Options, st *state, db *pgserver.Server, address string) (platform.Config, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return platform.Config{}, err
	}
	name := host
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		name = "127.0.0.1"
	}
	ca, err := openAuthority(dir)
	if err != nil {
		return platform.Config{}, err
	}
	tlsConfig, err := ca.server(name)
	if err != nil {
		return platform.Config{}, err
	}
	kms, err := keyring.OpenFileKMS(filepath.Join(dir, "kms.json"), o.Passphrase)
	if err != nil {
		return platform.Config{}, err
	}
	ticket, err := st.ticketKey()
	if err != nil {
		return platform.Config{}, err
	}
	dsn := func(i int) string {
		d := databases()[i]
		return db.DSN(d.role, st.Passwords[d.role], d.name)
	}
	url := "https://" + net.JoinHostPort(name, port)
	broker := platform.Keys{Database: dsn(2), KMS: kms, Ticket: &ticket.PublicKey}
	if o.Keys != nil {
		o.Keys(&broker)
	}
	return platform.Config{
		Roles:   platform.AllRoles(),
		Mesh:    platform.Mesh{Domain: trustDomain},
		Edge:    edge.Config{PublicURL: url, Hosts: []string{"localhost", "127.0.0.1", "::1"}, Domain: "localhost"},
		Cell:    cell.Config{Name: cellName, Database: dsn(0)},
		Control: control.Config{Database: dsn(1), PublicURL: url, Cell: cellName, Step: o.Step, TicketKey: ticket},
		Keys:    broker,
		TLS:     tlsConfig,
	}, nil
}
