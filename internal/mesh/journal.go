package mesh

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cordon-ehr/cordon/internal/audit"
)

// Recorder makes an event durable, and may be asked again with the same one.
type Recorder interface {
	Record(ctx context.Context, e audit.Event) error
}

// Counters are the metrics of the mesh.
type Counters interface {
	MeshCall(peer, method, decision string)
	MeshRefused(reason string)
}

const (
	refusalsEvery = time.Second
	allowedEvery  = time.Minute
	maxLines      = 256 // different refusals between two recordings; more are counted together
)

// line is one kind of thing that happened, however often.
type line struct{ subtype, peer, method, reason, address string }

// Journal gathers a role's decisions and makes them durable: refusals within a second, what was allowed within a minute and at the end.
// Repeats become one event with a count, so that a flood of refusals writes few rows and none is lost. A recorder that is away is
// asked again until it answers; counting goes on meanwhile. It is safe for concurrent use.
type Journal struct {
	self    Identity
	count   Counters
	log     *slog.Logger
	mu      sync.Mutex // guards refusals
	lines   map[line]int
	outbox  []audit.Event // made, not yet durable; of flush alone
	away    bool          // the recorder failed last time; of flush alone
	muCalls sync.RWMutex  // guards calls
	calls   map[call]*tally
}

type call struct {
	peer   Identity
	method string
}

type tally struct{ n atomic.Int64 }

// NewJournal makes the journal of one role.
func NewJournal(self Identity, c Counters, log *slog.Logger) *Journal {
	return &Journal{self: self, count: c, log: log.With(slog.String("role", self.Role)), lines: map[line]int{}, calls: map[call]*tally{}}
}

// allowed counts a call that the policy allowed.
func (j *Journal) allowed(peer Identity, method string) {
	k := call{peer, method}
	j.muCalls.RLock()
	t := j.calls[k]
	j.muCalls.RUnlock()
	if t == nil {
		j.muCalls.Lock()
		if t = j.calls[k]; t == nil {
			t = new(tally)
			j.calls[k] = t
		}
		j.muCalls.Unlock()
	}
	t.n.Add(1)
	j.count.MeshCall(peer.Role, method, "allow")
}

// denied counts a call that the policy, or the check of its assertion, refused.
func (j *Journal) denied(peer Identity, method, reason, address string) {
	j.count.MeshCall(peer.Role, method, "deny")
	j.add(line{"denied", peer.String(), method, reason, address})
}

// refused counts a connection that did not come about.
func (j *Journal) refused(why refusal, address string) {
	j.count.MeshRefused(string(why))
	j.add(line{"refused", "", "", string(why), address})
}

func (j *Journal) add(l line) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, known := j.lines[l]; !known && len(j.lines) >= maxLines {
		l.address = ""
	}
	j.lines[l]++
}

// Run records until ctx ends, and once more then.
func (j *Journal) Run(ctx context.Context, rec Recorder) {
	t := time.NewTicker(refusalsEvery)
	defer t.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			j.flush(end, rec, true)
			j.flush(end, rec, true) // what an outbox left by a failure kept back
			return
		case now := <-t.C:
			all := now.Sub(last) >= allowedEvery
			if all {
				last = now
			}
			j.flush(ctx, rec, all)
		}
	}
}

// flush makes events of the counts and records them. Events that could not be recorded are kept and go first next time, as
// they are, so that one that was recorded though the answer was lost is not counted twice.
func (j *Journal) flush(ctx context.Context, rec Recorder, all bool) {
	if len(j.outbox) == 0 {
		j.outbox = j.take(all)
	}
	for len(j.outbox) > 0 {
		one, cancel := context.WithTimeout(ctx, 3*time.Second)
		err := rec.Record(one, j.outbox[0])
		cancel()
		if err != nil {
			if !j.away {
				j.log.ErrorContext(ctx, "decisions cannot be recorded; they are kept and counted", slog.Int("count", len(j.outbox)), slog.String("error", err.Error()))
			}
			j.away = true
			return
		}
		j.away = false
		j.outbox = j.outbox[1:]
	}
}

func (j *Journal) take(all bool) (out []audit.Event) {
	j.mu.Lock()
	lines := j.lines
	j.lines = map[line]int{}
	j.mu.Unlock()
	for l, n := range lines {
		out = append(out, j.event(l, n))
	}
	if !all {
		return out
	}
	j.muCalls.RLock()
	defer j.muCalls.RUnlock()
	for k, t := range j.calls {
		if n := t.n.Swap(0); n > 0 {
			out = append(out, j.event(line{"allowed", k.peer.String(), k.method, "", ""}, int(n)))
		}
	}
	return out
}

// event is a decision on record, n times the same.
func (j *Journal) event(l line, n int) audit.Event {
	e := audit.Event{Type: "mesh", Subtype: l.subtype, Action: audit.Execute, Outcome: audit.Success, OutcomeDesc: l.reason,
		Agent: audit.Agent{Kind: "service", ID: l.peer, Address: l.address}, Source: audit.Source{Role: j.self.Role, Site: j.self.Name},
		Entity: audit.Entity{Type: l.method, Count: n}, Decision: audit.Decision{Allow: l.subtype == "allowed", Policy: Version, Reason: l.reason}}
	if l.subtype != "allowed" {
		e.Outcome = audit.MinorFailure
	}
	if l.peer == "" {
		e.Agent.Kind = "anonymous"
	}
	return audit.New(e)
}
