package ledger

import (
	"crypto/ed25519"
	"encoding/base64"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// publicOf makes the public key of a signing key: note offers it only when the pair is generated. The form is
// PRIVATE+KEY+name+hash+base64(1, seed) (golang.org/x/mod/sumdb/note).
func publicOf(private string) (string, error) {
	bad := fault.New(fault.Invalid, "not a signing key of a log")
	parts := strings.SplitN(strings.TrimSpace(private), "+", 5)
	if len(parts) != 5 {
		return "", bad
	}
	b, err := base64.StdEncoding.DecodeString(parts[4])
	if err != nil || len(b) != 1+ed25519.SeedSize || b[0] != 1 {
		return "", bad
	}
	pub, ok := ed25519.NewKeyFromSeed(b[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return "", bad
	}
	return note.NewEd25519VerifierKey(parts[2], pub)
}
