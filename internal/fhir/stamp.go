package fhir

import (
	"bytes"
	"strconv"
	"time"
)

// Splice replaces a span of the body, one whole string value, by other JSON: a reference that a transaction resolved.
type Splice struct {
	Start, End int // as in Link
	With       []byte
}

// stampTime is how lastUpdated is written: an R4 instant in UTC with microseconds, which is what the database keeps.
const stampTime = "2006-01-02T15:04:05.000000Z"

// Stamp appends the resource v as it is stored: resourceType, id, meta with versionId and lastUpdated, then all other
// members in their order. The client's id and these two of its meta are dropped, the rest of its meta is kept. White
// space between tokens is dropped; every string and number keeps its bytes. The id must be a ValidID.
func Stamp(dst []byte, v Value, id string, version int64, updated time.Time) []byte {
	return StampWith(dst, v, id, version, updated, nil)
}

// StampWith is Stamp with splices, sorted by Start. One that matches no string value of v exactly has no effect.
func StampWith(dst []byte, v Value, id string, version int64, updated time.Time, splices []Splice) []byte {
	w := stamper{dst: dst, splices: splices}
	w.dst = append(w.dst, `{"resourceType":`...)
	w.value(v.Get("resourceType"))
	w.dst = append(w.dst, `,"id":"`...)
	w.dst = append(w.dst, id...)
	w.dst = append(w.dst, `","meta":{"versionId":"`...)
	w.dst = strconv.AppendInt(w.dst, version, 10)
	w.dst = append(w.dst, `","lastUpdated":"`...)
	w.dst = updated.UTC().AppendFormat(w.dst, stampTime)
	w.dst = append(w.dst, '"')
	for m := v.Get("meta").First(); m.Valid(); m = m.Next() {
		if !ownMeta(m) {
			w.member(m)
		}
	}
	w.dst = append(w.dst, '}')
	for m := v.First(); m.Valid(); m = m.Next() {
		if !m.NameIs("resourceType") && !m.NameIs("id") && !m.NameIs("meta") {
			w.member(m)
		}
	}
	return append(w.dst, '}')
}

// ownMeta reports whether a member of meta is the server's; with it goes what a client said about it.
func ownMeta(m Value) bool {
	switch string(bytes.TrimPrefix(m.name(), []byte("_"))) {
	case "versionId", "lastUpdated":
		return true
	}
	return false
}

// Compact appends v without white space between tokens; strings and numbers keep their bytes.
func Compact(dst []byte, v Value) []byte {
	w := stamper{dst: dst}
	w.value(v)
	return w.dst
}

type stamper struct {
	dst     []byte
	splices []Splice
}

func (w *stamper) member(m Value) {
	n := m.node()
	w.dst = append(w.dst, ',')
	w.dst = append(w.dst, m.d.src[n.nameStart:n.nameEnd]...)
	w.dst = append(w.dst, ':')
	w.value(m)
}

func (w *stamper) value(v Value) {
	kind := v.Kind()
	if kind != Object && kind != Array {
		w.dst = append(w.dst, w.spliced(v)...)
		return
	}
	left, right := byte('{'), byte('}')
	if kind == Array {
		left, right = '[', ']'
	}
	w.dst = append(w.dst, left)
	for c := v.First(); c.d != nil; c = c.Next() {
		if n := c.node(); n.nameEnd > 0 {
			w.dst = append(w.dst, c.d.src[n.nameStart:n.nameEnd]...)
			w.dst = append(w.dst, ':')
		}
		w.value(c)
		if c.node().flags&flagLast == 0 {
			w.dst = append(w.dst, ',')
		}
	}
	w.dst = append(w.dst, right)
}

// spliced is the text of v, or what replaces it. The members of meta are visited out of order, so this searches; most
// bodies have no splices at all.
func (w *stamper) spliced(v Value) []byte {
	if len(w.splices) == 0 {
		return v.Raw()
	}
	start, end := v.Span()
	lo, hi := 0, len(w.splices)
	for lo < hi {
		if mid := (lo + hi) / 2; w.splices[mid].Start < start {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(w.splices) && w.splices[lo].Start == start && w.splices[lo].End == end {
		return w.splices[lo].With
	}
	return v.Raw()
}
