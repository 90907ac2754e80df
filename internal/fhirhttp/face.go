// Package fhirhttp is the FHIR REST face of a tenant (FHIR R4 http.html): routes, negotiation, headers, Bundles and
// OperationOutcomes. A handler decodes, makes one call to record, and renders. A file per interaction.
package fhirhttp

import (
	"context"
	"log/slog"
	"net/http"
	gopath "path"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/limit"
	"github.com/cordon-ehr/cordon/internal/outcome"
	"github.com/cordon-ehr/cordon/internal/record"
	"github.com/cordon-ehr/cordon/internal/telemetry"
)

// Face serves one cell's FHIR API. It is safe for concurrent use.
type Face struct {
	records *record.Service
	doors   Doors
	routes  *http.ServeMux
	metrics *telemetry.Metrics
	log     *slog.Logger
}

// New makes the face over the records.
func New(records *record.Service, doors Doors, metrics *telemetry.Metrics, log *slog.Logger) *Face {
	f := &Face{records: records, doors: doors, routes: http.NewServeMux(), metrics: metrics, log: log}
	for _, r := range f.table() {
		f.routes.Handle(r.Pattern, f.interaction(r.Interaction, r.handle))
	}
	return f
}

// Route is one interaction that the face serves.
type Route struct {
	Pattern     string // as http.ServeMux reads it, below the FHIR base
	Interaction string // as FHIR R4 http.html names it; "none" answers what no other route serves
	handle      handler
}

// Routes lists what the face serves beside Metadata: the leak suite makes its cases of it, so that nothing is served untried.
func Routes() []Route { return (*Face)(nil).table() }

func (f *Face) table() []Route {
	return []Route{
		{"GET /{type}/{id}", "read", f.read},
		{"GET /{type}/{id}/_history/{version}", "vread", f.vread},
		{"GET /{type}/{id}/_history", "history-instance", f.history},
		{"PUT /{type}/{id}", "update", f.update},
		{"DELETE /{type}/{id}", "delete", f.delete},
		{"POST /{type}", "create", f.create},
		{"GET /{type}", "search-type", f.search},
		{"POST /{type}/_search", "search-type", f.searchPost},
		{"GET /Patient/{id}/$everything", "everything", f.everything},
		{"POST /{$}", "bundle", f.bundle},
		{"/", "none", f.none},
	}
}

// call is one request with its caller.
type call struct {
	*http.Request
	*visit
	w    *answer
	held atomic.Int64 // bytes of the answers to a Bundle's entries, kept until all are there
}

// handler serves one interaction; an error is rendered as an OperationOutcome.
type handler func(c *call) error

type visitKey struct{}

// Serve answers one request of a caller within its tenant's limits. path is below the FHIR base.
func (f *Face) Serve(w http.ResponseWriter, r *http.Request, caller *record.Caller, limits *limit.Limits, path string) {
	path, ok := plainPath(path)
	if !ok {
		outcome.Error(w, fault.New(fault.NotFound, "nothing is served here"))
		return
	}
	u := *r.URL
	u.Path, u.RawPath = path, ""
	inner := *r
	inner.URL = &u
	f.routes.ServeHTTP(w, inner.WithContext(context.WithValue(r.Context(), visitKey{}, f.visit(caller, limits))))
}

// plainPath takes a trailing slash off a path. One with empty or dot segments is not plain: the routes would redirect it, and
// a FHIR path names one thing or nothing.
func plainPath(path string) (string, bool) {
	if path = strings.TrimSuffix(path, "/"); path == "" {
		path = "/"
	}
	return path, path == gopath.Clean(path)
}

// answer is a response writer that knows what was sent.
type answer struct {
	http.ResponseWriter
	visit  *visit
	status int
}

func (a *answer) WriteHeader(s int) {
	if a.status == 0 {
		a.status = s
		a.visit.answered(a.Header())
	}
	a.ResponseWriter.WriteHeader(s)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	return a.ResponseWriter.Write(b)
}

