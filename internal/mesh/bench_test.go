package mesh_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cordon-ehr/cordon/internal/mesh"
	"github.com/cordon-ehr/cordon/internal/rpc"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

type sink struct{ h http.Header }

func (s sink) Header() http.Header         { return s.h }
func (s sink) Write(b []byte) (int, error) { return len(b), nil }
func (s sink) WriteHeader(int)             {}

// BenchmarkForward is what the mesh adds to a request that answers 2 kB: decision, assertion made and verified, and apart the two ends of
// the wire.
func BenchmarkForward(b *testing.B) {
	ca := newAuthority(b)
	body := make([]byte, 2048)
	r := serve(b, id(mesh.Cell, "c1"), ca.source(b, id(mesh.Cell, "c1")), func(s *mesh.Server) {
		mesh.HandleForward(s, "cell.Forward", func(w http.ResponseWriter, _ *http.Request, _ rpc.Assertion) {
			w.Header().Set("Content-Type", "application/fhir+json")
			w.Header().Set("Content-Length", "2048")
			_, _ = w.Write(body)
		})
	})
	edge := id(mesh.Edge, "")
	a := rpc.Assertion{Tenant: tenant.NewID(), Request: "0af7651916cd43dd8448eb211c80319c", Address: "127.0.0.1", Path: "/Patient/0af76519-16cd-43dd-8448-eb211c80319c"}
	for form, l := range map[string]*mesh.Link{"process": mesh.Local(edge, r.Server), "wire": link(b, edge, ca.source(b, edge), r)} {
		b.Run(form, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				in := httptest.NewRequest(http.MethodGet, "/", nil)
				in.Header.Set("Authorization", "Bearer "+strings.Repeat("x", 600))
				l.Forward(sink{http.Header{}}, in, "cell.Forward", a)
			}
		})
	}
}
