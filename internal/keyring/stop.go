package keyring

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/rpc"
)

// Stopped reports whether a service identity is stopped now. Every broker process sees it at its next lease.
func (s *Store) Stopped(ctx context.Context, identity string) (stopped bool, err error) {
	err = s.pool.Row(ctx, `SELECT EXISTS (SELECT FROM stop WHERE identity = $1 AND resumed IS NULL AND (until IS NULL OR until > now()))`, []any{identity}, &stopped)
	return stopped, err
}

// Stop stops an identity, with one event, for so long (0 = until an operator resumes it). One that is stopped already stays as
// it is; made tells.
func (s *Store) Stop(ctx context.Context, identity, reason string, long time.Duration, e audit.Event) (made bool, err error) {
	var until *time.Time
	if long > 0 {
		end := time.Now().Add(long)
		until = &end
	}
	err = s.pool.Tx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE stop SET resumed = until WHERE identity = $1 AND resumed IS NULL AND until <= now()`, identity); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `INSERT INTO stop (id, identity, reason, until) VALUES ($1, $2, $3, $4) ON CONFLICT (identity) WHERE resumed IS NULL DO NOTHING`,
			uuid.New(), identity, reason, until)
		if made = err == nil && tag.RowsAffected() == 1; err != nil || !made {
			return err
		}
		return s.Insert(ctx, tx, e)
	})
	return made && err == nil, err
}

// Resume ends the stop of an identity, with the event; done tells whether it was stopped.
func (s *Store) Resume(ctx context.Context, identity string, e audit.Event) (done bool, err error) {
	err = s.pool.Tx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE stop SET resumed = now() WHERE identity = $1 AND resumed IS NULL`, identity)
		if done = err == nil && tag.RowsAffected() > 0; err != nil || !done {
			return err
		}
		return s.Insert(ctx, tx, e)
	})
	return done && err == nil, err
}

// Stops lists the identities that are stopped now.
func (s *Store) Stops(ctx context.Context) ([]rpc.Stop, error) {
	out := []rpc.Stop{}
	err := s.pool.Rows(ctx, `SELECT identity, reason, since, until FROM stop WHERE resumed IS NULL AND (until IS NULL OR until > now()) ORDER BY identity`, nil, func(r pgx.Rows) error {
		var st rpc.Stop
		err := r.Scan(&st.Identity, &st.Reason, &st.Since, &st.Until)
		out = append(out, st)
		return err
	})
	return out, err
}
