package spiffe_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"net"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc"

	"github.com/cordon-ehr/cordon/internal/mesh/spiffe"
)

// agent is a Workload API that gives one workload two identities, and renews them when told to.
type agent struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
	issue func() *workload.X509SVIDResponse
	renew chan struct{}
}

func (a *agent) FetchX509SVID(_ *workload.X509SVIDRequest, s grpc.ServerStreamingServer[workload.X509SVIDResponse]) error {
	for {
		if err := s.Send(a.issue()); err != nil {
			return err
		}
		select {
		case <-s.Context().Done():
			return s.Context().Err()
		case <-a.renew:
		}
	}
}

// TestWorkloadAPI takes the identity of the role out of several, and its successor when it is renewed.
func TestWorkloadAPI(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, URIs: []*url.URL{{Scheme: "spiffe", Host: "test.internal"}}}
	root, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	serial := int64(1)
	a := &agent{renew: make(chan struct{}), issue: func() *workload.X509SVIDResponse {
		out := &workload.X509SVIDResponse{}
		for _, path := range []string{"/edge", "/cell/c1"} {
			serial++
			id := &url.URL{Scheme: "spiffe", Host: "test.internal", Path: path}
			tpl := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), URIs: []*url.URL{id}, KeyUsage: x509.KeyUsageDigitalSignature}
			der, err := x509.CreateCertificate(rand.Reader, tpl, ca, &key.PublicKey, key)
			if err != nil {
				t.Error(err)
			}
			pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
			if err != nil {
				t.Error(err)
			}
			out.Svids = append(out.Svids, &workload.X509SVID{SpiffeId: id.String(), X509Svid: der, X509SvidKey: pkcs8, Bundle: root})
		}
		return out
	}}
	socket := filepath.Join(t.TempDir(), "api.sock")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	workload.RegisterSpiffeWorkloadAPIServer(g, a)
	go func() { _ = g.Serve(l) }()
	defer g.Stop()
	t.Setenv("SPIFFE_ENDPOINT_SOCKET", "unix://"+socket)
	s, err := spiffe.New(t.Context(), "cell")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	first, err := s.Current()
	if err != nil || first.Identity.String() != "spiffe://test.internal/cell/c1" {
		t.Fatalf("%+v %v", first, err)
	}
	if _, err := first.Certificate.Leaf.Verify(x509.VerifyOptions{Roots: first.Roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		t.Errorf("the bundle is not that of the certificate: %v", err)
	}
	a.renew <- struct{}{}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		next, err := s.Current()
		if err == nil && next.Certificate.Leaf.SerialNumber.Cmp(first.Certificate.Leaf.SerialNumber) > 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("a renewed certificate does not come")
		}
	}
}
