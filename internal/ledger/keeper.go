package ledger

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Config of a role's logs.
type Config struct {
	Stream    string // StreamCell, StreamControl or StreamKeys
	Store     Store
	Source    Source
	Signing   Signing
	Verifiers Verifiers
	Witness   Witness // the other role that cosigns; nil in tests alone: nothing is cosigned
	Alert     Alert
	Genuine   func(t tenant.ID) Opener // of streams whose rows carry MACs; nil = rows tell only who has the tenant's key
	Interval  time.Duration            // how long events gather before they are sequenced; 0 = 1 second
	Sweep     time.Duration            // how often all logs are looked at, whoever wrote to them; 0 = 1 minute
	Log       *slog.Logger
	Now       func() time.Time
}

// Keeper keeps the logs of one role: it sequences what is committed, and verifies, exports and proves what it sequenced.
// It is safe for concurrent use; several processes may keep the same logs, too: they meet in storage and in the bookmark.
type Keeper struct {
	cfg   Config
	store Store
	keys  Keys
	cache *cache
	wake  chan struct{}
	mu    sync.Mutex // guards the rest
	dirty map[tenant.ID]bool
	busy  map[tenant.ID]*turn
	stop  map[tenant.ID]*Broken
	seen  map[tenant.ID]Checkpoint // newest checkpoint of each log that was found in storage

	tried  map[tenant.ID]Head     // bookmarks that do not fit, and whose log's rows do not either
	future map[tenant.ID]Position // rows of transactions to come that were told of
	late   map[tenant.ID]*lag     // logs that are not up to date

	verifying chan struct{} // holds a token while a log is verified: each holds its entries in memory
}

// lag is what a log waits for.
type lag struct {
	at    Position // the first row that waits; none when storage or the database fails
	since time.Time
	told  bool
}

// maxLag is how long committed rows may stay outside their log before an alert: until then a superuser can remove them unseen.
const maxLag = time.Minute

// turn lets one step of a log run at a time.
type turn struct {
	mu    sync.Mutex // held while the log is sequenced
	users int        // guarded by Keeper.mu
}

// NewKeeper makes a keeper; Run works.
func NewKeeper(cfg Config) *Keeper {
	if cfg.Interval == 0 {
		cfg.Interval = time.Second
	}
	if cfg.Sweep == 0 {
		cfg.Sweep = time.Minute
	}
	return &Keeper{cfg: cfg, store: cfg.Store, keys: cfg.Verifiers.Of(cfg.Stream), cache: &cache{}, wake: make(chan struct{}, 1),
		dirty: map[tenant.ID]bool{}, busy: map[tenant.ID]*turn{}, stop: map[tenant.ID]*Broken{}, seen: map[tenant.ID]Checkpoint{},
		tried: map[tenant.ID]Head{}, future: map[tenant.ID]Position{}, late: map[tenant.ID]*lag{}, verifying: make(chan struct{}, 1)}
}

func (k *Keeper) name(t tenant.ID) Name { return Name{t, k.cfg.Stream} }

// Mark says that an event of a tenant was committed. It is cheap and never waits for a log.
func (k *Keeper) Mark(t tenant.ID) {
	k.mu.Lock()
	k.dirty[t] = true
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Run sequences until ctx ends, then what is left of this process's events, as far as a few seconds reach: what is not done is
// done by the next process's first sweep.
func (k *Keeper) Run(ctx context.Context) error {
	sweep := time.NewTimer(0)
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
			defer cancel()
			k.drain(last)
			return nil
		case <-sweep.C:
			k.sweep(ctx)
			sweep.Reset(k.cfg.Sweep)
		case <-k.wake:
			select {
			case <-ctx.Done():
			case <-time.After(k.cfg.Interval):
				k.drain(ctx)
			}
		}
	}
}

// sweep marks every log.
func (k *Keeper) sweep(ctx context.Context) {
	all, err := k.cfg.Source.Logs(ctx)
	if err != nil {
		if ctx.Err() == nil {
			k.cfg.Log.WarnContext(ctx, "logs of events could not be listed", slog.String("error", err.Error()))
		}
		return
	}
	for _, t := range all {
		k.Mark(t)
	}
}

