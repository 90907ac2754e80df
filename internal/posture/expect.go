// Package posture is what a role's database must look like before the role serves: who it is there, what it may touch, and that
// every table with rows of tenants has all of its walls. An Expect is declared once, beside the migrations that make it true; Check
// reads the catalog and names everything that is otherwise; a Watch asks again and again, and stops the role when it is.
//
// The catalog, not the code, is asked: whatever somebody did to the database by hand shows, and is named.
package posture

import (
	"context"
	"slices"
	"strings"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/pg"
)

// Table is one table that a role knows.
type Table struct {
	Name   string
	Walled bool   // holds rows of tenants: forced row security, the one policy, every key leads with the tenant
	Rights string // what the role may do with whole rows: "SELECT INSERT DELETE"; less is no breach, more is
	Update string // the columns that it may update
}

// Expect is everything that a role's database role may see and do in its database.
type Expect struct {
	Database string // what it is called in reasons: chart, control, keyring
	Tables   []Table
	Volatile bool // durability may be off, as a test's database has it; never in a product
}

// extensions may be there: they open no door to rows.
var extensions = []string{"plpgsql", "pg_stat_statements"}

// Findings are what is not as expected. Breaches are open walls: nobody may be served meanwhile. What is Missing makes requests
// fail by itself.
type Findings struct{ Breaches, Missing []string }

// Look reads the catalog once, in one statement, as the role whose pool it is.
func Look(ctx context.Context, pool *pg.Pool, e Expect) (f Findings, err error) {
	var names []string
	var walled []bool
	var on, columns, rights []string
	for _, t := range e.Tables {
		names, walled = append(names, t.Name), append(walled, t.Walled)
		for r := range strings.FieldsSeq(t.Rights) {
			on, columns, rights = append(on, t.Name), append(columns, ""), append(rights, r)
		}
		for c := range strings.FieldsSeq(t.Update) {
			on, columns, rights = append(on, t.Name), append(columns, c), append(rights, "UPDATE")
		}
	}
	err = pool.Row(ctx, catalogSQL, []any{names, walled, on, columns, rights, extensions, e.Volatile}, &f.Breaches, &f.Missing)
	return f, err
}

// Check is Look as an error: Unavailable, with every reason in its text.
func Check(ctx context.Context, pool *pg.Pool, e Expect) error {
	f, err := Look(ctx, pool, e)
	if err != nil {
		return err
	}
	return e.Fault(slices.Concat(f.Breaches, f.Missing))
}

// Fault names reasons; none is nil.
func (e Expect) Fault(reasons []string) error {
	if len(reasons) == 0 {
		return nil
	}
	return fault.New(fault.Unavailable, "the walls of the %s database are not whole: %s", e.Database, strings.Join(reasons, ", "))
}
