package record

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/phi"
	"github.com/cordon-ehr/cordon/internal/placement"
)

const (
	readSQL    = `SELECT rid, lu, ver, keyver, type, op, body FROM version WHERE tenant = $1 AND rid = $2 ORDER BY ver DESC LIMIT 1`
	historySQL = `SELECT rid, lu, ver, keyver, type, op, body FROM version WHERE tenant = $1 AND rid = $2 AND ver < $3 ORDER BY ver DESC LIMIT $4`
)

func (v *stored) scan(r pgx.Row) error {
	return r.Scan(&v.rid, &v.lu, &v.ver, &v.keyver, &v.typ, &v.op, &v.body)
}

// one queues a query of at most one stored version; found tells.
func one(b *placement.Batch, into *stored, found *bool, sql string, args ...any) {
	b.Queue(sql, args...).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			*found = true
			if err := into.scan(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

// Read gives the current version (FHIR R4 http.html#read). Faults: NotFound, Gone, Forbidden.
func (s *Service) Read(ctx context.Context, c *Caller, t *fhir.Type, id string) (Resource, error) {
	if err := s.allow(ctx, c, doRead, t, id); err != nil {
		return Resource{}, err
	}
	return s.get(ctx, c, doRead, t, id, newest)
}

// Vread gives one version (FHIR R4 http.html#vread). Faults as Read.
func (s *Service) Vread(ctx context.Context, c *Caller, t *fhir.Type, id string, version int64) (Resource, error) {
	if err := s.allow(ctx, c, doVread, t, id); err != nil {
		return Resource{}, err
	}
	if version < 1 || version > 1<<31-1 {
		version = 0 // no version has this number; nothing is found
	}
	return s.get(ctx, c, doVread, t, id, int32(version))
}

// newest asks get for the current version.
const newest int32 = -1

func (s *Service) get(ctx context.Context, c *Caller, what action, t *fhir.Type, id string, version int32) (Resource, error) {
	rid, check := c.rid(t, id)
	row, found, err := s.row(ctx, c, rid, version)
	if err != nil {
		return Resource{}, err
	}
	v := stored{row.Rid, row.Lu, row.Ver, row.KeyVer, row.Type, row.Op, row.Body}
	var r Resource
	if err = notFound(); found {
		r, err = c.open(&v, id, check)
	}
	if err == nil && r.Deleted {
		err = gone()
	}
	if err != nil {
		if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Gone) {
			if rerr := s.record(ctx, c, s.missing(c, what, t.Name, id, fault.Of(err).Kind.String())); rerr != nil {
				return Resource{}, rerr
			}
		}
		return Resource{}, err
	}
	if err := s.record(ctx, c, s.ofOne(c, what, &r, 0)); err != nil {
		return Resource{}, err
	}
	return r, nil
}

func (s *Service) row(ctx context.Context, c *Caller, rid int64, version int32) (placement.Version, bool, error) {
	if version == newest {
		return s.finder.Newest(ctx, c.Scope, rid)
	}
	return s.finder.At(ctx, c.Scope, rid, version)
}

// History gives versions older than before (0 = from the newest), newest first, at most count, and whether there are more
// (FHIR R4 http.html#history). Deletions are among them.
func (s *Service) History(ctx context.Context, c *Caller, t *fhir.Type, id string, before int64, count int) ([]Resource, bool, error) {
	if err := s.allow(ctx, c, doHistory, t, id); err != nil {
		return nil, false, err
	}
	rid, check := c.rid(t, id)
	if before <= 0 || before > 1<<31-1 {
		before = 1<<31 - 1
	}
	var rows []stored
	err := s.charts.Read(ctx, c.Scope, func(b *placement.Batch) {
		b.Queue(historySQL, rid, int32(before), count+1).Query(func(r pgx.Rows) error {
			var err error
			rows, err = collect(r)
			return err
		})
	})
	if err != nil {
		return nil, false, err
	}
	more := len(rows) > count
	if more {
		rows = rows[:count]
	}
	out := make([]Resource, len(rows))
	for i := range rows {
		if out[i], err = c.open(&rows[i], id, check); err != nil {
			return nil, false, err
		}
	}
	if len(out) == 0 && before == 1<<31-1 && count > 0 {
		if err := s.record(ctx, c, s.missing(c, doHistory, t.Name, id, "not-found")); err != nil {
			return nil, false, err
		}
		return nil, false, notFound()
	}
	events := s.ofSet(c, doHistory, t.Name, out)
	for i := range events {
		events[i].Entity.ID = phi.Text(id)
	}
	return out, more, s.record(ctx, c, events)
}

func collect(r pgx.Rows) ([]stored, error) {
	var out []stored
	for r.Next() {
		var v stored
		if err := v.scan(r); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, r.Err()
}
