package mesh

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync"
	"time"
)

const (
	handshakeTimeout = 10 * time.Second
	maxHandshakes    = 256 // under way at a time: beyond it connections are closed at once
)

// listener gives connections whose handshake is done. Handshakes run beside each other, so that a peer that says nothing blocks
// nobody, and every refusal is told to refused.
type listener struct {
	net.Listener
	source  Source
	refused func(why refusal, address string)
	ready   chan net.Conn
	done    chan struct{}
	close   sync.Once
	slots   chan struct{}
	failed  error // set before done closes
}

func listen(l net.Listener, src Source, refused func(refusal, string)) *listener {
	x := &listener{Listener: l, source: src, refused: refused, ready: make(chan net.Conn), done: make(chan struct{}), slots: make(chan struct{}, maxHandshakes)}
	go x.loop()
	return x
}

func (l *listener) loop() {
	for {
		c, err := l.Listener.Accept()
		if ne, ok := err.(net.Error); ok && (ne.Timeout() || ne.Temporary()) { //nolint:errorlint,staticcheck // as net/http does: out of files passes
			select {
			case <-time.After(50 * time.Millisecond):
				continue
			case <-l.done:
				return
			}
		}
		if err != nil {
			l.stop(err)
			return
		}
		select {
		case l.slots <- struct{}{}:
			go l.handshake(c)
		default:
			l.refused(crowded, host(c))
			_ = c.Close()
		}
	}
}

func (l *listener) handshake(c net.Conn) {
	defer func() { <-l.slots }()
	p, err := l.shake(c)
	if err != nil {
		l.refused(classify(err), host(c)) // what an unproven certificate says is not repeated
		_ = c.Close()
		return
	}
	select {
	case l.ready <- p:
	case <-l.done:
		_ = p.Close()
	}
}

func (l *listener) shake(c net.Conn) (*peerConn, error) {
	m, err := l.source.Current()
	if err != nil {
		return nil, noMaterial
	}
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	t := tls.Server(c, config(m, x509.ExtKeyUsageClientAuth, func(Identity) error { return nil }))
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return newPeerConn(t, m)
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.done:
		return nil, l.failed
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.stop(net.ErrClosed)
	return l.Listener.Close()
}

func (l *listener) stop(err error) {
	l.close.Do(func() { l.failed = err; close(l.done) })
}

// host is an address without its port.
func host(c net.Conn) string {
	h, _, err := net.SplitHostPort(c.RemoteAddr().String())
	if err != nil {
		return ""
	}
	return h
}
