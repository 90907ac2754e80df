package fhirhttp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/outcome"
	"github.com/cordon-ehr/cordon/internal/phi"
	"github.com/cordon-ehr/cordon/internal/record"
)

// bundle serves POST to the base: a batch or a transaction (FHIR R4 http.html#transaction).
func (f *Face) bundle(c *call) error {
	if err := c.onlyGeneral(); err != nil {
		return err
	}
	doc, err := c.parse(fhir.ResourceType("Bundle"))
	if err != nil {
		return err
	}
	defer doc.Release()
	root := doc.Root()
	kind := root.Get("type").Str()
	if kind != "batch" && kind != "transaction" {
		return &fault.Fault{Kind: fault.Invalid, Text: "a Bundle sent here is a batch or a transaction", Issues: []fault.Issue{{Severity: "error",
			Code: "value", Diagnostics: "a Bundle sent here is a batch or a transaction", Expression: "Bundle.type"}}}
	}
	entries, err := record.ReadEntries(root)
	if err != nil {
		return err
	}
	if kind == "batch" {
		return f.batch(c, entries)
	}
	checked := fhir.Check(root, nil)
	if bad := fault.Issues(fault.Invalid, checked.Issues); bad != nil {
		return bad
	}
	return f.transaction(c, entries, links(checked))
}

// links are the references and URIs of a Bundle in the order of their places.
func links(c fhir.Checked) []fhir.Link {
	all := append(slices.Clone(c.Links), c.URIs...)
	slices.SortFunc(all, func(a, b fhir.Link) int { return a.Start - b.Start })
	return slices.CompactFunc(all, func(a, b fhir.Link) bool { return a.Start == b.Start })
}

// response is one entry of the answer.
type response struct {
	status       int
	location     string
	etag         string
	lastModified string
	resource     []byte // of a success
	outcome      []byte // of a failure
}

// transaction stores what writes in one step, and then answers what reads.
func (f *Face) transaction(c *call, entries []record.Entry, all []fhir.Link) error {
	var writes []record.Entry
	out := make([]response, len(entries))
	for _, e := range entries {
		if e.Method != http.MethodGet && e.Method != http.MethodHead {
			writes = append(writes, e)
		}
	}
	if len(writes) > 0 {
		done, err := f.records.Transaction(c.Context(), c.caller, writes, all)
		if err != nil {
			return err
		}
		for i, o := range done {
			out[writes[i].Index] = c.outcome(o)
		}
	}
	for i := range entries {
		if out[i].status == 0 {
			out[i] = f.dispatch(c, &entries[i])
		}
	}
	c.sendResponses("transaction-response", out)
	return nil
}

func (c *call) outcome(o record.Outcome) response {
	r := response{status: o.Status}
	if o.Resource.Type == nil {
		return r
	}
	r.etag, r.lastModified = etag(o.Resource.Version), o.Resource.Updated.Format(time.RFC3339Nano)
	if o.Status != http.StatusNoContent {
		r.location = c.caller.Base + "/" + o.Resource.Reference()
		if c.prefers("return=representation") {
			r.resource = o.Resource.Body.Reveal()
		}
	}
	return r
}

// batchParallel is how many entries of a batch are under way at once.
const batchParallel = 8

