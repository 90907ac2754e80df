package record

import (
	"cmp"
	"slices"
	"time"

	"github.com/cordon-ehr/cordon/internal/blind"
	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/phi"
	"github.com/cordon-ehr/cordon/internal/placement"
)

// change is one resource's step from one version to the next, ready to be written.
type change struct {
	typ      *fhir.Type
	id       string
	rid      int64
	check    int64
	ver      int32 // the version that this change makes
	op       int16
	lu       time.Time
	json     []byte // as stored; nil for a deletion
	sealed   []byte
	keyver   int32
	now      blind.Entries
	before   blind.Entries // of the version that it replaces, zero when that was none or a deletion
	replaces bool          // head has a row
}

// resource gives the new version as a caller sees it.
func (ch *change) resource() Resource {
	return Resource{Type: ch.typ, ID: phi.Text(ch.id), Version: int64(ch.ver), Updated: ch.lu, Deleted: ch.op == opDelete, Body: ch.json,
		patients: ch.patients()}
}

// patients are those of the new and of the replaced version: both were touched.
func (ch *change) patients() []string {
	return append(slices.Clone(ch.now.Patients), blind.Without(ch.before.Patients, ch.now.Patients)...)
}

// finish blinds and seals a change whose json is set. It is the CPU part of a write and needs no database.
func (c *Caller) finish(ch *change) error {
	if ch.op != opDelete {
		doc, err := fhir.Parse(ch.json, fhir.DefaultLimits())
		if err != nil {
			return err
		}
		ch.now = c.index().Extract(doc.Root(), ch.typ, ch.rid)
		doc.Release()
	} else {
		ch.now = blind.Entries{Patient: ch.before.Patient, Sort: ch.before.Sort}
	}
	b := body{check: ch.check, patients: ch.patients(), json: ch.json}
	ch.keyver = c.Ring.Write.Version
	ch.sealed = c.Ring.Write.Seal(nil, b.encode(), c.place(ch.typ.ID, ch.rid, int64(ch.ver), ch.lu.UnixMicro(), ch.op))
	return nil
}

const (
	insertHead = `INSERT INTO head (tenant, rid, pat, sort, ver, type, live)
SELECT $1, a, b, c, d, e, true FROM unnest($2::int8[], $3::int8[], $4::int8[], $5::int4[], $6::int2[]) AS u(a, b, c, d, e)`
	updateHead = `UPDATE head h SET pat = u.b, sort = u.c, ver = u.d, live = u.e
FROM unnest($2::int8[], $3::int8[], $4::int8[], $5::int4[], $6::bool[]) AS u(a, b, c, d, e) WHERE h.tenant = $1 AND h.rid = u.a`
	insertVersion = `INSERT INTO version (tenant, rid, lu, ver, keyver, type, op, body)
SELECT $1, a, b, c, d, e, f, g FROM unnest($2::int8[], $3::int8[], $4::int4[], $5::int4[], $6::int2[], $7::int2[], $8::bytea[]) AS u(a, b, c, d, e, f, g)`
	insertIdx = `INSERT INTO idx (tenant, token, sort, rid) SELECT $1, a, b, c FROM unnest($2::int8[], $3::int8[], $4::int8[]) AS u(a, b, c)`
	deleteIdx = `DELETE FROM idx i USING unnest($2::int8[], $3::int8[], $4::int8[]) AS u(a, b, c)
WHERE i.tenant = $1 AND i.token = u.a AND i.sort = u.b AND i.rid = u.c`
	insertRef = `INSERT INTO ref (tenant, param, dst, sort, rid) SELECT $1, a, b, c, d FROM unnest($2::int4[], $3::int8[], $4::int8[], $5::int8[]) AS u(a, b, c, d)`
	deleteRef = `DELETE FROM ref r USING unnest($2::int4[], $3::int8[], $4::int8[], $5::int8[]) AS u(a, b, c, d)
WHERE r.tenant = $1 AND r.param = u.a AND r.dst = u.b AND r.sort = u.c AND r.rid = u.d`
	insertRange = `INSERT INTO range (tenant, param, lo, hi, rid) SELECT $1, a, b, c, d FROM unnest($2::int4[], $3::int8[], $4::int8[], $5::int8[]) AS u(a, b, c, d)`
	deleteRange = `DELETE FROM range r USING unnest($2::int4[], $3::int8[], $4::int8[], $5::int8[]) AS u(a, b, c, d)
WHERE r.tenant = $1 AND r.param = u.a AND r.lo = u.b AND r.hi = u.c AND r.rid = u.d`
)

