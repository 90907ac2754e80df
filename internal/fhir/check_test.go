package fhir_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir"
)

func check(t *testing.T, src string, want *fhir.Type) fhir.Checked {
	t.Helper()
	d := parse(t, src)
	defer d.Release()
	return fhir.Check(d.Root(), want)
}

// obs makes an Observation out of further members.
func obs(members string) string {
	return `{"resourceType":"Observation","status":"final","code":{"text":"x"}` + comma(members) + `}`
}

func pat(members string) string { return `{"resourceType":"Patient"` + comma(members) + `}` }

func comma(members string) string {
	if members == "" {
		return ""
	}
	return "," + members
}

func TestCheckAccepts(t *testing.T) {
	t.Parallel()
	for name, src := range map[string]string{
		"sample":             observation,
		"bare":               pat(""),
		"resourceType last":  `{"id":"a","resourceType":"Patient"}`,
		"escaped names":      `{"resourc\u0065Type":"Pati\u0065nt","\u0061ctive":true}`,
		"companion alone":    pat(`"_birthDate":{"extension":[{"url":"http://x","valueCode":"unknown"}]}`),
		"companion pair":     pat(`"birthDate":"1970","_birthDate":{"id":"b"}`),
		"companion required": `{"resourceType":"Observation","_status":{"id":"x"},"code":{"text":"x"}}`,
		"companion arrays":   pat(`"name":[{"given":["A",null,"C"],"_given":[null,{"id":"x"},{"id":"y"}]}]`),
		"companions only":    pat(`"name":[{"_given":[{"id":"x"}]}]`),
		"choice pair":        pat(`"deceasedBoolean":true,"_deceasedBoolean":{"id":"d"}`),
		"choice companion":   obs(`"_valueString":{"extension":[{"url":"u","valueString":"s"}]}`),
		"nested extension":   pat(`"extension":[{"url":"u","extension":[{"url":"v","valueDecimal":1.0}]}]`),
		"empty companion":    pat(`"extension":[{"url":"u","_valueString":{"id":"x"}}]`),
		"contained":          pat(`"contained":[{"resourceType":"Organization","id":"o","name":"n"}],"managingOrganization":{"reference":"#o"}`),
		"container":          pat(`"contained":[{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"subject":{"reference":"#"}}]`),
		"references":         obs(`"focus":[{"reference":"Patient/1"},{"reference":"Patient/1/_history/2"},{"reference":"http://h/fhir/Patient/1"},{"reference":"https://h/Patient/1/_history/3"},{"reference":"urn:uuid:0d6a1c5e-2a9c-4d52-9d0e-1f4f1b1f2b11"},{"reference":"urn:oid:1.2.3"},{"reference":"Patient?identifier=http://s|v"},{"reference":"http://h/page"},{"display":"d"},{"reference":"ftp://h/x"}]`),
		"absolute elsewhere": obs(`"subject":{"reference":"http://h/x/NoType/1"}`),
		"bundle":             `{"resourceType":"Bundle","type":"batch","entry":[{"resource":` + observation + `},{"fullUrl":"urn:uuid:x","request":{"method":"GET","url":"Patient?x=y"}}]}`,
		"parameters":         `{"resourceType":"Parameters","parameter":[{"name":"r","resource":{"resourceType":"Patient"}},{"name":"p","part":[{"name":"q","valueUuid":"urn:uuid:0d6a1c5e-2a9c-4d52-9d0e-1f4f1b1f2b11"}]}]}`,
		"content reference":  obs(`"component":[{"code":{"text":"c"},"referenceRange":[{"text":"r"}]}]`),
		"outcome":            `{"resourceType":"Bundle","type":"batch-response","entry":[{"response":{"status":"200","outcome":{"resourceType":"Patient"}}}]}`,
		"no-break space":     pat(`"name":[{"text":"A\u00a0B"}]`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c := check(t, src, nil); len(c.Issues) > 0 || c.Type == nil || c.Fault(fault.Invalid) != nil {
				t.Errorf("got %+v", c.Issues)
			}
		})
	}
}

