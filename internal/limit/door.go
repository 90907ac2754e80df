package limit

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Door bounds the rate and the number under way of each of many callers, who are told apart by a key. Nobody waits at it.
// Nobody holds more places than are free: however few or many fill a door, there is one for who has none.
// It is safe for concurrent use.
type Door[K comparable] struct {
	most    int        // under way over all keys
	mu      sync.Mutex // guards the rest, and each guest's count
	inside  int
	guests  map[K]*guest
	cleaned time.Time
}

type guest struct {
	bucket *rate.Limiter
	inside int
}

// NewDoor makes a door for at most most at once.
func NewDoor[K comparable](most int) *Door[K] { return &Door[K]{most: most, guests: map[K]*guest{}} }

// Enter lets one in, who must Leave, or refuses: at more than perSecond a second over a burst of as many, or more than inFlight under way.
// A rate of 0 is none.
func (d *Door[K]) Enter(key K, perSecond float64, inFlight int) error {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	most, burst := rate.Limit(perSecond), max(1, int(perSecond))
	if perSecond <= 0 {
		most = rate.Inf
	}
	g := d.guests[key]
	if g == nil {
		d.clean(now)
		g = &guest{bucket: rate.NewLimiter(most, burst)}
		d.guests[key] = g
	} else if g.bucket.Limit() != most {
		g.bucket.SetLimitAt(now, most)
		g.bucket.SetBurstAt(now, burst)
	}
	switch {
	case g.inside >= inFlight:
		return refused(InFlight, time.Second)
	case g.inside >= d.most-d.inside:
		return refused(Full, time.Second)
	case !g.bucket.AllowN(now, 1):
		return refused(Rate, time.Duration(float64(time.Second)/max(perSecond, 0.01)))
	}
	g.inside++
	d.inside++
	return nil
}

// Leave ends what Enter let in.
func (d *Door[K]) Leave(key K) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if g := d.guests[key]; g != nil {
		g.inside--
		d.inside--
	}
}

// Inside is how many are under way.
func (d *Door[K]) Inside() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.inside
}

// clean forgets who was away for so long that his bucket is full again. It looks at all, at most once a second.
func (d *Door[K]) clean(now time.Time) {
	if len(d.guests) < kept || now.Sub(d.cleaned) < time.Second {
		return
	}
	d.cleaned = now
	for k, g := range d.guests {
		if g.inside == 0 && g.bucket.TokensAt(now) >= float64(g.bucket.Burst()) {
			delete(d.guests, k)
		}
	}
}
