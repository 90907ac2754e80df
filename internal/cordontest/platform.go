// Package cordontest starts real platforms for tests: real Postgres, real TLS, real tokens. A test binary shares one
// platform (Main, Shared), and every test makes tenants of its own on it, so tests run in parallel and see nothing of each
// other.
//
// Only tests import this room.
package cordontest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/dev"
	"github.com/cordon-ehr/cordon/internal/pgserver"
	"github.com/cordon-ehr/cordon/internal/posture"
	"github.com/cordon-ehr/cordon/internal/telemetry"
)

// Platform is a running platform.
type Platform struct {
	Info  dev.Info
	Dir   string
	Logs  *Log // what the process logged
	HTTP  *http.Client
	stop  func() error
	heard statements
}

// shared is the one platform of a test binary.
var shared struct {
	once sync.Once
	p    *Platform
	err  error
}

// Shared gives the test binary's platform, started at the first call. The package's TestMain must be Main.
func Shared(t testing.TB) *Platform {
	t.Helper()
	shared.once.Do(func() { shared.p, shared.err = start(nil) })
	if shared.err != nil {
		t.Fatalf("start a platform: %v", shared.err)
	}
	return shared.p
}

// Main runs a package's tests and stops the shared platform after them.
func Main(m *testing.M) {
	code := m.Run()
	removeBinary()
	if p := shared.p; p != nil {
		if err := p.explainAll(); err != nil {
			fmt.Fprintln(os.Stderr, "statements that the cell sent:", err)
			code = 1
		}
		if err := p.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop the platform:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// Own starts a platform for one test alone: for tests that break it.
func Own(t testing.TB) *Platform { return OwnWith(t, nil) }

// Unwatched is Own without the running self-check: for tests of what the other lock holds while one is off. It is looked at once,
// when the platform starts, and whenever /readyz is asked.
func Unwatched(t testing.TB) *Platform {
	return OwnWith(t, func(o *dev.Options) { o.Posture.Every = 24 * time.Hour })
}

// Durable is Own with a Postgres that waits for the disk, and a self-check that wants it to.
func Durable(t testing.TB) *Platform {
	return OwnWith(t, func(o *dev.Options) {
		delete(o.Settings, "fsync")
		o.Posture.Volatile = false
	})
}

// OwnWith is Own with options that change has set. Options are values and functions of this process, so such a platform is in one
// process: a run whose platforms are apart skips the test.
func OwnWith(t testing.TB, change func(*dev.Options)) *Platform {
	t.Helper()
	if change != nil {
		inOneProcess(t)
	}
	p, err := start(change)
	if err != nil {
		t.Fatalf("start a platform: %v", err)
	}
	t.Cleanup(func() {
		if err := p.stop(); err != nil {
			t.Logf("stop the platform: %v", err)
		}
	})
	return p
}

// Apart reports whether this run of the tests starts platforms whose roles are processes of their own (CORDON_TEST_APART=1).
func Apart() bool { return os.Getenv("CORDON_TEST_APART") == "1" }

// inOneProcess skips a test whose platform is in one process in a run whose platforms are apart: it would only be what the run without
// CORDON_TEST_APART is.
func inOneProcess(t testing.TB) {
	t.Helper()
	if Apart() {
		t.Skip("this test's platform is in one process: the run without CORDON_TEST_APART has it")
	}
}

// settings are those of Postgres for tests.
func settings() map[string]string {
	return map[string]string{"fsync": "off", "shared_buffers": "64MB"}
}

// start makes a platform in a folder of its own. Postgres does not wait for the disk: a test that asks what survives a crash
// runs the real binary.
func start(change func(*dev.Options)) (*Platform, error) {
	dir, err := os.MkdirTemp("", "cordontest")
	if err != nil {
		return nil, err
	}
	if Apart() && change == nil {
		return startApart(dir)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Platform{Dir: dir, Logs: &Log{}}
	ready, done := make(chan dev.Info, 1), make(chan error, 1)
	go func() {
		o := dev.Options{Dir: dir, Listen: "127.0.0.1:0", Log: telemetry.NewLogger(p.Logs, slog.LevelDebug), Posture: posture.Options{Volatile: true}, Heard: p.heard.add,
			Settings: settings(), Ready: func(i dev.Info) error { ready <- i; return nil }}
		if change != nil {
			change(&o)
		}
		done <- dev.Run(ctx, o)
	}()
	p.stop = sync.OnceValue(func() error {
		cancel()
		err := <-done
		stop, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_ = pgserver.Remove(stop, dir)
		_ = os.RemoveAll(dir)
		return err
	})
	select {
	case p.Info = <-ready:
	case err := <-done:
		cancel()
		return nil, err
	}
	p.HTTP, err = client(p.Info.CA)
	return p, err
}

// At gives a platform that somebody else started and stops: dir is the folder of its cordon dev. What the test asks of its log is
// answered by no line.
func At(t testing.TB, dir string) *Platform {
	t.Helper()
	p := &Platform{Dir: dir, Logs: &Log{}}
	b, err := os.ReadFile(filepath.Join(dir, "dev.json"))
	if err == nil {
		err = json.Unmarshal(b, &p.Info)
	}
	if err == nil {
		p.HTTP, err = client(p.Info.CA)
	}
	if err != nil {
		t.Fatalf("the platform in %s: %v", dir, err)
	}
	return p
}

func client(ca string) (*http.Client, error) {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: 32},
		Timeout: 60 * time.Second}, nil
}

// Superuser connects to the chart database as Postgres' superuser.
func (p *Platform) Superuser(t testing.TB) *pgx.Conn { return p.connect(t, p.Info.Postgres.Superuser) }

// Cell connects to the chart database as the cell's role.
func (p *Platform) Cell(t testing.TB) *pgx.Conn { return p.connect(t, p.Info.Postgres.Cell) }

// RoleDSN is the DSN of one of the platform's database roles on one of its databases.
func (p *Platform) RoleDSN(t testing.TB, role, database string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(p.Dir, "secrets.json"))
	if err != nil {
		t.Fatal(err)
	}
	var s struct{ Passwords map[string]string }
	if err := json.Unmarshal(b, &s); err != nil || s.Passwords[role] == "" {
		t.Fatalf("no password of %s: %v", role, err)
	}
	host, _, _ := strings.Cut(p.Info.Postgres.Superuser, " user=")
	return fmt.Sprintf("%s user='%s' password='%s' dbname='%s' sslmode=disable", host, role, s.Passwords[role], database)
}

func (p *Platform) connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// Log keeps what was logged, for tests that look for what must not be there.
type Log struct {
	mu sync.Mutex // guards b
	b  []byte
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, p...)
	return len(p), nil
}

// String gives all that was logged so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.b)
}

// processLabel tells the processes of a platform apart in what it says of all of them.
var processLabel = regexp.MustCompile(`,?process="[a-z]*",?`)

// Metrics scrapes the platform. Where roles are apart, the label that says whose a figure is, is taken out, so that a line reads the same.
func (p *Platform) Metrics(t testing.TB) string {
	t.Helper()
	r := p.Send(t, http.MethodGet, p.Info.Management+"/metrics", nil, nil).Want(t, http.StatusOK)
	return strings.ReplaceAll(processLabel.ReplaceAllString(string(r.Body), ""), "{}", "")
}
