package fhirhttp

import (
	"net/http"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/outcome"
	"github.com/cordon-ehr/cordon/internal/record"
)

// create serves POST Type, with If-None-Exist.
func (f *Face) create(c *call) error {
	t, err := c.resourceType()
	if err != nil {
		return err
	}
	if err := c.onlyGeneral(); err != nil {
		return err
	}
	doc, err := c.parse(t)
	if err != nil {
		return err
	}
	defer doc.Release()
	r, created, err := f.records.Create(c.Context(), c.caller, t, doc.Root(), c.Header.Get("If-None-Exist"))
	if err != nil {
		return err
	}
	c.written(&r, created)
	return nil
}

// update serves PUT Type/id, with If-Match.
func (f *Face) update(c *call) error {
	t, id, match, err := c.target()
	if err != nil {
		return err
	}
	doc, err := c.parse(t)
	if err != nil {
		return err
	}
	defer doc.Release()
	r, created, err := f.records.Update(c.Context(), c.caller, t, id, doc.Root(), match)
	if err != nil {
		return err
	}
	c.written(&r, created)
	return nil
}

// delete serves DELETE Type/id, with If-Match.
func (f *Face) delete(c *call) error {
	t, id, match, err := c.target()
	if err != nil {
		return err
	}
	r, deleted, err := f.records.Delete(c.Context(), c.caller, t, id, match)
	if err != nil {
		return err
	}
	outcome.Header(c.w.Header())
	c.w.Header().Del("Content-Type")
	if deleted {
		version(c.w.Header(), &r)
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// target reads type, id and If-Match of a write: an id that is no FHIR id is the caller's mistake here.
func (c *call) target() (t *fhir.Type, id string, match int64, err error) {
	if t, err = c.resourceType(); err != nil {
		return nil, "", 0, err
	}
	if id = c.PathValue("id"); !fhir.ValidID(id) {
		return nil, "", 0, fault.New(fault.Invalid, "an id is 1 to 64 of A-Z, a-z, 0-9, - and .")
	}
	if err = c.onlyGeneral(); err != nil {
		return nil, "", 0, err
	}
	match, err = c.ifMatch()
	return t, id, match, err
}

func (c *call) ifMatch() (int64, error) {
	v := c.Header.Get("If-Match")
	if v == "" {
		return 0, nil
	}
	n, ok := record.ParseETag(v)
	if !ok {
		return 0, fault.New(fault.Invalid, `If-Match reads W/"version"`)
	}
	return n, nil
}

func sameType(root fhir.Value, t *fhir.Type) error {
	got := root.Get("resourceType").Str()
	if got == t.Name {
		return nil
	}
	text := "the resource is of another type than the URL"
	if got == "" {
		text = "the resource has no resourceType"
	}
	return &fault.Fault{Kind: fault.Invalid, Text: text, Issues: []fault.Issue{{Severity: "error", Code: "invalid", Diagnostics: text, Expression: "resourceType"}}}
}

// written answers a write (FHIR R4 http.html#ops): 201 with Location when a version became current that had none before it.
func (c *call) written(r *record.Resource, created bool) {
	status := http.StatusOK
	if created {
		status = http.StatusCreated
		c.w.Header().Set("Location", c.caller.Base+"/"+r.Reference())
	}
	if c.prefers("return=minimal") {
		outcome.Header(c.w.Header())
		version(c.w.Header(), r)
		c.w.WriteHeader(status)
		return
	}
	c.send(status, r)
}
