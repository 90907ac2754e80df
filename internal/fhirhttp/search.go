package fhirhttp

import (
	"bytes"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir/search"
	"github.com/cordon-ehr/cordon/internal/outcome"
	"github.com/cordon-ehr/cordon/internal/phi"
	"github.com/cordon-ehr/cordon/internal/record"
)

// search serves GET Type?….
func (f *Face) search(c *call) error { return f.find(c, c.URL.RawQuery) }

// maxForm bounds the body of a _search: a query is text that people and programs write, not a load.
const maxForm = 64 << 10

// searchPost serves POST Type/_search: parameters in the body, which does not stand in any log, and in the URL.
func (f *Face) searchPost(c *call) error {
	mt, _, err := mime.ParseMediaType(c.Header.Get("Content-Type"))
	if err != nil || mt != "application/x-www-form-urlencoded" {
		return fault.New(fault.UnsupportedMedia, "the Content-Type of a _search is application/x-www-form-urlencoded")
	}
	b, err := c.readAll(maxForm)
	if err != nil {
		return err
	}
	raw := string(b)
	if c.URL.RawQuery != "" {
		raw += "&" + c.URL.RawQuery
	}
	c.caller.Query = phi.Text(raw)
	return f.find(c, raw)
}

func (f *Face) find(c *call, raw string) error {
	t, err := c.resourceType()
	if err != nil {
		return err
	}
	q, err := search.Parse(t, raw, search.Options{Base: c.caller.Base, Lenient: c.prefers("handling=lenient"), Now: time.Now()})
	if err != nil {
		return err
	}
	var page record.Page
	if t.Name == record.TrailType {
		page, err = f.records.SearchTrail(c.Context(), c.caller, q)
	} else {
		page, err = f.records.Search(c.Context(), c.caller, q)
	}
	if err != nil {
		return err
	}
	b := newBundle("searchset")
	if page.Total >= 0 {
		b.total(page.Total)
	}
	at := c.caller.Base + "/" + t.Name
	b.link("self", withQuery(at, q.Encode()))
	if page.Next != "" {
		next := q.Encode()
		if next != "" {
			next += "&"
		}
		b.link("next", withQuery(at, next+"_cursor="+url.QueryEscape(page.Next)))
	}
	for i := range page.Matches {
		b.entry(c.caller.Base, &page.Matches[i], "match")
	}
	for i := range page.Included {
		b.entry(c.caller.Base, &page.Included[i], "include")
	}
	if page.Cut {
		b.outcome("some included resources were left out: ask for fewer matches a page")
	}
	c.sendBundle(b)
	return nil
}

func withQuery(base, q string) string {
	if q == "" {
		return base
	}
	return base + "?" + q
}

// bundleWriter builds a Bundle around the stored bytes of its resources.
type bundleWriter struct {
	bytes.Buffer
	links, entries int
}

// bundles keeps writers of answers: a page is tens of kilobytes, and their buffers are the most of what a search allocates.
var bundles = sync.Pool{New: func() any { return new(bundleWriter) }}

// keptBundle bounds the buffers that are kept.
const keptBundle = 1 << 20

func newBundle(kind string) *bundleWriter {
	b := bundles.Get().(*bundleWriter)
	b.Reset()
	b.links, b.entries = 0, 0
	b.WriteString(`{"resourceType":"Bundle","type":"` + kind + `"`)
	return b
}

func (b *bundleWriter) total(n int) { b.WriteString(`,"total":` + strconv.Itoa(n)) }

func (b *bundleWriter) link(relation, u string) {
	if b.links++; b.links == 1 {
		b.WriteString(`,"link":[`)
	} else {
		b.WriteByte(',')
	}
	b.WriteString(`{"relation":"` + relation + `","url":`)
	b.text(u)
	b.WriteByte('}')
}

// open begins an entry; links come before all of them.
func (b *bundleWriter) open() {
	if b.entries++; b.entries > 1 {
		b.WriteByte(',')
		return
	}
	if b.links > 0 {
		b.WriteByte(']')
	}
	b.WriteString(`,"entry":[`)
}

// entry adds a resource. Ids are of a form that needs no escape in JSON.
func (b *bundleWriter) entry(base string, r *record.Resource, mode string) {
	b.open()
	b.WriteString(`{"fullUrl":"` + base + "/" + r.Type.Name + "/" + r.ID.Reveal() + `","resource":`)
	b.Write(r.Body.Reveal())
	if mode != "" {
		b.WriteString(`,"search":{"mode":"` + mode + `"}`)
	}
	b.WriteByte('}')
}

func (b *bundleWriter) outcome(text string) {
	b.open()
	b.WriteString(`{"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"warning","code":"incomplete","diagnostics":`)
	b.text(text)
	b.WriteString(`}]},"search":{"mode":"outcome"}}`)
}

func (b *bundleWriter) text(s string) {
	quoted, _ := jsontext.AppendQuote(b.AvailableBuffer(), s) // the error is broken UTF-8, which it replaces
	b.Write(quoted)
}

func (b *bundleWriter) close() {
	if b.entries > 0 || b.links > 0 {
		b.WriteByte(']')
	}
	b.WriteByte('}')
}

func (c *call) sendBundle(b *bundleWriter) {
	b.close()
	h := c.w.Header()
	outcome.Header(h)
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	c.w.WriteHeader(http.StatusOK)
	var err error
	if c.Method != http.MethodHead {
		_, err = c.w.Write(b.Bytes())
	}
	if err == nil { // what HTTP/2 could not send to its end it may still be reading
		b.release()
	}
}

// release gives a writer whose answer was sent back for the next one.
func (b *bundleWriter) release() {
	if b.Cap() <= keptBundle {
		bundles.Put(b)
	}
}
