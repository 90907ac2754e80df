package dev

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cordon-ehr/cordon/internal/mesh"
	"github.com/cordon-ehr/cordon/internal/platform"
)

// apart is a platform whose roles are processes of their own, each with its own configuration, database role and secrets. This
// process keeps Postgres, the service authority and the children.
type apart struct {
	dir      string // DIR/apart: configurations and certificates of this run, mode 0700
	o        Options
	children []*child // in the order in which they stop
	ca       *serviceAuthority
	sockets  []net.Listener
	mu       sync.Mutex // guards info, and the file that shows it
	info     *Info      // nil until it is published
}

// order is how the roles stop: who calls before who is called, so that what is under way finds its way.
func order() []string { return []string{mesh.Edge, mesh.Cell, mesh.Control, mesh.Keys} }

// Process is one role's process in DIR/dev.json.
type Process struct {
	PID        int    `json:"pid"`
	Management string `json:"management"`
}

// runApart serves until ctx ends, or a child cannot be kept running.
func runApart(ctx context.Context, dir string, o Options, cfg platform.Config, st *state, public, management net.Listener, info Info) error {
	a := &apart{dir: filepath.Join(dir, "apart"), o: o}
	defer a.closeSockets()
	defer func() { _ = os.RemoveAll(a.dir) }()
	if err := a.prepare(ctx, cfg, st, public); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var renewing sync.WaitGroup
	renewing.Go(func() { a.ca.renew(ctx, order(), o.Log) })
	var watching errgroup.Group
	for _, c := range a.children {
		if err := c.start(); err != nil {
			cancel(err)
			break
		}
		watching.Go(func() error {
			err := c.watch(ctx, a.published)
			if err != nil {
				cancel(err)
			}
			return err
		})
	}
	s := &http.Server{Handler: a.management(), ReadHeaderTimeout: 10 * time.Second}
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.Serve(management) })
	err := a.untilReady(ctx)
	if err == nil {
		err = a.publish(info)
	}
	if err == nil && o.Ready != nil {
		err = o.Ready(info)
	}
	if err == nil {
		<-ctx.Done()
	}
	for _, c := range a.children {
		c.stop()
	}
	_ = s.Close()
	serving.Wait()
	werr := watching.Wait()
	cause := context.Cause(ctx)
	cancel(nil)
	renewing.Wait()
	if errors.Is(cause, context.Canceled) {
		cause = nil
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, cause) {
		err = nil
	}
	if errors.Is(cause, werr) {
		werr = nil
	}
	return errors.Join(err, werr, cause)
}

func (a *apart) closeSockets() {
	for _, l := range a.sockets {
		_ = l.Close()
	}
}

// prepare writes what each child needs, and nothing of another's.
func (a *apart) prepare(ctx context.Context, cfg platform.Config, st *state, public net.Listener) (err error) {
	if err := os.Mkdir(a.dir, 0o700); err != nil {
		return err
	}
	life := a.o.CertLife
	if life == 0 {
		life = time.Hour
	}
	if a.ca, err = newServiceAuthority(a.dir, life); err != nil {
		return err
	}
	addresses := map[string]net.Listener{}
	for _, role := range order()[1:] { // nobody calls the edge
		if addresses[role], err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
			return err
		}
		a.sockets = append(a.sockets, addresses[role])
	}
	url := func(role string) string { return "https://" + addresses[role].Addr().String() }
	peers := platform.PeersFile{Keys: url(mesh.Keys), Control: url(mesh.Control), Cells: map[string]string{cellName: url(mesh.Cell)}}
	for _, role := range order() {
		if err := a.ca.issue(role); err != nil {
			return err
		}
		f, err := a.config(role, cfg, st)
		if err != nil {
			return err
		}
		f.Mesh.Peers = peersOf(role, peers)
		sockets := []net.Listener{}
		hand := func(l net.Listener) string {
			sockets = append(sockets, l)
			return fmt.Sprintf("fd:%d", 2+len(sockets))
		}
		member := platform.MemberFile{Cert: a.ca.file(role), Key: a.ca.file(role)}
		if role == mesh.Edge {
			f.Listen = hand(public)
		} else {
			member.Listen = hand(addresses[role])
		}
		f.Mesh.Roles = map[string]platform.MemberFile{role: member}
		health, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		a.sockets = append(a.sockets, health)
		f.Management = hand(health)
		if err := a.child(role, f, sockets, "http://"+health.Addr().String()); err != nil {
			return err
		}
	}
	return nil
}

// peersOf keeps of the addresses what the policy lets a role call.
func peersOf(role string, all platform.PeersFile) platform.PeersFile {
	switch role {
	case mesh.Edge:
		return platform.PeersFile{Control: all.Control, Cells: all.Cells}
	case mesh.Cell:
		return platform.PeersFile{Control: all.Control, Keys: all.Keys}
	case mesh.Control:
		return platform.PeersFile{Keys: all.Keys, Cells: all.Cells}
	}
	return platform.PeersFile{Control: all.Control} // its witness
}

