package search

import (
	"slices"

	"github.com/cordon-ehr/cordon/internal/fhir"
)

// Posting is one equality entry of a path: a code, a prefix of a string, a URI.
type Posting struct {
	Path *Path
	Text string
	Fold bool // post it once more together with the patient
}

// Pointer is one reference to a resource of this server.
type Pointer struct {
	Path *Path
	To   Link
}

// Interval is one date or number of a path.
type Interval struct {
	Path    *Path
	Span    Span
	Numeric bool
}

// Entries is all that the index holds of one resource. It is reused: Extract empties it first.
type Entries struct {
	Postings  []Posting
	Pointers  []Pointer
	Intervals []Interval
	Patient   string   // id of the compartment's patient, "" if none
	Patients  []string // ids of further patients in whose compartment the resource is
	Sort      int64    // primary date, Unix microseconds
	HasSort   bool
	base      string
}

// maxText bounds what of a long code or URI is hashed; Match compares the whole.
const maxText = 512

// Extract reads a resource's index entries from its bytes as stored. base is the tenant's FHIR base: absolute references to
// it are local.
func Extract(root fhir.Value, s *Set, base string, x *Entries) {
	*x = Entries{base: base, Postings: x.Postings[:0], Pointers: x.Pointers[:0], Intervals: x.Intervals[:0], Patients: x.Patients[:0]}
	x.compartment(root, s)
	for _, d := range s.domains {
		switch d.kind {
		case Token:
			d.path.tokens(root, false, func(c Code) {
				if c.Code != "" {
					x.post(d.path, c.Code, d.fold && x.Patient != "")
				}
			})
		case String:
			d.path.each(root, false, func(v fhir.Value) {
				texts(v, d.path.Leaf, func(t string) { prefixes(Fold(t), func(p string) { x.post(d.path, p, false) }) })
			})
		case URI:
			d.path.each(root, false, func(v fhir.Value) { x.post(d.path, v.Str(), false) })
		case Reference:
			x.references(root, s, d.path)
		case Date:
			d.path.each(root, false, func(v fhir.Value) {
				spans(v, d.path.Leaf, func(sp Span) { x.Intervals = append(x.Intervals, Interval{d.path, sp, false}) })
			})
		case Number:
			d.path.each(root, false, func(v fhir.Value) {
				quantities(v, d.path.Leaf, func(lo, hi, _, _, _ string) {
					x.Intervals = append(x.Intervals, Interval{d.path, numericSpan(lo, hi), true})
				})
			})
		}
	}
	if s.Primary != nil {
		x.Sort, x.HasSort = SortTime(root, s)
	}
}

// SortTime gives the time by which a type's lists are ordered.
func SortTime(root fhir.Value, s *Set) (at int64, ok bool) {
	if s.Primary == nil {
		return 0, false
	}
	for _, v := range s.Primary.siblings(s) {
		v.each(root, false, func(e fhir.Value) {
			spans(e, v.Leaf, func(sp Span) {
				if !ok {
					at, ok = sp.Lo, true
				}
			})
		})
	}
	return at, ok
}

// siblings are the other types of the same choice: Observation.effectivePeriod beside effectiveDateTime.
func (p *Path) siblings(s *Set) []*Path {
	for _, c := range primaryDates {
		if q := s.ByCode[c]; q != nil && len(q.Paths) > 0 && q.Paths[0].Name == p.Name {
			return q.Paths
		}
	}
	return []*Path{p}
}

func (x *Entries) post(p *Path, text string, fold bool) {
	if len(text) > maxText {
		text = text[:maxText]
	}
	for _, have := range x.Postings { // few enough that a scan beats a map
		if have.Path == p && have.Text == text {
			return
		}
	}
	x.Postings = append(x.Postings, Posting{p, text, fold})
}

func (x *Entries) references(root fhir.Value, s *Set, p *Path) {
	implied := s.Patient != nil && p.Name == s.Patient.Name && s.Patient.Single()
	p.each(root, false, func(v fhir.Value) {
		links(v, p.Leaf, x.base, func(l Link) {
			switch {
			case l.URL != "":
				x.post(p, l.URL, false)
				if bare, _, ok := cutVersion(l.URL); ok {
					x.post(p, bare, false)
				}
			case implied && l.Type == "Patient": // the compartment index answers for it
			default:
				x.Pointers = append(x.Pointers, Pointer{p, l})
			}
		})
	})
}

// compartment finds the patients in whose compartment the resource is (R4 compartmentdefinition-patient).
func (x *Entries) compartment(root fhir.Value, s *Set) {
	if s.Type.Name == "Patient" {
		x.Patient = root.Get("id").Str()
	}
	for _, p := range s.Compartment {
		p.each(root, true, func(v fhir.Value) {
			links(v, p.Leaf, x.base, func(l Link) {
				if l.Type == "Patient" {
					x.patient(l.ID)
				}
			})
		})
	}
}

func (x *Entries) patient(id string) {
	if x.Patient == "" || x.Patient == id {
		x.Patient = id
		return
	}
	if !slices.Contains(x.Patients, id) {
		x.Patients = append(x.Patients, id)
	}
}

// Links gives the references at a parameter's paths: what _include follows.
func (p *Param) Links(root fhir.Value, base string, yield func(Link)) {
	for _, path := range p.Paths {
		path.each(root, true, func(v fhir.Value) { links(v, path.Leaf, base, yield) })
	}
}

// AllLinks gives every reference in a resource, wherever it stands and whether or not a parameter reads it.
func AllLinks(v fhir.Value, base string, yield func(Link)) {
	if ref := v.Get("reference").Str(); ref != "" && ref[0] != '#' {
		yield(ParseLink(ref, base))
	}
	for c := v.First(); c.Valid(); c = c.Next() {
		if k := c.Kind(); k == fhir.Object || k == fhir.Array {
			AllLinks(c, base, yield)
		}
	}
}

// SortValue gives the value by which _sort orders: of several, the least, or for a descending order the greatest.
func (p *Param) SortValue(root fhir.Value, desc bool) (num int64, text string, has bool) {
	take := func(n int64, t string) {
		if !has || (desc && (n > num || n == num && t > text)) || (!desc && (n < num || n == num && t < text)) {
			num, text, has = n, t, true
		}
	}
	for _, path := range p.Paths {
		switch p.Kind {
		case Token, ID:
			path.tokens(root, true, func(c Code) { take(0, c.Code) })
		case String, URI:
			path.each(root, true, func(v fhir.Value) { texts(v, path.Leaf, func(s string) { take(0, Fold(s)) }) })
		case Reference:
			path.each(root, true, func(v fhir.Value) { links(v, path.Leaf, "", func(l Link) { take(0, l.Type+"/"+l.ID+l.URL) }) })
		case Date, LastUpdated:
			path.each(root, true, func(v fhir.Value) {
				spans(v, path.Leaf, func(s Span) {
					if desc {
						take(s.Hi, "")
					} else {
						take(s.Lo, "")
					}
				})
			})
		case Number, Quantity:
			path.each(root, true, func(v fhir.Value) {
				quantities(v, path.Leaf, func(lo, hi, _, _, _ string) { take(numericSpan(lo, hi).Lo, "") })
			})
		}
	}
	return num, text, has
}
