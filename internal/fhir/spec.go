package fhir

// TypeKind sorts the types of the specification.
type TypeKind uint8

// The kinds of type.
const (
	KindPrimitive TypeKind = iota + 1 // string, dateTime: a JSON literal, with a companion object under "_name"
	KindComplex                       // HumanName, Extension: a JSON object
	KindBackbone                      // Patient.contact: an object defined inside another type
	KindResource                      // Patient: an object with a resourceType
)

// maxSlots is the number of elements a type may have, a choice counting once: they are bits of a word while checking.
const maxSlots = 64

// Type is one type of R4. Types are built once, shared, and never written to.
type Type struct {
	Name     string // "Patient", "HumanName", "Patient.contact", "dateTime"
	Base     string // the type it specializes: "DomainResource", "BackboneElement", "" for Element and Resource
	ID       int16  // concrete resource types: 1-based place in alphabetical order, fixed for R4; else 0
	Kind     TypeKind
	Abstract bool      // Resource, DomainResource, Element, BackboneElement: no instance of their own
	Elements []Element // in the order of the definition, inherited ones first, a choice once for each of its types

	byName   map[string]uint16 // JSON property -> index in Elements
	required uint64            // slots of elements with Min > 0
	slots    []string          // slot -> Base of its elements
	prim     primitive
}

// Element returns the element with a JSON property name ("valueQuantity"), nil if t has none.
func (t *Type) Element(jsonName string) *Element {
	if i, ok := t.byName[jsonName]; ok {
		return &t.Elements[i]
	}
	return nil
}

// element is Element for a name that is still bytes; it does not allocate.
func (t *Type) element(jsonName []byte) *Element {
	if i, ok := t.byName[string(jsonName)]; ok {
		return &t.Elements[i]
	}
	return nil
}

// Variants returns the elements of a base name: one, or all types of a choice ("value" gives valueQuantity, ...).
func (t *Type) Variants(base string) []*Element {
	var out []*Element
	for i := range t.Elements {
		if t.Elements[i].Base == base {
			out = append(out, &t.Elements[i])
		}
	}
	return out
}

// Element is one JSON property of a type.
type Element struct {
	Name    string   // JSON property: "valueQuantity"
	Base    string   // FHIRPath name: "value"; equal to Name unless Choice
	Type    *Type    // never nil; Resource for contained and the like
	Min     int      // of Base: for a choice, any one of its properties counts
	Max     int      // -1 is *
	Targets []string // Reference and canonical: the resource types it may point at; empty or "Resource" is any

	Choice          bool
	Summary         bool   // part of _summary=true
	Modifier        bool   // changes the meaning of its parent
	RequiredBinding bool   // its codes must come from ValueSet
	ValueSet        string // canonical of the required binding, "" without one

	slot      uint8
	attribute bool // an XML attribute or xhtml: has no "_name" companion
}

// Allows reports whether a reference in e may point at a resource type.
func (e *Element) Allows(resourceType string) bool {
	if len(e.Targets) == 0 {
		return true
	}
	for _, t := range e.Targets {
		if t == resourceType || t == "Resource" {
			return true
		}
	}
	return false
}

// LookupType returns any type of R4 by name, nil if there is none.
func LookupType(name string) *Type { return tables().types[name] }

// ResourceType returns a concrete resource type by name, nil if there is none.
func ResourceType(name string) *Type {
	if t := tables().types[name]; t != nil && t.ID != 0 {
		return t
	}
	return nil
}

// resourceTypeNamed is ResourceType for a name that is still bytes; it does not allocate.
func resourceTypeNamed(name []byte) *Type {
	if t := tables().types[string(name)]; t != nil && t.ID != 0 {
		return t
	}
	return nil
}

// TypeByID returns the concrete resource type with an ID, nil if there is none.
func TypeByID(id int16) *Type {
	all := tables().resources
	if id < 1 || int(id) > len(all) {
		return nil
	}
	return all[id-1]
}

// ResourceTypes returns the concrete resource types, sorted by name. The slice is shared: do not write to it.
func ResourceTypes() []*Type { return tables().resources }

// SearchParam is one search parameter of R4's registry.
type SearchParam struct {
	Code       string
	Type       string // string, token, reference, date, number, quantity, uri, composite, special
	URL        string
	Expression string   // FHIRPath, every cast as .ofType(T); "" for _text, _content and _query
	Bases      []string // resource types, "Resource" or "DomainResource"
	Targets    []string // of a reference
	Components []SearchComponent
}

// SearchComponent is one part of a composite search parameter.
type SearchComponent struct {
	Definition string // URL of the parameter that gives its type
	Expression string // FHIRPath under each match of the composite's own expression
}

// SearchParams returns the search parameters, sorted by URL. The slice is shared: do not write to it.
func SearchParams() []SearchParam { return searchTable() }

// PatientCompartment returns, for each resource type in the patient compartment, the codes of the reference parameters
// that place a resource in a patient's. The map is shared: do not write to it.
func PatientCompartment() map[string][]string { return compartmentTable() }
