package fhir_test

import (
	"strings"
	"testing"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir"
)

func parse(t *testing.T, src string) *fhir.Doc {
	t.Helper()
	d, err := fhir.Parse([]byte(src), fhir.Limits{})
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	return d
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	small := fhir.Limits{MaxBytes: 200, MaxDepth: 4, MaxNodes: 12, MaxString: 40}
	for name, c := range map[string]struct {
		src  string
		kind fault.Kind
		want string // part of the text
	}{
		"empty":            {"", fault.Invalid, "empty"},
		"white space":      {" \r\n\t ", fault.Invalid, "empty"},
		"byte order mark":  {"\xef\xbb\xbf{}", fault.Invalid, "byte order mark"},
		"xml":              {"<Patient/>", fault.Invalid, "XML"},
		"array":            {"[]", fault.Invalid, "not a JSON object"},
		"string":           {`"secret"`, fault.Invalid, "not a JSON object"},
		"truncated":        {`{"a":[1,2`, fault.Invalid, "ends before the object does at line 1, column 10, within a"},
		"truncated string": {`{"a":"sec`, fault.Invalid, "ends before"},
		"trailing":         {"{}\n secret", fault.Invalid, "data after the end of the object at line 2, column 2"},
		"second object":    {"{}{}", fault.Invalid, "data after"},
		"duplicate":        {`{"a":1,"b":{"secret":1,"secret":2}}`, fault.Invalid, "same name at line 1, column 24, within b"},
		"escaped twin":     {`{"a":1,"\u0061":2}`, fault.Invalid, "same name"},
		"not UTF-8":        {"{\"a\":\"se\xffcret\"}", fault.Invalid, "not UTF-8"},
		"lone high":        {`{"a":"\ud800secret"}`, fault.Invalid, "surrogate"},
		"lone low":         {`{"a":"\udc00"}`, fault.Invalid, "surrogate"},
		"NaN":              {`{"a":NaN}`, fault.Invalid, "NaN"},
		"infinity":         {`{"a":-Infinity}`, fault.Invalid, "not valid JSON"},
		"leading zero":     {`{"a":01}`, fault.Invalid, "not valid JSON"},
		"plus":             {`{"a":+1}`, fault.Invalid, "not valid JSON"},
		"bare point":       {`{"a":1.}`, fault.Invalid, "not valid JSON"},
		"NUL escaped":      {`{"a":["x","a\\\u0000"]}`, fault.Invalid, "NUL character at line 1, column 11, within a"},
		"NUL raw":          {"{\"a\":\"\x00\"}", fault.Invalid, "control character"},
		"NUL in a name":    {`{"\u0000":1}`, fault.Invalid, "NUL"},
		"raw tab":          {"{\"a\":\"\t\"}", fault.Invalid, "control character"},
		"bad escape":       {`{"a":"\x"}`, fault.Invalid, "not valid JSON"},
		"single quotes":    {`{'a':1}`, fault.Invalid, "not valid JSON"},
		"number name":      {`{1:1}`, fault.Invalid, "name"},
		"object name":      {`{{}:1}`, fault.Invalid, ""},
		"comma":            {`{"a":1,}`, fault.Invalid, "not valid JSON"},
		"array comma":      {`{"a":[1,]}`, fault.Invalid, "not valid JSON"},
		"no colon":         {`{"a" 1}`, fault.Invalid, "not valid JSON"},
		"no value":         {`{"a"}`, fault.Invalid, "not valid JSON"},
		"comment":          {`{/* secret */}`, fault.Invalid, "not valid JSON"},
		"mismatch":         {`{"a":[1}]`, fault.Invalid, "not valid JSON"},
		"form feed":        {"{\f}", fault.Invalid, "not valid JSON"},
		"too deep":         {`{"a":[[[[1]]]]}`, fault.TooLarge, "more than 4 levels"},
		"too many":         {`{"a":[1,2,3,4,5,6,7,8,9,0,1,2,3]}`, fault.TooLarge, "more than 12 values"},
		"long string":      {`{"a":"` + strings.Repeat("s", 41) + `"}`, fault.TooLarge, "longer than 40 bytes"},
		"too large":        {`{` + strings.Repeat(" ", 200) + `}`, fault.TooLarge, "larger than 200 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := fhir.Parse([]byte(c.src), small)
			if err == nil {
				d.Release()
				t.Fatal("parsed")
			}
			if !fault.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s with %q", err, c.kind, c.want)
			}
			for _, i := range fault.Of(err).Issues {
				if strings.Contains(i.Diagnostics+i.Expression, "secret") {
					t.Errorf("repeats the body: %+v", i)
				}
			}
		})
	}
}

func TestParseNamesThePlace(t *testing.T) {
	t.Parallel()
	_, err := fhir.Parse([]byte("{\n \"name\": [ {}, {\"period\": {\"st\u00e4rt\": [1, 2, tru]}}]}"), fhir.Limits{})
	f := fault.Of(err)
	if want := "name[1].period.st??rt"; len(f.Issues) != 1 || f.Issues[0].Expression != want {
		t.Fatalf("got %+v, want %s", f, want)
	}
	if f.Issues[0].Severity != "fatal" || f.Issues[0].Code != "structure" {
		t.Errorf("got %+v", f.Issues[0])
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	d := parse(t, ` { "a" : [ 1.50 , "x\"\u00e9\ud83d\ude00" , null, true,{}] , "\u0062" : { "c" : false , "d":[] } } `)
	defer d.Release()
	root := d.Root()
	if root.Len() != 2 || root.Kind() != fhir.Object {
		t.Fatalf("root: kind %d, len %d", root.Kind(), root.Len())
	}
	var kinds []fhir.Kind
	for v := range root.Get("a").Elems() {
		kinds = append(kinds, v.Kind())
	}
	want := []fhir.Kind{fhir.Number, fhir.String, fhir.Null, fhir.Bool, fhir.Object}
	if len(kinds) != len(want) {
		t.Fatalf("got %v", kinds)
	}
	for i := range want {
		if kinds[i] != want[i] || root.Get("a").At(i).Kind() != want[i] {
			t.Errorf("element %d: got %d", i, kinds[i])
		}
	}
	if got := string(root.Get("a").First().Raw()); got != "1.50" {
		t.Errorf("number lost digits: %s", got)
	}
	if s := root.Get("a").At(1); s.Str() != "x\"é😀" || !s.Is("x\"é😀") || string(s.AppendStr([]byte("<"))) != "<x\"é😀" {
		t.Errorf("string: got %q", s.Str())
	}
	if b := root.Get("b"); b.Name() != "b" || !b.Get("c").Valid() || b.Get("c").Bool() || b.Get("d").First().Valid() {
		t.Error("escaped name, or what is under it")
	}
	names := ""
	for name := range root.Members() {
		names += name
	}
	if names != "ab" {
		t.Errorf("members: %s", names)
	}
	start, end, ok := root.Get("b").MemberSpan("c")
	if !ok || string(d.Bytes()[start:end]) != `"c" : false` {
		t.Errorf("member span: %q", d.Bytes()[start:end])
	}
	if none := root.Get("zz").Get("y").At(3); none.Valid() || none.Str() != "" || none.Len() != 0 || none.Raw() != nil ||
		none.Next().Valid() || none.First().Valid() || none.Kind() != fhir.Invalid {
		t.Error("what is not there answers")
	}
}
