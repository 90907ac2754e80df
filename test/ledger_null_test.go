package test

import (
	"fmt"
	"testing"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// TestEmptiedColumnIsNamed lets a superuser empty a column that is never empty, and hide that from the self-check: the event is named,
// and the log of the tenant is verified all the same.
func TestEmptiedColumnIsNamed(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	for database, columns := range map[string][]string{"cordon_cell1": {"recorded", "patient", "keyver", "body"}, "cordon_control": {"recorded", "body", "mac"}} {
		for _, column := range columns {
			n := charted(t, p)
			if v := verifyLogs(t, p, n.Slug); !v.OK {
				t.Fatalf("before: %+v", v)
			}
			where := "tenant = '" + n.ID + "'"
			if database == "cordon_cell1" {
				where = fmt.Sprintf("tenant = %d", number(t, n))
			}
			su := p.SuperuserOn(t, database)
			var one uuid.UUID
			if err := su.QueryRow(t.Context(), "SELECT id FROM audit WHERE "+where+" ORDER BY xid, id LIMIT 1").Scan(&one); err != nil {
				t.Fatal(err)
			}
			if _, err := su.Exec(t.Context(), fmt.Sprintf(`BEGIN; ALTER TABLE audit ALTER %[1]s DROP NOT NULL; UPDATE audit SET %[1]s = NULL WHERE %[2]s AND id = '%[3]s';
UPDATE pg_attribute SET attnotnull = true WHERE attrelid = 'audit'::regclass AND attname = '%[1]s'; COMMIT`, column, where, one)); err != nil {
				t.Fatal(err)
			}
			verifyLogs(t, p, n.Slug).named(t, column+" in "+database, one, "edited", "forged")
			offline(t, p, n.Slug).named(t, column+" in "+database+", offline", one, "edited", "forged")
		}
	}
}
