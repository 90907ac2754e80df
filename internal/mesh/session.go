package mesh

import (
	"context"
	"sync"
	"time"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// sessionMethod introduces an edge's assertion key: the first request of each of its connections.
const sessionMethod = "mesh.Session"

const (
	maxSessions = 4096    // of all edges
	maxPerPeer  = 64      // of one: restarted processes leave theirs behind until they expire
	window      = 1 << 16 // how many assertions may overtake each other
)

// introduction is the body of mesh.Session.
type introduction struct {
	ID  []byte `json:"id"`
	Key []byte `json:"key"`
}

// session is the callee's end: a key that one identity introduced, good as long as a certificate under which it did.
type session struct {
	peer  Identity
	mac   *maker
	mu    sync.Mutex // guards the rest
	until time.Time
	top   uint64              // newest number that was spent
	seen  [window / 64]uint64 // the window below it
}

// spend takes a number once: false when it was taken, or is too old to tell.
func (s *session) spend(n uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n == 0 || (s.top >= window && n <= s.top-window) {
		return false
	}
	if n > s.top {
		if n-s.top >= window {
			clear(s.seen[:])
		} else {
			for i := s.top + 1; i <= n; i++ {
				s.seen[i%window/64] &^= 1 << (i % 64)
			}
		}
		s.top = n
	}
	at, bit := &s.seen[n%window/64], uint64(1)<<(n%64)
	if *at&bit != 0 {
		return false
	}
	*at |= bit
	return true
}

func (s *session) ends() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.until
}

// sessions are all that a role knows. It is safe for concurrent use.
type sessions struct {
	mu   sync.RWMutex // guards byID
	byID map[keyID]*session
}

// introduce takes a key over, or prolongs it. A key that another identity introduced stays that one's.
func (s *sessions) introduce(peer Identity, id keyID, key secret, until time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.byID[id]; at != nil {
		if at.peer != peer {
			return fault.New(fault.Forbidden, "the session is another edge's")
		}
		at.mu.Lock()
		defer at.mu.Unlock()
		if until.After(at.until) {
			at.until = until
		}
		return nil
	}
	s.makeRoom(peer, time.Now())
	if len(s.byID) >= maxSessions {
		return fault.New(fault.TooMany, "too many sessions")
	}
	s.byID[id] = &session{peer: peer, mac: newMaker(key), until: until}
	return nil
}

// makeRoom forgets what has expired, and of a peer that has too many the one that ends first. mu is held.
func (s *sessions) makeRoom(peer Identity, now time.Time) {
	n, first, when := 0, keyID{}, time.Time{}
	for id, x := range s.byID {
		ends := x.ends()
		switch {
		case now.After(ends):
			delete(s.byID, id)
		case x.peer == peer:
			if n++; n == 1 || ends.Before(when) {
				first, when = id, ends
			}
		}
	}
	if n >= maxPerPeer {
		delete(s.byID, first)
	}
}

// find gives a session that has not ended.
func (s *sessions) find(id keyID, now time.Time) *session {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if x := s.byID[id]; x != nil && now.Before(x.ends()) {
		return x
	}
	return nil
}

// serveSessions lets edges introduce their keys, each for as long as the certificate of its connection.
func (s *Server) serveSessions() {
	Handle(s, sessionMethod, func(ctx context.Context, peer Identity, in introduction) (struct{}, error) {
		c, ok := ctx.Value(connKey{}).(*peerConn)
		if !ok || len(in.ID) != len(keyID{}) || len(in.Key) != len(secret{}) {
			return struct{}{}, fault.New(fault.Invalid, "not a session")
		}
		return struct{}{}, s.sessions.introduce(peer, keyID(in.ID), secret(in.Key), c.until)
	})
}
