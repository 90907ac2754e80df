package fhirhttp

import (
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/outcome"
	"github.com/cordon-ehr/cordon/internal/record"
)

// everything serves GET Patient/id/$everything as one Bundle, sent portion by portion: a chart of any size in flat memory.
func (f *Face) everything(c *call) error {
	id := c.PathValue("id")
	if !fhir.ValidID(id) {
		return fault.New(fault.NotFound, "no such resource")
	}
	if err := c.onlyGeneral(); err != nil {
		return err
	}
	b := newBundle("searchset")
	b.link("self", c.caller.Base+"/Patient/"+id+"/$everything")
	err := f.records.Everything(c.Context(), c.caller, id, func(rs []record.Resource) error {
		if c.w.status == 0 {
			outcome.Header(c.w.Header())
		}
		for i := range rs {
			b.entry(c.caller.Base, &rs[i], "match")
		}
		_, err := c.w.Write(b.Bytes())
		b.Reset()
		return err
	})
	if err != nil {
		return err
	}
	if c.w.status == 0 {
		outcome.Header(c.w.Header())
	}
	b.close()
	_, _ = c.w.Write(b.Bytes())
	return nil
}
