package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cordon-ehr/cordon/internal/dev"
)

// server is the program under measurement, in a folder of its own.
type server struct {
	dir  string
	cmd  *exec.Cmd
	info dev.Info
	http *http.Client
}

// client is a client of one tenant of the server.
type client struct {
	*server
	base   string // FHIR base of the tenant
	form   url.Values
	tokens string     // token URL
	mu     sync.Mutex // guards token and until
	token  string
	until  time.Time
}

func startServer(ctx context.Context, binary string, apart bool) (*server, error) {
	dir, err := os.MkdirTemp("", "cordonbench")
	if err != nil {
		return nil, err
	}
	args := []string{"dev", "--dir", dir, "--listen", "127.0.0.1:0"}
	if apart {
		args = append(args, "--apart")
	}
	s := &server{dir: dir, cmd: exec.CommandContext(ctx, binary, args...)}
	s.cmd.Stderr = os.Stderr
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(syscall.SIGTERM) }
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for range 300 {
		if s.info, err = dev.Read(dir); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		s.stop()
		return nil, err
	}
	pem, err := os.ReadFile(s.info.CA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	s.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: 64}}
	return s, nil
}

func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait()
	_ = os.RemoveAll(s.dir)
}

// tenant makes a tenant and a client.
func (s *server) tenant(ctx context.Context, slug string) (*client, error) {
	var t struct {
		FHIRBase string `json:"fhir_base"`
		TokenURL string `json:"token_url"`
	}
	if err := s.operator(ctx, "/tenants", map[string]string{"slug": slug, "placement": "pooled"}, &t); err != nil {
		return nil, err
	}
	var c struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	if err := s.operator(ctx, "/tenants/"+slug+"/clients", map[string]string{"name": "bench", "scope": "system/*.cruds"}, &c); err != nil {
		return nil, err
	}
	return &client{server: s, base: t.FHIRBase, tokens: t.TokenURL,
		form: url.Values{"grant_type": {"client_credentials"}, "client_id": {c.ID}, "client_secret": {c.Secret}}}, nil
}

func (s *server) operator(ctx context.Context, path string, in, out any) error {
	b, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.info.URL+"/operator/v1"+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+s.info.Operators["alice"])
	return s.send(r, out)
}

// bearer gives a live token, fetched anew before it expires.
func (s *client) bearer(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.until) {
		return s.token, nil
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.tokens, strings.NewReader(s.form.Encode()))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var t struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
	}
	if err := s.send(r, &t); err != nil {
		return "", err
	}
	s.token, s.until = t.AccessToken, time.Now().Add(time.Duration(t.ExpiresIn)*time.Second/2)
	return s.token, nil
}

// fhir sends a request below the FHIR base; out nil throws the answer away after reading it.
func (s *client) fhir(ctx context.Context, method, path string, body []byte, out any) error {
	token, err := s.bearer(ctx)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if len(body) > 0 {
		r.Header.Set("Content-Type", "application/fhir+json")
	}
	return s.send(r, out)
}

func (s *server) send(r *http.Request, out any) error {
	resp, err := s.http.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode/100 != 2 {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		//phi:allow the patients of a bench are made up
		return fmt.Errorf("%s %s: %s", r.Method, resp.Status, b)
	}
	if out == nil {
		_, err := io.Copy(io.Discard, resp.Body)
		return err
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// cpu is what the server has used so far: its own process, and its children, of which Postgres is one.
func (s *server) cpu() (own, children time.Duration) {
	below := map[int][]int{}
	ticks := map[int]int64{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range stats {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // ended meanwhile
		}
		pid, parent, t, err := parseStat(string(b))
		if err == nil {
			below[parent] = append(below[parent], pid)
			ticks[pid] = t
		}
	}
	var sum func(pid int) int64
	sum = func(pid int) int64 {
		n := ticks[pid]
		for _, c := range below[pid] {
			n += sum(c)
		}
		return n
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux of today
	pid := s.cmd.Process.Pid
	return time.Duration(ticks[pid]) * tick, time.Duration(sum(pid)-ticks[pid]) * tick
}

// parseStat reads pid, parent and CPU ticks (own, and of children that ended) of proc(5) stat.
func parseStat(s string) (pid, parent int, ticks int64, err error) {
	at := strings.LastIndexByte(s, ')')
	if at < 0 {
		return 0, 0, 0, errors.New("not a stat line")
	}
	f := strings.Fields(s[at+1:])
	if len(f) < 15 {
		return 0, 0, 0, errors.New("a short stat line")
	}
	pid, err1 := strconv.Atoi(strings.TrimSpace(s[:strings.IndexByte(s, ' ')]))
	parent, err2 := strconv.Atoi(f[1])
	for _, i := range []int{11, 12, 13, 14} {
		n, err := strconv.ParseInt(f[i], 10, 64)
		if err != nil {
			return 0, 0, 0, err
		}
		ticks += n
	}
	return pid, parent, ticks, errors.Join(err1, err2)
}
