package cell

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/lease"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Feed gives a page of a tenant's chart events in the order of their transactions, for a stream to a SIEM. What could be of a patient is
// taken out here, so that it never leaves the cell. A tenant of whom there is nothing new costs no lease; one of whom there is
// has its reading recorded once for each ticket, before its first event leaves. In the place of an event that does not open stands one
// that says so. An ask for no tenant learns how far the database can be read.
func (c *Cell) Feed(ctx context.Context, a audit.FeedAsk) (page audit.FeedPage, err error) {
	if a.Tenant.IsZero() {
		if err = c.walls.OK(); err == nil {
			page.Until, err = c.charts.Horizon(ctx)
		}
		return page, err
	}
	scope, err := c.auditScope(a.Tenant, a.By)
	if err != nil {
		return page, err
	}
	if a.Until == 0 {
		if a.Until, err = c.charts.Horizon(ctx); err != nil {
			return page, err
		}
	}
	page.Until = a.Until
	rows, last, err := c.charts.Feed(ctx, scope, a)
	if page.Last = last; err != nil || len(rows) == 0 {
		return page, err
	}
	if own := c.feeds.told(a.Tenant, rows); own != nil {
		page.Events = own
		return page, nil
	}
	ring := c.feeds.get(a.Ticket)
	if ring == nil || ring.Tenant != a.Tenant {
		if ring, err = c.auditRing(ctx, a.Tenant, a.Ticket, a.By); err != nil {
			return page, err
		}
		e := reading(scope, c.cfg.Name, "stream", a.By)
		if err := c.recordSealed(ctx, scope, ring, e, 0); err != nil {
			return page, err
		}
		c.feeds.put(a.Ticket, ring)
		c.feeds.tell(e)
	}
	open := c.unsealer(ctx, a.Tenant, ring, a.Ticket, a.By)
	for _, r := range rows {
		e, _, whole, err := c.shown(a.Tenant, open, r)
		if err != nil {
			return page, err
		}
		if !whole {
			page.Events = append(page.Events, audit.Plain{ID: r.ID, JSON: e.Marshal()})
			continue
		}
		page.Events = append(page.Events, audit.Plain{ID: r.ID, JSON: e.Minimal(r.Patient).Marshal()})
	}
	return page, nil
}

// feedRings keeps the audit keys of the streams under way, each by the ticket that opened it and no longer than a ticket lives: a stream
// asks every second, and each lease is an event itself. It keeps, too, which events this cell made because a stream was read: they hold
// nothing of a chart, and are told without a key. Else each reading would make the next, for as long as somebody polls.
type feedRings struct {
	mu    sync.Mutex // guards rings and own
	rings map[string]feedRing
	own   map[uuid.UUID]audit.Event
}

// maxOwn bounds what is remembered; what was forgotten costs a lease and one more event.
const maxOwn = 10_000

// tell remembers an event of a reading.
func (f *feedRings) tell(e audit.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.own == nil || len(f.own) >= maxOwn {
		f.own = map[uuid.UUID]audit.Event{}
	}
	f.own[e.ID] = e
}

// told gives the events of rows of which each is of a reading that this process recorded, else nil.
func (f *feedRings) told(t tenant.ID, rows []audit.Row) []audit.Plain {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]audit.Plain, 0, len(rows))
	for _, r := range rows {
		e, ok := f.own[r.ID]
		if !ok || e.Tenant != t {
			return nil
		}
		out = append(out, audit.Plain{ID: r.ID, JSON: e.Minimal(0).Marshal()})
	}
	return out
}

type feedRing struct {
	*lease.Ring
	until time.Time
}

// feedRingLife is shorter than the life of a ticket.
const feedRingLife = 90 * time.Second

func (f *feedRings) get(ticket string) *lease.Ring {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r, ok := f.rings[ticket]; ok && time.Now().Before(r.until) {
		return r.Ring
	}
	return nil
}

// put keeps a ring, and forgets those that are over.
func (f *feedRings) put(ticket string, r *lease.Ring) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for k, old := range f.rings {
		if !now.Before(old.until) {
			delete(f.rings, k)
		}
	}
	if f.rings == nil {
		f.rings = map[string]feedRing{}
	}
	f.rings[ticket] = feedRing{r, now.Add(feedRingLife)}
}

// drop forgets a tenant's keys.
func (f *feedRings) drop(t tenant.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for k, r := range f.rings {
		if r.Tenant == t {
			delete(f.rings, k)
		}
	}
}
