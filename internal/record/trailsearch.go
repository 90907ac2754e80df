package record

import (
	"bytes"
	"context"
	"iter"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/fhir/search"
	"github.com/cordon-ehr/cordon/internal/phi"
)

// What one request looks at is bounded. A page whose filter passes over more ends early, with a link to where it came; a count of more
// is refused.
const (
	trailLooked  = 20_000
	trailCounted = 200_000
)

// SearchTrail answers a search on AuditEvent (FHIR R4 search.html; ITI-81). It walks one list in the order of time: a patient's, when
// the query names one, else that of the tenant; every event is opened and judged like any search hit. The search is one event
// itself, of the patient whom the query names: not one for each patient whose events are shown, or reading the log would write
// more log than it reads. Faults: Invalid (cursor), NotSupported, Forbidden, Unprocessable (count), Unavailable.
func (s *Service) SearchTrail(ctx context.Context, c *Caller, q *search.Query) (Page, error) {
	if err := s.granted(ctx, c, doSearchTrail, trailType, ""); err != nil {
		return Page{}, err
	}
	w, err := s.trailWalk(c, q)
	if err != nil {
		return Page{}, err
	}
	page := Page{Total: -1}
	if q.Total || q.CountOnly {
		if page.Total, err = w.count(ctx); err != nil {
			return Page{}, err
		}
	}
	if !q.CountOnly {
		if err := w.fill(ctx, &page); err != nil {
			return Page{}, err
		}
	}
	e := c.event(s.site, doSearchTrail)
	e.Type, e.Entity = "audit", audit.Entity{Type: TrailType, Count: len(page.Matches)}
	if w.about != "" {
		e.Patient = phi.Text("Patient/" + w.about)
	}
	return page, s.record(ctx, c, []audit.Event{e})
}

// trailWalk is one search on its way through the trail.
type trailWalk struct {
	s     *Service
	c     *Caller
	q     *search.Query
	all   audit.Range // as the query bounds it
	page  audit.Range // of that, what is after the cursor
	about string      // id of the one patient that the query names
	until uuid.UUID   // no event of after the search began: its own pages would never end
}

func (s *Service) trailWalk(c *Caller, q *search.Query) (*trailWalk, error) {
	w := &trailWalk{s: s, c: c, q: q, all: audit.Range{Newest: true}}
	if len(q.Includes)+len(q.RevIncludes) > 0 {
		return nil, fault.New(fault.NotSupported, "a search on AuditEvent includes nothing: what an event names is read by itself")
	}
	if len(q.Sort) > 1 || (len(q.Sort) == 1 && q.Sort[0].Param.Code != "date" && q.Sort[0].Param.Code != "_lastUpdated") {
		return nil, fault.New(fault.NotSupported, "search parameter _sort: AuditEvent is sorted by date or -date")
	}
	if len(q.Sort) == 1 {
		w.all.Newest = q.Sort[0].Desc
	}
	for i := range q.Terms {
		if q.Terms[i].Chain != nil {
			return nil, fault.New(fault.NotSupported, "search parameter %s: a search on AuditEvent has no chains", q.Terms[i].Param.Code)
		}
		w.bound(&q.Terms[i])
	}
	w.until = audit.FirstAt(s.now().Add(time.Millisecond))
	cur, err := c.open64(q)
	if err != nil {
		return nil, err
	}
	after := uuid.Nil
	if cur != nil {
		var err1, err2 error
		after, err1 = uuid.Parse(cur.Event)
		w.until, err2 = uuid.Parse(cur.Until)
		if err1 != nil || err2 != nil {
			return nil, fault.New(fault.Invalid, "search parameter _cursor: not a cursor of this search")
		}
	}
	w.all.Before = least(w.all.Before, w.until)
	w.page = w.all
	if w.all.Newest {
		w.page.Before = least(w.all.Before, after)
	} else {
		w.page.After = most(w.all.After, after)
	}
	return w, nil
}

// least of two upper ends; uuid.Nil is none.
func least(a, b uuid.UUID) uuid.UUID {
	if a == uuid.Nil || (b != uuid.Nil && bytes.Compare(b[:], a[:]) < 0) {
		return b
	}
	return a
}

// most of two lower ends.
func most(a, b uuid.UUID) uuid.UUID {
	if bytes.Compare(a[:], b[:]) < 0 {
		return b
	}
	return a
}

// bound narrows the walk by one term, to no less than what matches it.
func (w *trailWalk) bound(t *search.Term) {
	if t.Modifier != search.None || len(t.Values) == 0 {
		return
	}
	v := &t.Values[0]
	switch {
	case t.Param.Kind == search.ID && w.all.Only == nil:
		for i := range t.Values {
			id, err := uuid.Parse(t.Values[i].Text)
			if err != nil || id.String() != t.Values[i].Text {
				id = uuid.Nil // no event has it
			}
			w.all.Only = append(w.all.Only, id)
		}
	case len(t.Values) > 1:
	case t.Param.Code == "patient" && v.Link.ID != "" && (v.Link.Type == "" || v.Link.Type == "Patient"):
		w.about = v.Link.ID
	case t.Param.Kind == search.Date || t.Param.Kind == search.LastUpdated:
		w.boundTime(v)
	}
}

