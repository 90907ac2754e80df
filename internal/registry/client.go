package registry

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/pg"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Client is an application registered at one tenant. It proves itself by a secret, of which only the hash is kept (the
// secret is 256 random bits, so a fast hash is no weakness), or by signatures of its keys.
type Client struct {
	ID         string
	Name       string
	Scopes     string
	SecretHash []byte
	Keys       *jose.JSONWebKeySet
}

// AddClient registers a client with its event.
func (g *Registry) AddClient(ctx context.Context, t tenant.ID, c Client, e audit.Event) error {
	var jwks []byte
	if c.Keys != nil {
		var err error
		if jwks, err = json.Marshal(c.Keys); err != nil {
			return fault.Wrap(fault.Invalid, err, "the client's keys are not a JWK set")
		}
	}
	return g.pool.Tx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO client (tenant, id, name, scopes, secret, jwks) VALUES ($1, $2, $3, $4, $5, $6)`,
			t.Bytes(), c.ID, c.Name, c.Scopes, c.SecretHash, jwks); err != nil {
			return err
		}
		return g.Insert(ctx, tx, e)
	})
}

// Client finds a client of one tenant. Faults: NotFound.
func (g *Registry) Client(ctx context.Context, t tenant.ID, id string) (Client, error) {
	c := Client{ID: id}
	var jwks []byte
	if err := g.pool.Row(ctx, `SELECT name, scopes, secret, jwks FROM client WHERE tenant = $1 AND id = $2`, []any{t.Bytes(), id},
		&c.Name, &c.Scopes, &c.SecretHash, &jwks); err != nil {
		return c, err
	}
	if jwks != nil {
		c.Keys = new(jose.JSONWebKeySet)
		if err := json.Unmarshal(jwks, c.Keys); err != nil {
			return c, fault.Wrap(fault.Internal, err, "a client's stored keys are not a JWK set")
		}
	}
	return c, nil
}

// UseAssertion spends a client assertion's id until it expires; a second time is Unauthenticated (RFC 7523 §3).
func (g *Registry) UseAssertion(ctx context.Context, t tenant.ID, client, jti string, expires time.Time) error {
	if _, err := g.pool.Exec(ctx, `DELETE FROM assertion WHERE expires < now() - interval '5 minutes'`); err != nil {
		return err
	}
	n, err := g.pool.Exec(ctx, `INSERT INTO assertion (tenant, client, jti, expires) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, t.Bytes(), client, jti, expires)
	if err == nil && n == 0 {
		return fault.New(fault.Unauthenticated, "the client assertion was used before")
	}
	return err
}

// SetOperator gives an operator a token, by its hash.
func (g *Registry) SetOperator(ctx context.Context, name, token string) error {
	sum := sha256.Sum256([]byte(token))
	_, err := g.pool.Exec(ctx, `INSERT INTO operator (name, token) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET token = excluded.token`, name, sum[:])
	return err
}

// Operator finds whose token this is. Faults: NotFound.
func (g *Registry) Operator(ctx context.Context, token string) (name string, err error) {
	sum := sha256.Sum256([]byte(token))
	err = g.pool.Row(ctx, `SELECT name FROM operator WHERE token = $1`, []any{sum[:]}, &name)
	return name, pg.Fault(err)
}
