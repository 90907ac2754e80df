package test

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// socket is a connection of a caller who keeps to no rule.
func socket(t testing.TB, p *cordontest.Platform, protocol string) *tls.Conn {
	t.Helper()
	u, err := url.Parse(p.Info.URL)
	if err != nil {
		t.Fatal(err)
	}
	cfg := p.HTTP.Transport.(*http.Transport).TLSClientConfig.Clone()
	cfg.NextProtos = []string{protocol}
	d := tls.Dialer{Config: cfg}
	c, err := d.DialContext(t.Context(), "tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*tls.Conn)
}

// ends waits until the platform closes the connection, and gives what it said before.
func ends(c net.Conn, within time.Duration) (string, error) {
	_ = c.SetReadDeadline(time.Now().Add(within))
	b, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return string(b), err
	}
	return string(b), nil
}

// TestSlowCallers hold connections open in each way there is: idle, with half a hello, half a header, half a body, a body that trickles, half closed.
// Another tenant is served meanwhile as ever; each of the slow ones is ended in its time; what they took comes back.
func TestSlowCallers(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	quietAfter(t, p)
	slow, b := p.Tenant(t), p.Tenant(t)
	b.Do(t, http.MethodPut, "/Patient/p", `{"resourceType":"Patient","id":"p"}`).Want(t, http.StatusCreated)
	u, err := url.Parse(p.Info.URL)
	if err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	for range 1500 { // they say nothing
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	var wait sync.WaitGroup
	each := func(name string, begin string, trickle string, judge func(said string) bool) {
		for range 20 {
			c := socket(t, p, "http/1.1")
			if _, err := io.WriteString(c, begin); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			stop := make(chan struct{})
			wait.Go(func() {
				tick := time.NewTicker(200 * time.Millisecond)
				defer tick.Stop()
				for trickle != "" {
					select {
					case <-stop:
						return
					case <-tick.C:
						if _, err := io.WriteString(c, trickle); err != nil {
							return
						}
					}
				}
			})
			wait.Go(func() {
				said, err := ends(c, 40*time.Second)
				close(stop)
				if err != nil || !judge(said) {
					t.Errorf("%s: %v after %.300q", name, err, said)
				}
			})
		}
	}
	head := "POST /t/" + slow.Slug + "/fhir/Patient HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/fhir+json\r\nAuthorization: Bearer " + slow.Token() + "\r\n"
	timeout := func(s string) bool {
		return strings.HasPrefix(s, "HTTP/1.1 408 ") && strings.Contains(s, "OperationOutcome") && strings.Contains(s, "too slowly")
	}
	each("half a request line", "GET /t/", "", func(string) bool { return true })
	each("a header that trickles", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ", "a", func(string) bool { return true })
	each("a body that does not come", head+"Content-Length: 100000\r\n\r\n{", "", timeout)
	each("a body that trickles", head+"Content-Length: 100000\r\n\r\n{", " ", timeout)
	each("chunks that trickle", head+"Transfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n", timeout)
	each("an unread body that trickles", strings.Replace(head, slow.Token(), "none", 1)+"Content-Length: 100000\r\n\r\n{", " ", func(s string) bool { return strings.HasPrefix(s, "HTTP/1.1 401 ") })
	half := socket(t, p, "http/1.1")
	if _, err := io.WriteString(half, "GET /t/"+slow.Slug+"/fhir/metadata HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"); err != nil || half.CloseWrite() != nil {
		t.Error("could not close one half")
	}
	if said, err := ends(half, 20*time.Second); err != nil {
		t.Errorf("a half-closed connection stays open: %.100q", said)
	}
	start := time.Now()
	for range 50 {
		b.Do(t, http.MethodGet, "/Patient/p", nil).Want(t, http.StatusOK)
		slow.Do(t, http.MethodGet, "/Patient?_count=1", nil).Want(t, http.StatusOK) // they hold no slot of their own tenant, either
	}
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("100 reads beside slow callers took %v", took)
	}
	if m := scrape(t, p); !strings.Contains(m, "cordon_cell_running 0\n") {
		t.Error("slow callers hold slots")
	}
	wait.Wait()
	su, of := p.Superuser(t), number(t, slow)
	cordontest.Eventually(t, "50 searches and 60 bodies that came too slowly have their events", func() bool { // an edge apart does not wait for the latter
		var events int
		err := su.QueryRow(t.Context(), "SELECT count(*) FROM audit WHERE tenant = $1", of).Scan(&events)
		return err == nil && events >= 110
	})
	cordontest.Eventually(t, "what slow callers took comes back", func() bool {
		return runtime.NumGoroutine() < before+200 && strings.Contains(scrape(t, p), "cordon_cell_body_bytes 0\n")
	})
}

// frame makes an HTTP/2 frame (RFC 9113 §4.1).
func frame(kind, flags byte, stream uint32, payload string) string {
	h := make([]byte, 9)
	h[0], h[1], h[2], h[3], h[4] = byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), kind, flags
	binary.BigEndian.PutUint32(h[5:], stream)
	return string(h) + payload
}

