package cell

import (
	"net/http"
	"runtime"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhirhttp"
	"github.com/cordon-ehr/cordon/internal/limit"
	"github.com/cordon-ehr/cordon/internal/record"
	"github.com/cordon-ehr/cordon/internal/routes"
	"github.com/cordon-ehr/cordon/internal/tally"
	"github.com/cordon-ehr/cordon/internal/telemetry"
)

// Limits of the cell; zeros mean what stands beside. They stand behind the edge's: a cell does not trust an edge to be fair.
type Limits struct {
	Of       func(*routes.Route) *limit.Limits // of a tenant, by its plan; limit.Default for all
	Total    limit.Total                       // slots over all tenants: 32 a core; heavy ones in a crowd: one a core; 1,024 waiting
	Bytes    int64                             // of request bodies held at once; 512 MB
	Refusals tally.Config
}

func (l Limits) filled() Limits {
	cores := runtime.GOMAXPROCS(0)
	if l.Of == nil {
		all := limit.Default()
		l.Of = func(*routes.Route) *limit.Limits { return all }
	}
	if l.Total == (limit.Total{}) {
		l.Total = limit.Total{Slots: 32 * cores, CrowdedHeavy: cores, Waiting: 1024}
	}
	if l.Bytes == 0 {
		l.Bytes = 512 << 20
	}
	return l
}

// doors makes what requests pass, and shows how full it is.
func (c *Cell) doors(metrics *telemetry.Metrics) fhirhttp.Doors {
	d := fhirhttp.Doors{Gate: limit.NewGate(c.cfg.Limits.Total), Bytes: limit.NewBudget(c.cfg.Limits.Bytes), Refused: c.limited}
	metrics.Gauge("cordon_cell_running", "Requests that hold a slot of the cell.", func() float64 { n, _ := d.Gate.State(); return float64(n) })
	metrics.Gauge("cordon_cell_waiting", "Requests that wait for a slot of the cell.", func() float64 { _, n := d.Gate.State(); return float64(n) })
	metrics.Gauge("cordon_cell_body_bytes", "Bytes of request bodies that the cell holds.", func() float64 { return float64(d.Bytes.Used()) })
	return d
}

// limited records that a limit refused a request: in control's log, as the refusals of the edge, and in numbers when there are many. The tenant's
// own log is not for it: a flood that is refused must not write there.
func (c *Cell) limited(r *http.Request, caller *record.Caller, err error) error {
	e := audit.New(audit.Event{Tenant: caller.Scope.Tenant(), Type: "rest", Subtype: "limited", Action: audit.Execute, Outcome: audit.MinorFailure,
		OutcomeDesc: fault.Of(err).Kind.String(), Agent: caller.Agent, Source: audit.Source{Role: "cell", Site: c.cfg.Name}, Request: caller.Request,
		Decision: audit.Decision{Policy: "limits/1", Reason: string(limit.ReasonOf(err))}})
	if rerr := c.refusals.Record(r.Context(), e); rerr != nil {
		return rerr
	}
	return err
}
