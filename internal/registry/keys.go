package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// BeginKeys writes down that a key operation begins, with its event: whoever is killed before FinishKeys has left a mark, and the
// broker is asked until the directory says what it says.
func (g *Registry) BeginKeys(ctx context.Context, id tenant.ID, e audit.Event) (mark time.Time, err error) {
	err = g.pool.Tx(ctx, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, `UPDATE tenant SET keys_due = now() WHERE id = $1 RETURNING keys_due`, id.Bytes()).Scan(&mark); err != nil {
			return err
		}
		return g.Insert(ctx, tx, e)
	})
	return mark, err
}

// MirrorKeys writes what the broker says of a tenant's keys, and raises the directory's version when it is new. An answer that is older
// than what stands there changes nothing, and is a Conflict. set is nil where the broker gives no public keys: disabled.
func (g *Registry) MirrorKeys(ctx context.Context, id tenant.ID, disabled bool, generation int64, set *jose.JSONWebKeySet) error {
	state := map[bool]string{true: "disabled", false: "enabled"}[disabled]
	var keys []byte
	if set != nil {
		var err error
		if keys, err = json.Marshal(set); err != nil {
			return fmt.Errorf("encode keys: %w", err)
		}
	}
	return g.pool.Tx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE tenant SET keys_state = $2, keys_generation = $3, jwks = coalesce($4::jsonb, jwks), changed = now()
WHERE id = $1 AND keys_generation <= $3 AND (keys_state, keys_generation, jwks) IS DISTINCT FROM ($2, $3, coalesce($4::jsonb, jwks))`, id.Bytes(), state, generation, keys)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			var newer bool
			if err := tx.QueryRow(ctx, `SELECT keys_generation > $2 FROM tenant WHERE id = $1`, id.Bytes(), generation).Scan(&newer); err != nil || !newer {
				return err
			}
			return fault.New(fault.Conflict, "the keyring is older than the directory: was its database restored? The directory keeps what it has")
		}
		_, err = tx.Exec(ctx, `UPDATE directory SET version = version + 1`)
		return err
	})
}

// FinishKeys takes a mark away: the broker is to be asked again at next, nil = when there is an operation. A later mark stays.
func (g *Registry) FinishKeys(ctx context.Context, id tenant.ID, mark time.Time, next *time.Time) error {
	_, err := g.pool.Exec(ctx, `UPDATE tenant SET keys_due = $3 WHERE id = $1 AND (keys_due IS NULL OR keys_due <= $2)`, id.Bytes(), mark, next)
	return err
}

// Due is a tenant whose keys are to be looked at.
type Due struct {
	Entry
	Mark time.Time
}

// DueKeys gives the tenants of whose keys the broker is to be asked now. An operation that began a moment ago is left to who runs it.
func (g *Registry) DueKeys(ctx context.Context) (out []Due, err error) {
	err = g.pool.Rows(ctx, `SELECT `+columns+`, keys_due FROM tenant WHERE keys_due <= now() - interval '2 seconds' ORDER BY keys_due`, nil, func(r pgx.Rows) error {
		var d Due
		var err error
		if d.Entry, err = scan(due{r, &d.Mark}); err != nil {
			return err
		}
		out = append(out, d)
		return nil
	})
	return out, err
}

// due reads an entry's columns and one more.
type due struct {
	pgx.Rows
	mark *time.Time
}

func (d due) Scan(into ...any) error { return d.Rows.Scan(append(into, d.mark)...) }
