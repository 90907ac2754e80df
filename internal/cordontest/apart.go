package cordontest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/pgserver"
)

// OwnApart starts a platform of four processes for one test alone, with further arguments of cordon dev.
func OwnApart(t testing.TB, args ...string) *Platform {
	t.Helper()
	dir, err := os.MkdirTemp("", "cordontest")
	if err != nil {
		t.Fatal(err)
	}
	p, err := startApart(dir, args...)
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

// startApart makes a platform of four processes, by the real command, in a folder.
func startApart(dir string, more ...string) (*Platform, error) {
	bin, err := build()
	if err != nil {
		return nil, err
	}
	p := &Platform{Dir: dir, Logs: &Log{}}
	args := append([]string{"dev", "--dir", dir, "--listen", "127.0.0.1:0", "--apart", "--verbose"}, more...)
	for k, v := range settings() {
		args = append(args, "--pg-set", k+"="+v)
	}
	cmd := exec.Command(bin, args...)
	cmd.Env = environment(nil)
	cmd.Stderr = p.Logs // what it says to people on stdout is no log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	p.stop = sync.OnceValue(func() error {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		var err error
		select {
		case err = <-done:
		case <-time.After(time.Minute):
			_ = cmd.Process.Kill()
			err = errors.New("the platform did not end within a minute")
		}
		stop, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_ = pgserver.Remove(stop, dir)
		_ = os.RemoveAll(dir)
		return err
	})
	for end := time.Now().Add(2 * time.Minute); ; {
		select {
		case err := <-done:
			return nil, fmt.Errorf("cordon dev --apart ended (%w): %s", err, p.Logs)
		case <-time.After(5 * time.Millisecond):
		}
		if p.refresh() == nil {
			break
		}
		if time.Now().After(end) {
			_ = p.stop()
			return nil, fmt.Errorf("cordon dev --apart does not serve: %s", p.Logs)
		}
	}
	p.HTTP, err = client(p.Info.CA)
	return p, err
}

// refresh reads dev.json again.
func (p *Platform) refresh() error {
	b, err := os.ReadFile(filepath.Join(p.Dir, "dev.json"))
	if err != nil {
		return err
	}
	return json.Unmarshal(b, &p.Info)
}

// Process gives the process id of a role's process, as dev.json says now, and its management URL.
func (p *Platform) Process(t testing.TB, role string) (int, string) {
	t.Helper()
	if err := p.refresh(); err != nil {
		t.Fatal(err)
	}
	at, ok := p.Info.Processes[role]
	if !ok {
		t.Fatalf("the platform has no %s process", role)
	}
	return at.PID, at.Management
}
