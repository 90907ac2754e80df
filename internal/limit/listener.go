package limit

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// Connections bound a listener.
type Connections struct {
	Total      int           // 0 = 10,000, or three quarters of the file descriptors that the process may open
	PerAddress int           // or IPv6 network of one; 0 = half of Total
	Write      time.Duration // one write may take; 0 = 30 s
}

func (c Connections) filled() Connections {
	if c.Total == 0 {
		c.Total = 10_000
		var files syscall.Rlimit // the runtime has raised the soft limit to the hard one
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil && files.Cur < uint64(c.Total)*4/3 {
			c.Total = int(files.Cur) * 3 / 4
		}
	}
	if c.PerAddress == 0 {
		c.PerAddress = max(1, c.Total/2)
	}
	if c.Write == 0 {
		c.Write = 30 * time.Second
	}
	return c
}

// Listener accepts at most so many connections, and so many of one address. One more closes the one that is idle for longest, of the
// same address when that one is over; when none is idle, the new one is closed. A write that does not end in time ends its
// connection: who does not read holds nothing. It is safe for concurrent use.
type Listener struct {
	net.Listener
	most    Connections
	mu      sync.Mutex // guards the rest
	open    int
	dropped int
	idle    *list.List // of *conn, idle for longest first
	hosts   map[string]*host
}

// host are the connections of one address.
type host struct {
	open int
	idle *list.List // of *conn, idle for longest first
}

// Listen bounds l.
func Listen(l net.Listener, c Connections) *Listener {
	return &Listener{Listener: l, most: c.filled(), idle: list.New(), hosts: map[string]*host{}}
}

type conn struct {
	net.Conn
	from      *Listener
	address   string
	once      sync.Once
	inAll     *list.Element // while idle; guarded by from
	inAddress *list.Element
	gone      bool // guarded by from
}

// Accept gives the next connection that is not refused.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if in := l.admit(c); in != nil {
			return in, nil
		}
		_ = c.Close()
	}
}

func (l *Listener) admit(c net.Conn) *conn {
	address, _, err := net.SplitHostPort(c.RemoteAddr().String())
	if err != nil {
		address = ""
	}
	address = Network(address)
	in := &conn{Conn: c, from: l, address: address}
	l.mu.Lock()
	h := l.hosts[address]
	if h == nil {
		h = &host{idle: list.New()}
		l.hosts[address] = h
	}
	var victim *list.Element
	switch {
	case h.open >= l.most.PerAddress:
		victim = h.idle.Front()
	case l.open >= l.most.Total:
		victim = l.idle.Front()
	default:
		l.add(in, h)
		l.mu.Unlock()
		return in
	}
	l.dropped++
	if victim == nil {
		if h.open == 0 {
			delete(l.hosts, address)
		}
		l.mu.Unlock()
		return nil
	}
	out := victim.Value.(*conn)
	l.remove(out)
	l.hosts[address] = h // removing may have forgotten it
	l.add(in, h)
	l.mu.Unlock()
	_ = out.Conn.Close() // under TLS: no farewell is written to one that may not read
	return in
}

// add counts a connection: until it asks for something it is idle.
func (l *Listener) add(c *conn, h *host) {
	l.open++
	h.open++
	c.inAll, c.inAddress = l.idle.PushBack(c), h.idle.PushBack(c)
}

func (l *Listener) remove(c *conn) {
	if c.gone {
		return
	}
	c.gone = true
	l.busy(c)
	l.open--
	h := l.hosts[c.address]
	if h.open--; h.open == 0 {
		delete(l.hosts, c.address)
	}
}

func (l *Listener) busy(c *conn) {
	if c.inAll != nil {
		l.idle.Remove(c.inAll)
		l.hosts[c.address].idle.Remove(c.inAddress)
		c.inAll, c.inAddress = nil, nil
	}
}

// State is http.Server.ConnState: it learns which connections are idle.
func (l *Listener) State(nc net.Conn, s http.ConnState) {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	c, ok := nc.(*conn)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case c.gone:
	case s == http.StateActive:
		l.busy(c)
	case s == http.StateIdle && c.inAll == nil:
		c.inAll, c.inAddress = l.idle.PushBack(c), l.hosts[c.address].idle.PushBack(c)
	}
}

// Count gives how many connections are open, and how many were refused or closed for another so far.
func (l *Listener) Count() (open, dropped int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open, l.dropped
}

// Write bounds how long one write may take.
func (c *conn) Write(b []byte) (int, error) {
	if err := c.Conn.SetWriteDeadline(time.Now().Add(c.from.most.Write)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// Close closes once.
func (c *conn) Close() error {
	c.once.Do(func() {
		c.from.mu.Lock()
		defer c.from.mu.Unlock()
		c.from.remove(c)
	})
	return c.Conn.Close()
}
