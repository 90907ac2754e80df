// Package pgserver runs a private PostgreSQL, as a child of this process, for one data folder.
//
// It promises that at most one process owns a folder and that the server never outlives its owner for long; that it
// listens on a unix socket in a private folder and on no network; that every connection needs a password (SCRAM); that
// pages carry checksums; that no statement or value reaches its log (but for a PANIC, see law); and that being killed at any
// line, in the middle of creating the database too, is repaired by the next Start. It does not restart a server that
// died, does not upgrade data made by another PostgreSQL, and makes no roles or databases beyond the superuser.
//
// What lies in Config.Dir: pg (the data, or a link to it), run (the socket), pg.conf and pg.hba (rewritten at each
// start), pg.log, pg.secret (the superuser's password), pg.lock (held by the owner), pg.running (held by postgres); where
// the folder is closed to the account of postgres, also pg.home (where what postgres reads and writes is instead).
package pgserver

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

const (
	superuser = "cordon_root"
	port      = "5432" // only the name of the socket file: nothing listens on the network
)

// Config says where a server lives. Only Dir is required.
type Config struct {
	Dir      string            // holds everything; created when missing. Root's postgres must pass through it: mode 0711
	Bin      string            // folder of initdb and postgres; empty = see Find
	Away     string            // where the data goes when postgres may not enter a parent of Dir; empty = /var/lib/cordon
	Settings map[string]string // postgresql.conf settings over our defaults; what keeps the server private is refused
	Log      *slog.Logger      // start, stop and recovery; nil = silent
}

// Server is a running PostgreSQL. Its methods may be called from any goroutine.
type Server struct {
	place    place
	version  int
	password string
	sockets  string // folder of the socket
	lock     *os.File
	proc     *process
	out      serverlog
	log      *slog.Logger

	done     chan struct{}
	mu       sync.Mutex // guards stopping and err
	stopping bool
	err      error

	stopOnce sync.Once
	stopErr  error
}

// Start brings up the server of c.Dir, creating the database first when there is none, and returns once it accepts
// connections. After a crash that includes replaying the write-ahead log: only ctx bounds how long that may take. ctx
// governs the start alone; the server runs until Stop, or until this process is gone.
func Start(ctx context.Context, c Config) (*Server, error) {
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	dir, err := makeDir(c.Dir)
	if err != nil {
		return nil, err
	}
	lock, err := lockOwner(dir)
	if err != nil {
		return nil, err
	}
	s := &Server{lock: lock, log: log, done: make(chan struct{})}
	if err := s.start(ctx, c, dir); err != nil {
		s.release()
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	log.Info("postgres is up", "version", s.version, "pid", s.proc.pid, "data", s.place.data())
	return s, nil
}

// start is the order of things; each step finds what an interrupted run of itself left behind and goes on from there.
func (s *Server) start(ctx context.Context, c Config, dir string) (err error) {
	if err := checkSettings(c.Settings); err != nil {
		return err
	}
	if s.place, err = settle(dir, c.Away); err != nil {
		return err
	}
	running, err := s.place.reclaim(ctx, s.log)
	if err != nil {
		return err
	}
	// Only postgres keeps this lock: ours goes when start returns, its copies go with the last server process.
	defer running.Close()

	bin, err := s.place.binaries(c.Bin)
	if err != nil {
		return err
	}
	s.version = bin.version
	if s.password, err = s.place.secret(); err != nil {
		return err
	}
	if err := s.place.createCluster(ctx, bin, s.password, running, s.log); err != nil {
		return err
	}
	if s.sockets, err = s.place.openSockets(); err != nil {
		return err
	}
	if err := s.place.writeSettings(c.Settings); err != nil {
		return err
	}
	if s.out, err = openLog(dir); err != nil {
		return err
	}
	if s.proc, err = s.launch(bin, running); err != nil {
		return err
	}
	if err := s.awaitReady(ctx); err != nil {
		s.abort()
		return err
	}
	go s.watch()
	return nil
}

// SocketDir is the folder of the unix socket: the "host" of a connection.
func (s *Server) SocketDir() string { return s.sockets }

// DataDir is the data folder, links resolved to the place postgres sees.
func (s *Server) DataDir() string { return s.place.data() }

// PID is the process id of the postmaster.
func (s *Server) PID() int { return s.proc.pid }

// Version is the major version of the server.
func (s *Server) Version() int { return s.version }

// Superuser is the role made with the database, and its password. It is for setting up roles, not for serving.
func (s *Server) Superuser() (user, password string) { return superuser, s.password }

// DSN is a connection string for pgx and psql, over the unix socket.
func (s *Server) DSN(user, password, db string) string {
	quote := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	return fmt.Sprintf("host='%s' port=%s user='%s' password='%s' dbname='%s' sslmode=disable",
		quote.Replace(s.sockets), port, quote.Replace(user), quote.Replace(password), quote.Replace(db))
}

// String names the server without its password, so that logging a Server cannot leak it.
func (s *Server) String() string {
	return fmt.Sprintf("postgres %d (process %d) in %s", s.version, s.proc.pid, s.place.data())
}

// LogValue is String for slog.
func (s *Server) LogValue() slog.Value { return slog.StringValue(s.String()) }

// makeDir creates dir and gives its one true path: the lock, the marker and the reachability check all go by it.
func makeDir(dir string) (string, error) {
	if dir == "" {
		return "", fmt.Errorf("start postgres: no data folder was given")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find the data folder: %w", err)
	}
	if err := os.MkdirAll(abs, 0o711); err != nil {
		return "", fmt.Errorf("create the data folder: %w", err)
	}
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return "", fmt.Errorf("find the data folder: %w", err)
	}
	return real, nil
}
