// Package tenant holds the words for one customer: its identity, name, placement and lifecycle. It is ground floor:
// anyone may import it, and it does no I/O.
//
// An ID is opaque and parsed once at the door. Its zero value is never a tenant: code that meets one must refuse.
package tenant

import (
	"crypto/rand"
	"regexp"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// ID identifies a tenant for ever, across renames, moves and cells.
type ID struct{ u uuid.UUID }

// NewID makes a random ID (UUID version 4).
func NewID() ID { return ID{uuid.Must(uuid.NewRandomFromReader(rand.Reader))} }

// ParseID reads the canonical text form. The nil UUID is refused.
func ParseID(s string) (ID, error) {
	u, err := uuid.Parse(s)
	if err != nil || u == uuid.Nil || len(s) != 36 {
		return ID{}, fault.New(fault.Invalid, "not a tenant id")
	}
	return ID{u}, nil
}

// IDFromBytes reads the 16-byte form.
func IDFromBytes(b [16]byte) ID { return ID{b} }

// String gives the canonical text form.
func (id ID) String() string { return id.u.String() }

// MarshalText gives the canonical text form: between roles an ID is a JSON string.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads it. As everywhere, the nil UUID is refused.
func (id *ID) UnmarshalText(b []byte) error {
	got, err := ParseID(string(b))
	if err == nil {
		*id = got
	}
	return err
}

// Bytes gives the 16-byte form: what is bound into ciphertext and hashes.
func (id ID) Bytes() [16]byte { return id.u }

// IsZero reports whether id is no tenant at all.
func (id ID) IsZero() bool { return id.u == uuid.Nil }

// Slug is a tenant's name in URLs: a DNS label of 2 to 40 characters.
type Slug string

var slugForm = regexp.MustCompile(`^[a-z][a-z0-9-]{0,38}[a-z0-9]$`)

// reserved slugs would read as a part of the platform.
var reserved = map[Slug]bool{"www": true, "api": true, "admin": true, "operator": true, "control": true, "cordon": true, "localhost": true, "fhir": true, "oauth": true}

// ParseSlug checks a slug.
func ParseSlug(s string) (Slug, error) {
	if !slugForm.MatchString(s) {
		return "", fault.New(fault.Invalid, "a tenant slug is 2 to 40 of a-z, 0-9 and -, begins with a letter and does not end in -")
	}
	if reserved[Slug(s)] {
		return "", fault.New(fault.Invalid, "this tenant slug is reserved")
	}
	return Slug(s), nil
}

// Placement says where a tenant's charts live.
type Placement string

// The placements. Pooled is shared tables under row security; the others come with their own provisioning steps.
const (
	Pooled    Placement = "pooled"
	Schema    Placement = "schema"
	Database  Placement = "database"
	Dedicated Placement = "dedicated"
)

// ParsePlacement checks a placement and says which of them this build can provision.
func ParsePlacement(s string) (Placement, error) {
	switch p := Placement(s); p {
	case Pooled:
		return p, nil
	case Schema, Database, Dedicated:
		return "", fault.New(fault.NotSupported, "placement %s is not offered by this release; pooled is", s)
	}
	return "", fault.New(fault.Invalid, "placement is one of pooled, schema, database, dedicated")
}

// Tenant is what the directory knows of a customer. It holds nothing of a patient.
type Tenant struct {
	ID        ID
	Slug      Slug
	State     State
	Placement Placement
	Cell      string
	Number    int32 // the cell-local number that leads every key of its rows; never 0
}