// idLag is how much older an event's id can be than the time it shows: rows of early releases took both one after the other.
const idLag = time.Second

func (w *trailWalk) boundTime(v *search.Value) {
	from, to := false, false
	switch v.Prefix {
	case search.Ne:
	case search.Gt, search.Ge, search.Sa:
		from = true
	case search.Lt, search.Le, search.Eb:
		to = true
	default:
		from, to = true, true
	}
	if from {
		w.all.After = most(w.all.After, audit.FirstAt(microTime(v.Span.Lo).Add(-idLag)))
	}
	if to {
		w.all.Before = least(w.all.Before, audit.FirstAt(microTime(v.Span.Hi).Add(2*time.Millisecond)))
	}
}

// fill takes matches until the page is full, or enough was looked at.
func (w *trailWalk) fill(ctx context.Context, page *Page) error {
	looked, last := 0, uuid.Nil
	for v, err := range w.events(ctx, w.page, min(w.q.Count+1, firstChunk)) {
		if err != nil {
			return err
		}
		if len(page.Matches) == w.q.Count || looked == trailLooked {
			page.Next = w.c.seal64(w.q, cursor{Event: last.String(), Until: w.until.String()})
			return nil
		}
		ok, err := w.match(v)
		if err != nil {
			return err
		}
		if ok {
			page.Matches = append(page.Matches, v.resource())
		}
		looked, last = looked+1, v.event.ID
	}
	return nil
}

// count counts all matches of the walk, from its beginning.
func (w *trailWalk) count(ctx context.Context) (n int, err error) {
	looked := 0
	for v, err := range w.events(ctx, w.all, audit.PageLimit) {
		if err != nil {
			return 0, err
		}
		if looked++; looked > trailCounted {
			return 0, fault.New(fault.Unprocessable, "a count looks at no more than %d events; narrow the search", trailCounted)
		}
		ok, err := w.match(v)
		if err != nil {
			return 0, err
		}
		if ok {
			n++
		}
	}
	return n, nil
}

// match judges an event by the resource that shows it, as any search judges its hits.
func (w *trailWalk) match(v *seen) (bool, error) {
	doc, err := fhir.Parse(v.body, fhir.DefaultLimits())
	if err != nil {
		return false, fault.Wrap(fault.Internal, err, "an audit event is not shown as JSON")
	}
	defer doc.Release()
	return w.q.Match(doc.Root()), nil
}

// events gives the walk's events in order, of the chart database and, unless a patient is named, of the roles that see no chart: theirs
// are of no patient.
func (w *trailWalk) events(ctx context.Context, rng audit.Range, chunk int) iter.Seq2[*seen, error] {
	lists := []*trailList{{rng: rng, chunk: chunk, read: func(r audit.Range) ([]audit.Plain, error) { return w.s.charted(ctx, w.c, w.about, r) }}}
	if w.c.index().Patient(w.about) == 0 {
		lists = append(lists, &trailList{rng: rng, chunk: chunk, read: func(r audit.Range) ([]audit.Plain, error) {
			return w.s.elsewhere.AuditPage(ctx, audit.Ask{Tenant: w.c.Scope.Tenant(), Proof: w.c.Proof, Range: r})
		}})
	}
	return func(yield func(*seen, error) bool) {
		for {
			var next *trailList
			for _, l := range lists {
				if err := l.want(); err != nil {
					yield(nil, err)
					return
				}
				if len(l.held) > 0 && (next == nil || (bytes.Compare(l.held[0].ID[:], next.held[0].ID[:]) > 0) == rng.Newest) {
					next = l
				}
			}
			if next == nil {
				return
			}
			v, err := w.c.see(next.held[0])
			next.held = next.held[1:]
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

// trailList is one ordered list of events, read a chunk at a time.
type trailList struct {
	read  func(audit.Range) ([]audit.Plain, error)
	rng   audit.Range
	chunk int
	held  []audit.Plain
	done  bool
}

// want makes sure that the list's next event is held, if there is one.
func (l *trailList) want() (err error) {
	if len(l.held) > 0 || l.done {
		return nil
	}
	if len(l.rng.Only) > 0 {
		return l.only()
	}
	l.rng.Limit = l.chunk
	if l.held, err = l.read(l.rng); err != nil {
		return err
	}
	l.done = len(l.held) < l.chunk
	if n := len(l.held); n > 0 && l.rng.Newest {
		l.rng.Before = l.held[n-1].ID
	} else if n > 0 {
		l.rng.After = l.held[n-1].ID
	}
	l.chunk = min(4*l.chunk, audit.PageLimit)
	return nil
}

// only reads events by their ids, at once, and keeps of them what lies in the range.
func (l *trailList) only() (err error) {
	l.rng.Limit, l.done = audit.PageLimit, true
	if l.held, err = l.read(l.rng); err != nil {
		return err
	}
	l.held = slices.DeleteFunc(l.held, func(p audit.Plain) bool {
		return bytes.Compare(p.ID[:], l.rng.After[:]) <= 0 || bytes.Compare(p.ID[:], l.rng.Before[:]) >= 0
	})
	slices.SortFunc(l.held, func(a, b audit.Plain) int {
		if l.rng.Newest {
			a, b = b, a
		}
		return bytes.Compare(a.ID[:], b.ID[:])
	})
	return nil
}
