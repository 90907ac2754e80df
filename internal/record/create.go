package record

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/fhir/search"
	"github.com/cordon-ehr/cordon/internal/phi"
	"github.com/cordon-ehr/cordon/internal/placement"
)

// check validates structure; what a resource on its own may not hold (conditional references, urn: references) is refused.
func check(root fhir.Value, t *fhir.Type) error {
	res := fhir.Check(root, t)
	if f := fault.Issues(fault.Invalid, res.Issues); f != nil {
		return f
	}
	if t.Name == "Bundle" {
		return nil // its entries refer to each other by fullUrl, urns too (FHIR R4 bundle.html#references)
	}
	for _, l := range res.Links {
		if conditional(l.Target) || isURN(l.Target) {
			return &fault.Fault{Kind: fault.Invalid, Text: "a reference by query or urn is resolved only inside a transaction Bundle",
				Issues: []fault.Issue{{Severity: "error", Code: "invalid", Expression: fhir.PlaceAt(root, l.Start),
					Diagnostics: "a reference by query or urn is resolved only inside a transaction Bundle"}}}
		}
	}
	return nil
}

// stamp is a change's moment: microseconds, as stored and as shown.
func (s *Service) stamp() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// Create stores a new resource under a new id (FHIR R4 http.html#create). With a condition (If-None-Exist) it stores only when
// nothing matches; when one resource matches, that one is given and created is false; when several do, Precondition.
func (s *Service) Create(ctx context.Context, c *Caller, t *fhir.Type, root fhir.Value, condition string) (r Resource, created bool, err error) {
	if err := s.allow(ctx, c, doCreate, t, ""); err != nil {
		return r, false, err
	}
	if err := check(root, t); err != nil {
		return r, false, err
	}
	if condition != "" {
		return s.createUnless(ctx, c, t, root, condition)
	}
	ch, err := s.fresh(c, t, root)
	if err != nil {
		return r, false, err
	}
	r = ch.resource()
	events, err := c.seal(s.ofOne(c, doCreate, &r, 0))
	if err != nil {
		return r, false, err
	}
	err = s.charts.Write(ctx, c.Scope, func(b *placement.Batch) {
		queue(b, []*change{ch})
		b.Audit(events)
	})
	return r, err == nil, err
}

// fresh makes the first version of a new resource.
func (s *Service) fresh(c *Caller, t *fhir.Type, root fhir.Value) (*change, error) {
	ch := &change{typ: t, id: uuid.NewString(), ver: 1, op: opCreate, lu: s.stamp()}
	ch.rid, ch.check = c.rid(t, ch.id)
	ch.json = fhir.Stamp(nil, root, ch.id, 1, ch.lu)
	return ch, c.finish(ch)
}

// createUnless looks and writes in one transaction, under a lock on the condition: of two callers with the same condition
// the second finds what the first made.
func (s *Service) createUnless(ctx context.Context, c *Caller, t *fhir.Type, root fhir.Value, condition string) (r Resource, created bool, err error) {
	q, err := s.condition(ctx, c, t, condition)
	if err != nil {
		return r, false, err
	}
	ch, err := s.fresh(c, t, root)
	if err != nil {
		return r, false, err
	}
	var events []audit.Event
	err = s.charts.Within(ctx, c.Scope, func(tx *placement.Tx) error {
		if err := tx.Lock(ctx, []int64{c.conditionLock(t, condition)}); err != nil {
			return err
		}
		found, err := s.matches(ctx, c, tx.Run, q)
		if err != nil {
			return err
		}
		switch len(found) {
		case 0:
			r, created = ch.resource(), true
			events = s.ofOne(c, doCreate, &r, 0)
			rows, err := c.seal(events)
			if err != nil {
				return err
			}
			return tx.Run(ctx, func(b *placement.Batch) {
				queue(b, []*change{ch})
				b.Audit(rows)
			})
		case 1:
			r, created = found[0], false
			found := s.ofOne(c, doSearch, &r, 0)
			for i := range found { // what was asked tells what the answer disclosed
				found[i].Query = phi.Text(condition)
			}
			rows, err := c.seal(found)
			if err != nil {
				return err
			}
			return tx.Run(ctx, func(b *placement.Batch) { b.Audit(rows) })
		}
		return fault.New(fault.Precondition, "the condition matches more than one resource")
	})
	return r, created, err
}

// condition parses the query of a conditional interaction and asks whether the caller may search.
func (s *Service) condition(ctx context.Context, c *Caller, t *fhir.Type, raw string) (*search.Query, error) {
	if err := s.allow(ctx, c, doSearch, t, ""); err != nil {
		return nil, err
	}
	q, err := search.Parse(t, raw, search.Options{Base: c.Base, Now: s.now()})
	if err != nil {
		return nil, err
	}
	if len(q.Terms) == 0 || len(q.Sort)+len(q.Includes)+len(q.RevIncludes) > 0 || q.Cursor != "" {
		return nil, fault.New(fault.Invalid, "a condition is one or more search parameters of %s and nothing else", t.Name)
	}
	for i := range q.Terms { // asked here, before there is a transaction: to record a refusal takes another connection
		if t := &q.Terms[i]; t.Chain != nil {
			if err := s.allow(ctx, c, doSearch, fhir.ResourceType(t.Type), ""); err != nil {
				return nil, err
			}
		}
	}
	q.Count = 1 // a second match is fetched to see that there is more than one
	return q, nil
}

// conditionLock is the advisory lock of a condition, however it is spelled.
func (c *Caller) conditionLock(t *fhir.Type, raw string) int64 {
	return c.index().Condition(t, canonical(raw))
}

// canonical gives a condition in one spelling: the same parameters are the same text, whatever their order and escapes.
func canonical(raw string) string {
	pairs, err := search.Pairs(raw)
	if err != nil {
		return raw // refused where it is parsed
	}
	parts := make([]string, len(pairs))
	for i, p := range pairs {
		parts[i] = url.QueryEscape(p[0]) + "=" + url.QueryEscape(p[1])
	}
	slices.Sort(parts)
	return strings.Join(parts, "&")
}
