package keyring

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/rpc"
	"github.com/cordon-ehr/cordon/internal/seal"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// The states of a tenant's keys as a whole.
const (
	Enabled  = "enabled"
	Disabled = "disabled"
)

// Custody is the state of a tenant's keys as a whole. Generation counts key operations.
type Custody struct {
	State      string
	Generation int64
}

// Custody asks for it anew: no cache stands between a disabled tenant and its refusal. A tenant without keys is NotFound.
func (s *Store) Custody(ctx context.Context, t tenant.ID) (c Custody, err error) {
	err = s.pool.Row(ctx, `SELECT coalesce(c.state, 'enabled'), coalesce(c.generation, 1) FROM kek k LEFT JOIN custody c ON c.tenant = k.tenant WHERE k.tenant = $1 LIMIT 1`,
		[]any{t.Bytes()}, &c.State, &c.Generation)
	if fault.Is(err, fault.NotFound) {
		err = fault.New(fault.NotFound, "the tenant has no keys")
	}
	return c, err
}

// hold locks a tenant's custody for the transaction: key operations on one tenant come one after another.
func hold(ctx context.Context, tx pgx.Tx, t tenant.ID) (c Custody, err error) {
	if _, err = tx.Exec(ctx, `INSERT INTO custody (tenant) SELECT DISTINCT tenant FROM kek WHERE tenant = $1 ON CONFLICT DO NOTHING`, t.Bytes()); err != nil {
		return c, err
	}
	err = tx.QueryRow(ctx, `SELECT state, generation FROM custody WHERE tenant = $1 FOR UPDATE`, t.Bytes()).Scan(&c.State, &c.Generation)
	return c, err
}

// moved counts an operation; the event, with what was before and after, is in the same transaction.
func (s *Store) moved(ctx context.Context, tx pgx.Tx, t tenant.ID, state string, e audit.Event) error {
	if _, err := tx.Exec(ctx, `UPDATE custody SET state = $2, generation = generation + 1, changed = now() WHERE tenant = $1`, t.Bytes(), state); err != nil {
		return err
	}
	return s.Insert(ctx, tx, e)
}

// SetState disables or enables a tenant's keys, with the event. In the state that it has, nothing changes and nothing is
// recorded.
func (s *Store) SetState(ctx context.Context, t tenant.ID, to string, e audit.Event) error {
	err := s.pool.Tx(ctx, func(tx pgx.Tx) error {
		c, err := hold(ctx, tx, t)
		if err != nil || c.State == to {
			return err
		}
		e.Before, e.After = c.State, to
		return s.moved(ctx, tx, t, to, e)
	})
	if err != nil {
		return fmt.Errorf("make keys of tenant %s %s: %w", t, to, err)
	}
	return nil
}

// Rotate adds a version of one kind, wrapped under the newest KEK, with the event. A data secret is active at once, and the one before
// it retired: it opens, and never seals again. A signing secret begins as next: it is published, and signs when it is put to
// use (Activate). When there is one already, it is that one: a rotation that was cut off goes on. Faults: Locked.
func (s *Store) Rotate(ctx context.Context, t tenant.ID, k Kind, e audit.Event) error {
	if k != Data && k != Sign {
		return fault.New(fault.Invalid, "the kind of a rotation is data or sign")
	}
	ver, kek, err := s.newestKEK(ctx, t)
	if err != nil {
		return err
	}
	err = s.pool.Tx(ctx, func(tx pgx.Tx) error {
		c, err := hold(ctx, tx, t)
		if err != nil {
			return err
		}
		if c.State != Enabled {
			return tenant.KeysDisabled()
		}
		var newest int32
		var state string
		if err := tx.QueryRow(ctx, `SELECT ver, state FROM secret WHERE tenant = $1 AND kind = $2 ORDER BY ver DESC LIMIT 1`, t.Bytes(), k).Scan(&newest, &state); err != nil {
			return err
		}
		if state == "next" {
			return nil
		}
		to, begin := newest+1, map[Kind]string{Data: "active", Sign: "next"}[k]
		if k == Data {
			if _, err := tx.Exec(ctx, `UPDATE secret SET state = 'retired', retired = now() WHERE tenant = $1 AND kind = $2 AND state = 'active'`, t.Bytes(), k); err != nil {
				return err
			}
		}
		sealed := seal.NewKey(kek, ver).Seal(nil, seal.NewSecret().Reveal(), secretPlace(t, k, to))
		if _, err := tx.Exec(ctx, `INSERT INTO secret (tenant, kind, ver, kek_ver, wrapped, state) VALUES ($1, $2, $3, $4, $5, $6)`, t.Bytes(), k, to, ver, sealed, begin); err != nil {
			return err
		}
		e.Before, e.After = fmt.Sprintf("%s/%d", k, newest), fmt.Sprintf("%s/%d", k, to)
		return s.moved(ctx, tx, t, c.State, e)
	})
	if err != nil {
		return fmt.Errorf("rotate the %s secret of tenant %s: %w", k, t, err)
	}
	return nil
}

