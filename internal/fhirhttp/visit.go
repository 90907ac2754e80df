package fhirhttp

import (
	"net/http"
	"strconv"

	"github.com/cordon-ehr/cordon/internal/limit"
	"github.com/cordon-ehr/cordon/internal/record"
)

// Doors are what requests of a cell pass before they cost something, so that one tenant's work is not felt in another's.
type Doors struct {
	Gate  *limit.Gate   // slots to work in
	Bytes *limit.Budget // of bodies in memory
	// Refused records that a limit refused a request, and gives what the caller learns.
	Refused func(r *http.Request, c *record.Caller, err error) error
}

// largeBody is where one resource is heavy work; largeAnswer is where an answer is not forgotten as soon as it is on its way.
const (
	largeBody   = 1 << 20
	largeAnswer = 1 << 20
)

// visit is a request's way through the doors. The zero visit, that of an entry of a Bundle, is part of another.
type visit struct {
	caller *record.Caller
	limits *limit.Limits
	gate   *limit.Gate
	class  limit.Class
	pass   limit.Pass
	hold   limit.Hold
}

func (f *Face) visit(c *record.Caller, l *limit.Limits) *visit {
	return &visit{caller: c, limits: l, gate: f.doors.Gate, hold: f.doors.Bytes.Hold(c.Scope.Tenant(), l.Bytes)}
}

// begin takes a slot for a request whose body is not read. One whose body is read takes it when the body is there: who sends slowly
// holds no slot. A body that nobody reads, as on a GET, puts nothing off.
func (c *call) begin(interaction string) error {
	switch interaction {
	case "search-type", "everything", "bundle":
		c.class = limit.Heavy
	}
	if c.ContentLength != 0 && (c.Method == http.MethodPost || c.Method == http.MethodPut) {
		return nil
	}
	return c.enter()
}

// enter waits for a slot, once.
func (c *call) enter() (err error) {
	if c.gate == nil {
		return nil
	}
	c.pass, err = c.gate.Enter(c.Context(), c.caller.Scope.Tenant(), &c.limits.Share, c.class)
	c.gate = nil
	return err
}

// answered gives the slot back when a whole answer is on its way: who reads slowly holds no slot. One that is large, or is made while it is
// sent, keeps it, and so is bounded in number.
func (v *visit) answered(h http.Header) {
	if n, err := strconv.Atoi(h.Get("Content-Length")); err == nil && n <= largeAnswer {
		v.leave()
	}
}

func (v *visit) leave() {
	v.pass.Leave()
	v.pass = limit.Pass{}
}

// end gives everything back.
func (v *visit) end() {
	v.leave()
	v.hold.Release()
}
