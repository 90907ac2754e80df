package edge

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/limit"
	"github.com/cordon-ehr/cordon/internal/routes"
	"github.com/cordon-ehr/cordon/internal/rpc"
	"github.com/cordon-ehr/cordon/internal/tally"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Limits of the edge; zeros mean what stands beside.
type Limits struct {
	Of       func(*routes.Route) *limit.Limits // of a tenant, by its plan; limit.Default for all
	Request  time.Duration                     // a whole request may take; 2 min. Not for operators, whose exports may be long
	Grace    time.Duration                     // a body may be behind Transfer, at any moment; 10 s
	Transfer int64                             // bytes a second that a body comes with; 16 kB
	Refusals tally.Config
}

// What one request line and its headers may be. net/http itself answers 431 to more than 64 kB of headers.
const (
	maxURL     = 32 << 10
	maxHeaders = 128
)

// Callers without a tenant's token, by address (limit.Network): what of them may be under way at once, over all and of each address,
// and how often each may come in a second.
const (
	maxInFlight   = 4096
	maxStrangers  = 1024
	strangersEach = 128
	maxCallers    = 2048
	callersEach   = 128
	callersRate   = 1000
	maxPages      = 512
	pagesEach     = 64
	pagesRate     = 200
	maxOperators  = 512
	operatorsEach = 64
	operatorsRate = 200
	maxForm       = 64 << 10 // bytes of a page's body that are handed on, and one more
)

// doors are what a request passes before anyone works for it, and before its body is read.
type doors struct {
	tenants   *limit.Door[tenant.ID] // requests with a tenant's token
	callers   *limit.Door[string]    // requests to pages that need none (tokens, keys, discovery), their bodies still to come
	pages     *limit.Door[page]      // the same when they are read: at work
	operators *limit.Door[string]    // requests of operators, or of who says so: the token is looked at before the body
	strangers *limit.Door[string]    // refusals on their way into the record
}

// page tells callers of a tenant's pages apart, so that one address does not take a tenant's token endpoint from the others.
type page struct {
	tenant  tenant.ID
	address string
}

func newDoors() doors {
	return doors{tenants: limit.NewDoor[tenant.ID](maxInFlight), callers: limit.NewDoor[string](maxCallers), pages: limit.NewDoor[page](maxPages),
		operators: limit.NewDoor[string](maxOperators), strangers: limit.NewDoor[string](maxStrangers)}
}

func (l Limits) filled() Limits {
	if l.Of == nil {
		all := limit.Default()
		l.Of = func(*routes.Route) *limit.Limits { return all }
	}
	if l.Request == 0 {
		l.Request = 2 * time.Minute
	}
	if l.Grace == 0 {
		l.Grace = 10 * time.Second
	}
	if l.Transfer == 0 {
		l.Transfer = 16 << 10
	}
	return l
}

// bound puts the limits of any request on one: of its text, of its time, of how slowly its body may come.
func (e *Edge) bound(ctx context.Context, w http.ResponseWriter, r *http.Request) (context.Context, context.CancelFunc, error) {
	end := func() {}
	if len(r.RequestURI) > maxURL {
		return ctx, end, fault.New(fault.LongURI, "the URL has more than %d bytes", maxURL)
	}
	n := 0
	for _, v := range r.Header {
		n += len(v)
	}
	if n > maxHeaders {
		return ctx, end, fault.New(fault.LargeHeaders, "more than %d headers", maxHeaders)
	}
	if r.ContentLength != 0 {
		p := &paced{ReadCloser: r.Body, control: http.NewResponseController(w), limits: &e.cfg.Limits, ends: time.Now().Add(e.cfg.Limits.Request),
			slack: e.cfg.Limits.Grace}
		r.Body, end = p, p.drop
	}
	if strings.HasPrefix(r.URL.Path, "/operator/") {
		return ctx, end, nil
	}
	if r.ProtoMajor == 2 { // a stream that is not read to its end has no other end; of HTTP/1 the listener bounds each write
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(e.cfg.Limits.Request)); err != nil {
			return ctx, end, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Limits.Request)
	return ctx, func() { end(); cancel() }, nil
}

// paced is a request body that has to come with a least speed. It may be behind for a while; what came fast is not saved up for more.
type paced struct {
	io.ReadCloser
	control *http.ResponseController
	limits  *Limits
	ends    time.Time     // whatever its speed
	slack   time.Duration // it may still be waited for; Grace at most
	until   time.Time     // the deadline that is set
	ended   bool
}

