// Package mesh is how one role calls another: under a service identity, by a policy that names who may call what, and with a
// record of every decision. A call within the process takes the same checks as one over mTLS; only the socket is missing.
//
// Identities are SPIFFE ids in X.509 certificates of an hour (SPIFFE X509-SVID). The room knows no FHIR, no SQL and no keys of
// tenants: what crosses it is JSON, a stream of JSON, or an HTTP request that it passes on.
//
// How to add a method: 1. a line in policy (policy.go) says which roles may call it; 2. in room wire, one Handle (or
// HandleStream) on the callee's side and one Call (or Stream) in the caller's stub, both by the method's name. Parameters and
// results are JSON-encodable; keys and other types that hide themselves get a wire type there.
package mesh

import (
	"net/url"
	"strings"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// The roles of the platform.
const (
	Edge    = "edge"
	Cell    = "cell"
	Control = "control"
	Keys    = "keys"
)

// Identity is who a process is to the others: spiffe://DOMAIN/ROLE/NAME. A cell always has a name; the other roles may have one.
type Identity struct {
	Domain, Role, Name string
}

// String gives the SPIFFE id.
func (i Identity) String() string {
	if i.Name == "" {
		return "spiffe://" + i.Domain + "/" + i.Role
	}
	return "spiffe://" + i.Domain + "/" + i.Role + "/" + i.Name
}

// Site is the identity within its domain: cell/cell1, control.
func (i Identity) Site() string {
	if i.Name == "" {
		return i.Role
	}
	return i.Role + "/" + i.Name
}

// ParseIdentity reads a SPIFFE id. Anything but one of ours is refused.
func ParseIdentity(u *url.URL) (Identity, error) {
	bad := fault.New(fault.Forbidden, "not a service identity of this platform")
	if u.Scheme != "spiffe" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Host == "" || u.Port() != "" || u.Opaque != "" || u.RawPath != "" {
		return Identity{}, bad
	}
	role, name, named := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	i := Identity{u.Host, role, name}
	switch role {
	case Cell:
		if name == "" {
			return Identity{}, bad
		}
	case Edge, Control, Keys:
	default:
		return Identity{}, bad
	}
	if (named && name == "") || !plain(i.Domain) || !plain(name) {
		return Identity{}, bad
	}
	return i, nil
}

// plain reports whether a domain or name is of the characters that SPIFFE allows (SPIFFE-ID §2): it stands in logs and events.
func plain(s string) bool {
	if len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_':
		default:
			return false
		}
	}
	return s != "." && s != ".."
}
