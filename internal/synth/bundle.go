package synth

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// bundle is the transaction being written, and the source of its UUIDs.
type bundle struct {
	writer
	seed, index uint64
	minted      uint64
	entries     int
}

// newBundle starts a Bundle in the scratch buffer, which it takes over.
func newBundle(seed, index uint64, kind string, scratch []byte) *bundle {
	b := &bundle{seed: seed, index: index}
	b.buf = scratch[:0]
	b.item()
	b.str("resourceType", "Bundle")
	b.str("type", kind)
	b.arr("entry")
	return b
}

const urnUUID = "urn:uuid:"

// mint makes the next UUID as a urn: version 8 (RFC 9562 section 5.8), the
// head of a SHA-256 over seed, index and counter. It is the same in every run
// and, for a given patient, no secret.
func (b *bundle) mint() string {
	var in [24]byte
	binary.BigEndian.PutUint64(in[0:], b.seed)
	binary.BigEndian.PutUint64(in[8:], b.index)
	binary.BigEndian.PutUint64(in[16:], b.minted)
	b.minted++
	sum := sha256.Sum256(in[:])
	sum[6] = sum[6]&0x0f | 0x80
	sum[8] = sum[8]&0x3f | 0x80

	var out [len(urnUUID) + 36]byte
	u := out[copy(out[:], urnUUID):]
	hex.Encode(u[0:8], sum[0:4])
	hex.Encode(u[9:13], sum[4:6])
	hex.Encode(u[14:18], sum[6:8])
	hex.Encode(u[19:23], sum[8:10])
	hex.Encode(u[24:36], sum[10:16])
	u[8], u[13], u[18], u[23] = '-', '-', '-', '-'
	return string(out[:])
}

// begin opens an entry and its resource.
func (b *bundle) begin(urn, resourceType string) {
	b.item()
	b.str("fullUrl", urn)
	b.obj("resource")
	b.str("resourceType", resourceType)
}

// post closes the resource and asks for its creation.
func (b *bundle) post(resourceType string) {
	b.postUnless(resourceType, "")
}

// postUnless is post with a condition: nothing is created where a resource
// matches the search.
func (b *bundle) postUnless(resourceType, exists string) {
	b.end()
	b.obj("request")
	b.str("method", "POST")
	b.str("url", resourceType)
	if exists != "" {
		b.str("ifNoneExist", exists)
	}
	b.end()
	b.end()
	b.entries++
}

// close ends the Bundle and returns its bytes.
func (b *bundle) close() []byte {
	b.endArr()
	b.end()
	return b.buf
}
