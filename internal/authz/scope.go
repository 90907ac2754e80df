// Package authz decides: may this principal do this? It is pure: no I/O, no clock, the same answer for the same question.
// What is not granted is denied.
package authz

import (
	"slices"
	"strings"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// Action is one of the five SMART App Launch 2 permissions.
type Action byte

// The actions, as the letters of a SMART scope (SMART App Launch 2.2 §scopes-for-requesting-fhir-resources).
const (
	Create Action = 'c'
	Read   Action = 'r' // read, vread, history of one instance
	Update Action = 'u'
	Delete Action = 'd'
	Search Action = 's' // search, history of a type
)

const all = "cruds"

// Scope is one granted permission set: system/Observation.rs.
type Scope struct {
	Level   string // system; user and patient come with people
	Type    string // resource type, or * for every type
	Actions string // a subset of "cruds" in that order
}

// ParseScope reads one SMART scope, version 2 (system/Patient.rs) or version 1 (system/Patient.read, .write, .*).
// knownType tells whether a resource type exists.
func ParseScope(s string, knownType func(string) bool) (Scope, error) {
	level, rest, ok := strings.Cut(s, "/")
	typ, acts, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || level != "system" {
		return Scope{}, fault.New(fault.Invalid, "a scope reads system/TYPE.cruds")
	}
	if typ != "*" && !knownType(typ) {
		return Scope{}, fault.New(fault.Invalid, "a scope names an unknown resource type")
	}
	switch acts {
	case "read":
		acts = "rs"
	case "write":
		acts = "cud"
	case "*":
		acts = all
	}
	if acts == "" || !inOrder(acts) {
		return Scope{}, fault.New(fault.Invalid, "the actions of a scope are letters of cruds in that order, or read, write, *")
	}
	return Scope{level, typ, acts}, nil
}

func inOrder(acts string) bool {
	at := 0
	for i := range len(acts) {
		k := strings.IndexByte(all[at:], acts[i])
		if k < 0 {
			return false
		}
		at += k + 1
	}
	return true
}

// String gives the version 2 form.
func (s Scope) String() string { return s.Level + "/" + s.Type + "." + s.Actions }

// Grants reports whether s allows the action on the type. The type * asks for every type.
func (s Scope) Grants(a Action, typ string) bool {
	return (s.Type == "*" || s.Type == typ) && strings.IndexByte(s.Actions, byte(a)) >= 0
}

// Scopes is what a principal was granted.
type Scopes []Scope

// ParseScopes reads a space-separated list; duplicates fold.
func ParseScopes(s string, knownType func(string) bool) (Scopes, error) {
	var out Scopes
	for f := range strings.FieldsSeq(s) {
		sc, err := ParseScope(f, knownType)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(out, sc) {
			out = append(out, sc)
		}
	}
	if len(out) == 0 {
		return nil, fault.New(fault.Invalid, "no scope was given")
	}
	return out, nil
}

// String gives the space-separated version 2 form.
func (s Scopes) String() string {
	parts := make([]string, len(s))
	for i := range s {
		parts[i] = s[i].String()
	}
	return strings.Join(parts, " ")
}

// Within gives the part of want that have allows: what a token may carry when a client asks for less, or for more, than it
// was registered for (RFC 6749 §3.3).
func (s Scopes) Within(have Scopes) Scopes {
	var out Scopes
	for _, w := range s {
		for _, h := range have {
			if h.Level != w.Level || (h.Type != "*" && w.Type != "*" && h.Type != w.Type) {
				continue
			}
			n := Scope{w.Level, w.Type, intersect(w.Actions, h.Actions)}
			if w.Type == "*" {
				n.Type = h.Type
			}
			if n.Actions != "" && !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	return out
}

func intersect(a, b string) string {
	var out []byte
	for i := range len(a) {
		if strings.IndexByte(b, a[i]) >= 0 {
			out = append(out, a[i])
		}
	}
	return string(out)
}

// Decision is the answer, in the words that the audit event keeps.
type Decision struct {
	Allow  bool
	Policy string // name and version of the rule that decided
	Reason string
}

// Decide applies the scopes. Every decision names its policy, so that the record of it can be judged later.
func (s Scopes) Decide(a Action, typ string) Decision {
	for _, sc := range s {
		if sc.Grants(a, typ) {
			return Decision{Allow: true, Policy: "smart-scopes/1", Reason: sc.String()}
		}
	}
	return Decision{Policy: "smart-scopes/1", Reason: "no scope grants " + string(a) + " on " + typ}
}
