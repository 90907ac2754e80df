package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/cordon-ehr/cordon/internal/cell"
	"github.com/cordon-ehr/cordon/internal/control"
	"github.com/cordon-ehr/cordon/internal/edge"
	"github.com/cordon-ehr/cordon/internal/keyring"
	"github.com/cordon-ehr/cordon/internal/pg"
	"github.com/cordon-ehr/cordon/internal/placement"
	"github.com/cordon-ehr/cordon/internal/platform"
	"github.com/cordon-ehr/cordon/internal/registry"
	"github.com/cordon-ehr/cordon/internal/telemetry"
	"github.com/cordon-ehr/cordon/internal/worm"
)

type serveCmd struct {
	Config  string `required:"" type:"existingfile" help:"Configuration file (JSON; docs/serve.md)."`
	Migrate bool   `help:"Bring the databases to this release's schema, then end."`
}

// serveConfig is the file. Every field is needed unless it says otherwise; an unknown field is an error.
type serveConfig struct {
	Listen     string            `json:"listen"`     // host:port of the public listener
	Management string            `json:"management"` // host:port of health and metrics
	PublicURL  string            `json:"public_url"` // https://host[:port] under which callers know the platform
	Domain     string            `json:"domain"`     // SLUG.domain is a tenant's host; optional
	Cert       string            `json:"tls_cert"`   // PEM file
	Key        string            `json:"tls_key"`    // PEM file
	TicketKey  string            `json:"ticket_key"` // PEM file, PKCS #8, P-256: control signs job tickets
	Cell       string            `json:"cell"`       // the cell's name
	KMSFile    string            `json:"kms_file"`   // file KMS; a passphrase comes from CORDON_KMS_PASSPHRASE
	Worm       string            `json:"worm"`       // write-once storage of the audit ledger (docs/serve.md)
	LogKeys    map[string]string `json:"log_keys"`   // cell, control, keys → file with the signing key of its logs (cordon audit keygen)
	AuditKeys  map[string]string `json:"audit_keys"` // control, keys → file with 32 random bytes or more, which authenticate its events
	Owner      string            `json:"owner"`      // database role that owns the tables; for --migrate
	Operators  map[string]string `json:"operators"`  // name → file with the operator's token
	Databases  struct {
		Cell    dsns `json:"cell"`
		Control dsns `json:"control"`
		Keys    dsns `json:"keys"`
	} `json:"databases"`
}

// dsns are a database as its role, and as who may migrate it (member of the owner; for --migrate only).
type dsns struct {
	Role    string `json:"role"`
	Migrate string `json:"migrate"`
}

// Run serves, or migrates.
func (c *serveCmd) Run(ctx context.Context) error {
	b, err := os.ReadFile(c.Config)
	if err != nil {
		return err
	}
	var cfg serveConfig
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	if err := d.Decode(&cfg); err != nil {
		return fmt.Errorf("read %s: %w", c.Config, err)
	}
	if c.Migrate {
		return errors.Join(
			pg.Migrate(ctx, cfg.Databases.Cell.Migrate, cfg.Owner, placement.Migrations()),
			pg.Migrate(ctx, cfg.Databases.Control.Migrate, cfg.Owner, registry.Migrations()),
			pg.Migrate(ctx, cfg.Databases.Keys.Migrate, cfg.Owner, keyring.Migrations()))
	}
	return serve(ctx, cfg)
}

func serve(ctx context.Context, cfg serveConfig) error {
	pair, err := tls.LoadX509KeyPair(cfg.Cert, cfg.Key)
	if err != nil {
		return fmt.Errorf("read the certificate: %w", err)
	}
	ticket, err := readKey(cfg.TicketKey)
	if err != nil {
		return err
	}
	kms, err := keyring.OpenFileKMS(cfg.KMSFile, os.Getenv("CORDON_KMS_PASSPHRASE"))
	if err != nil {
		return err
	}
	logs, auditKeys, err := ledgerOf(ctx, cfg)
	if err != nil {
		return err
	}
	public, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return err
	}
	management, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Management)
	if err != nil {
		return err
	}
	p, err := platform.New(ctx, platform.Config{
		Edge:    edge.Config{PublicURL: cfg.PublicURL, Domain: cfg.Domain},
		Cell:    cell.Config{Name: cfg.Cell, Database: cfg.Databases.Cell.Role},
		Control: control.Config{Database: cfg.Databases.Control.Role, PublicURL: cfg.PublicURL, Cell: cfg.Cell, AuditKey: auditKeys["control"]},
		Keys:    platform.Keys{Database: cfg.Databases.Keys.Role, KMS: kms, Lease: 5 * time.Minute, AuditKey: auditKeys["keys"]},
		Ledger:  logs,
		TLS:     &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}},
	}, ticket, telemetry.NewLogger(os.Stderr, slog.LevelInfo))
	if err != nil {
		return err
	}
	for name, file := range cfg.Operators {
		b, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read the token of operator %s: %w", name, err)
		}
		token := strings.TrimSpace(string(b))
		if len(token) < 32 {
			return fmt.Errorf("the token of operator %s is shorter than 32 characters", name)
		}
		if err := p.Control.SetOperator(ctx, name, token); err != nil {
			return err
		}
	}
	return p.Run(ctx, public, management, func() error { return nil })
}

// ledgerOf opens write-once storage and reads the keys of events and logs.
func ledgerOf(ctx context.Context, cfg serveConfig) (l platform.Ledger, auditKeys map[string][]byte, err error) {
	if l.Store, err = worm.Open(ctx, cfg.Worm); err != nil {
		return l, nil, fmt.Errorf("open write-once storage: %w", err)
	}
	l.Keys, auditKeys = map[string]string{}, map[string][]byte{}
	for role, file := range cfg.LogKeys {
		b, err := os.ReadFile(file)
		if err != nil {
			return l, nil, fmt.Errorf("read the key of the logs of %s: %w", role, err)
		}
		l.Keys[role] = string(b)
	}
	for role, file := range cfg.AuditKeys {
		if auditKeys[role], err = os.ReadFile(file); err != nil {
			return l, nil, fmt.Errorf("read the audit key of %s: %w", role, err)
		}
	}
	return l, auditKeys, nil
}

func readKey(path string) (*ecdsa.PrivateKey, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the ticket key: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM key", path)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read the ticket key: %w", err)
	}
	if ec, ok := k.(*ecdsa.PrivateKey); ok {
		return ec, nil
	}
	return nil, errors.New("the ticket key is not an ECDSA P-256 key")
}