// drain sequences what is marked. Two logs at a time: the rest of the machine is for requests.
func (k *Keeper) drain(ctx context.Context) {
	k.mu.Lock()
	work := k.dirty
	k.dirty = map[tenant.ID]bool{}
	k.mu.Unlock()
	var g errgroup.Group
	g.SetLimit(2)
	for t := range work {
		g.Go(func() error {
			again, err := k.Sequence(ctx, t)
			if _, stopped := asBroken(err); err != nil && !stopped && ctx.Err() == nil {
				k.cfg.Log.WarnContext(ctx, "a log of events is behind", slog.String("log", k.name(t).Origin()), slog.String("error", err.Error()))
			}
			if again && ctx.Err() == nil {
				k.Mark(t)
			}
			return nil
		})
	}
	_ = g.Wait() // no member fails: a log that is behind is swept again
}

// Sequence brings one log up to what is committed and cannot be overtaken any more. again tells that there are rows which could
// be. A *Broken error says that the log stopped: nothing was signed.
func (k *Keeper) Sequence(ctx context.Context, t tenant.ID) (again bool, err error) {
	if k.store == nil {
		return false, fault.New(fault.Unavailable, "this role has no write-once storage")
	}
	k.mu.Lock()
	u := k.busy[t]
	if u == nil {
		u = &turn{}
		k.busy[t] = u
	}
	u.users++
	k.mu.Unlock()
	u.mu.Lock()
	defer func() {
		u.mu.Unlock()
		k.mu.Lock()
		if u.users--; u.users == 0 {
			delete(k.busy, t)
		}
		k.mu.Unlock()
	}()
	wait, err := k.sequence(ctx, k.name(t))
	k.settle(ctx, t, err)
	if ctx.Err() == nil {
		k.lags(t, wait, err)
	}
	return wait != Position{}, err
}

// lags raises an alert, once, over a log that is not brought up to date for long: a transaction is held open, or storage is away.
func (k *Keeper) lags(t tenant.ID, wait Position, err error) {
	_, stopped := asBroken(err)
	at := now(k.cfg.Now)
	k.mu.Lock()
	l := k.late[t]
	switch {
	case stopped, err == nil && wait == Position{}:
		delete(k.late, t) // what is stopped has its own alert
		l = nil
	case l == nil || err == nil && l.at != wait:
		l = &lag{at: wait, since: at}
		k.late[t] = l
	}
	tell := l != nil && !l.told && at.Sub(l.since) > maxLag
	if tell {
		l.told = true
	}
	k.mu.Unlock()
	if tell {
		k.alert(k.name(t), &Broken{Kind: KindPending, Detail: "committed events are not in their log for more than a minute"})
	}
}

// settle remembers whether a log is stopped, and raises the alert when it newly is.
func (k *Keeper) settle(ctx context.Context, t tenant.ID, err error) {
	b, stopped := asBroken(err)
	if err != nil && !stopped {
		return // unknown: it stays what it was
	}
	k.mu.Lock()
	was := k.stop[t]
	if stopped {
		k.stop[t] = b
	} else {
		delete(k.stop, t)
	}
	k.mu.Unlock()
	if stopped && (was == nil || was.Kind != b.Kind) {
		k.cfg.Log.ErrorContext(ctx, "a log of events is stopped", slog.String("log", k.name(t).Origin()), slog.String("error", b.Error()))
		if k.cfg.Alert != nil {
			k.cfg.Alert(t, k.cfg.Stream, b)
		}
	}
}

// Stopped gives the logs that are stopped, and why.
func (k *Keeper) Stopped() map[string]string {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := map[string]string{}
	for t, b := range k.stop {
		out[k.name(t).Origin()] = b.Kind
	}
	return out
}

// now is the given clock, or the system's.
func now(clock func() time.Time) time.Time {
	if clock == nil {
		return time.Now()
	}
	return clock()
}