// interaction wraps a handler: negotiation before, errors, panics, metrics and one log line after.
func (f *Face) interaction(name string, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		v, ok := r.Context().Value(visitKey{}).(*visit)
		if !ok {
			v = new(visit)
		}
		a := &answer{ResponseWriter: w, visit: v}
		c := &call{Request: r, visit: v, w: a}
		defer func() {
			p := recover()
			v.end()
			cut := p == http.ErrAbortHandler //nolint:errorlint // the server's own sentinel, compared as it does
			if p != nil && !cut {
				// The value of a panic may quote a body: only where it happened is logged.
				f.log.ErrorContext(r.Context(), "panic", slog.String("interaction", name), slog.String("stack", string(debug.Stack())))
				if a.status == 0 {
					outcome.Error(a, fault.New(fault.Internal, "internal error"))
				}
			}
			f.metrics.Request("cell", name, a.status, time.Since(start))
			f.log.InfoContext(r.Context(), "request", slog.String("interaction", name), slog.Int("status", a.status),
				slog.Float64("duration_ms", float64(time.Since(start).Microseconds())/1000))
			if cut {
				panic(p) // the server cuts the connection
			}
		}()
		err := error(fault.New(fault.Internal, "no caller"))
		if ok {
			if err = acceptable(r); err == nil {
				err = c.begin(name)
			}
			if err == nil {
				err = h(c)
			}
		}
		f.fail(c, name, err)
	})
}

// fail renders an error, unless an answer is under way already: then the connection is cut, so that half an answer cannot be
// taken for a whole one.
func (f *Face) fail(c *call, name string, err error) {
	if err == nil {
		return
	}
	if c.w.status != 0 {
		f.log.WarnContext(c.Context(), "answer cut off", slog.String("interaction", name), slog.String("error", fault.Of(err).Kind.String()))
		panic(http.ErrAbortHandler)
	}
	if why := limit.ReasonOf(err); why != "" {
		f.metrics.Limited("cell", string(why))
		err = f.doors.Refused(c.Request, c.caller, err)
	} else if c.caller != nil {
		ctx := c.Context()
		// The server has given the request up with its body, or an edge in another process has: its event is written all the same.
		if fault.Is(err, fault.Timeout) || ctx.Err() != nil {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
		}
		if rerr := f.records.Failed(ctx, c.caller, name, err); rerr != nil {
			err = rerr
		}
	}
	if k := fault.Of(err).Kind; k == fault.Internal || k == fault.Unavailable {
		f.log.ErrorContext(c.Context(), "request failed", slog.String("interaction", name), slog.String("error", err.Error()))
	}
	outcome.Error(c.w, err)
}

// resourceType reads {type} of the path.
func (c *call) resourceType() (*fhir.Type, error) {
	if t := fhir.ResourceType(c.PathValue("type")); t != nil {
		return t, nil
	}
	return nil, fault.New(fault.NotFound, "no such resource type")
}

// resource reads {type} and {id}; an id that no resource can have is not found, like one that none has.
func (c *call) resource() (*fhir.Type, string, error) {
	t, err := c.resourceType()
	if err != nil {
		return nil, "", err
	}
	id := c.PathValue("id")
	if !fhir.ValidID(id) {
		return nil, "", fault.New(fault.NotFound, "no such resource")
	}
	return t, id, nil
}

// none answers what no route serves.
func (f *Face) none(c *call) error {
	parts := strings.Split(strings.Trim(c.URL.Path, "/"), "/")
	known := fhir.ResourceType(parts[0]) != nil
	switch {
	case len(parts) == 1 && parts[0] == "":
		return fault.New(fault.NotSupported, "search over all types and system history are not served")
	case !known:
		return fault.New(fault.NotFound, "no such resource type")
	case strings.HasPrefix(parts[len(parts)-1], "$"):
		return fault.New(fault.NotFound, "this operation is not served")
	case len(parts) == 2 && parts[1] == "_history":
		return fault.New(fault.NotSupported, "history of a type is not served")
	case len(parts) <= 2 || (len(parts) <= 4 && parts[2] == "_history"):
		return fault.New(fault.MethodNotAllowed, "this method is not served here")
	}
	return fault.New(fault.NotFound, "nothing is served here")
}
