package telemetry

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are a process's counters. Labels are names of interactions and status classes: bounded, and nothing of a
// patient or a path.
type Metrics struct {
	reg      *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	audits   prometheus.Counter
	leases   *prometheus.CounterVec
	stopped  prometheus.Counter
	limited  *prometheus.CounterVec
}

// NewMetrics makes an empty set with a registry of its own.
func NewMetrics() *Metrics {
	m := &Metrics{
		reg: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cordon_requests_total", Help: "Requests answered, by role, interaction and status."}, []string{"role", "interaction", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "cordon_request_seconds", Help: "Time to answer, by role and interaction.", NativeHistogramBucketFactor: 1.1}, []string{"role", "interaction"}),
		audits: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "cordon_audit_events_total", Help: "Audit events made durable by this process."}),
		leases: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cordon_leases_total", Help: "Requests for keys, by what became of them: granted, refused, failed, stopped."}, []string{"outcome"}),
		stopped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "cordon_identities_stopped_total", Help: "Service identities that this broker stopped."}),
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cordon_limited_total", Help: "Requests that a limit refused, by role and limit."}, []string{"role", "limit"}),
	}
	m.reg.MustRegister(m.requests, m.seconds, m.audits, m.leases, m.stopped, m.limited, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Request counts one answer.
func (m *Metrics) Request(role, interaction string, status int, took time.Duration) {
	m.requests.WithLabelValues(role, interaction, statusText(status)).Inc()
	m.seconds.WithLabelValues(role, interaction).Observe(took.Seconds())
}

// Audited counts durable events.
func (m *Metrics) Audited(n int) { m.audits.Add(float64(n)) }

// Lease counts a request for keys: granted, refused, failed or stopped.
func (m *Metrics) Lease(outcome string) { m.leases.WithLabelValues(outcome).Inc() }

// IdentityStopped counts an identity that the broker stopped.
func (m *Metrics) IdentityStopped() { m.stopped.Inc() }

// Limited counts a request that a limit refused. limit is a constant of the limit room.
func (m *Metrics) Limited(role, limit string) { m.limited.WithLabelValues(role, limit).Inc() }

// Gauge adds a figure that is asked for when it is scraped. The role that owns it adds it once.
func (m *Metrics) Gauge(name, help string, value func() float64) {
	m.reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

// Handler serves the Prometheus text format.
func (m *Metrics) Handler() http.Handler { return promhttp.HandlerFor(m.reg, promhttp.HandlerOpts{}) }

func statusText(s int) string {
	if s < 100 || s > 599 {
		return "other"
	}
	return string([]byte{byte('0' + s/100), byte('0' + s/10%10), byte('0' + s%10)})
}
