package seal

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
)

// PRF is the keyed hash that blinds index entries: HMAC-SHA-256, cut to 64 or 128 bits. It is safe for concurrent use.
type PRF struct{ pool sync.Pool }

// NewPRF prepares a secret for blinding.
func NewPRF(s Secret) *PRF {
	return &PRF{pool: sync.Pool{New: func() any { return &mac{h: hmac.New(sha256.New, s.b[:])} }}}
}

type mac struct {
	h   hash.Hash
	sum [sha256.Size]byte
}

// Sum64 blinds msg to 64 bits. Callers begin msg with a domain byte, so that no two uses share an input.
func (p *PRF) Sum64(msg []byte) int64 {
	a, _ := p.Sum128(msg)
	return a
}

// Sum128 blinds msg to two independent 64-bit halves.
func (p *PRF) Sum128(msg []byte) (int64, int64) {
	m := p.pool.Get().(*mac)
	m.h.Reset()
	m.h.Write(msg)
	s := m.h.Sum(m.sum[:0])
	a, b := binary.BigEndian.Uint64(s), binary.BigEndian.Uint64(s[8:])
	p.pool.Put(m)
	return int64(a), int64(b)
}
