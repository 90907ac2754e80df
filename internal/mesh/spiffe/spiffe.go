// Package spiffe gets service certificates from a SPIFFE Workload API, such as a SPIRE agent's: they are pushed anew before they
// expire.
package spiffe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"

	"github.com/cordon-ehr/cordon/internal/mesh"
)

// Source is a mesh.Source over the Workload API of SPIFFE_ENDPOINT_SOCKET.
type Source struct{ api *workloadapi.X509Source }

// startTimeout bounds the wait for the first certificate.
const startTimeout = 30 * time.Second

// New waits for a certificate of the role. Where a workload has several identities, the one of this role is taken.
func New(ctx context.Context, role string) (*Source, error) {
	first, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	api, err := workloadapi.NewX509Source(first, workloadapi.WithDefaultX509SVIDPicker(func(all []*x509svid.SVID) *x509svid.SVID {
		for _, s := range all {
			if id, err := mesh.ParseIdentity(s.ID.URL()); err == nil && id.Role == role {
				return s
			}
		}
		return all[0] // NewMaterial says that it is not ours
	}))
	if err != nil {
		return nil, fmt.Errorf("get the %s role's certificate from the SPIFFE Workload API: %w", role, err)
	}
	return &Source{api}, nil
}

// Current implements mesh.Source.
func (s *Source) Current() (*mesh.Material, error) {
	svid, err := s.api.GetX509SVID()
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	bundle, err := s.api.GetX509BundleForTrustDomain(svid.ID.TrustDomain())
	if err != nil {
		return nil, fmt.Errorf("read the roots of service certificates: %w", err)
	}
	roots := x509.NewCertPool()
	for _, c := range bundle.X509Authorities() {
		roots.AddCert(c)
	}
	chain := make([][]byte, len(svid.Certificates))
	for i, c := range svid.Certificates {
		chain[i] = c.Raw
	}
	return mesh.NewMaterial(&tls.Certificate{Certificate: chain, PrivateKey: svid.PrivateKey, Leaf: svid.Certificates[0]}, roots)
}

// Close ends the watch.
func (s *Source) Close() error { return s.api.Close() }
