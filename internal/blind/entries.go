package blind

import (
	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/fhir/search"
)

// Posting is a row of idx.
type Posting struct{ Token, Sort, Rid int64 }

// Pointer is a row of ref.
type Pointer struct {
	Dst, Sort, Rid int64
	Param          int32
}

// Compartments is the Param of a pointer to a further patient in whose compartment a resource is.
const Compartments int32 = 0

// Interval is a row of range.
type Interval struct {
	Lo, Hi, Rid int64
	Param       int32
}

// Entries are all index rows of one resource.
type Entries struct {
	Patient, Sort int64 // of its row in head
	Postings      []Posting
	Pointers      []Pointer
	Intervals     []Interval
	Patients      []string // ids, in clear: they go into the sealed body only
}

// Extract reads a resource's entries from its bytes as stored, and blinds them. An update takes away what Extract gives for the old
// bytes: a change of what is extracted (parameters, domains, the base URL) therefore needs every resource of a tenant to be indexed
// again, or what the old code posted stays behind. Match keeps such leftovers out of answers.
func (x Index) Extract(root fhir.Value, t *fhir.Type, rid int64) Entries {
	var in search.Entries
	search.Extract(root, search.For(t), x.base, &in)
	out := Entries{Patient: x.Patient(in.Patient), Sort: x.Sort(in.Sort, in.HasSort), Postings: make([]Posting, 0, len(in.Postings)+4)}
	if in.Patient != "" {
		out.Patients = append(append(out.Patients, in.Patient), in.Patients...)
	}
	for _, p := range in.Postings {
		out.Postings = append(out.Postings, Posting{x.Token(p.Path, p.Text), out.Sort, rid})
		if p.Fold {
			out.Postings = append(out.Postings, Posting{x.Folded(p.Path, p.Text, out.Patient), out.Sort, rid})
		}
	}
	for _, p := range in.Pointers {
		dst, _ := x.Rid(fhir.ResourceType(p.To.Type), p.To.ID)
		out.Pointers = append(out.Pointers, Pointer{dst, out.Sort, rid, p.Path.ID})
	}
	for _, id := range in.Patients {
		out.Pointers = append(out.Pointers, Pointer{x.Patient(id), out.Sort, rid, Compartments})
	}
	for _, i := range in.Intervals {
		out.Intervals = append(out.Intervals, Interval{x.Value(i.Span.Lo, i.Numeric), x.Value(i.Span.Hi, i.Numeric), rid, i.Path.ID})
	}
	return out
}

// Without gives the members of a that are not in b, each once: what a write takes away, or adds.
func Without[T comparable](a, b []T) []T {
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
