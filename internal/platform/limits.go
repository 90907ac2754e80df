package platform

import (
	"github.com/cordon-ehr/cordon/internal/cell"
	"github.com/cordon-ehr/cordon/internal/edge"
	"github.com/cordon-ehr/cordon/internal/limit"
	"github.com/cordon-ehr/cordon/internal/routes"
)

// LimitsFile is the part "limits" of the file: what a tenant, an address and the process may take. Each that is left out or 0 has the default
// that docs/limits.md gives.
type LimitsFile struct {
	Rate        float64 `json:"requests_per_second,omitempty"`     // of each tenant
	InFlight    int     `json:"requests_in_flight,omitempty"`      // of each tenant
	Light       int     `json:"light_slots,omitempty"`             // of each tenant
	Heavy       int     `json:"heavy_slots,omitempty"`             // of each tenant
	Waiting     int     `json:"waiting,omitempty"`                 // of each tenant and class
	TenantBytes int64   `json:"body_bytes_tenant,omitempty"`       // of each tenant
	Bytes       int64   `json:"body_bytes,omitempty"`              // of the process
	Connections int     `json:"connections,omitempty"`             // of the public listener
	PerAddress  int     `json:"connections_per_address,omitempty"` // of the public listener
}

// tenant gives every tenant the same limits. A plan will give a tenant its own here.
func (c *LimitsFile) tenant() func(*routes.Route) *limit.Limits {
	all := limit.Default()
	set(&all.Rate, c.Rate)
	set(&all.InFlight, c.InFlight)
	set(&all.Share.Light, c.Light)
	set(&all.Share.Heavy, c.Heavy)
	set(&all.Share.Waiting, c.Waiting)
	set(&all.Bytes, c.TenantBytes)
	return func(*routes.Route) *limit.Limits { return all }
}

func set[T int | int64 | float64](to *T, v T) {
	if v > 0 {
		*to = v
	}
}

func (c *LimitsFile) edge() edge.Limits { return edge.Limits{Of: c.tenant()} }

func (c *LimitsFile) cell() cell.Limits { return cell.Limits{Of: c.tenant(), Bytes: c.Bytes} }

func (c *LimitsFile) accept() limit.Connections {
	return limit.Connections{Total: c.Connections, PerAddress: c.PerAddress}
}
