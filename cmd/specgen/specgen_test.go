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
		{"resource":{"resourceType":"SearchParameter","url":"http://hl7.org/fhir/SearchParameter/Thing-b","version":"4.0.1","code":"b","base":["Thing"],"type":"composite","expression":"Thing","component":[{"definition":"d","expression":"part"}]}},
		{"resource":{"resourceType":"SearchParameter","url":"http://hl7.org/fhir/SearchParameter/Thing-a","version":"4.0.1","code":"a","base":["Thing"],"type":"reference","target":["Thing"],"expression":"Thing.what"}},
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
		"search.txt": "P\ta\treference\tThing\tThing\thttp://hl7.org/fhir/SearchParameter/Thing-a\tThing.what\n" +
			"P\tb\tcomposite\tThing\t-\thttp://hl7.org/fhir/SearchParameter/Thing-b\tThing\n" +
			"C\td\tpart\n",
		"compartment.txt": "Thing\ta\n",
	}
	defs := folder(t, small)
	for range 2 { // the same definitions give the same bytes
		out := t.TempDir()
		if err := run(defs, out); err != nil {
			t.Fatal(err)
		}
		for name, text := range want {
			if got := read(t, out, name); got != text {
				t.Errorf("%s:\n%s\nwant:\n%s", name, got, text)
			}
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
		if err := run(defs, out); err == nil {
			t.Errorf("%s: no error", name)
		}
		if left, _ := os.ReadDir(out); len(left) > 0 {
			t.Errorf("%s: wrote %s", name, left[0].Name())
		}
	}
}
