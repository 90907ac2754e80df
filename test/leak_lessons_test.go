package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// lesson is a public report of a tenant leak, or of a gap in tenancy, in another server, and where ours is tried for the same. A case
// is the name of a test, or of a function of the leak suite with what it asks; a feature that is not here yet names the work that
// brings it, and with it the case.
type lesson struct {
	thread, says string
	cases        string // names, separated by blanks
	awaits       string // feature, when there is none yet
}

// HF is hapifhir/hapi-fhir, MP medplum/medplum, MS microsoft/fhir-server, LFH LinuxForHealth/FHIR, BZ samply/blaze, FW
// aws-solutions/fhir-works-on-aws.
var lessons = []lesson{
	{"HF#2207", "_id crossed partitions", "leakSpecial leakCorpus TestNothingOfAnotherTenant", ""},
	{"org.hl7.fhir.core#392", "_id crossed partitions", "leakSpecial", ""},
	{"HF#2853", "_source leaks across partitions", "leakSpecial postedSearches", ""},
	{"HF#5184", "a unique constraint on a search URL is shared by tenants", "TestSameBusinessIdentifiers leakScript", ""},
	{"HF#7787", "subscriptions match other partitions", "", "subscriptions (issue 5): events and their matching"},
	{"HF#6188", "subscriptions match other partitions", "", "subscriptions (issue 5): events and their matching"},
	{"HF#4610", "bulk jobs lose the tenant", "leakEvents unserved", "bulk $export and $import (issue 5); the audit export, the one job there is, is tried"},
	{"HF#2931", "bulk jobs lose the tenant", "unserved", "bulk $export and $import (issue 5)"},
	{"HF#3524", "bulk jobs lose the tenant", "unserved", "bulk $export and $import (issue 5)"},
	{"HF#6665", "bulk jobs lose the tenant", "unserved", "bulk $export and $import (issue 5)"},
	{"HF#4693", "bulk jobs lose the tenant", "unserved", "bulk $export and $import (issue 5)"},
	{"HF#7387", "$everything is empty under tenant routing: isolation can hide what is one's own", "TestNothingOfAnotherTenant TestSameIDsInParallel", ""}, // "find it for the neighbour": Bravo finds its own
	{"HF#2527", "conformance resources per tenant", "leakCorpus", "profiles and terminology of a tenant (issue 5); as resources they are its own already"},
	{"MP#7321", "the administrator is outside of the compartment", "TestOperatorsAPI leakPages", ""},
	{"MP#9129", "Binary ids of an export open for others", "unserved leakByRoute", "Binary content and export files (issue 5)"},
	{"MP#7998", "asks for stronger isolation", "leakPlaces", "placements beside pooled (issue 4): leakPlaces is where they join"},
	{"MS ADR-2607", "_include and _revinclude leave the compartment", "leakCorpus", "scopes of one patient, with people and SMART launch"},
	{"MS#2194", "asks for tenancy", "TestNothingOfAnotherTenant", ""},
	{"MS#1714", "asks for tenancy", "TestNothingOfAnotherTenant", ""},
	{"MS#2402", "asks for tenancy", "TestNothingOfAnotherTenant", ""},
	{"MS#545", "asks for tenancy", "TestNothingOfAnotherTenant", ""},
	{"MS#2202", "asks for tenancy", "TestNothingOfAnotherTenant", ""},
	{"MS#1613", "asks for row security", "TestNothingOfAnotherTenantWithoutRowSecurity", ""},
	{"BZ#455", "asks for tenancy", "TestNothingOfAnotherTenant", ""},
	{"FW deployment#165", "tenancy is off in local development", "TestNothingOfAnotherTenant", ""}, // the suite runs on a cordon dev
	{"FW deployment#647", "tenancy is off in local development", "TestNothingOfAnotherTenant", ""},
	{"FW routing#176", "an authorization server per tenant is refused", "TestTokenOfANeighbour leakPages", ""},
	{"fazer-ai/agents#382", "OR is_super_admin in a policy", "TestCatalogOfWalls TestNoTenantNoRow", ""},
	{"MP#6784", "OR for linked projects", "TestEveryStatementWalksAnIndex", ""},
	{"Cyoda/cyoda-go#363", "row security is inert: the table's owner, no FORCE", "TestCatalogOfWalls TestNoTenantNoRow", ""},
	{"apartment#470", "session state under a pooler serves another's rows", "TestSameIDsInParallel", ""},
	{"raia-live/amfs#363", "session state under a pooler serves another's rows", "TestSameIDsInParallel", ""},
}

// TestLeakLessons checks that each report has a case that exists, or says what it waits for; it prints what is waited for.
func TestLeakLessons(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				names[d.Name.Name] = true
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if v, ok := s.(*ast.ValueSpec); ok {
						names[v.Names[0].Name] = true
					}
				}
			}
		}
	}
	seen := map[string]bool{}
	for _, l := range lessons {
		if seen[l.thread] || (l.cases == "" && l.awaits == "") {
			t.Errorf("%s is there twice, or has neither a case nor what it waits for", l.thread)
		}
		seen[l.thread] = true
		for c := range strings.FieldsSeq(l.cases) {
			if !names[c] {
				t.Errorf("%s: there is no case %s", l.thread, c)
			}
		}
		if l.awaits != "" {
			t.Logf("%s (%s) waits for %s", l.thread, l.says, l.awaits)
		}
	}
}