// Activate lets the next signing key sign, and retires the one before: it verifies for a while. Without a next one nothing
// changes. Faults: Locked.
func (s *Store) Activate(ctx context.Context, t tenant.ID, e audit.Event) error {
	err := s.pool.Tx(ctx, func(tx pgx.Tx) error {
		c, err := hold(ctx, tx, t)
		if err != nil {
			return err
		}
		if c.State != Enabled {
			return tenant.KeysDisabled()
		}
		var waiting bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM secret WHERE tenant = $1 AND kind = 'sign' AND state = 'next')`, t.Bytes()).Scan(&waiting); err != nil || !waiting {
			return err
		}
		for _, sql := range []string{`UPDATE secret SET state = 'retired', retired = now() WHERE tenant = $1 AND kind = 'sign' AND state = 'active'`,
			`UPDATE secret SET state = 'active' WHERE tenant = $1 AND kind = 'sign' AND state = 'next'`} {
			if _, err := tx.Exec(ctx, sql, t.Bytes()); err != nil {
				return err
			}
		}
		e.Before, e.After = "next", "active"
		return s.moved(ctx, tx, t, c.State, e)
	})
	if err != nil {
		return fmt.Errorf("put the next signing key of tenant %s to use: %w", t, err)
	}
	return nil
}

// Keyring describes a tenant's keys; nothing is unwrapped. A retired signing key is no longer listed as due after overlap.
func (s *Store) Keyring(ctx context.Context, t tenant.ID, overlap time.Duration) (out rpc.Keyring, err error) {
	c, err := s.Custody(ctx, t)
	if err != nil {
		return out, err
	}
	out = rpc.Keyring{State: c.State, Generation: c.Generation, KEK: []rpc.KeyVersion{}, Secrets: []rpc.KeyVersion{}}
	err = s.pool.Rows(ctx, `SELECT ver, mode, created, ver = max(ver) OVER () FROM kek WHERE tenant = $1 ORDER BY ver`, []any{t.Bytes()}, func(r pgx.Rows) error {
		v, newest := rpc.KeyVersion{State: "retired"}, false
		if err := r.Scan(&v.Version, &out.Mode, &v.Created, &newest); err != nil {
			return err
		}
		if newest {
			v.State = "active"
		}
		out.KEK = append(out.KEK, v)
		return nil
	})
	if err != nil {
		return out, err
	}
	err = s.pool.Rows(ctx, `SELECT kind, ver, state, created, retired FROM secret WHERE tenant = $1 ORDER BY kind, ver`, []any{t.Bytes()}, func(r pgx.Rows) error {
		var v rpc.KeyVersion
		var retired *time.Time
		if err := r.Scan(&v.Kind, &v.Version, &v.State, &v.Created, &retired); err != nil {
			return err
		}
		out.Secrets = append(out.Secrets, v)
		if v.Kind == string(Sign) && retired != nil {
			end := retired.Add(overlap)
			if end.After(time.Now()) && (out.Due == nil || end.Before(*out.Due)) {
				out.Due = &end
			}
		}
		return nil
	})
	return out, err
}

// newestKEK unwraps the KEK under which new secrets are wrapped.
func (s *Store) newestKEK(ctx context.Context, t tenant.ID) (ver int32, kek seal.Secret, err error) {
	c, err := s.Custody(ctx, t)
	if err != nil {
		return 0, kek, err
	}
	if c.State != Enabled {
		return 0, kek, tenant.KeysDisabled()
	}
	var key string
	var wrapped []byte
	if err := s.pool.Row(ctx, `SELECT ver, kms_key, wrapped FROM kek WHERE tenant = $1 ORDER BY ver DESC LIMIT 1`, []any{t.Bytes()}, &ver, &key, &wrapped); err != nil {
		return 0, kek, err
	}
	if kek, err = s.kms.Unwrap(ctx, key, wrapped, kekPlace(t, ver)); err != nil {
		return 0, kek, fmt.Errorf("unwrap a KEK of tenant %s: %w", t, err)
	}
	return ver, kek, nil
}
