package rpc

import "time"

// Keyring is what may be known of a tenant's keys: versions and states, no key material.
type Keyring struct {
	State      string       `json:"state"` // enabled, disabled
	Mode       string       `json:"mode"`  // of the newest KEK: shared-root, tenant, external
	KEK        []KeyVersion `json:"kek"`
	Secrets    []KeyVersion `json:"secrets"`
	Generation int64        `json:"generation"` // counts key operations
	// Due is when a retired signing key is no longer published, and the public keys are to be fetched again; nil = nothing is due.
	Due *time.Time `json:"due,omitempty"`
}

// KeyVersion is one version of one key.
type KeyVersion struct {
	Kind    string    `json:"kind,omitempty"` // data, index, sign; "" for a KEK
	Version int32     `json:"version"`
	State   string    `json:"state"` // active (the newest writes), retired (opens, never seals), next (a signing key not yet in use)
	Created time.Time `json:"created"`
}

// Stop is a service identity that the broker gives no lease.
type Stop struct {
	Identity string     `json:"identity"`
	Reason   string     `json:"reason"`
	Since    time.Time  `json:"since"`
	Until    *time.Time `json:"until,omitempty"` // nil = until an operator resumes it
}
