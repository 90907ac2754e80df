package record

import (
	_ "embed" // the dictionary
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/klauspost/compress/s2"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/phi"
	"github.com/cordon-ehr/cordon/internal/seal"
)

// A body is stored as seal(header | S2(JSON) | padding). The header holds the second half of the blind id and the ids of
// the patients concerned, so that a read neither parses nor guesses whom it discloses. Padding to 64 bytes blurs the length,
// which compression would otherwise let leak.
const (
	bodyFormat = 1
	padTo      = 64
	maxStored  = 256 << 20 // no body that was accepted is larger
)

// dictionary1 is what bodies of format 1 are compressed against: FHIR's words in the order in which resources say them. It is
// made of synthetic resources (cmd/dictgen) and is never changed.
//
//go:embed dict/1.bin
var dictionary1 []byte

var dictionary = sync.OnceValue(func() *s2.Dict {
	d := s2.MakeDict(dictionary1, nil)
	if d == nil {
		panic("record: internal error: no compression dictionary")
	}
	return d
})

// body is what is sealed.
type body struct {
	check    int64 // second half of the blind id
	patients []string
	json     []byte // nil for a deletion
}

func (b *body) encode() []byte {
	out := make([]byte, 0, 64+len(b.json)*2/3)
	out = append(out, bodyFormat)
	out = binary.BigEndian.AppendUint64(out, uint64(b.check))
	out = binary.AppendUvarint(out, uint64(len(b.patients)))
	for _, p := range b.patients {
		out = binary.AppendUvarint(out, uint64(len(p)))
		out = append(out, p...)
	}
	if len(b.json) > 0 {
		at := len(out)
		out = slices.Grow(append(out, 0, 0, 0, 0), s2.MaxEncodedLen(len(b.json)))
		room := out[len(out):cap(out)]
		n := len(dictionary().Encode(room, b.json)) // into room: it is never too small
		out = out[:len(out)+n]
		binary.BigEndian.PutUint32(out[at:], uint32(n))
	} else {
		out = append(out, 0, 0, 0, 0)
	}
	for (len(out)+seal.Overhead)%padTo != 0 {
		out = append(out, 0)
	}
	return out
}

func decodeBody(in []byte) (b body, err error) {
	broken := fault.New(fault.Internal, "a stored body is not in a known form")
	if len(in) < 10 || in[0] != bodyFormat {
		return b, broken
	}
	b.check = int64(binary.BigEndian.Uint64(in[1:]))
	in = in[9:]
	n, k := binary.Uvarint(in)
	if k <= 0 || n > 1<<20 {
		return b, broken
	}
	in = in[k:]
	for range n {
		l, k := binary.Uvarint(in)
		if k <= 0 || uint64(len(in)-k) < l {
			return b, broken
		}
		b.patients = append(b.patients, string(in[k:k+int(l)]))
		in = in[k+int(l):]
	}
	if len(in) < 4 {
		return b, broken
	}
	size := int(binary.BigEndian.Uint32(in))
	if in = in[4:]; size > len(in) {
		return b, broken
	}
	if size > 0 {
		if n, err := s2.DecodedLen(in[:size]); err != nil || n > maxStored {
			return b, broken
		}
		if b.json, err = dictionary().Decode(nil, in[:size]); err != nil {
			return b, fault.Wrap(fault.Internal, err, "a stored body does not decompress")
		}
	}
	return b, nil
}

// stored is one row of version.
type stored struct {
	rid, lu     int64
	ver, keyver int32
	typ, op     int16
	body        []byte
}

const (
	opCreate int16 = 1
	opUpdate int16 = 2
	opDelete int16 = 3
)

// place binds a body to its row. Time and operation are bound as well, so that nobody can make a resource look deleted, or
// written at another time.
func (c *Caller) place(typ int16, rid int64, ver int64, lu int64, op int16) seal.Place {
	p := seal.Place{Tenant: c.Scope.Tenant(), Table: "version", Kind: typ, ID: rid, Version: ver}
	binary.BigEndian.PutUint64(p.Sub[:], uint64(lu))
	binary.BigEndian.PutUint16(p.Sub[8:], uint16(op))
	return p
}

// keptOpened bounds the buffers that are kept.
const keptOpened = 1 << 20

// opened keeps buffers for unsealed, still compressed bodies: nothing of a decoded body points into them.
var opened = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// open unseals a row. wantCheck is the second half of the blind id when the caller asked for one resource by id, else 0.
func (c *Caller) open(v *stored, id string, wantCheck int64) (Resource, error) {
	key, err := c.recordKey(v.keyver)
	if err != nil {
		return Resource{}, err
	}
	scratch := opened.Get().(*[]byte)
	defer func() {
		if cap(*scratch) <= keptOpened {
			opened.Put(scratch)
		}
	}()
	plain, err := key.Open((*scratch)[:0], v.body, c.place(v.typ, v.rid, int64(v.ver), v.lu, v.op))
	if err != nil {
		return Resource{}, err
	}
	*scratch = plain
	b, err := decodeBody(plain)
	if err != nil {
		return Resource{}, err
	}
	if wantCheck != 0 && b.check != wantCheck {
		return Resource{}, notFound()
	}
	t := fhir.TypeByID(v.typ)
	return Resource{Type: t, ID: phi.Text(id), Version: int64(v.ver), Updated: time.UnixMicro(v.lu).UTC(), Deleted: v.op == opDelete,
		Body: b.json, patients: b.patients}, nil
}

// look parses the body for as long as fn needs it; what fn keeps are strings.
func (r *Resource) look(fn func(root fhir.Value)) error {
	doc, err := fhir.Parse(r.Body.Reveal(), fhir.DefaultLimits())
	if err != nil {
		return fault.Wrap(fault.Internal, err, "a stored body is not JSON")
	}
	defer doc.Release()
	fn(doc.Root())
	return nil
}

func notFound() error { return fault.New(fault.NotFound, "no such resource") }

func gone() error { return fault.New(fault.Gone, "the resource was deleted") }

func microTime(us int64) time.Time { return time.UnixMicro(us).UTC() }