// TestHostileHTTP2 floods connections with what HTTP/2 has for it: streams that are reset at once, headers without an end, settings, pings, more streams than
// offered, streams whose answer is never read. Others are served meanwhile.
func TestHostileHTTP2(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	quietAfter(t, p)
	n := p.Tenant(t)
	n.Do(t, http.MethodPut, "/Patient/p", `{"resourceType":"Patient","id":"p"}`).Want(t, http.StatusCreated)
	before := runtime.NumGoroutine()
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	literal := func(k, v string) string { return "\x00" + string(rune(len(k))) + k + string(rune(len(v))) + v } // HPACK without indexing
	request := "\x82\x87" + literal(":path", "/t/"+n.Slug+"/fhir/metadata") + literal(":authority", "127.0.0.1")
	floods := map[string]func(i uint32) string{
		"rapid reset":      func(i uint32) string { return frame(1, 5, 2*i+1, request) + frame(3, 0, 2*i+1, "\x00\x00\x00\x08") },
		"settings":         func(uint32) string { return frame(4, 0, 0, "\x00\x03\x00\x00\x00\x64") },
		"pings":            func(uint32) string { return frame(6, 0, 0, "12345678") },
		"too many streams": func(i uint32) string { return frame(1, 4, 2*i+1, request) }, // their bodies never come
		"empty data": func(i uint32) string {
			return map[bool]string{true: frame(1, 4, 1, request)}[i == 0] + frame(0, 0, 1, "")
		},
		"priority":          func(i uint32) string { return frame(2, 0, 2*i+1, "\x00\x00\x00\x00\x10") },
		"window of nothing": func(uint32) string { return frame(8, 0, 0, "\x00\x00\x00\x00") },
		"headers without end": func(i uint32) string {
			if i == 0 {
				return frame(1, 1, 1, request)
			}
			return frame(9, 0, 1, strings.Repeat(literal("x-a", strings.Repeat("v", 100)), 100))
		},
	}
	var wait sync.WaitGroup
	for name, f := range floods {
		for range 4 {
			c := socket(t, p, "h2")
			if c.ConnectionState().NegotiatedProtocol != "h2" {
				t.Fatal("HTTP/2 is not served")
			}
			wait.Go(func() {
				go func() { _, _ = io.Copy(io.Discard, c) }()
				_ = c.SetWriteDeadline(time.Now().Add(10 * time.Second))
				w := bufio.NewWriter(c)
				_, err := w.WriteString(preface + frame(4, 0, 0, ""))
				for i := uint32(0); i < 20_000 && err == nil; i++ {
					_, err = w.WriteString(f(i))
				}
				if err == nil {
					err = w.Flush()
				}
				if err == nil && name == "headers without end" {
					t.Errorf("%s: 200 MB were taken", name)
				}
				_ = c.Close()
			})
		}
	}
	start := time.Now()
	for range 50 {
		n.Do(t, http.MethodGet, "/Patient/p", nil).Want(t, http.StatusOK)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("50 reads beside floods took %v", took)
	}
	wait.Wait()
	cordontest.Eventually(t, "goroutines come back", func() bool { return runtime.NumGoroutine() < before+100 })
}

// TestGarbage sends what is no TLS and no HTTP, pipelined after what is: the connection ends, and nothing else does.
func TestGarbage(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	quietAfter(t, p)
	n := p.Tenant(t)
	u, err := url.Parse(p.Info.URL)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"not TLS": canary, "HTTP without TLS": "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "oversized record": "\x16\x03\x01\xff\xff" + strings.Repeat("x", 0xffff),
		"record of nothing": strings.Repeat("\x16\x03\x01\x00\x00", 1000), "alert": "\x15\x03\x01\x00\x02\x02\x28", "application data first": "\x17\x03\x03\x00\x05hello",
	} {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, text)
		if said, err := ends(c, 20*time.Second); err != nil || strings.Contains(said, canary) {
			t.Errorf("%s: %v after %q", name, err, said)
		}
		_ = c.Close()
	}
	c := socket(t, p, "http/1.1")
	good := fmt.Sprintf("GET /t/%s/fhir/metadata HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", n.Slug)
	if _, err := io.WriteString(c, strings.Repeat(good, 20)+"\x00\x01"+canary+"\r\n\r\n"+good); err != nil {
		t.Fatal(err)
	}
	said, err := ends(c, 20*time.Second)
	if ok := strings.Count(said, "HTTP/1.1 200 "); err != nil || ok != 20 || strings.Count(said, "HTTP/1.1 400 ") != 1 || strings.Contains(said, canary) {
		t.Errorf("20 requests and garbage: %d answers, %v", ok, err)
	}
	// A connection more than the bounds of a listener is another test: internal/limit.
	n.Do(t, http.MethodGet, "/Patient?_count=1", nil).Want(t, http.StatusOK)
}
