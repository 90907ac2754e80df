package cordon

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// emitted are the fields that every place which makes an event must set: what audit.Event.Check wants of all.
var emitted = []string{"Type", "Subtype", "Action", "Outcome", "Agent", "Source"}

// TestEveryEventIsMadeWhole finds each place in the product that makes an audit event: it goes through audit.New, or is stored nowhere,
// and names every field that an event must have.
func TestEveryEventIsMadeWhole(t *testing.T) {
	t.Parallel()
	sites := 0
	err := filepath.WalkDir("internal", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			return err
		}
		made := map[*ast.CompositeLit]bool{}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && isAudit(call.Fun, "New") && len(call.Args) == 1 {
				if lit, ok := call.Args[0].(*ast.CompositeLit); ok {
					made[lit] = true
				}
			}
			lit, ok := n.(*ast.CompositeLit)
			if !ok || !isAudit(lit.Type, "Event") || len(lit.Elts) == 0 {
				return true
			}
			sites++
			if !made[lit] {
				t.Errorf("%s: an event that audit.New did not make", fset.Position(lit.Pos()))
			}
			set := map[string]bool{}
			for _, e := range lit.Elts {
				if kv, ok := e.(*ast.KeyValueExpr); ok {
					set[kv.Key.(*ast.Ident).Name] = true
				}
			}
			for _, f := range emitted {
				if !set[f] {
					t.Errorf("%s: an event without %s", fset.Position(lit.Pos()), f)
				}
			}
			return true
		})
		return nil
	})
	if err != nil || sites < 10 {
		t.Errorf("%d places make events: %v", sites, err)
	}
}

func isAudit(e ast.Expr, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == "audit" && s.Sel.Name == name
}
