package mesh

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// refusal is why a connection was refused: a constant of this file, for metrics and audit events.
type refusal string

func (r refusal) Error() string { return "connection refused: " + string(r) }

// The refusals.
const (
	plaintext     refusal = "plaintext"
	noCertificate refusal = "no certificate"
	unknownCA     refusal = "unknown authority"
	expired       refusal = "expired certificate"
	badCert       refusal = "bad certificate"
	wrongDomain   refusal = "wrong trust domain"
	wrongIdentity refusal = "wrong identity"
	silent        refusal = "silent"
	handshake     refusal = "handshake failed"
	crowded       refusal = "too many handshakes"
	noMaterial    refusal = "own certificate unavailable"
)

// config is what both ends have in common: TLS 1.3, and the peer judged by judge. No session tickets: each connection proves
// its certificate anew.
func config(m *Material, usage x509.ExtKeyUsage, accept func(Identity) error) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}, SessionTicketsDisabled: true,
		// RequestClientCert, with the judging below, because Go's own errors do not tell the cases apart.
		ClientAuth:           tls.RequestClientCert,
		Certificates:         []tls.Certificate{*m.Certificate},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return m.Certificate, nil },
		InsecureSkipVerify:   true, //nolint:gosec // the peer is judged by its SPIFFE id, not by a host name: VerifyConnection
		VerifyConnection: func(cs tls.ConnectionState) error {
			return judge(cs.PeerCertificates, m, usage, accept)
		}}
}

// judge verifies a peer's chain against the roots and its identity against the trust domain and what is expected there. That the
// peer has the key is proven by the handshake itself.
func judge(chain []*x509.Certificate, own *Material, usage x509.ExtKeyUsage, accept func(Identity) error) error {
	if len(chain) == 0 {
		return noCertificate
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: own.Roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{usage}})
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return expired
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return unknownCA
	}
	if err != nil || chain[0].IsCA {
		return badCert
	}
	id, err := identityOf(chain[0])
	if err != nil {
		return wrongIdentity
	}
	if id.Domain != own.Identity.Domain {
		return wrongDomain
	}
	return accept(id)
}

// classify gives the refusal behind a failed handshake.
func classify(err error) refusal {
	if r, ok := errors.AsType[refusal](err); ok {
		return r
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return plaintext
	}
	if ne, ok := errors.AsType[net.Error](err); (ok && ne.Timeout()) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, io.EOF) {
		return silent
	}
	return handshake
}

// peerConn is a connection after its handshake. It does not outlive the certificates at its ends.
type peerConn struct {
	*tls.Conn
	peer  Identity
	until time.Time // when the first of the two certificates ends
	end   *time.Timer
}

func newPeerConn(c *tls.Conn, own *Material) (*peerConn, error) {
	cs := c.ConnectionState()
	if len(cs.PeerCertificates) == 0 {
		return nil, noCertificate
	}
	leaf := cs.PeerCertificates[0]
	id, err := identityOf(leaf)
	if err != nil {
		return nil, wrongIdentity
	}
	p := &peerConn{Conn: c, peer: id, until: leaf.NotAfter}
	if own.Certificate.Leaf.NotAfter.Before(p.until) {
		p.until = own.Certificate.Leaf.NotAfter
	}
	p.end = time.AfterFunc(time.Until(p.until), func() { _ = c.Close() })
	return p, nil
}

// Close implements net.Conn.
func (p *peerConn) Close() error {
	p.end.Stop()
	return p.Conn.Close()
}
