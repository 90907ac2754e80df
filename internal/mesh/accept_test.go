package mesh_test

import (
	"net"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cordon-ehr/cordon/internal/mesh"
)

// failing runs out of files now and then.
type failing struct {
	net.Listener
	left atomic.Int32
}

func (f *failing) Accept() (net.Conn, error) {
	if f.left.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	}
	return f.Listener.Accept()
}

// TestOutOfFilesPasses has a listener that cannot accept for a while: the role serves again as soon as it can.
func TestOutOfFilesPasses(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	f := &failing{Listener: l}
	f.left.Store(3)
	r := serveOn(t, f, id(mesh.Keys, ""), ca.source(t, id(mesh.Keys, "")), echo)
	if got, err := mesh.Call[string, string](t.Context(), link(t, id(mesh.Cell, "c1"), ca.source(t, id(mesh.Cell, "c1")), r), "keys.Lease", "a"); err != nil || got != "a for cell/c1" {
		t.Errorf("%q %v", got, err)
	}
}
