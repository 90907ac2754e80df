package ledger

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// diff compares what rows a table (or an export) holds, in their order, with what the log says it held, and names each
// difference. pending are the indices of the rows that follow the log's last one.
func diff(r *Report, log, rows []Entry) (pending []int) {
	places := make(map[uuid.UUID]int, len(log))
	for i, e := range log {
		if first, twice := places[e.ID]; twice {
			r.add(at(int64(i), e, KindDuplicate, "the log has this event twice: first at "+strconv.Itoa(first)))
			continue
		}
		places[e.ID] = i
	}
	have := make(map[uuid.UUID]int, len(rows))
	last := -1 // index of the last row that the log knows
	for i, e := range rows {
		if _, known := places[e.ID]; known {
			last = i
		}
		if _, twice := have[e.ID]; !twice {
			have[e.ID] = i
		}
	}
	missing(r, log, have)
	ordered(r, log, rows, places, have)
	next := int64(0) // where in the log the rows are
	for i, e := range rows {
		seq, known := places[e.ID]
		switch {
		case known && have[e.ID] == i:
			next = int64(seq) + 1
		case known && next < int64(len(log)) && log[next] == e: // the second place of an event that the log has twice: told above
			next++
		case known:
			r.add(at(next, e, KindDuplicate, "a second row of this event"))
		case i > last:
			pending = append(pending, i)
		default:
			r.add(at(next, e, KindInserted, "a row that is not in the log stands before rows that are"))
		}
	}
	slices.SortStableFunc(r.Problems, func(a, b Problem) int { return cmp.Compare(place(a), place(b)) })
	return pending
}

// place sorts problems: those of no event come first.
func place(p Problem) int64 {
	if p.Seq == nil {
		return -1
	}
	return *p.Seq
}

// missing names events of the log without a row, and rows that are not what the log has.
func missing(r *Report, log []Entry, have map[uuid.UUID]int) {
	tail := len(log)
	for tail > 0 {
		if _, ok := have[log[tail-1].ID]; ok {
			break
		}
		tail--
	}
	for i, e := range log[:tail] {
		if _, ok := have[e.ID]; !ok {
			r.add(at(int64(i), e, KindDeleted, "the row of this event is gone"))
		}
	}
	if tail < len(log) {
		r.add(at(int64(tail), log[tail], KindTail, "this event and all after it are gone: "+strconv.Itoa(len(log)-tail)+" of "+strconv.Itoa(len(log))))
	}
}

// ordered names rows that were edited, and the first event that stands elsewhere than in the log.
func ordered(r *Report, log, rows []Entry, places, have map[uuid.UUID]int) {
	before := -1
	told := false
	for i, e := range log {
		j, ok := have[e.ID]
		if !ok || places[e.ID] != i {
			continue
		}
		if changed := rows[j].differs(e); changed != "" {
			r.add(at(int64(i), e, KindEdited, "the row was changed: "+changed))
		}
		if j < before && !told {
			r.add(at(int64(i), e, KindReordered, "the row stands before one that the log has first"))
			told = true
		}
		before = max(before, j)
	}
}

// differs names what is not the same.
func (e Entry) differs(o Entry) string {
	var out []string
	for name, same := range map[string]bool{"time": e.Recorded == o.Recorded, "patient": e.Label == o.Label, "key version": e.Key == o.Key,
		"body": e.Body == o.Body, "digest": e.Digest == o.Digest} {
		if !same {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}
