package record

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/authz"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/phi"
	"github.com/cordon-ehr/cordon/internal/placement"
)

// Outcome is what became of one entry of a transaction.
type Outcome struct {
	Status   int // HTTP status of the entry
	Resource Resource
}

var doTransaction = action{"transaction", authz.Create, audit.Execute}

// transaction is one Bundle on its way. Steps: read the entries, resolve what they refer to, make the changes, write all of
// them with the events in one database transaction.
type transaction struct {
	s       *Service
	c       *Caller
	entries []Entry // those that write, in the order of the Bundle
	links   []fhir.Link
	changes []*change             // by position in entries; nil for one that writes nothing
	done    []Outcome             // by position in entries
	ids     map[string]string     // fullUrl → Type/id
	texts   []string              // the searches that it runs: conditions and conditional references
	byQuery map[string][]Resource // Type?query → matches
	rows    []audit.Row           // its events, sealed
}

// Transaction stores all entries or none (FHIR R4 http.html#transaction). entries are those with POST, PUT and DELETE; links are
// the references and URIs of the whole Bundle. Outcomes come in the order of entries. Faults name the entry.
func (s *Service) Transaction(ctx context.Context, c *Caller, entries []Entry, links []fhir.Link) ([]Outcome, error) {
	for try := 1; ; try++ {
		t := &transaction{s: s, c: c, entries: entries, links: links, changes: make([]*change, len(entries)), done: make([]Outcome, len(entries)),
			ids: map[string]string{}, byQuery: map[string][]Resource{}}
		err := t.run(ctx)
		// Of two transactions that write the same resource the later one begins again on the new version, unless it stated
		// the version it wants.
		if fault.Is(err, fault.Conflict) && try < attempts {
			continue
		}
		return t.done, err
	}
}

func (t *transaction) run(ctx context.Context) error {
	if err := t.plan(ctx); err != nil {
		return err
	}
	texts, locks, err := t.queries()
	if err != nil {
		return err
	}
	t.texts = texts
	queries, err := t.conditions(ctx, texts)
	if err != nil {
		return err
	}
	if err := t.current(ctx); err != nil {
		return err
	}
	if len(locks) == 0 {
		if err := t.resolve(ctx, t.s.reading(t.c), texts, queries); err != nil {
			return err
		}
		if err := t.fill(); err != nil {
			return err
		}
		return t.s.charts.Write(ctx, t.c.Scope, t.queue)
	}
	// Conditional creates look and write under locks, so that two Bundles with the same condition make one resource.
	return t.s.charts.Within(ctx, t.c.Scope, func(tx *placement.Tx) error {
		if err := tx.Lock(ctx, locks); err != nil {
			return err
		}
		if err := t.resolve(ctx, tx.Run, texts, queries); err != nil {
			return err
		}
		if err := t.fill(); err != nil {
			return err
		}
		return tx.Run(ctx, t.queue)
	})
}

// plan checks every entry, asks authorization and gives new resources their ids.
func (t *transaction) plan(ctx context.Context) error {
	at := map[string]int{}
	asked := map[string]bool{}
	for i := range t.entries {
		e := &t.entries[i]
		if err := e.target(); err != nil {
			return err
		}
		what := map[string]action{"POST": doCreate, "PUT": doUpdate, "DELETE": doDelete}[e.Method]
		if k := e.Method + e.Type.Name; !asked[k] {
			asked[k] = true
			if err := t.s.allow(ctx, t.c, what, e.Type, e.ID); err != nil {
				return err
			}
		}
		ch := &change{typ: e.Type, id: e.ID, lu: t.s.stamp()}
		if e.Method == "POST" {
			ch.id, ch.ver, ch.op = uuid.NewString(), 1, opCreate
		}
		ch.rid, ch.check = t.c.rid(e.Type, ch.id)
		t.changes[i] = ch
		ref := e.Type.Name + "/" + ch.id
		if j, twice := at[ref]; twice {
			return e.wrong(fault.Invalid, "duplicate", ".request.url", "the resource of entry %d is written again", t.entries[j].Index)
		}
		at[ref] = i
		if e.FullURL != "" && e.Method != "DELETE" {
			if _, twice := t.ids[e.FullURL]; twice {
				return e.wrong(fault.Invalid, "duplicate", ".fullUrl", "another entry has this fullUrl")
			}
			t.ids[e.FullURL] = ref
		}
	}
	return nil
}

