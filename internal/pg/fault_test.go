package pg_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/pg"
)

// TestFaultKeepsNoRow translates what the server says of a row: what may quote it is gone, from the text for the caller and from the
// one for the log.
func TestFaultKeepsNoRow(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"23505", "23514", "23502", "22P02", "22008", "42501", "40001", "57014", "XX000", "P0001", "5"} {
		pe := &pgconn.PgError{Code: code, Message: "said", Detail: "Key (name)=(Lovelace) already exists.", Hint: "Lovelace", Where: "COPY Lovelace", InternalQuery: "Lovelace", ConstraintName: "c",
			DataTypeName: "Lovelace", ColumnName: "c"}
		if strings.HasPrefix(code, "22") {
			pe.Message = `invalid input syntax for type date: "Lovelace"`
		}
		err := pg.Fault(fmt.Errorf("read: %w", pe))
		if f := fault.Of(err); strings.Contains(err.Error(), "Lovelace") || strings.Contains(fmt.Sprintf("%+v %#v", err, err), "Lovelace") || strings.Contains(f.Text, "said") {
			t.Errorf("%s: %v, for the caller %q", code, err, f.Text)
		}
	}
}
