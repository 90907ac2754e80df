package dev

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cordon-ehr/cordon/internal/pgserver"
)

// maxRestarts is how often within a minute Postgres may end before the platform gives up: something is wrong that starting it
// again does not mend.
const maxRestarts = 5

// supervisor keeps the folder's Postgres running. While it starts again, requests answer 503; nothing acknowledged is lost,
// since Postgres replays its log.
type supervisor struct {
	cfg pgserver.Config
	log *slog.Logger
	mu  sync.Mutex // guards db
	db  *pgserver.Server
}

func supervise(ctx context.Context, cfg pgserver.Config, log *slog.Logger) (*supervisor, error) {
	db, err := pgserver.Start(ctx, cfg)
	return &supervisor{cfg: cfg, log: log, db: db}, err
}

// server is the one that runs now.
func (s *supervisor) server() *pgserver.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.db
}

func (s *supervisor) stop(ctx context.Context) error { return s.server().Stop(ctx) }

// watch starts Postgres again whenever it ends by itself. It returns when ctx ends (nil), or when it gives up.
func (s *supervisor) watch(ctx context.Context) error {
	var ends []time.Time
	for {
		db := s.server()
		select {
		case <-ctx.Done():
			return nil
		case <-db.Done():
		}
		now := time.Now()
		for len(ends) > 0 && now.Sub(ends[0]) > time.Minute {
			ends = ends[1:]
		}
		if ends = append(ends, now); len(ends) > maxRestarts {
			return fmt.Errorf("postgres ended %d times within a minute: %w", len(ends), db.Err())
		}
		s.log.ErrorContext(ctx, "postgres ended; starting it again", slog.Int("count", len(ends)))
		if err := s.restart(ctx, db); err != nil {
			return err
		}
	}
}

// restart frees the folder and starts Postgres on it. Its address must stay: it is in dev.json and in every pool.
func (s *supervisor) restart(ctx context.Context, old *pgserver.Server) error {
	why := old.Err()
	_ = old.Stop(ctx) // it is gone; this frees the folder
	db, err := pgserver.Start(ctx, s.cfg)
	if err != nil {
		return fmt.Errorf("start postgres again after it ended (%w): %w", why, err)
	}
	s.mu.Lock()
	s.db = db
	s.mu.Unlock()
	if db.SocketDir() != old.SocketDir() {
		return errors.New("postgres ended, and its socket could not be made in the same place again: start cordon again")
	}
	return nil
}
