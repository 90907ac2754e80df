// Package prove holds the platform's executable proofs: each probe tries what a wall must refuse, on the live platform, between two
// canary tenants that hold nothing but synthetic strings, and fails when the wall's control is gone. Roles run the probes of their own
// inside; who has the command runs those of the front door, as an outsider over HTTPS (docs/adr/0012).
//
// It is safe in production: it reads and writes canaries only, ends in bounded time, and is an event itself.
package prove

import (
	"context"
	"fmt"
	"time"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// Result is what one probe found.
type Result struct {
	ID      string   `json:"id"`
	Control []string `json:"control"` // what it proves: 45 CFR 164 cites, and the platform's own rows
	OK      bool     `json:"ok"`
	Detail  string   `json:"detail"` // what was tried, or why it failed; never a value of a chart
}

// Report is a run.
type Report struct {
	Probes []Result `json:"probes"`
}

// Failed counts the probes that failed.
func (r Report) Failed() (n int) {
	for _, p := range r.Probes {
		if !p.OK {
			n++
		}
	}
	return n
}

// Canary is one of the two tenants that probes run between. Its tokens live minutes.
type Canary struct {
	Tenant  string `json:"tenant"` // id
	Slug    string `json:"slug"`
	Base    string `json:"fhir_base"`
	Token   string `json:"token"`
	Expired string `json:"expired_token"` // signed as the other, and too old
}

// Ask is what control hands a role for its probes: both canaries, and the tenant that a run is about, which may be "". No token of
// that tenant exists here: its charts stay closed to a proof.
type Ask struct {
	A, B   Canary
	Target string // id
}

// Canaries is control's answer to the command: who to be, and what the roles found inside.
type Canaries struct {
	A      Canary   `json:"a"`
	B      Canary   `json:"b"`
	Target string   `json:"target_fhir_base,omitempty"`
	Probes []Result `json:"probes"`
}

// timeout bounds one probe.
const timeout = 20 * time.Second

// Try runs one probe. fn gives what was tried; an error is the proof's failure, and so is a probe without controls.
func Try(ctx context.Context, id string, fn func(ctx context.Context) (string, error)) Result {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r := Result{ID: id, Control: controls[id]}
	detail, err := fn(ctx)
	if err == nil && len(r.Control) == 0 {
		err = fmt.Errorf("the probe names no control")
	}
	if r.OK, r.Detail = err == nil, detail; err != nil {
		r.Detail = fault.Of(err).Text
		if r.Detail == "internal error" {
			r.Detail = err.Error()
		}
	}
	return r
}
