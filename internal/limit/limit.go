// Package limit bounds what one caller may take of a process, and shares the process between tenants that want it at once: rates,
// requests under way, slots of execution, bytes held, connections. It knows no HTTP and no FHIR but the numbers.
//
// Who is over a limit of his own gets TooMany (429), who comes when the process is full Unavailable (503); both say when to try again.
// Nothing here waits without a bound, and what waits is served in turns, a tenant at a time.
package limit

import (
	"errors"
	"runtime"
	"time"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// Limits are those of one tenant. A plan may give a tenant others than Default.
type Limits struct {
	Rate     float64 // requests a second, over a burst of as many
	InFlight int     // requests of the tenant in the edge at once, waiting ones among them
	Share    Share   // of the cell's slots
	Bytes    int64   // of request bodies held by the cell at once
}

// Share is a tenant's part of a Gate. Light work is what touches one resource, heavy work what may touch many. Crowded numbers hold while
// another tenant is active: alone, a tenant may use what is there; in company, one tenant's work must not be felt in another's.
type Share struct {
	Light, Heavy               int // at once
	CrowdedLight, CrowdedHeavy int
	Waiting                    int // of each class; who comes after them is refused
}

// Default are the limits of a tenant without a plan: as much as one tenant alone can use of this machine, and no more.
func Default() *Limits {
	cores := runtime.GOMAXPROCS(0)
	return &Limits{Rate: 10_000, InFlight: 512, Bytes: 256 << 20, Share: Share{Light: max(16, 8*cores), Heavy: 4 * cores, CrowdedLight: max(4, 2*cores),
		CrowdedHeavy: max(1, cores/2), Waiting: 64}}
}

// Reason is why a request was refused by a limit: a constant of this package, fit for a metric and an event.
type Reason string

func (r Reason) Error() string { return string(r) }

// The reasons.
const (
	Rate        Reason = "rate"
	InFlight    Reason = "in flight"
	Queue       Reason = "queue of the tenant"
	Full        Reason = "queue of the process"
	TenantBytes Reason = "bytes of the tenant"
	AllBytes    Reason = "bytes of the process"
)

// ReasonOf gives the reason in an error's chain, "" if no limit refused.
func ReasonOf(err error) Reason {
	r, _ := errors.AsType[Reason](err)
	return r
}

// refused makes the fault of a limit: of the caller's own doing, or because the process is full.
func refused(r Reason, after time.Duration) error {
	k, text := fault.TooMany, "this tenant asks for more at once than its limits allow"
	if r == Full || r == AllBytes {
		k, text = fault.Unavailable, "too much is under way here"
	}
	f := fault.Wrap(k, r, "%s (%s); try again later", text, string(r))
	f.RetryAfter = after
	return f
}
