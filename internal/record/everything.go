package record

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/fhir/search"
	"github.com/cordon-ehr/cordon/internal/placement"
)

// everythingSQL gives a page of a patient's compartment in the order (type, rid): the resources whose patient it is first of all
// ($2), and those that name it besides (ref.param 0).
const everythingSQL = `SELECT v.rid, v.lu, v.ver, v.keyver, v.type, v.op, v.body FROM (
SELECT o.type, o.rid FROM (
(SELECT h.type, h.rid FROM head h WHERE h.tenant = $1 AND h.pat = $2 AND h.pat <> 0 AND h.live AND (h.type, h.rid) > ($3::int2, $4::int8) ORDER BY h.type, h.rid LIMIT $5)
UNION
(SELECT g.type, g.rid FROM ref r CROSS JOIN LATERAL (SELECT type, rid FROM head h WHERE h.tenant = $1 AND h.rid = r.rid AND h.live LIMIT 1) g
 WHERE r.tenant = $1 AND r.param = 0 AND r.dst = $2 AND (g.type, g.rid) > ($3::int2, $4::int8) ORDER BY g.type, g.rid LIMIT $5)) o
ORDER BY o.type, o.rid LIMIT $5) i
CROSS JOIN LATERAL (SELECT rid, lu, ver, keyver, type, op, body FROM version v WHERE v.tenant = $1 AND v.rid = i.rid ORDER BY v.ver DESC LIMIT 1) v
ORDER BY i.type, i.rid`

// everythingPage and pointedPage are how much is read, recorded and sent at a time: memory stays flat for the largest chart.
const (
	everythingPage = 500
	pointedPage    = 200
)

// Everything gives a patient's compartment and what it points at (FHIR R4 patient-operation-everything), in portions. The event
// of each patient in a portion is durable before emit is called with it. Types that the caller may not read are left out.
// Faults: NotFound, Gone, Forbidden.
func (s *Service) Everything(ctx context.Context, c *Caller, id string, emit func([]Resource) error) error {
	if err := s.allow(ctx, c, doEverything, patientType, id); err != nil {
		return err
	}
	pat, _ := c.rid(patientType, id)
	seen, asked, told := map[string]bool{}, map[search.Link]bool{}, map[string]bool{}
	var typ int16
	var rid int64
	for first := true; ; first = false {
		var patient stored
		found := !first // asked for with the first portion only
		rows, err := s.compartment(ctx, c, pat, typ, rid, func(b *placement.Batch) {
			if first {
				one(b, &patient, &found, readSQL, pat)
			}
		})
		if err != nil {
			return err
		}
		if !found || patient.op == opDelete {
			// Not there, or deleted, whatever still points at it: get finds out which, and records it.
			_, err := s.get(ctx, c, doEverything, patientType, id, newest)
			return err
		}
		out, links, err := c.readable(rows, seen, asked)
		if err != nil {
			return err
		}
		for {
			if len(out) > 0 {
				if err := s.record(ctx, c, s.newPatients(c, out, told)); err != nil {
					return err
				}
				if err := emit(out); err != nil {
					return err
				}
			}
			if len(links) == 0 {
				break
			}
			n := min(len(links), pointedPage)
			if out, err = s.pointedAt(ctx, c, links[:n], seen); err != nil {
				return err
			}
			links = links[n:]
		}
		if len(rows) < everythingPage {
			return nil
		}
		typ, rid = rows[len(rows)-1].typ, rows[len(rows)-1].rid
	}
}

func (s *Service) compartment(ctx context.Context, c *Caller, pat int64, typ int16, rid int64, also func(*placement.Batch)) (rows []stored, err error) {
	err = s.charts.Read(ctx, c.Scope, func(b *placement.Batch) {
		also(b)
		b.Queue(everythingSQL, pat, typ, rid, everythingPage).Query(func(r pgx.Rows) error {
			rows, err = collect(r)
			return err
		})
	})
	return rows, err
}

// readable opens rows, and collects the references that lead out of the compartment.
func (c *Caller) readable(rows []stored, seen map[string]bool, asked map[search.Link]bool) (out []Resource, links []search.Link, err error) {
	for i := range rows {
		r, err := c.open(&rows[i], "", 0)
		if err != nil {
			return nil, nil, err
		}
		err = r.look(func(root fhir.Value) {
			r.learn(root)
			if !c.mayRead(r.Type.Name) || seen[key(&r)] {
				return
			}
			seen[key(&r)] = true
			out = append(out, r)
			search.AllLinks(root, c.Base, func(l search.Link) {
				if l.Type != "" && !outside[l.Type] && !asked[l] && c.mayRead(l.Type) {
					asked[l] = true
					links = append(links, l)
				}
			})
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return out, links, nil
}

// outside are types that $everything does not follow a reference to: other patients' charts are not this patient's.
var outside = map[string]bool{"Patient": true, "Group": true, "RelatedPerson": true, "Person": true}

// pointedAt reads the resources outside any compartment that the patient's resources refer to: practitioners,
// organizations, locations, medications.
func (s *Service) pointedAt(ctx context.Context, c *Caller, links []search.Link, seen map[string]bool) ([]Resource, error) {
	compartments := fhir.PatientCompartment()
	var rids []int64
	for _, l := range links {
		if len(compartments[l.Type]) == 0 && !seen[l.Type+"/"+l.ID] {
			rid, _ := c.rid(fhir.ResourceType(l.Type), l.ID)
			rids = append(rids, rid)
		}
	}
	return s.bodies(ctx, c, s.reading(c), rids, func(r *Resource, _ fhir.Value) bool {
		first := !seen[key(r)]
		seen[key(r)] = true
		return first
	})
}