// unread is how long the server may wait for the rest of a body that nobody read to its end.
const unread = time.Second

func (p *paced) drop() {
	if !p.ended {
		_ = p.control.SetReadDeadline(time.Now().Add(unread))
	}
}

func (p *paced) Read(b []byte) (int, error) {
	start := time.Now()
	until := start.Add(p.slack)
	if until.After(p.ends) {
		until = p.ends
	}
	if until.Sub(p.until).Abs() > p.limits.Grace/16 { // not for each of thousands of reads
		p.until = until
		_ = p.control.SetReadDeadline(until) // a connection without deadlines has none to be late for
	}
	n, err := p.ReadCloser.Read(b)
	came := time.Duration(n) * time.Second / time.Duration(p.limits.Transfer)
	p.slack, p.ended = max(0, min(p.slack-time.Since(start)+came, p.limits.Grace)), err != nil // only who is waited for is slow
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = fault.Wrap(fault.Timeout, err, "the body came too slowly")
	case err != nil:
		_ = p.control.SetReadDeadline(time.Time{}) // the next request has times of its own
	}
	return n, err
}

// page serves what needs no tenant's token. A body is read first, so that who is slow with one takes a place of its own address only,
// whichever tenants it asks, and none of those where pages are worked for.
func (e *Edge) page(ctx context.Context, r *http.Request, a rpc.Assertion, serve func(*http.Request)) error {
	anonymous := audit.Agent{Kind: "anonymous"}
	network := limit.Network(a.Address)
	if err := e.doors.callers.Enter(network, callersRate, callersEach); err != nil {
		return e.limited(ctx, r, a, anonymous, err)
	}
	defer e.doors.callers.Leave(network)
	r, err := whole(r)
	if err != nil {
		return err
	}
	at := page{a.Tenant, network}
	if err := e.doors.pages.Enter(at, pagesRate, pagesEach); err != nil {
		return e.limited(ctx, r, a, anonymous, err)
	}
	defer e.doors.pages.Leave(at)
	serve(r)
	return nil
}

// whole reads the body of a page. One that is too long is handed on one byte too long, for the page to say so.
func whole(r *http.Request) (*http.Request, error) {
	if r.ContentLength == 0 {
		return r, nil
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
	if err != nil {
		if fault.Of(err).Kind == fault.Internal {
			err = fault.Wrap(fault.Invalid, err, "the body does not come to its end")
		}
		return r, err
	}
	in := r.WithContext(r.Context())
	in.Body, in.ContentLength, in.TransferEncoding = io.NopCloser(bytes.NewReader(b)), int64(len(b)), nil
	return in, nil
}

// operator serves the operators' API, through a door that nobody else uses: who fills those of tenants does not keep operators from
// ending it.
func (e *Edge) operator(ctx context.Context, w http.ResponseWriter, r *http.Request, a rpc.Assertion) error {
	network := limit.Network(a.Address)
	if err := e.doors.operators.Enter(network, operatorsRate, operatorsEach); err != nil {
		return e.limited(ctx, r, a, audit.Agent{Kind: "anonymous"}, err)
	}
	defer e.doors.operators.Leave(network)
	e.control.Operator(w, r, a)
	return nil
}

// limited records that a limit refused a request.
func (e *Edge) limited(ctx context.Context, r *http.Request, a rpc.Assertion, who audit.Agent, err error) error {
	e.metrics.Limited("edge", string(limit.ReasonOf(err)))
	who.UserHash = audit.HashUserAgent(r.UserAgent())
	return e.record(ctx, a, "limited", who, string(limit.ReasonOf(err)), err)
}

// record makes a refusal durable before it is answered. An address with too many refusals on their way learns only that it has.
func (e *Edge) record(ctx context.Context, a rpc.Assertion, what string, who audit.Agent, reason string, err error) error {
	who.Address = a.Address
	ev := audit.New(audit.Event{Tenant: a.Tenant, Type: "rest", Subtype: what, Action: audit.Execute, Outcome: audit.MinorFailure,
		OutcomeDesc: fault.Of(err).Kind.String(), Agent: who, Source: audit.Source{Role: "edge"}, Request: a.Request,
		Decision: audit.Decision{Policy: "edge/1", Reason: reason}})
	network := limit.Network(a.Address)
	if lerr := e.doors.strangers.Enter(network, 0, strangersEach); lerr != nil {
		e.refusals.Note(ev)
		return lerr
	}
	defer e.doors.strangers.Leave(network)
	if rerr := e.refusals.Record(ctx, ev); rerr != nil {
		return rerr
	}
	return err
}