// TestCheckRefuses is long because it is one table.
func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		src  string
		want string // "place code", joined by "; "
	}{
		"no type":               {`{"id":"a"}`, "Resource.resourceType required"},
		"number type":           {`{"resourceType":1}`, "Resource.resourceType structure"},
		"unknown type":          {`{"resourceType":"Secret"}`, "Resource.resourceType not-supported"},
		"abstract type":         {`{"resourceType":"DomainResource"}`, "Resource.resourceType not-supported"},
		"data type":             {`{"resourceType":"HumanName"}`, "Resource.resourceType not-supported"},
		"unknown element":       {pat(`"secret name!":1`), "Patient.secret?name? structure"},
		"unknown nested":        {pat(`"name":[{},{"fam":1}]`), "Patient.name[0] structure; Patient.name[1].fam structure"},
		"empty name":            {pat(`"":1`), "Patient. structure"},
		"unknown companion":     {pat(`"_nope":{"id":"x"},"_name":[{"id":"x"}],"_":{}`), "Patient._nope structure; Patient._name structure; Patient._ structure"},
		"comments":              {pat(`"fhir_comments":["x"]`), "Patient.fhir_comments structure"},
		"nested resourceType":   {pat(`"name":[{"resourceType":"HumanName"}]`), "Patient.name[0].resourceType structure"},
		"not an array":          {pat(`"name":{"text":"x"}`), "Patient.name structure"},
		"array":                 {pat(`"gender":["male"]`), "Patient.gender structure"},
		"object for primitive":  {pat(`"gender":{"a":1}`), "Patient.gender structure"},
		"primitive for object":  {pat(`"maritalStatus":"M"`), "Patient.maritalStatus structure"},
		"array in array":        {pat(`"name":[[{"text":"x"}]]`), "Patient.name[0] structure"},
		"string for boolean":    {pat(`"active":"true"`), "Patient.active structure"},
		"string for number":     {obs(`"valueInteger":"1"`), "Observation.value structure"},
		"number for string":     {obs(`"valueString":1`), "Observation.value structure"},
		"empty array":           {pat(`"name":[]`), "Patient.name structure"},
		"empty object":          {pat(`"maritalStatus":{}`), "Patient.maritalStatus structure"},
		"empty string":          {pat(`"gender":""`), "Patient.gender value"},
		"null":                  {pat(`"gender":null,"maritalStatus":null,"name":null`), "Patient.gender structure; Patient.maritalStatus structure; Patient.name structure"},
		"null in objects":       {pat(`"name":[null]`), "Patient.name[0] structure"},
		"null alone":            {pat(`"name":[{"given":["a",null]}]`), "Patient.name[0].given[1] structure"},
		"null in companions":    {pat(`"name":[{"_given":[null,{"id":"x"}]}]`), "Patient.name[0].given[0] structure"},
		"null twice":            {pat(`"name":[{"given":["a",null],"_given":[{"id":"x"},null]}]`), "Patient.name[0].given[1] structure"},
		"uneven companions":     {pat(`"name":[{"given":["a"],"_given":[null,{"id":"x"}]}]`), "Patient.name[0].given structure"},
		"companion string":      {pat(`"_gender":"x"`), "Patient.gender structure"},
		"companion array":       {pat(`"_gender":[{"id":"x"}]`), "Patient.gender structure"},
		"companion object":      {pat(`"name":[{"_given":{"id":"x"}}]`), "Patient.name[0].given structure"},
		"companion value":       {pat(`"_gender":{"value":"x"}`), "Patient.gender.value structure"},
		"companion empty":       {pat(`"_gender":{}`), "Patient.gender structure"},
		"companion of url":      {pat(`"extension":[{"url":"u","valueCode":"c","_url":{"id":"x"}}]`), "Patient.extension[0]._url structure"},
		"missing":               {`{"resourceType":"Observation"}`, "Observation.status required; Observation.code required"},
		"missing nested":        {obs(`"component":[{"valueString":"x"}]`), "Observation.component[0].code required"},
		"missing choice":        {`{"resourceType":"MedicationRequest","status":"active","intent":"order","subject":{"display":"x"}}`, "MedicationRequest.medication required"},
		"two choices":           {obs(`"valueString":"x","valueBoolean":true`), "Observation.value structure"},
		"two choices, hidden":   {obs(`"valueString":"x","_valueBoolean":{"id":"x"}`), "Observation.value structure"},
		"wrong choice":          {obs(`"valueAttachment":{"url":"u"}`), "Observation.valueAttachment structure"},
		"bare choice":           {obs(`"value":"x"`), "Observation.value structure"},
		"extension without url": {pat(`"extension":[{"valueString":"x"}]`), "Patient.extension[0].url required"},
		"extension both":        {pat(`"extension":[{"url":"u","valueString":"x","extension":[{"url":"v","valueCode":"c"}]}]`), "Patient.extension[0] invariant"},
		"extension neither":     {pat(`"extension":[{"url":"u"}]`), "Patient.extension[0] invariant"},
		"companion extension":   {pat(`"_birthDate":{"extension":[{"url":"u","valueDate":"x"}]}`), "Patient.birthDate.extension[0].value value"},
		"element id":            {pat(`"name":[{"id":"a b","text":"x"}]`), "Patient.name[0].id value"},
		"id":                    {pat(`"id":"a_b"`), "Patient.id value"},
		"bad day":               {pat(`"birthDate":"2023-02-29"`), "Patient.birthDate value"},
		"array of primitives":   {pat(`"name":[{"given":["a","","\u0007"]}]`), "Patient.name[0].given[1] value; Patient.name[0].given[2] value"},
		"nested contained":      {pat(`"contained":[{"resourceType":"Patient","id":"c","contained":[{"resourceType":"Patient"}]}]`), "Patient.contained[0].contained[0] structure"},
		"contained wrong":       {pat(`"contained":[{"resourceType":"Organization","nam":"x"}]`), "Patient.contained[0].nam structure"},
		"contained untyped":     {pat(`"contained":[{"id":"x"}]`), "Patient.contained[0].resourceType required"},
		"contained string":      {pat(`"contained":["x"]`), "Patient.contained[0] structure"},
		"fragment":              {pat(`"managingOrganization":{"reference":"#nope"}`), "Patient.managingOrganization.reference value"},
		"fragment type":         {pat(`"contained":[{"resourceType":"Patient","id":"p"}],"managingOrganization":{"reference":"#p"}`), "Patient.managingOrganization.reference value"},
		"target":                {obs(`"subject":{"reference":"Practitioner/1"}`), "Observation.subject.reference value"},
		"target absolute":       {obs(`"subject":{"reference":"http://h/fhir/Practitioner/1/_history/1"}`), "Observation.subject.reference value"},
		"target conditional":    {obs(`"subject":{"reference":"Practitioner?identifier=1"}`), "Observation.subject.reference value"},
		"unknown target":        {obs(`"subject":{"reference":"Secret/1"}`), "Observation.subject.reference value"},
		"no reference":          {obs(`"focus":[{"reference":"secret"},{"reference":"/Patient/1"},{"reference":"Patient/"},{"reference":"Patient/1/x/2"},{"reference":"Patient/a b"},{"reference":"http:x"},{"reference":"Patient/1?a=b"}]`), "Observation.focus[0].reference value; Observation.focus[1].reference value; Observation.focus[2].reference value; Observation.focus[3].reference value; Observation.focus[4].reference value; Observation.focus[5].reference value; Observation.focus[6].reference value"},
		"entry":                 {`{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Patient"}},{"resource":{"resourceType":"Patient","nam":1}}]}`, "Bundle.entry[1].resource.nam structure"},
		"entry fragment":        {`{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"o"}]}},{"resource":{"resourceType":"Patient","managingOrganization":{"reference":"#o"}}}]}`, "Bundle.entry[1].resource.managingOrganization.reference value"},
		"script":                {pat(`"text":{"status":"generated","div":"<div><script>x</script></div>"}`), "Patient.text.div value"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, i := range check(t, c.src, nil).Issues {
				got = append(got, i.Expression+" "+i.Code)
				if i.Severity != "error" || i.Diagnostics == "" || strings.Contains(strings.ToLower(i.Diagnostics), "secret") {
					t.Errorf("issue %+v", i)
				}
			}
			if s := strings.Join(got, "; "); s != c.want {
				t.Errorf("got  %s\nwant %s", s, c.want)
			}
		})
	}
}

