package search

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/cordon-ehr/cordon/internal/fhir"
)

// Kind is the type of a search parameter (R4 search.html#ptypes).
type Kind uint8

// The kinds that are served.
const (
	Token Kind = iota + 1
	String
	Reference
	Date
	Number
	Quantity
	URI
	ID          // _id
	LastUpdated // _lastUpdated
)

func (k Kind) String() string {
	return [...]string{"", "token", "string", "reference", "date", "number", "quantity", "uri", "token", "date"}[k]
}

// Param is one search parameter of one resource type.
type Param struct {
	Code    string
	Kind    Kind
	URL     string
	Of      *fhir.Type
	Paths   []*Path
	Targets []string // resource types that a reference may point at; empty = any
}

// Set is all parameters of one resource type.
type Set struct {
	Type    *fhir.Type
	ByCode  map[string]*Param
	Codes   []string // sorted
	Primary *Path    // the date that orders the type's lists, nil if it has none
	Patient *Path    // the reference that puts a resource into a patient's compartment first of all
	// Compartment are all references that put a resource into a patient's compartment.
	Compartment []*Path
	domains     []domain // what extraction walks, once each
}

type domain struct {
	path *Path
	kind Kind
	fold bool // also posted together with the patient: code and category
}

// primaryDates are tried in this order for the date that orders a type.
var primaryDates = []string{"authoredon", "authored-on", "authored", "date", "period", "occurrence", "issued", "recorded-date", "recorded",
	"started", "created", "birthdate", "sent", "effective-time", "onset-date", "planned-date", "collected", "effective"}

var registry = sync.OnceValue(build)

// For gives the parameters of a resource type.
func For(t *fhir.Type) *Set { return registry()[t.ID] }

func build() map[int16]*Set {
	sets := map[int16]*Set{}
	for _, t := range fhir.ResourceTypes() {
		sets[t.ID] = &Set{Type: t, ByCode: map[string]*Param{}}
	}
	for _, sp := range fhir.SearchParams() {
		for _, base := range sp.Bases {
			for _, t := range fhir.ResourceTypes() {
				if t.Name == base || base == "Resource" || (base == "DomainResource" && t.Base == "DomainResource") {
					sets[t.ID].add(sp, t)
				}
			}
		}
	}
	compartment := fhir.PatientCompartment()
	for _, s := range sets {
		s.finish(compartment[s.Type.Name])
	}
	return sets
}

func (s *Set) add(sp fhir.SearchParam, t *fhir.Type) {
	kinds := map[string]Kind{"token": Token, "string": String, "reference": Reference, "date": Date, "number": Number, "quantity": Quantity, "uri": URI}
	k, ok := kinds[sp.Type]
	if !ok || sp.Expression == "" || (t.Name == "Bundle" && sp.Type == "reference") {
		return // composite, special and full-text parameters are refused by name, like unknown ones
	}
	switch sp.Code {
	case "_id":
		k = ID
	case "_lastUpdated":
		k = LastUpdated
	}
	paths, err := compile(sp.Expression, t)
	if err != nil {
		panic("search: internal error: " + err.Error()) // the tables are fixed at build time; a test compiles all of them
	}
	if len(paths) > 0 {
		s.ByCode[sp.Code] = &Param{Code: sp.Code, Kind: k, URL: sp.URL, Of: t, Paths: paths, Targets: reachable(sp.Targets, paths)}
	}
}

// reachable narrows the targets of the registry, which holds those of all types that share a parameter, to what the elements
// of this type may point at: Observation.encounter takes no EpisodeOfCare.
func reachable(targets []string, paths []*Path) []string {
	var out []string
	for _, typ := range targets {
		if slices.ContainsFunc(paths, func(p *Path) bool { return p.reaches(typ) }) {
			out = append(out, typ)
		}
	}
	if len(out) == 0 {
		return targets
	}
	return out
}

func (s *Set) finish(compartment []string) {
	for c := range s.ByCode {
		s.Codes = append(s.Codes, c)
	}
	slices.Sort(s.Codes)
	s.shareDomains()
	for _, c := range primaryDates {
		if p := s.ByCode[c]; p != nil && p.Kind == Date && s.Primary == nil {
			s.Primary = p.Paths[0]
		}
	}
	slices.SortStableFunc(compartment, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	for _, c := range compartment {
		if p := s.ByCode[c]; p != nil && p.Kind == Reference {
			for _, path := range p.Paths {
				if !slices.ContainsFunc(s.Compartment, func(q *Path) bool { return q.ID == path.ID }) {
					s.Compartment = append(s.Compartment, path)
				}
			}
		}
	}
	if len(s.Compartment) > 0 {
		s.Patient = s.Compartment[0]
	}
}

// rank prefers the parameters that name the patient whom a resource is about.
func rank(code string) int {
	if i := slices.Index([]string{"patient", "subject", "beneficiary", "individual"}, code); i >= 0 {
		return i
	}
	return 9
}

// shareDomains finds, for each kind, the distinct unfiltered paths, and lets Patient.name serve Patient.name.family.
func (s *Set) shareDomains() {
	type key struct {
		name string
		kind Kind
	}
	bare := map[key]*Path{}
	for _, c := range s.Codes {
		p := s.ByCode[c]
		for _, path := range p.Paths {
			k := key{path.Name, indexKind(p.Kind)}
			if bare[k] == nil {
				d := *path
				d.target, d.key, d.index, d.exists = "", "", -1, false
				d.Domain = &d
				if k.kind == Date && path.last != nil && path.last.Choice {
					// All types of the choice are one list, so that a date is looked up once, not once for each type.
					d.Entries = strings.TrimSuffix(path.Name, path.last.Name) + path.last.Base + "[x]"
					d.ID = pathID(s.Type, d.Entries)
				}
				bare[k] = &d
			}
		}
	}
	wider := func(k key) *Path {
		if k.kind == String {
			up := bare[key{k.name[:strings.LastIndexByte(k.name, '.')], String}]
			if up != nil && (up.Leaf.Name == "HumanName" || up.Leaf.Name == "Address") {
				return up
			}
		}
		return bare[k]
	}
	for _, c := range s.Codes {
		p := s.ByCode[c]
		for _, path := range p.Paths {
			path.Domain = wider(key{path.Name, indexKind(p.Kind)})
		}
	}
	for k, d := range bare {
		if wider(k) == d && k.kind != ID && k.kind != LastUpdated {
			s.domains = append(s.domains, domain{d, k.kind, k.kind == Token && (k.name == s.Type.Name+".code" || k.name == s.Type.Name+".category")})
		}
	}
	slices.SortFunc(s.domains, func(a, b domain) int {
		return cmp.Or(cmp.Compare(a.path.Name, b.path.Name), cmp.Compare(a.kind, b.kind))
	})
}

// indexKind folds kinds that are indexed alike.
func indexKind(k Kind) Kind {
	if k == Quantity {
		return Number
	}
	return k
}

// Folded reports whether postings of the path exist together with the patient, too.
func (p *Param) Folded() bool {
	return p.Kind == Token && len(p.Paths) == 1 && (p.Paths[0].Name == p.Of.Name+".code" || p.Paths[0].Name == p.Of.Name+".category")
}
