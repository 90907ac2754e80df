package cordon

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// tableUse finds a table with the word before it, or alone in a literal that is put behind FROM elsewhere.
var (
	tableUse  = regexp.MustCompile(`\b(?:FROM|JOIN|UPDATE) (?:head|version|idx|ref|range|audit)\b|^(?:head|version|idx|ref|range) [a-z]$`)
	tenantUse = regexp.MustCompile(`\btenant = \$1`)
)

// TestEveryStatementNamesItsTenant counts, in the rooms that write SQL on tenant rows, how often a statement touches a table and how
// often it says tenant = $1: the database's own lock must never be the only one. placement/probe.go, which tries that lock, is not
// among them.
func TestEveryStatementNamesItsTenant(t *testing.T) {
	t.Parallel()
	uses := 0
	for _, room := range []string{"record", "plan", "placement", "audit"} {
		files, err := filepath.Glob(filepath.Join("internal", room, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") || strings.HasSuffix(f, "probe.go") {
				continue
			}
			src, err := source(t, f)
			if err != nil {
				t.Fatal(err)
			}
			fset := token.NewFileSet()
			parsed, err := parser.ParseFile(fset, f, src, 0)
			if err != nil {
				t.Fatal(err)
			}
			for at, text := range statements(parsed) {
				tables, tenants := 0, 0
				for part := range strings.SplitSeq(text, "\x00") {
					tables += len(tableUse.FindAllString(part, -1))
					tenants += len(tenantUse.FindAllString(part, -1))
				}
				uses += tables
				if tenants < tables {
					t.Errorf("%s: %d tables, %d times tenant = $1: %s", fset.Position(at), tables, tenants, strings.ReplaceAll(text, "\x00", " … "))
				}
			}
		}
	}
	if uses < 30 {
		t.Errorf("only %d uses of tables were found", uses)
	}
}

// source reads a file, or what test/mutation puts in its place.
func source(t *testing.T, name string) ([]byte, error) {
	t.Helper()
	var overlay struct{ Replace map[string]string }
	if o := os.Getenv("CORDON_MUTANT"); o != "" {
		b, err := os.ReadFile(o)
		if err != nil || json.Unmarshal(b, &overlay) != nil {
			t.Fatal("the overlay cannot be read: ", err)
		}
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	if to := overlay.Replace[abs]; to != "" {
		name = to
	}
	return os.ReadFile(name)
}

// statements gives the string literals of each return, assignment and constant, joined.
func statements(f *ast.File) map[token.Pos]string {
	out := map[token.Pos]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.ReturnStmt, *ast.AssignStmt, *ast.ValueSpec, *ast.ExprStmt:
		default:
			return true
		}
		whole := true // with a function in it, its own statements are looked at instead
		var parts []string
		ast.Inspect(n, func(m ast.Node) bool {
			if _, ok := m.(*ast.FuncLit); ok {
				whole = false
			}
			if l, ok := m.(*ast.BasicLit); ok && l.Kind == token.STRING {
				if s, err := strconv.Unquote(l.Value); err == nil {
					parts = append(parts, s)
				}
			}
			return true
		})
		if whole {
			out[n.Pos()] = strings.Join(parts, "\x00")
		}
		return !whole
	})
	return out
}