// config is one role's own part of the platform's configuration.
func (a *apart) config(role string, cfg platform.Config, st *state) (platform.File, error) {
	f := platform.File{Mesh: &platform.MeshFile{Domain: trustDomain, Bundle: a.ca.bundle()}}
	var err error
	write := func(name string, b []byte) string {
		path := filepath.Join(a.dir, name)
		err = errors.Join(err, replaceFile(path, b))
		return path
	}
	if role != mesh.Edge {
		if f.LogPublic, err = st.publicLogKeys(); err != nil {
			return f, err
		}
		f.Worm, f.LogKeys = a.o.Worm, map[string]string{role: write(role+".logkey", []byte(st.LogKeys[role]))}
	}
	if key := st.AuditKeys[role]; key != nil {
		f.AuditKeys = map[string]string{role: write(role+".auditkey", key)}
	}
	switch role {
	case mesh.Edge:
		pair := cfg.TLS.Certificates[0]
		key, kerr := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
		if kerr != nil {
			return f, kerr
		}
		f.PublicURL, f.Domain, f.Hosts = cfg.Edge.PublicURL, cfg.Edge.Domain, cfg.Edge.Hosts
		f.Cert = write("public.pem", mesh.EncodePEM(pair.Certificate, key))
		f.Key = f.Cert
	case mesh.Cell:
		f.Cell, f.Databases.Cell.Role = cfg.Cell.Name, cfg.Cell.Database
	case mesh.Control:
		f.PublicURL, f.Cell, f.Databases.Control.Role = cfg.Control.PublicURL, cfg.Control.Cell, cfg.Control.Database
		f.TicketKey = write("ticket-key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: st.Ticket}))
		f.Operators = map[string]string{}
		for name, token := range st.Operators {
			f.Operators[name] = write("operator-"+name, []byte(token+"\n"))
		}
	case mesh.Keys:
		public, perr := x509.MarshalPKIXPublicKey(cfg.Keys.Ticket)
		if perr != nil {
			return f, perr
		}
		f.KMSFile, f.Databases.Keys.Role = filepath.Join(filepath.Dir(a.dir), "kms.json"), cfg.Keys.Database
		f.TicketPublic = write("ticket.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	}
	return f, err
}

// child writes a configuration and makes the process ready to be started.
func (a *apart) child(role string, f platform.File, sockets []net.Listener, management string) error {
	path := filepath.Join(a.dir, role+".json")
	if err := writeJSON(path, f); err != nil {
		return err
	}
	bin := a.o.Binary
	if bin == "" {
		var err error
		if bin, err = os.Executable(); err != nil {
			return err
		}
	}
	level := "warn"
	if a.o.Log.Enabled(context.Background(), slog.LevelInfo) {
		level = "info"
	}
	c := &child{role: role, bin: bin, args: []string{"serve", "--config", path, "--role", role, "--log", level}, management: management, log: a.o.Log}
	for _, name := range []string{"PATH", "GOGC", "GOMEMLIMIT", "GODEBUG", "GOMAXPROCS", "GOTRACEBACK", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "HOME"} {
		if role == mesh.Edge && strings.HasPrefix(name, "AWS_") {
			continue // it opens no storage
		}
		if v, set := os.LookupEnv(name); set {
			c.env = append(c.env, name+"="+v)
		}
	}
	switch role {
	case mesh.Keys:
		c.env = append(c.env, "CORDON_KMS_PASSPHRASE="+a.o.Passphrase)
	case mesh.Control:
		c.env = append(c.env, "CORDON_TEST_STOP_AFTER="+os.Getenv("CORDON_TEST_STOP_AFTER"))
	}
	for _, l := range sockets {
		t, ok := l.(*net.TCPListener)
		if !ok {
			return errors.New("only a TCP socket can be handed over")
		}
		file, err := t.File()
		if err != nil {
			return err
		}
		c.files = append(c.files, file)
	}
	a.children = append(a.children, c)
	return nil
}

// publish writes DIR/dev.json.
func (a *apart) publish(info Info) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.info = &info
	return a.write()
}

// published writes it again when a process has another id.
func (a *apart) published() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.info == nil {
		return
	}
	if err := a.write(); err != nil {
		a.o.Log.Error("dev.json could not be written", slog.String("error", err.Error()))
	}
}

// write shows info with the processes as they are. mu is held.
func (a *apart) write() error {
	a.info.Processes = map[string]Process{}
	for _, c := range a.children {
		a.info.Processes[c.role] = Process{c.pid(), c.management}
	}
	return writeJSON(filepath.Join(filepath.Dir(a.dir), "dev.json"), a.info)
}
