package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Mesh are the counters of calls between roles. Labels are names of roles, methods of the policy and reasons that are constants.
type Mesh struct {
	calls   *prometheus.CounterVec
	refused *prometheus.CounterVec
}

// Mesh adds the counters to the set; it is called once.
func (m *Metrics) Mesh() *Mesh {
	x := &Mesh{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cordon_mesh_calls_total", Help: "Decisions about calls between roles, by peer, method and decision."}, []string{"peer", "method", "decision"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cordon_mesh_refused_connections_total", Help: "Connections between processes that were refused, by reason."}, []string{"reason"}),
	}
	m.reg.MustRegister(x.calls, x.refused)
	return x
}

// MeshCall counts a decision.
func (m *Mesh) MeshCall(peer, method, decision string) {
	m.calls.WithLabelValues(peer, method, decision).Inc()
}

// MeshRefused counts a connection that did not come about.
func (m *Mesh) MeshRefused(reason string) { m.refused.WithLabelValues(reason).Inc() }
