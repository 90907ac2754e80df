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

const compact1 = 1

// maxEvent bounds an event in memory: what claims to be larger was not written by us.
const maxEvent = 64 << 20

var words = sync.OnceValue(func() *s2.Dict { return s2.MakeDict([]byte(words1), nil) })

// compact makes the form that is sealed.
func compact(json []byte) []byte {
	out := make([]byte, 1, 1+s2.MaxEncodedLen(len(json)))
	out[0] = compact1
	return out[:1+len(words().Encode(out[1:cap(out)], json))]
}

// expand is its inverse.
func expand(b []byte) ([]byte, error) {
	if len(b) < 1 || b[0] != compact1 {
		return nil, fault.New(fault.Internal, "a stored event is not in a known form")
	}
	if n, err := s2.DecodedLen(b[1:]); err != nil || n > maxEvent {
		return nil, fault.New(fault.Internal, "a stored event is not in a known form")
	}
	out, err := words().Decode(nil, b[1:])
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "a stored event does not decompress")
	}
	return out, nil
}
