package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// small is a specification of one of each thing that the tables tell apart.
var small = map[string]string{
	"profiles-types.json": `{"resourceType":"Bundle","entry":[
		{"resource":{"resourceType":"StructureDefinition","url":"http://hl7.org/fhir/StructureDefinition/Element","fhirVersion":"4.0.1","kind":"complex-type","abstract":true,"type":"Element","snapshot":{"element":[
			{"path":"Element"},
			{"path":"Element.id","representation":["xmlAttr"],"min":0,"max":"1","type":[{"code":"http://hl7.org/fhirpath/System.String","extension":[{"url":"http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type","valueUrl":"string"}]}]}]}}},
		{"resource":{"resourceType":"StructureDefinition","url":"http://hl7.org/fhir/StructureDefinition/code","fhirVersion":"4.0.1","kind":"primitive-type","type":"code","baseDefinition":"http://hl7.org/fhir/StructureDefinition/string"}},
		{"resource":{"resourceType":"StructureDefinition","url":"http://hl7.org/fhir/StructureDefinition/SimpleCode","fhirVersion":"4.0.1","kind":"complex-type","type":"code","derivation":"constraint"}}]}`,
	"profiles-resources.json": `{"resourceType":"Bundle","entry":[
		{"resource":{"resourceType":"StructureDefinition","url":"http://hl7.org/fhir/StructureDefinition/Newer","fhirVersion":"4.3.0","kind":"resource","type":"Newer"}},
		{"resource":{"resourceType":"StructureDefinition","url":"http://hl7.org/fhir/StructureDefinition/Thing","fhirVersion":"4.0.1","kind":"resource","type":"Thing","derivation":"specialization","baseDefinition":"http://hl7.org/fhir/StructureDefinition/Resource","snapshot":{"element":[
			{"path":"Thing"},
			{"path":"Thing.id","min":0,"max":"1","isSummary":true,"type":[{"code":"http://hl7.org/fhirpath/System.String"}]},
			{"path":"Thing.kind","min":1,"max":"1","isModifier":true,"type":[{"code":"code"}],"binding":{"strength":"required","valueSet":"http://v|1"}},
			{"path":"Thing.what[x]","min":0,"max":"1","type":[{"code":"code"},{"code":"Reference","targetProfile":["http://hl7.org/fhir/StructureDefinition/Thing"]}]},
			{"path":"Thing.part","min":0,"max":"*","type":[{"code":"Element"}]},
			{"path":"Thing.part.id","min":0,"max":"1","representation":["xmlAttr"],"type":[{"code":"http://hl7.org/fhirpath/System.String"}]},
			{"path":"Thing.part.part","min":0,"max":"*","contentReference":"#Thing.part"}]}}}]}`,
	"search-parameters.json": `{"resourceType":"Bundle","entry":[
		{"resource":{"resourceType":"SearchParameter","url":"http://hl7.org/fhir/SearchParameter/Thing-b","version":"4.0.1","code":"b","base":["Thing"],"type":"composite","expression":"Thing","component":[{"definition":"d","expression":"what.as(code)"}]}},
		{"resource":{"resourceType":"SearchParameter","url":"http://hl7.org/fhir/SearchParameter/Thing-a","version":"4.0.1","code":"a","base":["Thing"],"type":"reference","target":["Thing"],"expression":"(Thing.what as Reference)"}},
		{"resource":{"resourceType":"SearchParameter","url":"http://hl7.org/fhir/SearchParameter/Thing-c","version":"5.0.0","code":"c","base":["Thing"],"type":"token"}}]}`,
	"compartmentdefinition-patient.json": `{"resourceType":"CompartmentDefinition","url":"http://hl7.org/fhir/CompartmentDefinition/patient","resource":[{"code":"Thing","param":["a"]},{"code":"Other"}]}`,
}

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(string(b), head)
}

func TestTables(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"types.txt": "T\tElement\tcomplex\t-\ta\n" +
			"E\tid\t0\t1\tx\tstring\t-\n" +
			"T\tThing\tresource\tResource\t-\n" +
			"E\tid\t0\t1\ts\tid\t-\n" +
			"E\tkind\t1\t1\tm\tcode\thttp://v|1\n" +
			"E\twhat[x]\t0\t1\t-\tcode|Reference(Thing)\t-\n" +
			"E\tpart\t0\t*\t-\tThing.part\t-\n" +
			"T\tThing.part\tbackbone\tElement\t-\n" +
			"E\tpart\t0\t*\t-\tThing.part\t-\n" +
			"T\tcode\tprimitive\tstring\t-\n",
		"search.txt": "P\ta\treference\tThing\tThing\thttp://hl7.org/fhir/SearchParameter/Thing-a\tThing.what.ofType(Reference)\n" +
			"P\tb\tcomposite\tThing\t-\thttp://hl7.org/fhir/SearchParameter/Thing-b\tThing\n" +
			"C\td\twhat.ofType(code)\n",
		"compartment.txt": "Thing\ta\n",
	}
	defs := folder(t, small)
	for range 2 { // the same definitions give the same bytes
		out := t.TempDir()
		if err := run(defs, out, ""); err != nil {
			t.Fatal(err)
		}
		for name, text := range want {
			if got := read(t, out, name); got != text {
				t.Errorf("%s:\n%s\nwant:\n%s", name, got, text)
			}
		}
	}
}

