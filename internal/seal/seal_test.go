package seal_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/cordon-ehr/cordon/internal/seal"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

func TestOpensInItsPlaceOnly(t *testing.T) {
	t.Parallel()
	secret := seal.NewSecret()
	k := seal.NewKey(secret, 1)
	at := seal.Place{Tenant: tenant.NewID(), Table: "version", Kind: 103, ID: 77, Sub: [16]byte{1}, Version: 4}
	sealed := k.Seal(nil, []byte("Ada Lovelace"), at)
	if plain, err := k.Open(nil, sealed, at); err != nil || string(plain) != "Ada Lovelace" {
		t.Fatalf("in its place: %q, %v", plain, err)
	}
	moved := map[string]func(p *seal.Place){
		"tenant":  func(p *seal.Place) { p.Tenant = tenant.NewID() },
		"table":   func(p *seal.Place) { p.Table = "audit" },
		"type":    func(p *seal.Place) { p.Kind = 96 },
		"id":      func(p *seal.Place) { p.ID = 78 },
		"sub":     func(p *seal.Place) { p.Sub[15] = 1 },
		"version": func(p *seal.Place) { p.Version = 5 },
	}
	for name, move := range moved {
		p := at
		move(&p)
		if _, err := k.Open(nil, sealed, p); err == nil {
			t.Errorf("opens under another %s", name)
		}
	}
	if _, err := seal.NewKey(secret, 2).Open(nil, sealed, at); err == nil {
		t.Error("opens under another key version")
	}
	if _, err := seal.NewKey(secret.Derive("other"), 1).Open(nil, sealed, at); err == nil {
		t.Error("opens under another key")
	}
	for i := range sealed {
		bent := bytes.Clone(sealed)
		bent[i] ^= 1
		if _, err := k.Open(nil, bent, at); err == nil {
			t.Fatalf("opens with byte %d changed", i)
		}
	}
}

func TestSealsDiffer(t *testing.T) {
	t.Parallel()
	k := seal.NewKey(seal.NewSecret(), 1)
	at := seal.Place{Tenant: tenant.NewID(), Table: "version"}
	if bytes.Equal(k.Seal(nil, []byte("same"), at), k.Seal(nil, []byte("same"), at)) {
		t.Error("the same value seals to the same bytes")
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	s := seal.NewSecret()
	j, err := json.Marshal(map[string]any{"secret": s})
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{fmt.Sprint(s), fmt.Sprintf("%x", s), fmt.Sprintf("%+v", s), fmt.Sprintf("%#v", s), string(j), s.LogValue().String()} {
		if bytes.Contains([]byte(out), s.Reveal()) || bytes.Contains([]byte(out), fmt.Appendf(nil, "%x", s.Reveal())) {
			t.Errorf("a secret prints: %q", out)
		}
	}
}

func TestPRFSplitsTenantsAndUses(t *testing.T) {
	t.Parallel()
	a, b := seal.NewPRF(seal.NewSecret()), seal.NewPRF(seal.NewSecret())
	if a.Sum64([]byte("r1")) == b.Sum64([]byte("r1")) {
		t.Error("two tenants blind alike")
	}
	if first := a.Sum64([]byte("r1")); first != a.Sum64([]byte("r1")) || a.Sum64([]byte("r1")) == a.Sum64([]byte("t1")) {
		t.Error("blinding is not a function of its input")
	}
	one, two := a.Sum128([]byte("r1"))
	if one == two {
		t.Error("the halves are not independent")
	}
}

func BenchmarkSealOpen(b *testing.B) {
	k := seal.NewKey(seal.NewSecret(), 1)
	at := seal.Place{Tenant: tenant.NewID(), Table: "version", Kind: 1, ID: 1, Version: 1}
	plain := make([]byte, 600)
	var sealed, out []byte
	for b.Loop() {
		sealed = k.Seal(sealed[:0], plain, at)
		out, _ = k.Open(out[:0], sealed, at)
	}
}
