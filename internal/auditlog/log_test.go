package auditlog_test

import (
	"bytes"
	"testing"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/auditlog"
	"github.com/cordon-ehr/cordon/internal/ledger"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// TestRowsWithoutAMACAreForged wherever they stand.
func TestRowsWithoutAMACAreForged(t *testing.T) {
	t.Parallel()
	open := auditlog.New(nil, bytes.Repeat([]byte{1}, 32)).Opener(tenant.NewID())
	e := audit.Row{ID: uuid.New(), Recorded: 1, Body: []byte(`{}`)}.Entry()
	for what, mac := range map[string][]byte{"none": nil, "empty": {}, "short": {0}, "of nobody": make([]byte, 32)} {
		if _, err := open(ledger.Row{Entry: e, Body: []byte(`{}`), MAC: mac}); err == nil {
			t.Errorf("a row whose MAC is %s opens", what)
		}
	}
}