func TestCorrections(t *testing.T) {
	t.Parallel()
	table := `
# a remark
drop element Thing.part # with Thing.part.part
drop param Thing-b # why
set element Thing.kind min 1 0 # why
set element Thing.kind valueset http://v|1 - # why
set element Thing.what[x] types code|Reference(Thing) Reference(Thing,Element)|string # why
drop target Thing.what[x] Thing # why
add element Thing.more Thing.kind 0 * sm code|canonical(Thing) http://v|2 # why
add target Thing-a Other # why
drop target Thing-a Thing # why
set compartment Thing a b,c # why
`
	want := map[string]string{
		"types.txt": "T\tElement\tcomplex\t-\ta\n" +
			"E\tid\t0\t1\tx\tstring\t-\n" +
			"T\tThing\tresource\tResource\t-\n" +
			"E\tid\t0\t1\ts\tid\t-\n" +
			"E\tkind\t0\t1\tm\tcode\t-\n" +
			"E\tmore\t0\t*\tsm\tcode|canonical(Thing)\thttp://v|2\n" +
			"E\twhat[x]\t0\t1\t-\tReference(Element)|string\t-\n" +
			"T\tcode\tprimitive\tstring\t-\n",
		"search.txt":      "P\ta\treference\tThing\tOther\thttp://hl7.org/fhir/SearchParameter/Thing-a\tThing.what.ofType(Reference)\n",
		"compartment.txt": "Thing\tb,c\n",
	}
	out := t.TempDir()
	if err := run(folder(t, small), out, table); err != nil {
		t.Fatal(err)
	}
	for name, text := range want {
		if got := read(t, out, name); got != text {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got, text)
		}
	}
	if err := run(folder(t, small), out, "drop compartment Thing a # why"); err != nil {
		t.Fatal(err)
	}
	if got := read(t, out, "compartment.txt"); got != "" {
		t.Errorf("compartment.txt: %s", got)
	}
}

// TestRottenCorrections has corrections that do not find, or not quite, what they name.
func TestRottenCorrections(t *testing.T) {
	t.Parallel()
	defs := folder(t, small)
	for _, line := range []string{
		"drop element Thing.kind",
		"drop element Thing # why",
		"drop it Thing.kind # why",
		"drop element Thing.kind Thing.part # why",
		"drop element Thing.none # why",
		"drop element Nothing.kind # why",
		"add element Thing.kind Thing.id 0 1 - code - # why",
		"add element More Thing.kind 0 1 - code - # why",
		"add element Thing.more Thing.none 0 1 - code - # why",
		"add element Thing.more Thing.part.part 0 1 - code - # why",
		"add element Thing.more Thing.kind few 1 - code - # why",
		"add element Thing.more Thing.kind 0 few - code - # why",
		"add element Thing.more Thing.kind 0 1 x code - # why",
		"set element Thing.none min 1 0 # why",
		"set element Thing.kind min 0 1 # why",
		"set element Thing.kind min 1 1 # why",
		"set element Thing.kind max 1 2 # why",
		"set element Thing.kind types string code # why",
		"set element Thing.kind valueset http://v|2 - # why",
		"drop param Thing-none # why",
		"drop target Thing-none Thing # why",
		"drop target Thing-a Other # why",
		"drop target Thing-a Thing # why",
		"drop target Thing.none Thing # why",
		"drop target Thing.what[x] Other # why",
		"drop target Thing.what[x] Thing # why",
		"add target Thing-none Thing # why",
		"add target Thing-a Thing # why",
		"drop compartment Thing b # why",
		"drop compartment Other a # why",
		"set compartment Thing b a # why",
	} {
		out := t.TempDir()
		if err := run(defs, out, "# head\n"+line+"\n"); err == nil {
			t.Errorf("%s: no error", line)
		}
		if left, _ := os.ReadDir(out); len(left) > 0 {
			t.Errorf("%s: wrote %s", line, left[0].Name())
		}
	}
}

func TestOneCast(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string]string{
		"":                              "",
		"A.b":                           "A.b",
		"(A.b as T)":                    "A.b.ofType(T)",
		"A.b as T":                      "A.b.ofType(T)",
		"A.b.as(T)":                     "A.b.ofType(T)",
		"(A.b.ofType(T))":               "A.b.ofType(T)",
		"(A.b as T) | A.c.as(U)":        "A.b.ofType(T) | A.c.ofType(U)",
		"(A.b as T) | (A.b.ofType(U))":  "A.b.ofType(T) | A.b.ofType(U)",
		"(A.b as T).c":                  "A.b.ofType(T).c",
		"A.where(b.ofType(T))":          "A.where(b.ofType(T))",
		"A.b.where(resolve() is T)":     "A.b.where(resolve() is T)",
		"A.b.exists() and A.b != false": "A.b.exists() and A.b != false",
		"(A.b | A.c) as T":              "error",
		"A.b[0] as T":                   "error",
		"A.b.as(ns.T)":                  "error",
		"A.b\t":                         "error",
	} {
		got, err := oneCast(expr)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", expr, got, want)
		}
	}
}

func TestFailureWritesNothing(t *testing.T) {
	t.Parallel()
	broken := map[string]string{}
	for name, text := range small {
		broken[name] = strings.ReplaceAll(text, "StructureDefinition/Thing\"]", "StructureDefinition/x/Thing\"]")
	}
	for name, defs := range map[string]string{
		"foreign target": folder(t, broken),
		"not there":      filepath.Join(t.TempDir(), "none"),
		"empty":          t.TempDir(),
		"no package":     filepath.Join(t.TempDir(), "none.tgz"),
	} {
		out := t.TempDir()
		if err := run(defs, out, ""); err == nil {
			t.Errorf("%s: no error", name)
		}
		if left, _ := os.ReadDir(out); len(left) > 0 {
			t.Errorf("%s: wrote %s", name, left[0].Name())
		}
	}
}
