package record

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/cordon-ehr/cordon/internal/seal"
)

// The dictionary is part of the stored form: if this fails, restore dict/1.bin and give the new one the next number.
func TestDictionaryNeverChanges(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256(dictionary1)
	if got, want := hex.EncodeToString(sum[:]), "f64ca64e8e250548bd2fd4c26fb08011a757b9b319e49a30a848c8997b33f2cf"; got != want {
		t.Fatalf("dictionary 1 is %s, stored bodies want %s", got, want)
	}
}

func TestBodyRoundTrip(t *testing.T) {
	t.Parallel()
	for _, in := range []body{
		{check: 1, json: []byte(`{"resourceType":"Patient"}`)},
		{check: -5, patients: []string{"a", "b-2"}, json: bytes.Repeat([]byte(`{"x":"y"}`), 300_000)},
		{check: 7, patients: []string{"only-a-deletion"}},
	} {
		stored := in.encode()
		if (len(stored)+seal.Overhead)%padTo != 0 {
			t.Errorf("%d bytes are not padded", len(stored))
		}
		out, err := decodeBody(stored)
		if err != nil || out.check != in.check || !slices.Equal(out.patients, in.patients) || !bytes.Equal(out.json, in.json) {
			t.Errorf("%+v became %+v, %v", in.patients, out.patients, err)
		}
	}
}

func TestBrokenBodiesAreRefused(t *testing.T) {
	t.Parallel()
	b := body{check: 1, patients: []string{"a"}, json: []byte(`{"resourceType":"Patient","id":"a"}`)}
	whole := b.encode()
	for n := range 24 {
		if _, err := decodeBody(whole[:n]); err == nil {
			t.Errorf("the first %d bytes were taken for a body", n)
		}
	}
	for i := range 14 {
		bent := bytes.Clone(whole)
		bent[i] ^= 0xff
		_, _ = decodeBody(bent) // must not panic
	}
}
