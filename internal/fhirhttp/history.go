package fhirhttp

import (
	"net/http"
	"strconv"
	"time"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir/search"
	"github.com/cordon-ehr/cordon/internal/record"
)

// history serves GET Type/id/_history, newest first, paged by _count.
func (f *Face) history(c *call) error {
	t, id, err := c.resource()
	if err != nil {
		return err
	}
	count, before, err := historyParameters(c.URL.RawQuery)
	if err != nil {
		return err
	}
	rs, more, err := f.records.History(c.Context(), c.caller, t, id, before, count)
	if err != nil {
		return err
	}
	b := newBundle("history")
	self := c.caller.Base + "/" + t.Name + "/" + id + "/_history"
	b.link("self", self)
	if more && len(rs) > 0 {
		b.link("next", self+"?_count="+strconv.Itoa(count)+"&_before="+strconv.FormatInt(rs[len(rs)-1].Version, 10))
	}
	for i := range rs {
		b.version(c.caller.Base, &rs[i])
	}
	c.sendBundle(b)
	return nil
}

// historyParameters reads _count, and _before of the next link: the version to go on from, 0 for the newest.
func historyParameters(raw string) (count int, before int64, err error) {
	pairs, err := search.Pairs(raw)
	if err != nil {
		return 0, 0, err
	}
	count = search.DefaultCount
	seen := map[string]bool{}
	for _, p := range pairs {
		k := p[0]
		n, perr := strconv.ParseInt(p[1], 10, 64)
		switch {
		case k == "_format" || k == "_pretty":
			continue
		case k != "_count" && k != "_before":
			return 0, 0, fault.New(fault.NotSupported, "parameter %s: history of one resource has _count", search.CleanName(k))
		case perr != nil || n < 0 || seen[k]:
			return 0, 0, fault.New(fault.Invalid, "parameter %s: one whole number from 0", k)
		case k == "_count":
			count = int(min(n, search.MaxCount))
		default:
			before = n
		}
		seen[k] = true
	}
	return count, before, nil
}

// version adds one version with the request that made it, as history wants it (FHIR R4 bundle.html, bdl-4).
func (b *bundleWriter) version(base string, r *record.Resource) {
	method, status := http.MethodPut, "200"
	if r.Version == 1 {
		status = "201"
	}
	b.open()
	b.WriteString(`{"fullUrl":"` + base + "/" + r.Type.Name + "/" + r.ID.Reveal() + `"`)
	if r.Deleted {
		method, status = http.MethodDelete, "204"
	} else {
		b.WriteString(`,"resource":`)
		b.Write(r.Body.Reveal())
	}
	b.WriteString(`,"request":{"method":"` + method + `","url":"` + r.Type.Name + "/" + r.ID.Reveal() + `"},"response":{"status":"` + status +
		`","etag":"W/\"` + strconv.FormatInt(r.Version, 10) + `\"","lastModified":"` + r.Updated.Format(time.RFC3339Nano) + `"}}`)
}
