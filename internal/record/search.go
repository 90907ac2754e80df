package record

import (
	"context"
	"iter"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/fhir/search"
	"github.com/cordon-ehr/cordon/internal/phi"
	"github.com/cordon-ehr/cordon/internal/placement"
	"github.com/cordon-ehr/cordon/internal/plan"
)

// Page is the answer to a search.
type Page struct {
	Matches  []Resource
	Included []Resource
	Cut      bool   // some included resources were left out: over the limit
	Total    int    // -1 when not asked for
	Next     string // cursor of the next page, "" at the end
}

// run sends a pipeline: Charts.Read for a Scope, or Tx.Run inside a transaction.
type run func(ctx context.Context, fill func(*placement.Batch)) error

func (s *Service) reading(c *Caller) run {
	return func(ctx context.Context, fill func(*placement.Batch)) error { return s.charts.Read(ctx, c.Scope, fill) }
}

// Search answers a query on one type (FHIR R4 search.html). Pages are full while there is more; every match was opened and
// judged. Faults: Invalid (cursor), Forbidden, Unprocessable (too costly).
func (s *Service) Search(ctx context.Context, c *Caller, q *search.Query) (Page, error) {
	if err := s.allow(ctx, c, doSearch, q.Type, ""); err != nil {
		return Page{}, err
	}
	for _, in := range q.RevIncludes {
		if in.Param.Of.Name == TrailType {
			return Page{}, onlyTrail(doSearch)
		}
	}
	read := s.reading(c)
	chained, err := s.chains(ctx, c, read, q)
	if err != nil {
		return Page{}, err
	}
	pl := c.plan(q, chained)
	page := Page{Total: -1}
	if q.Total || q.CountOnly {
		if page.Total, err = s.total(ctx, c, read, pl); err != nil {
			return Page{}, err
		}
	}
	if !q.CountOnly {
		if pl.Sorted() {
			err = s.walk(ctx, c, read, pl, &page)
		} else {
			err = s.gather(ctx, c, read, pl, &page)
		}
		if err == nil {
			err = s.include(ctx, c, read, q, &page)
		}
	}
	if err != nil {
		return Page{}, err
	}
	shown := append(append([]Resource(nil), page.Matches...), page.Included...)
	events := s.ofSet(c, doSearch, q.Type.Name, shown)
	if events[0].Patient == "" { // nothing of a patient was found: the one who was asked for, if any
		events[0].Patient = asked(q)
	}
	return page, s.record(ctx, c, events)
}

// asked is the one patient whom a query names by id (BALP PatientQuery).
func asked(q *search.Query) phi.Text {
	for i := range q.Terms {
		t := &q.Terms[i]
		if t.Modifier != search.None || t.Chain != nil || len(t.Values) != 1 {
			continue
		}
		v := &t.Values[0]
		switch {
		case t.Param.Kind == search.ID:
			if p := patientNamed(q.Type.Name, v.Text); p != "" {
				return p
			}
		case t.Param.Kind == search.Reference && v.Link.ID != "" && (v.Link.Type == patientType.Name || (v.Link.Type == "" && t.Param.Code == "patient")):
			return patientNamed(patientType.Name, v.Link.ID)
		}
	}
	return ""
}

// walk fills a page from the plan's order: candidates that the index gave and Match refuses are replaced by the next ones, so
// that pages are full.
func (s *Service) walk(ctx context.Context, c *Caller, read run, pl *planned, page *Page) error {
	after, err := c.openCursor(pl.Query)
	if err != nil {
		return err
	}
	bytes := 0
	for h, err := range s.matching(ctx, c, read, pl, after, min(pl.Query.Count+1, firstChunk)) {
		if err != nil {
			return err
		}
		if len(page.Matches) == pl.Query.Count || bytes > pageBytes {
			page.Next = c.sealCursor(pl.Query, *after)
			return nil
		}
		page.Matches = append(page.Matches, h.Resource)
		bytes += len(h.Body)
		after = &plan.Position{Key: h.sort, Rid: h.rid}
	}
	return nil
}

