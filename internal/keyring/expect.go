package keyring

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/posture"
)

// Expect is the broker's database as its role must find it.
func Expect() posture.Expect {
	return posture.Expect{Database: "keyring", Tables: []posture.Table{
		{Name: "kek", Rights: "SELECT INSERT"},
		{Name: "secret", Rights: "SELECT INSERT", Update: "state retired"},
		{Name: "custody", Rights: "SELECT INSERT", Update: "state generation changed"},
		{Name: "stop", Rights: "SELECT INSERT", Update: "resumed"},
		{Name: "audit", Rights: "SELECT INSERT"},
		{Name: "ledger_head", Rights: "SELECT INSERT UPDATE"},
		{Name: "witness", Rights: "SELECT INSERT UPDATE"},
	}}
}

// Look reads in the catalog whether the broker's role is what it must be.
func (s *Store) Look(ctx context.Context, e posture.Expect) (posture.Findings, error) {
	return posture.Look(ctx, s.pool, e)
}

// sharedSQL names keys that are of more than one tenant where they must not be. Two wraps of even the same key differ, so equal
// bytes were copied. It tells kinds of mistakes, never a tenant: the reason stands on a page without a token.
const sharedSQL = `SELECT 'two tenants have the same wrapped key' WHERE EXISTS (SELECT 1 FROM kek GROUP BY wrapped HAVING count(DISTINCT tenant) > 1)
UNION ALL SELECT 'two tenants have the same wrapped secret' WHERE EXISTS (SELECT 1 FROM secret GROUP BY wrapped HAVING count(DISTINCT tenant) > 1)
UNION ALL SELECT 'a secret has no key that wraps it' WHERE EXISTS (SELECT 1 FROM secret s WHERE NOT EXISTS (SELECT 1 FROM kek k WHERE k.tenant = s.tenant AND k.ver = s.kek_ver))
UNION ALL SELECT 'a tenant that has a root of its own is wrapped by the shared one' WHERE EXISTS (SELECT 1 FROM kek WHERE mode <> 'shared-root' AND kms_key = $1)
UNION ALL SELECT 'two tenants that have roots of their own share one' WHERE EXISTS (SELECT 1 FROM kek WHERE mode <> 'shared-root' GROUP BY kms_key HAVING count(DISTINCT tenant) > 1)`

// Shared reads all keys' places, and gives what two tenants share that their plans keep apart. It costs a walk over all keys.
func (s *Store) Shared(ctx context.Context) (out []string, err error) {
	err = s.pool.Rows(ctx, sharedSQL, []any{rootKey}, func(r pgx.Rows) error {
		var what string
		err := r.Scan(&what)
		out = append(out, what)
		return err
	})
	return out, err
}