// current reads what PUT and DELETE replace, in one round trip.
func (t *transaction) current(ctx context.Context) error {
	found, got := make([]bool, len(t.entries)), make([]stored, len(t.entries))
	any := false
	err := t.s.charts.Read(ctx, t.c.Scope, func(b *placement.Batch) {
		for i := range t.entries {
			if t.entries[i].Method != "POST" {
				any = true
				one(b, &got[i], &found[i], readSQL, t.changes[i].rid)
			}
		}
	})
	if err != nil || !any {
		return err
	}
	for i := range t.entries {
		e, ch := &t.entries[i], t.changes[i]
		if e.Method == "POST" {
			continue
		}
		if err := t.c.next(ch, &got[i], found[i]); err != nil {
			return err
		}
		if e.IfMatch != 0 && (ch.op == opCreate || int64(got[i].ver) != e.IfMatch) {
			return e.wrong(fault.Precondition, "conflict", ".request.ifMatch", "the version named by ifMatch is not the current one")
		}
		if e.Method == "DELETE" {
			if ch.op == opCreate {
				t.changes[i], t.done[i] = nil, Outcome{Status: 204}
				continue
			}
			ch.op = opDelete
		}
	}
	return nil
}

// fill makes the final bytes of each change, and blinds and seals them, on all cores; then it makes the events of all.
func (t *transaction) fill() error {
	var g errgroup.Group
	g.SetLimit(parallel)
	const portion = 64
	for from := 0; from < len(t.entries); from += portion {
		g.Go(func() (err error) {
			defer func() { // a panic on a goroutine of ours would end the process, and with it every tenant
				if recover() != nil {
					err = fault.New(fault.Internal, "internal error")
				}
			}()
			for i := from; i < min(from+portion, len(t.entries)); i++ {
				if err := t.fillOne(i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	var err error
	t.rows, err = t.c.seal(t.events())
	return err
}

// parallel is how many goroutines one Bundle may use.
const parallel = 4

func (t *transaction) fillOne(i int) error {
	ch, e := t.changes[i], &t.entries[i]
	if ch == nil {
		return nil
	}
	if ch.op != opDelete {
		splices, err := t.splices(e)
		if err != nil {
			return err
		}
		ch.json = fhir.StampWith(nil, e.Resource, ch.id, int64(ch.ver), ch.lu, splices)
	}
	if err := t.c.finish(ch); err != nil {
		return err
	}
	t.done[i] = Outcome{Status: map[int16]int{opCreate: 201, opUpdate: 200, opDelete: 204}[ch.op], Resource: ch.resource()}
	return nil
}

// queue adds the changes and their events to the database transaction.
func (t *transaction) queue(b *placement.Batch) {
	changes := slices.DeleteFunc(slices.Clone(t.changes), func(ch *change) bool { return ch == nil })
	if len(changes) > 0 {
		queue(b, changes)
	}
	b.Audit(t.rows)
}

// events gives one event per patient touched with all that was written of them, and one for what concerns no patient.
func (t *transaction) events() []audit.Event {
	var order []string
	refs := map[string][]phi.Text{}
	for i := range t.done {
		r := &t.done[i].Resource
		if r.Type == nil {
			continue
		}
		for _, p := range append([]string{""}[:1-min(1, len(r.patients))], r.patients...) {
			if _, ok := refs[p]; !ok {
				order = append(order, p)
			}
			refs[p] = append(refs[p], phi.Text(r.Reference()))
		}
	}
	if len(order) == 0 {
		order = []string{""}
	}
	out := make([]audit.Event, len(order))
	for i, p := range order {
		e := t.c.event(t.s.site, doTransaction)
		e.Entity.Type, e.Entity.Count, e.Resources, e.Query = "Bundle", len(refs[p]), refs[p], phi.Text(strings.Join(t.texts, "\n"))
		if p != "" {
			e.Patient = phi.Text("Patient/" + p)
		}
		out[i] = e
	}
	return out
}
