package record

import (
	"math"

	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/fhir/search"
)

type posting struct{ token, sort, rid int64 }

type pointer struct {
	dst, sort, rid int64
	param          int32
}

type interval struct {
	lo, hi, rid int64
	param       int32
}

// compartments is the ref.param of further patients in whose compartments a resource is.
const compartments int32 = 0

// blinded is what the database learns of one resource: hashes and shifted numbers.
type blinded struct {
	pat, sort int64
	idx       []posting
	refs      []pointer
	ranges    []interval
	patients  []string
}

// blind extracts a resource's index entries and blinds them under the tenant's index key.
func (c *Caller) blind(root fhir.Value, t *fhir.Type, rid int64) blinded {
	set := search.For(t)
	var x search.Entries
	search.Extract(root, set, c.Base, &x)
	b := blinded{pat: c.patientRid(x.Patient), sort: c.shiftSort(x.Sort, x.HasSort)}
	if x.Patient != "" {
		b.patients = append(append(b.patients, x.Patient), x.Patients...)
	}
	b.idx = make([]posting, 0, len(x.Postings)+4)
	for _, p := range x.Postings {
		b.idx = append(b.idx, posting{c.token(p.Path, p.Text), b.sort, rid})
		if p.Fold {
			b.idx = append(b.idx, posting{c.folded(p.Path, p.Text, b.pat), b.sort, rid})
		}
	}
	for _, p := range x.Pointers {
		dst, _ := c.rid(fhir.ResourceType(p.To.Type), p.To.ID)
		b.refs = append(b.refs, pointer{dst, b.sort, rid, p.Path.ID})
	}
	for _, id := range x.Patients {
		b.refs = append(b.refs, pointer{c.patientRid(id), b.sort, rid, compartments})
	}
	for _, i := range x.Intervals {
		b.ranges = append(b.ranges, interval{c.shift(i.Span.Lo, i.Numeric), c.shift(i.Span.Hi, i.Numeric), rid, i.Path.ID})
	}
	return b
}

// undated is the place of resources without a primary date: at the beginning of every list, before all that have one, open
// beginnings too.
const undated = math.MinInt64 >> 2

// shiftSort hides a primary date.
func (c *Caller) shiftSort(at int64, has bool) int64 {
	if !has {
		return undated
	}
	return at + c.Ring.Shift.Sort
}

// shift hides a date or number of the range index; order is kept.
func (c *Caller) shift(v int64, numeric bool) int64 {
	if numeric {
		return v + c.Ring.Shift.Number
	}
	return v + c.Ring.Shift.Date
}

// without gives the members of a that are not in b, each once.
func without[T comparable](a, b []T) []T {
	if len(a) == 0 {
		return nil
	}
	in := make(map[T]bool, len(b))
	for _, v := range b {
		in[v] = true
	}
	var out []T
	for _, v := range a {
		if !in[v] {
			in[v] = true
			out = append(out, v)
		}
	}
	return out
}
