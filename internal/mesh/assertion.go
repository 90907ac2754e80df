package mesh

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/rpc"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// assertionLife is how long an assertion may be on its way: a dial, a handshake, and the difference of two machines' clocks. Replays are
// told by their number, not by time.
const assertionLife = 2 * time.Minute

// An assertion travels in one header: base64url of its payload, a dot, base64url of HMAC-SHA-256 under the session's key over
// the payload and over what of the request it is for (verb, raw query, hash of the Authorization header). HMAC, because a
// signature by a certificate's key would cost as much as the rest of a read; the key came over mTLS under that certificate.
const assertionHeader = "Cordon-Assertion"

// maxAssertion bounds what is decoded: a path is at most as long as the headers of the public listener may be.
const maxAssertion = 96 << 10

type (
	keyID  [16]byte
	secret [32]byte
)

// maker makes MACs under one key. It is safe for concurrent use.
type maker struct{ pool sync.Pool }

// work is what one MAC needs; the buffers are kept, since a hash behind an interface would move them to the heap each time.
type work struct {
	hash.Hash
	frame []byte
	sum   [sha256.Size]byte
}

func newMaker(k secret) *maker {
	return &maker{pool: sync.Pool{New: func() any { return &work{Hash: hmac.New(sha256.New, k[:])} }}}
}

func (m *maker) sum(payload []byte, r *http.Request) [sha256.Size]byte {
	w := m.pool.Get().(*work)
	defer m.pool.Put(w)
	w.frame = append(w.frame[:0], r.Header.Get("Authorization")...)
	token := sha256.Sum256(w.frame)
	w.frame = append(w.frame[:0], "cordon/assertion/1\x00"...)
	w.frame = text(w.frame, r.Method)
	w.frame = text(w.frame, r.URL.RawQuery)
	w.frame = append(w.frame, token[:]...)
	w.frame = append(w.frame, payload...)
	w.Reset()
	w.Write(w.frame)
	w.Hash.Sum(w.sum[:0])
	return w.sum
}

// signer is an edge's end of a session: one per process that it calls.
type signer struct {
	id  keyID
	key secret
	mac *maker
	seq atomic.Uint64
}

func newSigner() *signer {
	s := &signer{}
	_, _ = rand.Read(s.id[:])
	_, _ = rand.Read(s.key[:])
	s.mac = newMaker(s.key)
	return s
}

// sign makes the header of one request to one callee. Each is good once, and for a while.
func (s *signer) sign(a rpc.Assertion, audience string, r *http.Request) string {
	return s.signUntil(time.Now().Add(assertionLife), a, audience, r)
}

func (s *signer) signUntil(end time.Time, a rpc.Assertion, audience string, r *http.Request) string {
	b := make([]byte, 0, 160+len(a.Path))
	b = append(b, s.id[:]...)
	b = binary.BigEndian.AppendUint64(b, s.seq.Add(1))
	b = binary.BigEndian.AppendUint64(b, uint64(end.Unix()))
	t := a.Tenant.Bytes()
	b = append(b, t[:]...)
	for _, f := range []string{audience, a.Request, a.Address, a.Path} {
		b = text(b, f)
	}
	sum := s.mac.sum(b, r)
	enc := base64.RawURLEncoding
	out := make([]byte, 0, enc.EncodedLen(len(b))+1+enc.EncodedLen(len(sum)))
	out = enc.AppendEncode(out, b)
	out = append(out, '.')
	return string(enc.AppendEncode(out, sum[:]))
}

// text appends a string after its length, so that no two lists of strings read the same.
func text(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

// claim is a parsed assertion.
type claim struct {
	id       keyID
	seq      uint64
	expires  int64
	audience string
	rpc.Assertion
}

const claimHead = 16 + 8 + 8 + 16

func parseClaim(b []byte) (c claim, ok bool) {
	if len(b) < claimHead {
		return c, false
	}
	c.id = keyID(b[:16])
	c.seq, c.expires = binary.BigEndian.Uint64(b[16:]), int64(binary.BigEndian.Uint64(b[24:]))
	c.Tenant = tenant.IDFromBytes([16]byte(b[32:48]))
	b = b[claimHead:]
	for _, f := range []*string{&c.audience, &c.Request, &c.Address, &c.Path} {
		if len(b) < 4 || uint64(len(b)-4) < uint64(binary.BigEndian.Uint32(b)) {
			return c, false
		}
		n := int(binary.BigEndian.Uint32(b))
		*f, b = string(b[4:4+n]), b[4+n:]
	}
	return c, len(b) == 0
}

// reasons for which an assertion is refused.
const (
	noAssertion     = "no assertion"
	badAssertion    = "malformed assertion"
	unknownSession  = "assertion under an unknown key"
	foreignSession  = "assertion under another edge's key"
	alteredRequest  = "altered assertion or request"
	lateAssertion   = "expired assertion"
	foreignAudience = "assertion for another role or cell"
	replayed        = "replayed assertion"
)

// notAsserted is the one public answer; the reason is for the record.
func notAsserted(reason string) error {
	kind := fault.Unauthenticated
	if reason == unknownSession { // it was pushed out by others of the same identity: the edge makes a new one, and the caller comes again
		f := fault.New(fault.Unavailable, "the edge is not known here now")
		f.RetryAfter = time.Second
		return f
	}
	if reason == foreignAudience || reason == foreignSession {
		kind = fault.Forbidden
	}
	return fault.New(kind, "the request does not come with a good assertion of the edge")
}

// verify judges the assertion of a request that a peer forwards to self. On success it is spent;
// else reason says why not.
func (s *sessions) verify(peer, self Identity, header string, r *http.Request) (a rpc.Assertion, reason string, err error) {
	refuse := func(why string) (rpc.Assertion, string, error) { return rpc.Assertion{}, why, notAsserted(why) }
	if header == "" {
		return refuse(noAssertion)
	}
	p, m, ok := strings.Cut(header, ".")
	if !ok || len(header) > maxAssertion {
		return refuse(badAssertion)
	}
	payload, err1 := base64.RawURLEncoding.DecodeString(p)
	var mac [sha256.Size]byte
	n, err2 := base64.RawURLEncoding.Decode(mac[:], []byte(m[:min(len(m), 43)])) // 43 digits hold 32 bytes
	c, ok := parseClaim(payload)
	if err1 != nil || err2 != nil || n != len(mac) || len(m) != 43 || !ok {
		return refuse(badAssertion)
	}
	now := time.Now()
	at := s.find(c.id, now)
	if at == nil {
		return refuse(unknownSession)
	}
	if at.peer != peer {
		return refuse(foreignSession)
	}
	if want := at.mac.sum(payload, r); !hmac.Equal(want[:], mac[:]) {
		return refuse(alteredRequest)
	}
	if now.Unix() > c.expires {
		return refuse(lateAssertion)
	}
	if c.audience != audience(self) {
		return refuse(foreignAudience)
	}
	if !at.spend(c.seq) {
		return refuse(replayed)
	}
	if self.Role == Cell {
		c.Cell = self.Name
	}
	return c.Assertion, "", nil
}

// audience is whom an assertion is for: one cell, or control.
func audience(i Identity) string {
	if i.Role == Cell {
		return i.Site()
	}
	return i.Role
}