// batch answers each entry as if it had come alone.
func (f *Face) batch(c *call, entries []record.Entry) error {
	out := make([]response, len(entries))
	var g errgroup.Group
	g.SetLimit(batchParallel)
	for i := range entries {
		g.Go(func() error {
			out[i] = f.dispatch(c, &entries[i])
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	c.sendResponses("batch-response", out)
	return nil
}

// maxHeld is how much the answers to a Bundle's entries may be: each of thousands of entries may ask for a page, and all pages
// are in memory at once.
const maxHeld = 64 << 20

// dispatch sends an entry through the same routes as a request of its own: the same checks, the same events.
func (f *Face) dispatch(c *call, e *record.Entry) response {
	u, err := url.Parse(e.URL)
	if err != nil || u.IsAbs() || u.Host != "" {
		return failed(fault.New(fault.Invalid, "the URL of an entry is relative to the FHIR base"))
	}
	if c.held.Load() > maxHeld {
		return failed(tooMuch())
	}
	path, ok := plainPath("/" + strings.TrimPrefix(u.Path, "/"))
	if !ok {
		return failed(fault.New(fault.NotFound, "nothing is served here"))
	}
	if path == "/" && e.Method == http.MethodPost {
		return failed(fault.New(fault.Invalid, "a Bundle is not sent inside a Bundle"))
	}
	switch e.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete:
	default:
		return failed(fault.New(fault.NotSupported, "this method is not served in a Bundle"))
	}
	var body io.Reader = http.NoBody
	if e.Resource.Valid() {
		body = bytes.NewReader(e.Resource.Raw())
	}
	caller := *c.caller
	caller.Query = phi.Text(u.RawQuery)
	ctx := context.WithValue(c.Context(), visitKey{}, &visit{caller: &caller})
	r, err := http.NewRequestWithContext(ctx, e.Method, "/", body)
	if err != nil {
		return failed(fault.New(fault.Invalid, "the method of an entry is not one of HTTP"))
	}
	r.URL = &url.URL{Path: path, RawQuery: u.RawQuery}
	r.Header.Set("Content-Type", "application/fhir+json")
	if prefer := c.Header.Get("Prefer"); prefer != "" {
		r.Header.Set("Prefer", prefer)
	}
	if e.IfMatch != 0 {
		r.Header.Set("If-Match", etag(e.IfMatch))
	}
	if e.IfNoneExist != "" {
		r.Header.Set("If-None-Exist", strings.TrimPrefix(e.IfNoneExist, strings.TrimPrefix(path, "/")+"?"))
	}
	rec := &recorder{header: http.Header{}, held: &c.held}
	cut := rec.serve(f.routes, r)
	switch {
	case rec.over && (e.Method == http.MethodGet || e.Method == http.MethodHead):
		return failed(tooMuch())
	case rec.over: // what was written is written: its answer goes without the resource
		rec.body.Reset()
	case cut:
		return failed(fault.New(fault.Internal, "internal error"))
	}
	return rec.response(c, e.Method)
}

func tooMuch() *fault.Fault {
	return fault.New(fault.TooLarge, "the answers to this Bundle are too large: send this entry in another one")
}

func failed(f *fault.Fault) response {
	return response{status: f.Kind.Status(), outcome: outcome.Bytes(f)}
}

// recorder keeps the answer of one entry.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
	held   *atomic.Int64 // of the whole Bundle
	over   bool          // the Bundle's answers became too large: this one is not whole
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(s int) {
	if r.status == 0 {
		r.status = s
	}
}

func (r *recorder) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	if r.over = r.over || r.held.Add(int64(len(b))) > maxHeld; r.over {
		return 0, errHeld
	}
	return r.body.Write(b)
}

var errHeld = errors.New("the answers to a Bundle are too large together")

// serve lets h answer, and reports whether the answer was cut off: then what was recorded is not whole.
func (r *recorder) serve(h http.Handler, req *http.Request) (cut bool) {
	defer func() {
		p := recover()
		if cut = p != nil; cut && p != http.ErrAbortHandler { //nolint:errorlint // the server's own sentinel, compared as it does
			panic(p)
		}
	}()
	h.ServeHTTP(r, req)
	return false
}

func (r *recorder) response(c *call, method string) response {
	out := response{status: r.status, location: r.header.Get("Location"), etag: r.header.Get("ETag")}
	if t, err := time.Parse(http.TimeFormat, r.header.Get("Last-Modified")); err == nil {
		out.lastModified = t.UTC().Format(time.RFC3339)
	}
	switch {
	case r.status >= 400:
		out.outcome = r.body.Bytes()
	case method == http.MethodGet || c.prefers("return=representation"):
		out.resource = r.body.Bytes()
	}
	return out
}

func (c *call) sendResponses(kind string, out []response) {
	b := newBundle(kind)
	for _, r := range out {
		b.open()
		b.WriteByte('{')
		if len(r.resource) > 0 {
			b.WriteString(`"resource":`)
			b.Write(r.resource)
			b.WriteByte(',')
		}
		b.WriteString(`"response":{"status":"` + strconv.Itoa(r.status) + ` ` + http.StatusText(r.status) + `"`)
		for _, f := range [][2]string{{"location", r.location}, {"etag", r.etag}, {"lastModified", r.lastModified}} {
			if f[1] != "" {
				b.WriteString(`,"` + f[0] + `":`)
				b.text(f[1])
			}
		}
		if len(r.outcome) > 0 {
			b.WriteString(`,"outcome":`)
			b.Write(r.outcome)
		}
		b.WriteString("}}")
	}
	c.sendBundle(b)
}
