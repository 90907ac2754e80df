// Package seal encrypts one value bound to its place: AES-256-GCM with a random nonce, where the associated data names
// the keyring, the table, the type, the id and the version. A ciphertext moved anywhere else does not open.
//
// Random 96-bit nonces bound a key to 2^32 seals (NIST SP 800-38D §8.3); key versions are rotated long before.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Overhead is what a seal adds to a value: a 12-byte nonce and a 16-byte tag.
const Overhead = 28

// Secret is 256 bits of key material. It prints and logs as "[secret]" and is never marshalled.
type Secret struct{ b [32]byte }

// NewSecret draws a fresh secret from the system's generator.
func NewSecret() Secret {
	var s Secret
	_, _ = rand.Read(s.b[:]) // never fails since Go 1.24: it ends the process instead
	return s
}

// SecretFrom takes over 32 bytes.
func SecretFrom(b []byte) (Secret, error) {
	if len(b) != 32 {
		return Secret{}, fmt.Errorf("a secret has 32 bytes, not %d", len(b))
	}
	return Secret{[32]byte(b)}, nil
}

// Reveal gives the key material: for wrapping, and for the wire between broker and cell.
func (s Secret) Reveal() []byte { return s.b[:] }

// String hides the material.
func (Secret) String() string { return "[secret]" }

// GoString hides the material.
func (Secret) GoString() string { return "[secret]" }

// Format hides the material whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[secret]")) }

// LogValue hides the material.
func (Secret) LogValue() slog.Value { return slog.StringValue("[secret]") }

// Derive makes the subkey for one purpose (HKDF-SHA-256, RFC 5869). Purposes are constants of the code, such as
// "cordon/record/v1".
func (s Secret) Derive(purpose string) Secret {
	b, err := hkdf.Expand(sha256.New, s.b[:], purpose, 32)
	if err != nil {
		panic("seal: internal error: hkdf of 32 bytes: " + err.Error())
	}
	return Secret{[32]byte(b)}
}

// Key seals and opens under one secret. It is safe for concurrent use.
type Key struct {
	Version int32
	aead    cipher.AEAD
}

// NewKey prepares a secret for sealing.
func NewKey(s Secret, version int32) *Key {
	block, err := aes.NewCipher(s.b[:])
	if err == nil {
		var aead cipher.AEAD
		if aead, err = cipher.NewGCMWithRandomNonce(block); err == nil {
			return &Key{Version: version, aead: aead}
		}
	}
	panic("seal: internal error: aes-256-gcm: " + err.Error())
}

// Place says where a sealed value belongs. Every field is bound.
type Place struct {
	Tenant  tenant.ID
	Table   string // "version", "audit", "kek", …: a constant of the code
	Kind    int16  // resource type id, or 0
	ID      int64  // row id, or 0
	Sub     [16]byte
	Version int64
}

func (p Place) aad(dst []byte, keyVersion int32) []byte {
	id := p.Tenant.Bytes()
	dst = append(dst, "cordon/seal/v1\x00"...)
	dst = append(dst, id[:]...)
	dst = append(dst, byte(len(p.Table)))
	dst = append(dst, p.Table...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(keyVersion))
	dst = binary.BigEndian.AppendUint16(dst, uint16(p.Kind))
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.ID))
	dst = append(dst, p.Sub[:]...)
	return binary.BigEndian.AppendUint64(dst, uint64(p.Version))
}

// Seal appends the sealed form of plain to dst.
func (k *Key) Seal(dst, plain []byte, at Place) []byte {
	var a [96]byte
	return k.aead.Seal(dst, nil, plain, at.aad(a[:0], k.Version))
}

// ErrBroken is in the chain of every error of a value that does not open where it stands: it was moved, changed, or names a key that
// the tenant never had. Only who reaches past every role of the platform can cause it.
var ErrBroken = errors.New("the seal is broken")

// Open appends the plain form of sealed to dst. It fails for every value that was not sealed under this key for exactly
// this place; the error says no more than that.
func (k *Key) Open(dst, sealed []byte, at Place) ([]byte, error) {
	var a [96]byte
	out, err := k.aead.Open(dst, nil, sealed, at.aad(a[:0], k.Version))
	if err != nil {
		return nil, fault.Wrap(fault.Internal, ErrBroken, "a stored value does not open in its place")
	}
	return out, nil
}
