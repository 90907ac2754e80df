package record

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/fhir/search"
	"github.com/cordon-ehr/cordon/internal/placement"
)

// matches gives what a condition finds: at most two, enough to know whether it is one.
func (s *Service) matches(ctx context.Context, c *Caller, read run, q *search.Query) ([]Resource, error) {
	all, err := s.matchAll(ctx, c, read, []*search.Query{q})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// matchAll answers many conditions in one round trip.
func (s *Service) matchAll(ctx context.Context, c *Caller, read run, queries []*search.Query) ([][]Resource, error) {
	const n = 3
	plans := make([]*planned, len(queries))
	rows := make([][]candidate, len(queries))
	for i, q := range queries {
		chained, err := s.chains(ctx, c, read, q)
		if err != nil {
			return nil, err
		}
		plans[i] = c.plan(q, chained)
	}
	if len(plans) == 0 {
		return nil, nil
	}
	err := read(ctx, func(b *placement.Batch) {
		for i, pl := range plans {
			sql, params := pl.Page(nil, n)
			b.Queue(sql, params...).Query(func(r pgx.Rows) (err error) {
				rows[i], err = candidates(r)
				return err
			})
		}
	})
	if err != nil {
		return nil, err
	}
	out := make([][]Resource, len(queries))
	for i, pl := range plans {
		if out[i], err = s.verified(ctx, c, read, pl, rows[i], n); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// verified judges the first candidates; when there may be more and fewer than two matched, it goes through all.
func (s *Service) verified(ctx context.Context, c *Caller, read run, pl *planned, rows []candidate, n int) (out []Resource, err error) {
	hits, err := c.judged(pl, rows)
	if err != nil {
		return nil, err
	}
	for i := range hits {
		if hits[i].ok {
			out = append(out, hits[i].Resource)
		}
	}
	if len(rows) < n || len(out) > 1 {
		return out, nil
	}
	out = nil
	err = s.all(ctx, c, read, pl, maxGathered, func(h *hit) {
		if len(out) < 2 {
			out = append(out, h.Resource)
		}
	})
	return out, err
}
