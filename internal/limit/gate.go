package limit

import (
	"context"
	"sync"
	"time"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Class says how much a piece of work may cost.
type Class uint8

// The classes.
const (
	Light Class = iota
	Heavy
)

// Total bounds a Gate over all tenants.
type Total struct {
	Slots        int // at once
	CrowdedHeavy int // heavy ones at once while more than one tenant is active
	Waiting      int // at once; a tenant has no more of them than are free
}

// crowd is how long a tenant counts as active after its last request.
const crowd = time.Second

// Gate is a number of slots that tenants share. Who finds none free waits in a queue of its tenant and class; queues are served in turns, so that
// a tenant with a long queue delays its own. It is safe for concurrent use; to enter and leave costs less than a microsecond.
type Gate struct {
	total   Total
	mu      sync.Mutex // guards the rest
	running int
	heavy   int
	waiting int
	tenants map[tenant.ID]*member
	recent  [2]seen // the last two tenants that were here, the last first
	turns   []*flow // the flows with waiters, who is next first
}

type seen struct {
	who *member
	at  time.Time
}

// member is one tenant at a gate.
type member struct {
	id      tenant.ID
	share   Share
	running [2]int // by class
	flows   [2]flow
}

// flow are the waiters of one tenant and class, in the order in which they came.
type flow struct {
	of    *member
	class Class
	queue []*waiter
}

type waiter struct {
	in chan struct{} // closed when it may go
	ok bool          // guarded by the gate: it may go
}

// Pass is a slot taken. The zero Pass holds none.
type Pass struct {
	gate  *Gate
	who   *member
	class Class
}

// NewGate makes a gate.
func NewGate(t Total) *Gate { return &Gate{total: t, tenants: map[tenant.ID]*member{}} }

// kept bounds the idle members that are remembered.
const kept = 1024

// Enter waits for a slot until ctx ends. share is the tenant's now; a change holds from the next call on. Leave gives the slot back.
func (g *Gate) Enter(ctx context.Context, id tenant.ID, share *Share, class Class) (Pass, error) {
	now := time.Now()
	g.mu.Lock()
	m := g.tenants[id]
	if m == nil {
		m = &member{id: id}
		m.flows = [2]flow{{of: m, class: Light}, {of: m, class: Heavy}}
		g.tenants[id] = m
	}
	m.share = *share
	g.saw(m, now)
	f := &m.flows[class]
	p := Pass{g, m, class}
	if len(f.queue) == 0 && g.fits(m, class, now) {
		g.start(m, class)
		g.mu.Unlock()
		return p, nil
	}
	if len(f.queue) >= m.share.Waiting {
		g.mu.Unlock()
		return Pass{}, refused(Queue, time.Second)
	}
	if len(m.flows[Light].queue)+len(m.flows[Heavy].queue) >= g.total.Waiting-g.waiting {
		g.mu.Unlock()
		return Pass{}, refused(Full, time.Second)
	}
	w := &waiter{in: make(chan struct{})}
	if len(f.queue) == 0 {
		g.turns = append(g.turns, f)
	}
	f.queue = append(f.queue, w)
	g.waiting++
	g.mu.Unlock()
	select {
	case <-w.in:
		return p, nil
	case <-ctx.Done():
		return Pass{}, g.giveUp(p, w, ctx.Err())
	}
}

// Leave gives the slot to who is next.
func (p Pass) Leave() {
	if p.gate == nil {
		return
	}
	g := p.gate
	now := time.Now()
	g.mu.Lock()
	g.running--
	p.who.running[p.class]--
	if p.class == Heavy {
		g.heavy--
	}
	g.saw(p.who, now)
	g.next(now)
	if len(g.tenants) > kept && p.who.idle() {
		delete(g.tenants, p.who.id)
	}
	g.mu.Unlock()
}

// State gives how many hold a slot and how many wait for one.
func (g *Gate) State() (running, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running, g.waiting
}

func (m *member) idle() bool {
	return m.running[Light]+m.running[Heavy]+len(m.flows[Light].queue)+len(m.flows[Heavy].queue) == 0
}

// saw remembers that a tenant is active.
func (g *Gate) saw(m *member, now time.Time) {
	if g.recent[0].who != m {
		g.recent[1] = g.recent[0]
	}
	g.recent[0] = seen{m, now}
}

// crowded reports whether anyone but m is active.
func (g *Gate) crowded(m *member, now time.Time) bool {
	other := g.recent[0]
	if other.who == m {
		other = g.recent[1]
	}
	return other.who != nil && (other.who.running[Light]+other.who.running[Heavy] > 0 || now.Sub(other.at) < crowd)
}

// fits reports whether one more of m's may run. Each limit is one at least, so that a queue always moves.
func (g *Gate) fits(m *member, class Class, now time.Time) bool {
	if g.running >= g.total.Slots {
		return false
	}
	crowded := g.crowded(m, now)
	if class == Light {
		most := m.share.Light
		if crowded {
			most = m.share.CrowdedLight
		}
		return m.running[Light] < max(1, most)
	}
	most := m.share.Heavy
	if crowded {
		most = m.share.CrowdedHeavy
		if g.heavy >= max(1, g.total.CrowdedHeavy) {
			return false
		}
	}
	return m.running[Heavy] < max(1, most)
}

func (g *Gate) start(m *member, class Class) {
	g.running++
	m.running[class]++
	if class == Heavy {
		g.heavy++
	}
}

// next lets in who may go: one of each flow in turn, until nobody fits.
func (g *Gate) next(now time.Time) {
	for passed := 0; passed < len(g.turns); {
		f := g.turns[0]
		g.turns = g.turns[1:]
		if !g.fits(f.of, f.class, now) {
			g.turns = append(g.turns, f)
			passed++
			continue
		}
		w := f.queue[0]
		f.queue = f.queue[1:]
		g.waiting--
		g.start(f.of, f.class)
		w.ok = true
		close(w.in)
		if len(f.queue) > 0 {
			g.turns = append(g.turns, f)
		}
		passed = 0
	}
}

// giveUp takes a waiter out of its queue. One that was let in meanwhile gives its slot back.
func (g *Gate) giveUp(p Pass, w *waiter, err error) error {
	g.mu.Lock()
	if w.ok {
		g.mu.Unlock()
		p.Leave()
	} else {
		f := &p.who.flows[p.class]
		f.queue = without(f.queue, w)
		g.waiting--
		if len(f.queue) == 0 {
			g.turns = without(g.turns, f)
		}
		g.mu.Unlock()
	}
	return fault.Wrap(fault.Unavailable, err, "the request was ended while it waited for its turn")
}

func without[T comparable](list []T, v T) []T {
	for i := range list {
		if list[i] == v {
			return append(list[:i], list[i+1:]...)
		}
	}
	return list
}
