package keyring

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/auditlog"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/pg"
	"github.com/cordon-ehr/cordon/internal/seal"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations are those of the keyring database.
func Migrations() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic("keyring: internal error: " + err.Error())
	}
	return sub
}

// Kind is what a secret is for.
type Kind string

// The kinds.
const (
	Data  Kind = "data"
	Index Kind = "index"
	Sign  Kind = "sign"
)

// Secret is one unwrapped version of one kind.
type Secret struct {
	Kind    Kind
	Version int32
	State   string    // next, active, retired
	Retired time.Time // when it was retired; zero = it was not
	Secret  seal.Secret
}

// Store keeps wrapped keys in the broker's database. It is safe for concurrent use.
type Store struct {
	*auditlog.Log
	pool *pg.Pool
	kms  KMS
}

// NewStore works as the broker's database role.
func NewStore(pool *pg.Pool, kms KMS) *Store { return &Store{auditlog.New(pool), pool, kms} }

// rootKey names the KMS key under which tenants of the mode shared-root are wrapped.
const rootKey = "root"

func kekPlace(t tenant.ID, ver int32) seal.Place {
	return seal.Place{Tenant: t, Table: "kek", Version: int64(ver)}
}

func secretPlace(t tenant.ID, k Kind, ver int32) seal.Place {
	return seal.Place{Tenant: t, Table: "secret/" + string(k), Version: int64(ver)}
}

// Mint gives a tenant its first KEK and secrets, with the event, in one transaction. A tenant that has them keeps them:
// minting again is no difference, whoever was killed in between.
func (s *Store) Mint(ctx context.Context, t tenant.ID, e audit.Event) error {
	kek := seal.NewSecret()
	wrapped, err := s.kms.Wrap(ctx, rootKey, kek, kekPlace(t, 1))
	if err != nil {
		return err
	}
	err = s.pool.Tx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `INSERT INTO kek (tenant, ver, mode, kms_key, wrapped) VALUES ($1, 1, 'shared-root', $2, $3) ON CONFLICT DO NOTHING`,
			t.Bytes(), rootKey, wrapped)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO custody (tenant) VALUES ($1) ON CONFLICT DO NOTHING`, t.Bytes()); err != nil {
			return err
		}
		for _, k := range []Kind{Data, Index, Sign} {
			sealed := seal.NewKey(kek, 1).Seal(nil, seal.NewSecret().Reveal(), secretPlace(t, k, 1))
			if _, err := tx.Exec(ctx, `INSERT INTO secret (tenant, kind, ver, kek_ver, wrapped) VALUES ($1, $2, 1, 1, $3)`, t.Bytes(), k, sealed); err != nil {
				return err
			}
		}
		return s.Insert(ctx, tx, e)
	})
	if err != nil {
		return fmt.Errorf("mint keys of tenant %s: %w", t, err)
	}
	return nil
}

// versionsSQL sees custody and secrets at one moment: what it gives is of that generation.
const versionsSQL = `SELECT s.kind, s.ver, s.state, s.retired, s.kek_ver, s.wrapped, k.kms_key, k.wrapped, coalesce(c.state, 'enabled'), coalesce(c.generation, 1)
FROM secret s JOIN kek k ON k.tenant = s.tenant AND k.ver = s.kek_ver LEFT JOIN custody c ON c.tenant = s.tenant
WHERE s.tenant = $1 AND s.kind = ANY($2) ORDER BY s.kind, s.ver`

// Secrets unwraps all versions of the kinds, oldest first, and tells of which generation they are. A tenant without keys is
// NotFound, one whose keys are disabled Locked: then the KMS is not asked.
func (s *Store) Secrets(ctx context.Context, t tenant.ID, kinds ...Kind) ([]Secret, int64, error) {
	type row struct {
		Secret
		retired          *time.Time
		kekVer           int32
		wrapped, kekWrap []byte
		kmsKey           string
	}
	var rows []row
	var c Custody
	err := s.pool.Rows(ctx, versionsSQL, []any{t.Bytes(), kinds}, func(r pgx.Rows) error {
		var x row
		if err := r.Scan(&x.Kind, &x.Version, &x.State, &x.retired, &x.kekVer, &x.wrapped, &x.kmsKey, &x.kekWrap, &c.State, &c.Generation); err != nil {
			return err
		}
		if x.retired != nil {
			x.Retired = *x.retired
		}
		rows = append(rows, x)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	if len(rows) == 0 {
		return nil, 0, fault.New(fault.NotFound, "the tenant has no keys")
	}
	if c.State != Enabled {
		return nil, 0, tenant.KeysDisabled()
	}
	keks := map[int32]seal.Secret{}
	out := make([]Secret, 0, len(rows))
	for _, x := range rows {
		kek, ok := keks[x.kekVer]
		if !ok {
			if kek, err = s.kms.Unwrap(ctx, x.kmsKey, x.kekWrap, kekPlace(t, x.kekVer)); err != nil {
				return nil, 0, fmt.Errorf("unwrap a KEK of tenant %s: %w", t, err)
			}
			keks[x.kekVer] = kek
		}
		plain, err := seal.NewKey(kek, x.kekVer).Open(nil, x.wrapped, secretPlace(t, x.Kind, x.Version))
		if err != nil {
			return nil, 0, fmt.Errorf("unwrap a %s secret of tenant %s: %w", x.Kind, t, err)
		}
		if x.Secret.Secret, err = seal.SecretFrom(plain); err != nil {
			return nil, 0, err
		}
		out = append(out, x.Secret)
	}
	return out, c.Generation, nil
}

// SigningKey makes the ECDSA P-256 key of a signing secret: the secret is the seed of the scalar (SEC 1), re-derived in the
// rare case (1 in 2^32) that it is no scalar.
func SigningKey(s seal.Secret) (*ecdsa.PrivateKey, error) {
	for i := range 8 {
		d := s.Derive(fmt.Sprintf("cordon/sign/v1/%d", i))
		if k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d.Reveal()); err == nil {
			return k, nil
		}
	}
	return nil, fault.New(fault.Internal, "no signing key")
}

// Ping asks the database for a sign of life.
func (s *Store) Ping(ctx context.Context) error { return s.pool.Ping(ctx) }