func TestCheckWant(t *testing.T) {
	t.Parallel()
	if c := check(t, pat(""), fhir.ResourceType("Patient")); len(c.Issues) > 0 {
		t.Errorf("got %+v", c.Issues)
	}
	c := check(t, pat(""), fhir.ResourceType("Observation"))
	if len(c.Issues) != 1 || c.Issues[0].Code != "invalid" || c.Issues[0].Expression != "Patient.resourceType" {
		t.Errorf("got %+v", c.Issues)
	}
}

func TestCheckStopsCounting(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, `,{"x%d":1}`, i)
	}
	if c := check(t, pat(`"name":[{"text":"t"}`+b.String()+`]`), nil); len(c.Issues) != 100 {
		t.Errorf("%d issues", len(c.Issues))
	}
	wide := b.String()[1:]
	if c := check(t, pat(strings.NewReplacer("{", "", "}", "").Replace(wide)), nil); len(c.Issues) != 1 {
		t.Errorf("%d issues for one very wide object", len(c.Issues))
	}
}

func TestCheckCollects(t *testing.T) {
	t.Parallel()
	src := obs(`"subject":{"reference":"Patient\/1"},
		"contained":[{"resourceType":"Patient","id":"p","generalPractitioner":[{"reference":"urn:uuid:a"}]}],
		"extension":[{"url":"u","valueReference":{"reference":"#p"}}],
		"identifier":[{"system":"urn:oid:1.2","value":"urn:uuid:not-a-uri"}],"instantiatesX":"urn:uuid:b",
		"meta":{"source":"urn:uuid:c","profile":["http://p"]}`)
	d := parse(t, src)
	defer d.Release()
	c := fhir.Check(d.Root(), nil)
	var got []string
	for _, l := range slices.Concat(c.Links, c.URIs) {
		got = append(got, fhir.PlaceAt(d.Root(), l.Start)+"="+l.Target)
		if raw := src[l.Start:l.End]; raw != `"`+l.Target+`"` && raw != `"Patient\/1"` {
			t.Errorf("span of %s is %s", l.Target, raw)
		}
	}
	want := "Observation.subject.reference=Patient/1 Observation.contained[0].generalPractitioner[0].reference=urn:uuid:a " +
		"Observation.extension[0].value.reference=#p Observation.identifier[0].system=urn:oid:1.2 " +
		"Observation.meta.source=urn:uuid:c"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
}

