package fhirhttp

import (
	"net/http"
	"strconv"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir/search"
	"github.com/cordon-ehr/cordon/internal/outcome"
	"github.com/cordon-ehr/cordon/internal/record"
)

// read serves GET Type/id.
func (f *Face) read(c *call) error {
	t, id, err := c.resource()
	if err != nil {
		return err
	}
	if err := c.onlyGeneral(); err != nil {
		return err
	}
	var r record.Resource
	if t.Name == record.TrailType {
		r, err = f.records.ReadTrail(c.Context(), c.caller, id)
	} else {
		r, err = f.records.Read(c.Context(), c.caller, t, id)
	}
	if err != nil {
		return err
	}
	c.send(http.StatusOK, &r)
	return nil
}

// vread serves GET Type/id/_history/version.
func (f *Face) vread(c *call) error {
	t, id, err := c.resource()
	if err != nil {
		return err
	}
	if err := c.onlyGeneral(); err != nil {
		return err
	}
	v, err := strconv.ParseInt(c.PathValue("version"), 10, 64)
	if err != nil {
		v = 0 // not a version of ours: not found, and recorded as asked for
	}
	r, err := f.records.Vread(c.Context(), c.caller, t, id, v)
	if err != nil {
		return err
	}
	c.send(http.StatusOK, &r)
	return nil
}

// onlyGeneral refuses query parameters that a read does not have.
func (c *call) onlyGeneral() error {
	if c.URL.RawQuery == "" {
		return nil
	}
	pairs, err := search.Pairs(c.URL.RawQuery)
	if err != nil {
		return err
	}
	for _, p := range pairs {
		if p[0] != "_format" && p[0] != "_pretty" {
			return fault.New(fault.NotSupported, "this interaction has no parameters but _format")
		}
	}
	return nil
}

// send writes a resource: the stored bytes are the answer.
func (c *call) send(status int, r *record.Resource) {
	h := c.w.Header()
	outcome.Header(h)
	version(h, r)
	h.Set("Content-Length", strconv.Itoa(len(r.Body)))
	c.w.WriteHeader(status)
	if c.Method != http.MethodHead {
		_, _ = c.w.Write(r.Body.Reveal())
	}
}

// version sets ETag and Last-Modified (FHIR R4 http.html#versioning).
func version(h http.Header, r *record.Resource) {
	h.Set("ETag", etag(r.Version))
	h.Set("Last-Modified", r.Updated.Format(http.TimeFormat))
}

func etag(v int64) string { return `W/"` + strconv.FormatInt(v, 10) + `"` }
