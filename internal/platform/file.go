package platform

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cordon-ehr/cordon/internal/cell"
	"github.com/cordon-ehr/cordon/internal/control"
	"github.com/cordon-ehr/cordon/internal/edge"
	"github.com/cordon-ehr/cordon/internal/keyring"
	"github.com/cordon-ehr/cordon/internal/keys"
	"github.com/cordon-ehr/cordon/internal/mesh"
	"github.com/cordon-ehr/cordon/internal/mesh/spiffe"
)

// File is the configuration of `cordon serve` (docs/serve.md says which part each role needs). An unknown field is an error; what
// belongs to a role that the process does not have is not read.
type File struct {
	Listen       string            `json:"listen,omitempty"`            // edge: host:port of the public listener, or fd:N
	Management   string            `json:"management"`                  // host:port of health and metrics, or fd:N
	PublicURL    string            `json:"public_url,omitempty"`        // edge, control: https://host[:port] under which callers know the platform
	Domain       string            `json:"domain,omitempty"`            // edge: SLUG.domain is a tenant's host; optional
	Hosts        []string          `json:"hosts,omitempty"`             // edge: further names of the platform itself; optional
	Cert         string            `json:"tls_cert,omitempty"`          // edge: PEM file
	Key          string            `json:"tls_key,omitempty"`           // edge: PEM file
	TicketKey    string            `json:"ticket_key,omitempty"`        // control: PEM file, PKCS #8, P-256: signs job tickets
	TicketPublic string            `json:"ticket_public_key,omitempty"` // keys: PEM file, its public half; not needed beside control
	Cell         string            `json:"cell,omitempty"`              // cell: its name; control: where new tenants are placed
	KMSFile      string            `json:"kms_file,omitempty"`          // keys: file KMS; a passphrase comes from CORDON_KMS_PASSPHRASE
	Worm         string            `json:"worm,omitempty"`              // cell, control, keys: write-once storage of the audit ledger (worm.Open)
	LogKeys      map[string]string `json:"log_keys,omitempty"`          // cell, control, keys → file with the signing key of its logs
	LogPublic    []string          `json:"log_public_keys,omitempty"`   // of all three; not needed when all roles are here
	AuditKeys    map[string]string `json:"audit_keys,omitempty"`        // control, keys → file with 32 random bytes or more
	Owner        string            `json:"owner,omitempty"`             // database role that owns the tables; for --migrate
	Operators    map[string]string `json:"operators,omitempty"`         // control: name → file with the operator's token
	Leases       LeasesFile        `json:"leases"`                      // keys: optional
	Limits       LimitsFile        `json:"limits"`                      // edge, cell: optional
	Databases    Databases         `json:"databases"`
	Mesh         *MeshFile         `json:"mesh,omitempty"` // needed when a role is elsewhere
}

// Databases are those of the three roles that have one.
type Databases struct {
	Cell    DSNs `json:"cell"`
	Control DSNs `json:"control"`
	Keys    DSNs `json:"keys"`
}

// DSNs are a database as its role, and as who may migrate it (member of the owner; for --migrate only).
type DSNs struct {
	Role    string `json:"role,omitempty"`
	Migrate string `json:"migrate,omitempty"`
}

// LeasesFile bounds what one service identity may ask the broker for before it is stopped.
type LeasesFile struct {
	Refused int `json:"refused_tenants,omitempty"` // distinct tenants with refused proofs in a minute; 0 = 20
	Granted int `json:"granted_tenants,omitempty"` // distinct tenants granted in a minute; 0 = 10,000
	Stop    int `json:"stop_seconds,omitempty"`    // how long it stays stopped; 0 = until an operator resumes it
}

// MeshFile says how the roles of this process and those of others meet.
type MeshFile struct {
	Domain string                `json:"trust_domain"`
	Bundle string                `json:"bundle,omitempty"` // PEM file with the roots of service certificates
	Roles  map[string]MemberFile `json:"roles"`            // of this process
	Peers  PeersFile             `json:"peers"`            // roles that are elsewhere
}

// MemberFile is one role. Without files, its certificate comes from the SPIFFE Workload API (SPIFFE_ENDPOINT_SOCKET).
type MemberFile struct {
	Listen string `json:"listen,omitempty"` // host:port where the other roles call it, or fd:N; none for the edge
	Cert   string `json:"cert,omitempty"`   // PEM file, may hold the key, too
	Key    string `json:"key,omitempty"`    // PEM file
}

// PeersFile are addresses, https://host:port.
type PeersFile struct {
	Keys    string            `json:"keys,omitempty"`
	Control string            `json:"control,omitempty"`
	Cells   map[string]string `json:"cells,omitempty"` // by name
}

// ReadFile reads a configuration.
func ReadFile(path string) (*File, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var f File
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return &f, nil
}

// Opened is a configuration with its secrets loaded and its addresses taken.
type Opened struct {
	Config
	Public     net.Listener // nil without an edge
	Management net.Listener
	Operators  map[string]string // name → token
}

