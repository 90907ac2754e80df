// Package keyring holds tenants' keys: minted, wrapped, unwrapped. A root key in a KMS wraps each tenant's key-encryption
// key (KEK), which wraps the tenant's secrets: data, index and signing, each versioned. The room knows no FHIR and no chart.
package keyring

import (
	"context"

	"github.com/cordon-ehr/cordon/internal/seal"
)

// KMS wraps keys under a root that never leaves it. Implementations are safe for concurrent use. A KMS that is away gives
// an Unavailable fault.
type KMS interface {
	// Wrap encrypts a KEK under the named key, bound to its place.
	Wrap(ctx context.Context, key string, plain seal.Secret, at seal.Place) ([]byte, error)
	// Unwrap is its inverse; it fails for another key or place.
	Unwrap(ctx context.Context, key string, wrapped []byte, at seal.Place) (seal.Secret, error)
}