func TestManyContained(t *testing.T) {
	t.Parallel()
	var in, refs []string
	for i := range 20_000 { // and each points at another: quadratic work would show
		in = append(in, fmt.Sprintf(`{"resourceType":"Practitioner","id":"p%d","extension":[{"url":"u","valueReference":`+
			`{"reference":"#p%d"}}]}`, i, (i*7)%20_000))
		refs = append(refs, fmt.Sprintf(`{"reference":"#p%d"}`, i))
	}
	refs = append(refs, `{"reference":"#p20000"}`)
	c := check(t, pat(`"contained":[`+strings.Join(in, ",")+`],"generalPractitioner":[`+strings.Join(refs, ",")+`]`), nil)
	if len(c.Issues) != 1 || c.Issues[0].Expression != "Patient.generalPractitioner[20000].reference" {
		t.Errorf("got %+v", c.Issues)
	}
}

// TestBreakEverything breaks a sound resource at each of its values in turn; the place reported must lead there.
func TestBreakEverything(t *testing.T) {
	t.Parallel()
	d := parse(t, observation)
	defer d.Release()
	var walk func(v fhir.Value)
	walk = func(v fhir.Value) {
		for c := v.First(); c.Valid(); c = c.Next() {
			start, end := c.Span()
			place := fhir.PlaceAt(d.Root(), start)
			for _, bad := range []string{`null`, `{"zz":1}`, `[[]]`, `""`} {
				src := observation[:start] + bad + observation[end:]
				got := check(t, src, nil)
				found := slices.ContainsFunc(got.Issues, func(i fault.Issue) bool {
					return strings.HasPrefix(i.Expression, place) || i.Expression == "Resource.resourceType"
				})
				if !found {
					t.Errorf("%s for %s: got %+v", bad, place, got.Issues)
				}
			}
			walk(c)
		}
	}
	walk(d.Root())
}
