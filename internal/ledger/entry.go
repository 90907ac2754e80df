// Package ledger turns rows of events into logs that cannot be changed unseen. A log is an RFC 6962 Merkle tree over entries,
// one log for each tenant and observing role; its entries and signed checkpoints stand in write-once storage, and another
// role, the witness, remembers each head. What was once in a checkpoint can be edited, removed, added to, reordered, cut or
// rolled back in the database, and even in the storage, only so that Verify names it.
//
// The room knows neither SQL nor keys nor what an event says: an entry is an identity, a time and hashes. Rows, heads and
// storage come over the interfaces Source, Heads and Store.
package ledger

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Entry is what a log keeps of one event: enough to tell, without a key, which event it was and whether a row is that event.
type Entry struct {
	ID       uuid.UUID
	Recorded int64    // Unix nanoseconds
	Label    int64    // blind id of the patient, 0 if none
	Key      int32    // version of the key that sealed the body, 0 = in clear
	Body     [32]byte // SHA-256 of the stored body
	Digest   [32]byte // Digest of the event's JSON; zero for rows stored before there were digests
}

// entrySize is the length of an encoded entry. The encoding is part of the log: it never changes.
const entrySize = 16 + 8 + 8 + 4 + 32 + 32

func (e Entry) encode(b []byte) []byte {
	b = append(b, e.ID[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Recorded))
	b = binary.BigEndian.AppendUint64(b, uint64(e.Label))
	b = binary.BigEndian.AppendUint32(b, uint32(e.Key))
	b = append(b, e.Body[:]...)
	return append(b, e.Digest[:]...)
}

func decode(b []byte) Entry {
	e := Entry{ID: uuid.UUID(b[:16]), Recorded: int64(binary.BigEndian.Uint64(b[16:])), Label: int64(binary.BigEndian.Uint64(b[24:])),
		Key: int32(binary.BigEndian.Uint32(b[32:]))}
	copy(e.Body[:], b[36:])
	copy(e.Digest[:], b[68:])
	return e
}

// decodeAll reads whole entries.
func decodeAll(b []byte) ([]Entry, error) {
	if len(b)%entrySize != 0 {
		return nil, fault.New(fault.Internal, "entries of a log have a length that no entries have")
	}
	out := make([]Entry, 0, len(b)/entrySize)
	for ; len(b) > 0; b = b[entrySize:] {
		out = append(out, decode(b))
	}
	return out, nil
}

// Data is what the entry's leaf hashes, and what a row's MAC covers.
func (e Entry) Data(t tenant.ID) []byte {
	id := t.Bytes()
	b := make([]byte, 0, 32+entrySize)
	b = append(b, "cordon/audit/v2\x00"...)
	return e.encode(append(b, id[:]...))
}

// Leaf is the entry's RFC 6962 leaf hash in a log of tenant t.
func (e Entry) Leaf(t tenant.ID) tlog.Hash { return tlog.RecordHash(e.Data(t)) }

// Digest commits to an event's JSON without telling it: the salt is random, and kept where the JSON is kept.
func Digest(salt, json []byte) [32]byte {
	h := sha256.New()
	h.Write([]byte("cordon/event/v1\x00"))
	h.Write([]byte{byte(len(salt))})
	h.Write(salt)
	h.Write(json)
	return [32]byte(h.Sum(nil))
}

// Name names a log: whose events, observed by which role.
type Name struct {
	Tenant tenant.ID // zero = the platform itself
	Stream string    // cell, control or keys
}

// Origin is the name as checkpoints carry it.
func (n Name) Origin() string { return "cordon/" + n.Tenant.String() + "/" + n.Stream }