// Open loads what the roles of this process need, and nothing of the others.
func (f *File) Open(ctx context.Context, roles Roles) (*Opened, error) {
	o := &Opened{Config: Config{Roles: roles}}
	if roles.Has(mesh.Edge) {
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, fmt.Errorf("read the certificate: %w", err)
		}
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}}
		o.Edge = edge.Config{PublicURL: f.PublicURL, Domain: f.Domain, Hosts: f.Hosts, Limits: f.Limits.edge()}
		o.Accept = f.Limits.accept()
		if o.Public, err = listen(ctx, f.Listen); err != nil {
			return nil, err
		}
	}
	if roles.Has(mesh.Control) {
		ticket, err := readTicketKey(f.TicketKey)
		if err != nil {
			return nil, err
		}
		o.Control = control.Config{Database: f.Databases.Control.Role, PublicURL: f.PublicURL, Cell: f.Cell, TicketKey: ticket}
		o.Keys.Ticket = &ticket.PublicKey
		if o.Operators, err = readOperators(f.Operators); err != nil {
			return nil, err
		}
	}
	if roles.Has(mesh.Cell) {
		o.Cell = cell.Config{Name: f.Cell, Database: f.Databases.Cell.Role, Limits: f.Limits.cell()}
	}
	if roles.Has(mesh.Keys) {
		if err := f.openKeys(o); err != nil {
			return nil, err
		}
	}
	if err := f.openLedger(ctx, o); err != nil {
		return nil, err
	}
	var err error
	if o.Management, err = listen(ctx, f.Management); err != nil {
		return nil, err
	}
	return o, f.openMesh(ctx, o)
}

func (f *File) openKeys(o *Opened) error {
	kms, err := keyring.OpenFileKMS(f.KMSFile, os.Getenv("CORDON_KMS_PASSPHRASE"))
	if err != nil {
		return err
	}
	o.Keys.Database, o.Keys.KMS, o.Keys.Lease = f.Databases.Keys.Role, kms, 5*time.Minute
	o.Keys.Limits = keys.Limits{Refused: f.Leases.Refused, Granted: f.Leases.Granted, Stop: time.Duration(f.Leases.Stop) * time.Second}
	if o.Keys.Ticket != nil {
		return nil
	}
	o.Keys.Ticket, err = readTicketPublic(f.TicketPublic)
	return err
}

func (f *File) openMesh(ctx context.Context, o *Opened) error {
	if f.Mesh == nil {
		if len(o.Roles) != len(AllRoles()) {
			return errors.New("a process without all roles needs the section mesh, to reach the others")
		}
		return nil
	}
	o.Mesh = Mesh{Domain: f.Mesh.Domain, Roles: map[string]Member{}, Peers: Peers(f.Mesh.Peers)}
	for _, role := range o.Roles {
		m, given := f.Mesh.Roles[role]
		if !given {
			continue // met within the process only
		}
		var err error
		member := Member{}
		switch {
		case m.Cert != "":
			member.Source, err = mesh.NewFiles(m.Cert, m.Key, f.Mesh.Bundle)
		case os.Getenv("SPIFFE_ENDPOINT_SOCKET") != "":
			member.Source, err = spiffe.New(ctx, role)
		default:
			err = fmt.Errorf("the %s role has neither certificate files nor a SPIFFE_ENDPOINT_SOCKET", role)
		}
		if err == nil && m.Listen != "" {
			member.Listener, err = listen(ctx, m.Listen)
		}
		if err != nil {
			return err
		}
		o.Mesh.Roles[role] = member
	}
	return nil
}

// listen takes an address, or a socket that whoever started the process hands over as file N.
func listen(ctx context.Context, at string) (net.Listener, error) {
	number, handed := strings.CutPrefix(at, "fd:")
	if !handed {
		return new(net.ListenConfig).Listen(ctx, "tcp", at)
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%s is no address", at)
	}
	file := os.NewFile(uintptr(n), at)
	if file == nil {
		return nil, fmt.Errorf("there is no file %d to listen on", n)
	}
	defer func() { _ = file.Close() }()
	return net.FileListener(file)
}

func readOperators(files map[string]string) (map[string]string, error) {
	out := map[string]string{}
	for name, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read the token of operator %s: %w", name, err)
		}
		if out[name] = strings.TrimSpace(string(b)); len(out[name]) < 32 {
			return nil, fmt.Errorf("the token of operator %s is shorter than 32 characters", name)
		}
	}
	return out, nil
}

func readPEM(path, what string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM", path)
	}
	return block.Bytes, nil
}

func readTicketKey(path string) (*ecdsa.PrivateKey, error) {
	der, err := readPEM(path, "the ticket key")
	if err != nil {
		return nil, err
	}
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("read the ticket key: %w", err)
	}
	if ec, ok := k.(*ecdsa.PrivateKey); ok && ec.Curve == elliptic.P256() {
		return ec, nil
	}
	return nil, errors.New("the ticket key is not an ECDSA P-256 key")
}

func readTicketPublic(path string) (*ecdsa.PublicKey, error) {
	der, err := readPEM(path, "the public half of the ticket key")
	if err != nil {
		return nil, err
	}
	k, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("read the public half of the ticket key: %w", err)
	}
	if ec, ok := k.(*ecdsa.PublicKey); ok && ec.Curve == elliptic.P256() {
		return ec, nil
	}
	return nil, errors.New("the public half of the ticket key is not an ECDSA P-256 key")
}
