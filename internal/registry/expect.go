package registry

import (
	"context"

	"github.com/cordon-ehr/cordon/internal/posture"
)

// Expect is control's database as its role must find it. No table holds a chart, so none has row security.
func Expect() posture.Expect {
	return posture.Expect{Database: "control", Tables: []posture.Table{
		{Name: "tenant", Rights: "SELECT INSERT UPDATE"},
		{Name: "client", Rights: "SELECT INSERT UPDATE"},
		{Name: "operator", Rights: "SELECT INSERT UPDATE"},
		{Name: "step", Rights: "SELECT INSERT"},
		{Name: "audit", Rights: "SELECT INSERT"},
		{Name: "ledger_head", Rights: "SELECT INSERT UPDATE"},
		{Name: "witness", Rights: "SELECT INSERT UPDATE"},
		{Name: "assertion", Rights: "SELECT INSERT DELETE"},
		{Name: "directory", Rights: "SELECT UPDATE"},
	}}
}

// Look reads in the catalog whether control's role is what it must be.
func (g *Registry) Look(ctx context.Context, e posture.Expect) (posture.Findings, error) {
	return posture.Look(ctx, g.pool, e)
}
