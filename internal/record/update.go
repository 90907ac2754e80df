package record

import (
	"context"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/placement"
)

// attempts bounds how often a write without a stated version is tried again after another writer came first.
const attempts = 8

// Update stores a new version under an id, or the first one (FHIR R4 http.html#update, update as create). ifMatch, when not 0,
// is the version that must be current: else Precondition. created tells whether no version was current before.
func (s *Service) Update(ctx context.Context, c *Caller, t *fhir.Type, id string, root fhir.Value, ifMatch int64) (r Resource, created bool, err error) {
	if err := s.allow(ctx, c, doUpdate, t, id); err != nil {
		return r, false, err
	}
	if got := root.Get("id"); got.Kind() != fhir.String || got.Str() != id {
		return r, false, &fault.Fault{Kind: fault.Invalid, Text: "the id of the body must be that of the URL", Issues: []fault.Issue{{Severity: "error",
			Code: "value", Diagnostics: "the id of the body must be that of the URL", Expression: t.Name + ".id"}}}
	}
	if err := check(root, t); err != nil {
		return r, false, err
	}
	err = s.replace(ctx, c, t, id, ifMatch, func(ch *change) error {
		created = ch.op == opCreate
		ch.json = fhir.Stamp(nil, root, id, int64(ch.ver), ch.lu)
		return nil
	}, doUpdate, &r)
	return r, created, err
}

// Delete makes the resource gone (FHIR R4 http.html#delete). Deleting what is not there, or gone already, is no error and makes
// no version; so the answer for another tenant's id is that for nobody's.
func (s *Service) Delete(ctx context.Context, c *Caller, t *fhir.Type, id string, ifMatch int64) (r Resource, deleted bool, err error) {
	if err := s.allow(ctx, c, doDelete, t, id); err != nil {
		return r, false, err
	}
	err = s.replace(ctx, c, t, id, ifMatch, func(ch *change) error {
		if ch.op == opCreate {
			return fault.New(fault.Gone, "nothing to delete")
		}
		ch.op = opDelete
		return nil
	}, doDelete, &r)
	if fault.Is(err, fault.Gone) {
		return r, false, s.record(ctx, c, s.missing(c, doDelete, t.Name, id, "nothing to delete"))
	}
	return r, err == nil, err
}

// replace reads the current version, lets fill make the next and writes it; when another writer came first it begins again,
// unless the caller stated a version.
func (s *Service) replace(ctx context.Context, c *Caller, t *fhir.Type, id string, ifMatch int64, fill func(*change) error, what action, r *Resource) error {
	rid, checkHalf := c.rid(t, id)
	for try := 1; ; try++ {
		var v stored
		var found bool
		if err := s.charts.Read(ctx, c.Scope, func(b *placement.Batch) { one(b, &v, &found, readSQL, rid) }); err != nil {
			return err
		}
		ch := &change{typ: t, id: id, rid: rid, check: checkHalf, lu: s.stamp()}
		if err := c.next(ch, &v, found); err != nil {
			return err
		}
		if ifMatch != 0 && (ch.op == opCreate || int64(v.ver) != ifMatch) {
			return fault.New(fault.Precondition, "the version named by If-Match is not the current one")
		}
		if err := fill(ch); err != nil {
			return err
		}
		if err := c.finish(ch); err != nil {
			return err
		}
		*r = ch.resource()
		rows, err := c.seal(s.ofOne(c, what, r, int64(ch.ver)-1))
		if err != nil {
			return err
		}
		err = s.charts.Write(ctx, c.Scope, func(b *placement.Batch) {
			queue(b, []*change{ch})
			b.Audit(rows)
		})
		if !fault.Is(err, fault.Conflict) {
			return err
		}
		if ifMatch != 0 {
			return fault.New(fault.Precondition, "the version named by If-Match is not the current one")
		}
		if try == attempts {
			return err
		}
	}
}

// next sets what a change is by what it replaces: op is opCreate when no live version is there.
func (c *Caller) next(ch *change, v *stored, found bool) error {
	if !found {
		ch.ver, ch.op = 1, opCreate
		return nil
	}
	ch.ver, ch.op, ch.replaces = v.ver+1, opUpdate, true
	// A clock that stands still or goes back must not give a later version an earlier time.
	if at := ch.lu.UnixMicro(); at <= v.lu {
		ch.lu = microTime(v.lu + 1)
	}
	old, err := c.open(v, ch.id, ch.check)
	if err != nil {
		return err
	}
	if old.Deleted {
		ch.op = opCreate
		return nil
	}
	return old.look(func(root fhir.Value) { ch.before = c.index().Extract(root, ch.typ, ch.rid) })
}
