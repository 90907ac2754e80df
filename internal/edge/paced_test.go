package edge

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// wire is an answer whose request comes over a connection.
type wire struct {
	http.ResponseWriter
	net.Conn
}

func (w wire) Write(b []byte) (int, error)         { return w.ResponseWriter.Write(b) }
func (w wire) SetReadDeadline(at time.Time) error  { return w.Conn.SetReadDeadline(at) }
func (w wire) SetWriteDeadline(at time.Time) error { return w.Conn.SetWriteDeadline(at) }

// TestBodiesArePacedByTheirLastSeconds has bodies come in several ways: what came fast buys no time to stand still, who keeps to the
// speed may go on, and a server that reads slowly does not count against who sends.
func TestBodiesArePacedByTheirLastSeconds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		send   func(ctx context.Context, c net.Conn)
		pause  time.Duration // of the reader, before each read
		within time.Duration
		after  time.Duration
		kind   fault.Kind
	}{
		"fast, then still": {send: func(ctx context.Context, c net.Conn) { _, _ = c.Write(make([]byte, 8<<20)); <-ctx.Done() }, after: 9 * time.Second, within: 11 * time.Second, kind: fault.Timeout},
		"still":            {send: func(ctx context.Context, _ net.Conn) { <-ctx.Done() }, after: 9 * time.Second, within: 11 * time.Second, kind: fault.Timeout},
		"as slow as may be": {send: func(_ context.Context, c net.Conn) {
			for range 90 {
				_, _ = c.Write(make([]byte, 16<<10))
				time.Sleep(time.Second)
			}
			_ = c.Close()
		}, after: 89 * time.Second, within: 91 * time.Second},
		"forever": {send: func(_ context.Context, c net.Conn) {
			for _, err := c.Write(make([]byte, 16<<10)); err == nil; _, err = c.Write(make([]byte, 16<<10)) {
				time.Sleep(time.Second)
			}
		}, after: 119 * time.Second, within: 121 * time.Second, kind: fault.Timeout},
		"a reader that takes its time": {send: func(_ context.Context, c net.Conn) { _, _ = c.Write(make([]byte, 100<<10)); _ = c.Close() }, pause: 20 * time.Second, within: 70 * time.Second, after: 50 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() {
					defer theirs.Close()
					done := make(chan struct{})
					go func() { defer close(done); c.send(ctx, theirs) }()
					select {
					case <-done:
					case <-ctx.Done():
					}
				}()
				e := &Edge{cfg: Config{Limits: Limits{}.filled()}}
				r := httptest.NewRequest(http.MethodPost, "/operator/v1/x", ours)
				w := wire{httptest.NewRecorder(), ours}
				_, end, err := e.bound(t.Context(), w, r)
				if err != nil {
					t.Fatal(err)
				}
				defer end()
				start := time.Now()
				b := make([]byte, 64<<10)
				for err == nil {
					if c.pause > 0 {
						time.Sleep(c.pause)
						b = make([]byte, 50<<10)
					}
					_, err = r.Body.Read(b)
				}
				if took := time.Since(start); took < c.after || took > c.within {
					t.Errorf("it ended after %v, want %v to %v: %v", took, c.after, c.within, err)
				}
				if c.kind == 0 && err != io.EOF || c.kind != 0 && !fault.Is(err, c.kind) { //nolint:errorlint // as a reader compares it
					t.Errorf("it ended with %v", err)
				}
			})
		})
	}
}