// queue adds changes to a transaction. The key (tenant, rid, ver) of version is the lock between writers: of two that make
// the same version one gets a Conflict, and all of its transaction is undone. Rows are ordered by rid, so that two bundles
// wait for each other in one direction only.
func queue(b *placement.Batch, changes []*change) {
	slices.SortFunc(changes, func(x, y *change) int { return cmp.Compare(x.rid, y.rid) })
	queueVersions(b, changes)
	queueHeads(b, changes)
	var gone, come struct {
		idx    []blind.Posting
		refs   []blind.Pointer
		ranges []blind.Interval
	}
	for _, ch := range changes {
		gone.idx = append(gone.idx, blind.Without(ch.before.Postings, ch.now.Postings)...)
		come.idx = append(come.idx, blind.Without(ch.now.Postings, ch.before.Postings)...)
		gone.refs = append(gone.refs, blind.Without(ch.before.Pointers, ch.now.Pointers)...)
		come.refs = append(come.refs, blind.Without(ch.now.Pointers, ch.before.Pointers)...)
		gone.ranges = append(gone.ranges, blind.Without(ch.before.Intervals, ch.now.Intervals)...)
		come.ranges = append(come.ranges, blind.Without(ch.now.Intervals, ch.before.Intervals)...)
	}
	queueIdx(b, deleteIdx, gone.idx)
	queueIdx(b, insertIdx, come.idx)
	queueRefs(b, deleteRef, gone.refs)
	queueRefs(b, insertRef, come.refs)
	queueRanges(b, deleteRange, gone.ranges)
	queueRanges(b, insertRange, come.ranges)
}

func queueVersions(b *placement.Batch, changes []*change) {
	n := len(changes)
	rid, lu, body := make([]int64, n), make([]int64, n), make([][]byte, n)
	ver, keyver, typ, op := make([]int32, n), make([]int32, n), make([]int16, n), make([]int16, n)
	for i, ch := range changes {
		rid[i], lu[i], ver[i], keyver[i], typ[i], op[i], body[i] = ch.rid, ch.lu.UnixMicro(), ch.ver, ch.keyver, ch.typ.ID, ch.op, ch.sealed
	}
	b.Queue(insertVersion, rid, lu, ver, keyver, typ, op, body)
}

func queueHeads(b *placement.Batch, changes []*change) {
	type heads struct {
		rid, pat, sort []int64
		ver            []int32
		typ            []int16
		live           []bool
	}
	var fresh, moved heads
	for _, ch := range changes {
		h := &fresh
		if ch.replaces {
			h = &moved
		}
		h.rid, h.pat, h.sort = append(h.rid, ch.rid), append(h.pat, ch.now.Patient), append(h.sort, ch.now.Sort)
		h.ver, h.typ, h.live = append(h.ver, ch.ver), append(h.typ, ch.typ.ID), append(h.live, ch.op != opDelete)
	}
	if len(fresh.rid) > 0 {
		b.Queue(insertHead, fresh.rid, fresh.pat, fresh.sort, fresh.ver, fresh.typ)
	}
	if len(moved.rid) > 0 {
		b.Queue(updateHead, moved.rid, moved.pat, moved.sort, moved.ver, moved.live)
	}
}

func queueIdx(b *placement.Batch, sql string, in []blind.Posting) {
	if len(in) == 0 {
		return
	}
	n := len(in)
	token, sort, rid := make([]int64, n), make([]int64, n), make([]int64, n)
	for i, p := range in {
		token[i], sort[i], rid[i] = p.Token, p.Sort, p.Rid
	}
	b.Queue(sql, token, sort, rid)
}

func queueRefs(b *placement.Batch, sql string, in []blind.Pointer) {
	if len(in) == 0 {
		return
	}
	n := len(in)
	param, dst, sort, rid := make([]int32, n), make([]int64, n), make([]int64, n), make([]int64, n)
	for i, p := range in {
		param[i], dst[i], sort[i], rid[i] = p.Param, p.Dst, p.Sort, p.Rid
	}
	b.Queue(sql, param, dst, sort, rid)
}

func queueRanges(b *placement.Batch, sql string, in []blind.Interval) {
	if len(in) == 0 {
		return
	}
	n := len(in)
	param, lo, hi, rid := make([]int32, n), make([]int64, n), make([]int64, n), make([]int64, n)
	for i, p := range in {
		param[i], lo[i], hi[i], rid[i] = p.Param, p.Lo, p.Hi, p.Rid
	}
	b.Queue(sql, param, lo, hi, rid)
}
