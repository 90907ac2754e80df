package limit_test

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/cordontest"
	"github.com/cordon-ehr/cordon/internal/limit"
)

// serving runs a real server behind a bounded listener.
func serving(t *testing.T, most limit.Connections, h http.HandlerFunc) (*httptest.Server, *limit.Listener) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	l := limit.Listen(s.Listener, most)
	s.Listener, s.Config.ConnState = l, l.State
	s.Start()
	t.Cleanup(s.Close)
	return s, l
}

func dial(t *testing.T, s *httptest.Server) net.Conn {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// get asks once and keeps the connection; ok is false when it was closed.
func get(c net.Conn, path string) (ok bool) {
	if _, err := c.Write([]byte("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		return false
	}
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err == nil {
		_ = r.Body.Close()
	}
	return err == nil
}

func closed(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	_, err := c.Read(make([]byte, 1))
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

// TestConnections fills a listener: the connection that is idle for longest goes, one at work stays; with none idle the new one goes.
func TestConnections(t *testing.T) {
	t.Parallel()
	hold, entered, busy := make(chan struct{}), make(chan struct{}, 8), make(chan bool, 3)
	s, l := serving(t, limit.Connections{Total: 3}, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			entered <- struct{}{}
			<-hold
		}
	})
	a := dial(t, s) // one address may have one here: half of three
	if !get(a, "/") {
		t.Fatal("the first connection is not served")
	}
	var b net.Conn
	cordontest.Eventually(t, "a second connection takes the place of the idle first", func() bool { b = dial(t, s); return get(b, "/") })
	if !closed(a) {
		t.Error("the first connection stays")
	}
	go func() { busy <- get(b, "/hold") }()
	<-entered
	if c := dial(t, s); !closed(c) {
		t.Error("a connection more than an address may have stays")
	}
	close(hold)
	if !<-busy {
		t.Error("a connection at work was closed")
	}
	if open, dropped := l.Count(); open != 1 || dropped < 2 {
		t.Errorf("%d open, %d dropped; want 1 and 2 or more", open, dropped)
	}
	_ = b.Close()
	cordontest.Eventually(t, "closed connections are not counted", func() bool { n, _ := l.Count(); return n == 0 })
}

// TestStorm opens thousands of connections that say nothing: the server keeps to its number, answers who asks, and no goroutine is left.
func TestStorm(t *testing.T) {
	t.Parallel()
	s, l := serving(t, limit.Connections{Total: 100, PerAddress: 50}, func(http.ResponseWriter, *http.Request) {})
	before := runtime.NumGoroutine()
	for i := range 2000 {
		c := dial(t, s)
		if i%500 == 0 && !get(c, "/") {
			t.Errorf("connection %d is not served in the storm", i)
		}
	}
	cordontest.Eventually(t, "all were looked at", func() bool { open, dropped := l.Count(); return open <= 50 && dropped >= 1900 })
	cordontest.Eventually(t, "goroutines come back", func() bool { return runtime.NumGoroutine() < before+120 })
}

// TestUnreadAnswer asks for much and reads nothing: the write ends, and with it the connection.
func TestUnreadAnswer(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	s, l := serving(t, limit.Connections{Write: 200 * time.Millisecond}, func(w http.ResponseWriter, _ *http.Request) {
		var err error
		for err == nil {
			_, err = w.Write([]byte(strings.Repeat("x", 64<<10)))
		}
		ended <- err
	})
	c := dial(t, s)
	if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the write ended with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("a write that nobody reads does not end")
	}
	cordontest.Eventually(t, "the connection is closed", func() bool { n, _ := l.Count(); return n == 0 })
}
