package placement

import (
	"context"

	"github.com/cordon-ehr/cordon/internal/posture"
)

// Expect is the chart database as the cell's role must find it: all tables with rows of tenants, and what the role may do to
// each. It is the one list; the self-check, the probes and the tests go by it. A migration that gives the role a further right
// needs the right here one release earlier (docs/adr/0012).
func Expect() posture.Expect {
	return posture.Expect{Database: "chart", Tables: []posture.Table{
		{Name: "head", Walled: true, Rights: "SELECT INSERT", Update: "pat sort ver live"},
		{Name: "version", Walled: true, Rights: "SELECT INSERT"},
		{Name: "idx", Walled: true, Rights: "SELECT INSERT DELETE"},
		{Name: "ref", Walled: true, Rights: "SELECT INSERT DELETE"},
		{Name: "range", Walled: true, Rights: "SELECT INSERT DELETE"},
		{Name: "audit", Walled: true, Rights: "SELECT INSERT"},
		{Name: "ledger_head", Walled: true, Rights: "SELECT INSERT", Update: "size cosigned xid id root"},
	}}
}

// Look reads in the catalog whether all walls of the chart database stand. It is cheap: it is asked again and again.
func (c *Charts) Look(ctx context.Context, e posture.Expect) (posture.Findings, error) {
	return posture.Look(ctx, c.pool, e)
}
