package record

import (
	"encoding/base64"
	"encoding/json"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir/search"
	"github.com/cordon-ehr/cordon/internal/plan"
	"github.com/cordon-ehr/cordon/internal/seal"
)

// A cursor is a sealed position, bound to tenant, type and query: one that was forged, or comes from another tenant or
// another query, does not open.
type cursor struct {
	Key  int64     `json:"k"`
	Rid  int64     `json:"r"`
	Keys []sortKey `json:"s,omitempty"`
	// Of a search on the trail: the last event looked at, and the first that is too new for all pages.
	Event string `json:"e,omitempty"`
	Until string `json:"u,omitempty"`
}

func (c *Caller) cursorPlace(q *search.Query) seal.Place {
	return seal.Place{Tenant: c.Scope.Tenant(), Table: "cursor", Kind: q.Type.ID, ID: c.index().Query(q.Encode())}
}

func (c *Caller) seal64(q *search.Query, cur cursor) string {
	b, err := json.Marshal(cur)
	if err != nil {
		panic("record: internal error: a cursor is always JSON: " + err.Error())
	}
	return base64.RawURLEncoding.EncodeToString(c.Ring.Cursor.Seal(nil, b, c.cursorPlace(q)))
}

func (c *Caller) open64(q *search.Query) (*cursor, error) {
	if q.Cursor == "" {
		return nil, nil
	}
	bad := fault.New(fault.Invalid, "search parameter _cursor: not a cursor of this search")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(q.Cursor)
	if err != nil || len(raw) > 8<<10 {
		return nil, bad
	}
	b, err := c.Ring.OpenCursor(raw, c.cursorPlace(q))
	if err != nil {
		return nil, bad
	}
	var cur cursor
	if json.Unmarshal(b, &cur) != nil {
		return nil, bad
	}
	return &cur, nil
}

func (c *Caller) sealCursor(q *search.Query, p plan.Position) string {
	return c.seal64(q, cursor{Key: p.Key, Rid: p.Rid})
}

func (c *Caller) openCursor(q *search.Query) (*plan.Position, error) {
	cur, err := c.open64(q)
	if cur == nil || err != nil {
		return nil, err
	}
	return &plan.Position{Key: cur.Key, Rid: cur.Rid}, nil
}

func (c *Caller) sealSortCursor(q *search.Query, h *hit) string {
	return c.seal64(q, cursor{Rid: h.rid, Keys: h.keys})
}

func (c *Caller) openSortCursor(q *search.Query) (*hit, error) {
	cur, err := c.open64(q)
	if cur == nil || err != nil {
		return nil, err
	}
	if len(cur.Keys) != len(q.Sort) {
		return nil, fault.New(fault.Invalid, "search parameter _cursor: not a cursor of this search")
	}
	return &hit{rid: cur.Rid, keys: cur.Keys}, nil
}
