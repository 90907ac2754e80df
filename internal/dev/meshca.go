package dev

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/cordon-ehr/cordon/internal/mesh"
)

// serviceAuthority issues the service certificates of a platform whose roles are processes of their own. It is another one than
// the authority of the public certificate, lives as long as the run, and its key is in memory only.
type serviceAuthority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string        // where certificates are written, ROLE.pem with chain and key
	life time.Duration // of a certificate
}

// trustDomain is that of development platforms.
const trustDomain = "cordon.internal"

// newServiceAuthority makes the authority and writes its bundle.
func newServiceAuthority(dir string, life time.Duration) (*serviceAuthority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{SerialNumber: serial(), Subject: pkix.Name{CommonName: "Cordon development services"}, NotBefore: time.Now().Add(-time.Minute),
		NotAfter: time.Now().AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
		URIs: []*url.URL{{Scheme: "spiffe", Host: trustDomain}}}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	a := &serviceAuthority{cert, key, dir, life}
	return a, writeFile(a.bundle(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func (a *serviceAuthority) bundle() string { return filepath.Join(a.dir, "bundle.pem") }

// file is where a role's certificate and key are.
func (a *serviceAuthority) file(role string) string { return filepath.Join(a.dir, role+".pem") }

// issue writes a fresh certificate for a role, as a whole: whoever reads the file sees the old or the new one.
func (a *serviceAuthority) issue(role string) error {
	id := mesh.Identity{Domain: trustDomain, Role: role}
	if role == mesh.Cell {
		id.Name = cellName
	}
	uri, err := url.Parse(id.String())
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := &x509.Certificate{SerialNumber: serial(), NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(a.life), URIs: []*url.URL{uri},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return replaceFile(a.file(role), mesh.EncodePEM([][]byte{der}, keyDER))
}

// replaceFile writes a file of mode 0600 as a whole, without waiting for the disk: it is of no use after this run.
func replaceFile(path string, b []byte) error {
	next := path + ".next"
	if err := os.WriteFile(next, b, 0o600); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// renew issues anew when a third of a certificate's life is over, until ctx ends.
func (a *serviceAuthority) renew(ctx context.Context, roles []string, log *slog.Logger) {
	t := time.NewTicker(a.life / 3)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		for _, r := range roles {
			if err := a.issue(r); err != nil {
				log.ErrorContext(ctx, "a service certificate could not be renewed", slog.String("role", r), slog.String("error", err.Error()))
			}
		}
	}
}
