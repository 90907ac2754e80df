package audit

import (
	"sync"

	"github.com/klauspost/compress/s2"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// Sealed events are compressed against their own words, to a third: a read of a chart writes one, so their size is the
// write load of reading. The words are part of the stored form: they are never changed, others get another format byte.
const words1 = `"request_id":"","purpose":"TREAT"outcome_desc":"denied"not-found"gone"previous_version":,"resources":["Observation//_history/1","Encounter//_history/` +
	`"query":"` + `"site":"cell1"},"patient":"Patient/","entity":{"type":"Bundle","count":"Patient","reference":"Patient/"Condition"MedicationRequest"` +
	`{"event_id":"019","tenant_id":"","recorded":"2026-11-T:Z","type":"rest","subtype":"transaction","action":"C","outcome":"4","create"update"delete"U"D"everything"history-instance"vread"` +
	`{"event_id":"019","tenant_id":"","recorded":"2026-11-T:Z","type":"rest","subtype":"search-type","action":"E","outcome":"0","agent":{"kind":"client","id":"","client_id":"","jti":"","address":"127.0.0.1","user_agent_hash":""},"source":{"role":"cell","site":"cell1"},"patient":"Patient/","entity":{"type":"Observation","count":` +
	`{"event_id":"019","tenant_id":"","recorded":"2026-11-T:Z","type":"rest","subtype":"read","action":"R","outcome":"0","agent":{"kind":"client","id":"","client_id":"","jti":"","address":"127.0.0.1","user_agent_hash":""},"source":{"role":"cell","site":"cell1"},"patient":"Patient/","entity":{"type":"Observation","version":1,"reference":"Observation/"},"request_id":"","decision":{"allow":true,"policy":"smart-scopes/1","reason":"system/*.cruds"}}`

// The forms: 1 is the compressed JSON, 2 has the salt of the event's digest before it.
const (
	compact1 = 1
	compact2 = 2
	saltSize = 16
)

// maxEvent bounds an event in memory: what claims to be larger was not written by us.
const maxEvent = 64 << 20

var words = sync.OnceValue(func() *s2.Dict { return s2.MakeDict([]byte(words1), nil) })

// compact makes the form that is sealed.
func compact(salt [saltSize]byte, json []byte) []byte {
	const head = 1 + saltSize
	out := make([]byte, head, head+s2.MaxEncodedLen(len(json)))
	out[0] = compact2
	copy(out[1:], salt[:])
	return out[:head+len(words().Encode(out[head:cap(out)], json))]
}

// expand is its inverse, of either form.
func expand(b []byte) (salt, json []byte, err error) {
	unknown := fault.New(fault.Internal, "a stored event is not in a known form")
	if len(b) < 1 {
		return nil, nil, unknown
	}
	form, rest := b[0], b[1:]
	switch {
	case form == compact2 && len(rest) >= saltSize:
		salt, rest = rest[:saltSize], rest[saltSize:]
	case form != compact1:
		return nil, nil, unknown
	}
	if n, err := s2.DecodedLen(rest); err != nil || n > maxEvent {
		return nil, nil, unknown
	}
	if json, err = words().Decode(nil, rest); err != nil {
		return nil, nil, fault.Wrap(fault.Internal, err, "a stored event does not decompress")
	}
	return salt, json, nil
}
