// Package dev is a whole platform in one folder: its own Postgres, keys, certificates and operators, for development, demos
// and tests. What is in the folder survives a restart.
package dev

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/cordon-ehr/cordon/internal/identity"
)

// format is the layout of the folder that this build writes and reads.
const format = 1

// state is the folder's secrets: DIR/secrets.json, mode 0600.
type state struct {
	Format    int               `json:"format"`
	Passwords map[string]string `json:"passwords"` // of the database roles
	Operators map[string]string `json:"operators"` // tokens
	Ticket    []byte            `json:"ticket"`    // control's key for job tickets, PKCS #8
}

// Info is DIR/dev.json: how to reach the running platform.
type Info struct {
	URL        string            `json:"url"`
	Management string            `json:"management"`
	CA         string            `json:"ca"`
	Operators  map[string]string `json:"operators"`
	Postgres   Postgres          `json:"postgres"`
	PID        int               `json:"pid"`
	// Processes are the roles' own, when each has one.
	Processes map[string]Process `json:"processes,omitempty"`
}

// Postgres are DSNs on the chart database.
type Postgres struct {
	Superuser string `json:"superuser"`
	Cell      string `json:"cell"`
}

// Read finds a running platform by its folder.
func Read(dir string) (Info, error) {
	var i Info
	b, err := os.ReadFile(filepath.Join(dir, "dev.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return i, fmt.Errorf("no platform runs on %s: start it with: cordon dev --dir %s", dir, dir)
	}
	if err != nil {
		return i, err
	}
	return i, json.Unmarshal(b, &i)
}

// forget removes the dev.json of a process that was killed: whoever waits for the file must not find that one's. A process
// that lives keeps its own.
func forget(dir string) {
	i, err := Read(dir)
	if err == nil && i.PID > 0 && errors.Is(syscall.Kill(i.PID, 0), syscall.ESRCH) {
		_ = os.Remove(filepath.Join(dir, "dev.json"))
	}
}

// load reads the folder's secrets, or makes them. The caller owns the folder.
func load(dir string) (*state, error) {
	s, err := read(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return create(filepath.Join(dir, "secrets.json"))
	}
	return s, err
}

func read(dir string) (*state, error) {
	path := filepath.Join(dir, "secrets.json")
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the folder's secrets: %w", err)
	}
	var s state
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", path, err)
	}
	if s.Format != format {
		return nil, fmt.Errorf("the folder %s was made by another version of cordon (format %d; this one reads %d)", dir, s.Format, format)
	}
	return &s, nil
}

func create(path string) (*state, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	s := &state{Format: format, Passwords: map[string]string{}, Operators: map[string]string{}, Ticket: der}
	for _, r := range []string{roleCell, roleControl, roleKeys} {
		s.Passwords[r] = identity.NewToken()
	}
	for _, o := range []string{"alice", "bob"} {
		s.Operators[o] = identity.NewToken()
	}
	return s, writeJSON(path, s)
}

func (s *state) ticketKey() (*ecdsa.PrivateKey, error) {
	k, err := x509.ParsePKCS8PrivateKey(s.Ticket)
	if err != nil {
		return nil, fmt.Errorf("the folder's ticket key is damaged: %w", err)
	}
	ec, ok := k.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("the folder's ticket key is of another kind")
	}
	return ec, nil
}

// writeJSON writes a file of mode 0600 as a whole: whoever reads it sees the old or the new one.
func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, append(b, '\n'))
}

func writeFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	d, err := os.Open(filepath.Dir(path)) // the name must last as the bytes do: databases are made with these passwords
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
