package placement

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/audit"
)

const eventsSQL = `SELECT id, recorded, patient, keyver, body FROM audit WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3`

// Events gives at most n of a tenant's event rows after an id, in the order of their ids.
func (c *Charts) Events(ctx context.Context, s Scope, after uuid.UUID, n int) (out []audit.Row, err error) {
	err = c.Read(ctx, s, func(b *Batch) {
		b.Queue(eventsSQL, after, n).Query(func(r pgx.Rows) error {
			out, err = eventRows(r)
			return err
		})
	})
	return out, err
}
