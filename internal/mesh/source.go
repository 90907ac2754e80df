package mesh

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// Material is one certificate with its key, and the roots that certificates of others are judged by. It is immutable.
type Material struct {
	Certificate *tls.Certificate // Leaf is set
	Identity    Identity         // of the leaf
	Roots       *x509.CertPool
}

// Source is where a role's certificate comes from. It is asked at every handshake, so that a rotation needs no restart.
type Source interface {
	// Current gives the newest material. It is safe for concurrent use and does not block on a network.
	Current() (*Material, error)
}

// Files reads a certificate, its key and the bundle of roots from PEM files, and again when one of them has changed: what
// cert-manager, spiffe-helper and the development CA write. Certificate and key may be one file.
type Files struct {
	cert, key, bundle string
	mu                sync.Mutex // guards the rest
	stamp             string     // sizes and times of the files that material was read from
	material          *Material
}

// NewFiles reads the files once, so that a wrong path is told at the start.
func NewFiles(cert, key, bundle string) (*Files, error) {
	f := &Files{cert: cert, key: key, bundle: bundle}
	_, err := f.Current()
	return f, err
}

// Current implements Source. While the files do not fit together (a rotation half written), the last material stays.
func (f *Files) Current() (*Material, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	stamp := ""
	for _, name := range []string{f.cert, f.key, f.bundle} {
		if i, err := os.Stat(name); err == nil {
			stamp += fmt.Sprint(i.Size(), i.ModTime().UnixNano(), " ")
		}
	}
	if f.material != nil && stamp == f.stamp {
		return f.material, nil
	}
	m, err := f.read()
	if err != nil && f.material == nil {
		return nil, err
	}
	if err == nil {
		f.material, f.stamp = m, stamp
	}
	return f.material, nil
}

func (f *Files) read() (*Material, error) {
	cert, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return nil, fmt.Errorf("read the service certificate: %w", err)
	}
	b, err := os.ReadFile(f.bundle)
	if err != nil {
		return nil, fmt.Errorf("read the roots of service certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s holds no certificate", f.bundle)
	}
	return NewMaterial(&cert, pool)
}

// NewMaterial checks that a certificate is a service identity of this platform.
func NewMaterial(cert *tls.Certificate, roots *x509.CertPool) (*Material, error) {
	if cert.Leaf == nil {
		leaf, err := x509.ParseCertificate(cert.Certificate[0])
		if err != nil {
			return nil, fmt.Errorf("read the service certificate: %w", err)
		}
		cert.Leaf = leaf
	}
	id, err := identityOf(cert.Leaf)
	return &Material{Certificate: cert, Identity: id, Roots: roots}, err
}

// identityOf reads the one SPIFFE id of a certificate (X509-SVID §2: exactly one URI).
func identityOf(c *x509.Certificate) (Identity, error) {
	if len(c.URIs) != 1 {
		return Identity{}, fault.New(fault.Forbidden, "the certificate is not a service identity")
	}
	return ParseIdentity(c.URIs[0])
}

// EncodePEM gives certificate chain and PKCS #8 key as one PEM file.
func EncodePEM(chain [][]byte, key []byte) []byte {
	var out []byte
	for _, c := range chain {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c})...)
	}
	return append(out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
}

// half is when a certificate has used up half of what is left to it, at most a quarter of an hour from now: connections that
// were made under it are given up then, long before it ends.
func half(now, notAfter time.Time) time.Time {
	return now.Add(min(notAfter.Sub(now)/2, 15*time.Minute))
}