// matching gives what matches after a position, in the plan's order. Candidates are read and judged a chunk at a time, the first
// one of the size given.
func (s *Service) matching(ctx context.Context, c *Caller, read run, pl *planned, after *plan.Position, chunk int) iter.Seq2[*hit, error] {
	return func(yield func(*hit, error) bool) {
		for {
			rows, err := s.chunk(ctx, c, read, pl, after, chunk)
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range rows {
				if rows[i].ok && !yield(&rows[i], nil) {
					return
				}
			}
			if len(rows) < chunk {
				return
			}
			after = &plan.Position{Key: rows[len(rows)-1].sort, Rid: rows[len(rows)-1].rid}
			chunk = nextChunk(chunk, rows)
		}
	}
}

// What is read at a time is bounded by rows first and then, when the size of a tenant's resources shows, by bytes. A page ends
// early when it is large: the next link goes on.
const (
	firstChunk = 101
	chunkRows  = 1000
	pageBytes  = 32 << 20
)

// nextChunk is how many candidates are read after these: more, while they are small.
func nextChunk(chunk int, rows []hit) int {
	size := 1
	for i := range rows {
		size += len(rows[i].Body)
	}
	return max(1, min(chunk*4, chunkRows, pageBytes*len(rows)/size))
}

// hit is a candidate with its place in the order.
type hit struct {
	Resource
	sort, rid int64
	ok        bool
	keys      []sortKey
}

// chunk reads and judges the next n candidates.
func (s *Service) chunk(ctx context.Context, c *Caller, read run, pl *planned, after *plan.Position, n int) ([]hit, error) {
	sql, params := pl.Page(after, n)
	var rows []candidate
	err := read(ctx, func(b *placement.Batch) {
		b.Queue(sql, params...).Query(func(r pgx.Rows) (err error) {
			rows, err = candidates(r)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return c.judged(pl, rows)
}

// candidate is a row of plan.Page: a stored version with its place in the order.
type candidate struct {
	sort int64
	stored
}

func candidates(r pgx.Rows) ([]candidate, error) {
	var out []candidate
	for r.Next() {
		var v candidate
		if err := r.Scan(&v.sort, &v.rid, &v.lu, &v.ver, &v.keyver, &v.typ, &v.op, &v.body); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, r.Err()
}

// judged opens candidates and judges each; those that do not match are among the hits, so that a walk knows how far it came.
func (c *Caller) judged(pl *planned, rows []candidate) (hits []hit, err error) {
	hits = make([]hit, len(rows))
	for i := range rows {
		h := &hits[i]
		h.sort, h.rid = rows[i].sort, rows[i].rid
		if h.Resource, err = c.open(&rows[i].stored, "", 0); err != nil {
			return nil, err
		}
		if err := h.judge(pl, c.Base); err != nil {
			return nil, err
		}
	}
	return hits, nil
}

// judge verifies a hit on its opened body, and learns its id.
func (h *hit) judge(pl *planned, base string) error {
	q := pl.Query
	if h.Deleted || h.Type != q.Type {
		return nil
	}
	return h.look(func(root fhir.Value) {
		h.learn(root)
		if h.ok = q.Match(root) && pl.linked(root, base); h.ok && len(q.Sort) > 0 {
			h.keys = sortKeys(root, q)
		}
	})
}

// total counts all matches: in the index where that is exact, else by judging every candidate.
func (s *Service) total(ctx context.Context, c *Caller, read run, pl *planned) (int, error) {
	if pl.Exact() {
		var n int64
		sql, params := pl.Count()
		err := read(ctx, func(b *placement.Batch) {
			b.Queue(sql, params...).QueryRow(func(r pgx.Row) error { return r.Scan(&n) })
		})
		return int(n), err
	}
	n := 0
	err := s.all(ctx, c, read, pl, math.MaxInt, func(*hit) { n++ })
	return n, err
}

// all calls each for every match; more than most is Unprocessable.
func (s *Service) all(ctx context.Context, c *Caller, read run, pl *planned, most int, each func(*hit)) error {
	n := 0
	for h, err := range s.matching(ctx, c, read, pl, nil, firstChunk) {
		if err != nil {
			return err
		}
		if n++; n > most {
			return fault.New(fault.Unprocessable, "this search orders more than %d resources by a parameter without an ordered index; narrow it", most)
		}
		each(h)
	}
	return nil
}
