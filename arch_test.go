// Package cordon holds tests over the whole repository: who may import whom, and that every room says what it is.
package cordon

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/cordon-ehr/cordon/internal/"

// mayImport is the plan of the house: each room and the rooms it may name. tenant, fault and phi are the ground, open to all.
// A room that is not here may not exist.
var mayImport = map[string]string{
	// ground
	"fault": "", "tenant": "", "phi": "", "telemetry": "",
	"pg": "", "pgserver": "", "synth": "", "limit": "", "phivet": "",
	"posture": "pg", "prove": "",
	// FHIR as data: no I/O
	"fhir": "", "fhir/search": "fhir",
	"outcome": "",
	// trust
	"seal": "", "authz": "", "gather": "", "lease": "seal",
	"ledger": "", "worm": "",
	"audit":    "seal gather ledger",
	"auditlog": "audit ledger pg",
	"alert":    "audit",
	"tally":    "audit",
	"routes":   "",
	"rpc":      "audit",
	"mesh":     "audit rpc outcome telemetry", "mesh/spiffe": "mesh",
	"wire":      "ledger mesh rpc routes lease authn audit seal outcome prove",
	"authn":     "authz routes",
	"placement": "pg posture audit ledger authn routes gather limit",
	"keyring":   "pg posture audit auditlog seal rpc",
	"registry":  "pg posture audit auditlog",
	// capabilities
	"identity":  "registry audit authn authz",
	"provision": "registry audit",
	"blind":     "lease fhir fhir/search",
	"plan":      "blind fhir fhir/search",
	"balp":      "audit",
	"ocsf":      "audit",
	"record":    "blind plan placement audit authz balp lease seal fhir fhir/search",
	// faces
	"fhirhttp": "record outcome fhir fhir/search telemetry limit",
	// roles: they never import each other, and meet over the interfaces that each declares
	"edge":    "routes authn audit rpc outcome telemetry limit tally",
	"keys":    "alert posture prove seal keyring audit auditlog ledger authn lease rpc telemetry",
	"control": "alert posture prove tally telemetry registry provision identity audit auditlog ledger authn authz lease ocsf routes rpc outcome pg",
	"cell":    "alert posture prove seal fhirhttp ledger record blind placement audit authn lease routes rpc outcome pg telemetry limit tally",
	// the process
	"platform":   "posture ledger worm edge cell control keys mesh mesh/spiffe wire keyring pg fhir telemetry limit routes",
	"dev":        "posture platform ledger worm mesh edge cell control keyring identity registry placement pg pgserver",
	"cordontest": "posture dev pgserver telemetry",
}

// never are walls that must hold through any number of rooms, each with its reason.
var never = []struct{ from, to, why string }{
	{"edge", "pg", "the edge runs no SQL"},
	{"edge", "placement", "the edge opens no chart"},
	{"edge", "record", "the edge keeps no PHI"},
	{"edge", "fhir", "the edge knows no FHIR"},
	{"edge", "lease", "the edge holds no keys"},
	{"keys", "fhir", "the broker knows no FHIR"},
	{"keys", "record", "the broker sees no chart"},
	{"keys", "placement", "the broker sees no chart"},
	{"keys", "registry", "the broker learns of tenants by what it is asked"},
	{"control", "record", "control reads no chart"},
	{"control", "fhirhttp", "control serves no chart"},
	{"control", "placement", "control opens no chart"},
	{"control", "keyring", "control unwraps nothing"},
	{"control", "keys", "control asks the broker, and is not it"},
	{"cell", "registry", "a cell learns of tenants by its routes only"},
	{"cell", "provision", "a cell does not provision itself"},
	{"cell", "keyring", "a cell gets keys by lease only"},
	{"ledger", "pg", "a log is proven without a database"},
	{"ledger", "worm", "a log does not know where it is stored"},
	{"ledger", "seal", "a log is proven without a tenant's key"},
	{"fhir", "pg", "FHIR as data does no I/O"},
	{"fhir/search", "pg", "the search compiler knows no SQL"},
	{"plan", "pg", "a plan is text: only placement sends it"},
	{"mesh", "pg", "what carries calls runs no SQL"},
	{"mesh", "fhir", "what carries calls knows no FHIR"},
	{"mesh", "lease", "what carries calls knows no keys of tenants"},
	{"edge", "wire", "a role is handed its stubs: it knows the interfaces only"},
	{"cell", "wire", "a role is handed its stubs: it knows the interfaces only"},
	{"keys", "wire", "a role is handed its stubs: it knows the interfaces only"},
	{"control", "wire", "a role is handed its stubs: it knows the interfaces only"},
}

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
	GoFiles    []string
	Dir        string
}

func list(t *testing.T) map[string]listed {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Imports,Deps,GoFiles,Dir", "./internal/...", "./cmd/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := map[string]listed{}
	d := json.NewDecoder(bytes.NewReader(out))
	for {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
	}
}

func TestImportLaw(t *testing.T) {
	t.Parallel()
	ground := []string{"tenant", "fault", "phi"}
	for path, p := range list(t) {
		room, ours := strings.CutPrefix(path, module)
		if !ours {
			continue
		}
		law, known := mayImport[room]
		if !known {
			t.Errorf("room %s is not in the plan of the house (arch_test.go)", room)
			continue
		}
		allowed := append(strings.Fields(law), ground...)
		for _, imp := range p.Imports {
			if to, ours := strings.CutPrefix(imp, module); ours && !slices.Contains(allowed, to) {
				t.Errorf("%s imports %s, which the plan of the house does not allow", room, to)
			}
		}
	}
}

func TestWalls(t *testing.T) {
	t.Parallel()
	all := list(t)
	for _, w := range never {
		if slices.Contains(all[module+w.from].Deps, module+w.to) {
			t.Errorf("%s reaches %s: %s", w.from, w.to, w.why)
		}
	}
	for path, p := range all {
		room, ours := strings.CutPrefix(path, module)
		if !ours {
			continue
		}
		if slices.Contains(p.Imports, "github.com/jackc/pgx/v5/pgxpool") && room != "pg" {
			t.Errorf("%s opens database pools: only pg does", room)
		}
		if room != "cordontest" && (slices.Contains(p.Deps, "testing") || slices.Contains(p.Deps, module+"cordontest")) {
			t.Errorf("%s has test code in the product", room)
		}
	}
}

// TestRoomsSpeak wants a package comment of every package, and keeps the budgets of CONTRIBUTING.md.
func TestRoomsSpeak(t *testing.T) {
	t.Parallel()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == ".cache" || d.Name() == "bin") {
			return fs.SkipDir
		}
		if d.IsDir() {
			speaks(t, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func speaks(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		return
	}
	documented := false
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, f, src, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		documented = documented || parsed.Doc != nil
		budgets(t, f, src, fset, parsed)
	}
	if !documented {
		t.Errorf("package %s does not say what it is", dir)
	}
}

// budgets: a file has at most 500 lines, a function at most 70.
func budgets(t *testing.T, name string, src []byte, fset *token.FileSet, f *ast.File) {
	t.Helper()
	if n := bytes.Count(src, []byte("\n")); n > 500 {
		t.Errorf("%s has %d lines", name, n)
	}
	if strings.HasSuffix(name, "_test.go") {
		return // a table of cases may be as long as it is
	}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			if n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; n > 70 {
				t.Errorf("%s: %s has %d lines", name, fn.Name.Name, n)
			}
		}
	}
}
