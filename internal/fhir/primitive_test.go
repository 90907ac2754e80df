package fhir_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/fhir"
)

// TestPrimitives puts texts into Parameters.parameter.value[x], which takes every primitive but xhtml.
func TestPrimitives(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ good, bad []string }{
		"Boolean":      {[]string{`true`, `false`}, []string{`"true"`, `0`}},
		"Integer":      {[]string{`0`, `-1`, `2147483647`, `-2147483648`}, []string{`2147483648`, `-2147483649`, `1.0`, `1e2`, `-0`, `99999999999999999999`}},
		"UnsignedInt":  {[]string{`0`, `2147483647`}, []string{`-1`, `2147483648`, `0.0`}},
		"PositiveInt":  {[]string{`1`, `2147483647`}, []string{`0`, `-1`, `1E0`}},
		"Decimal":      {[]string{`0`, `-0.00`, `1.500`, `1e3`, `1E-300`, `123456789012345678.123456789`}, []string{`"1"`, `1e1000`, `1E-1000`, strings.Repeat("1", 129)}},
		"String":       {[]string{`"x"`, `" "`, `"a\tb\r\n"`, `"\u00e9"`}, []string{`""`, `"\u0001"`, `"\u001f"`}},
		"Markdown":     {[]string{`"# x\n"`}, []string{`""`, `"\u0008"`}},
		"Id":           {[]string{`"a-B.9"`, `"` + strings.Repeat("a", 64) + `"`}, []string{`"a_b"`, `"` + strings.Repeat("a", 65) + `"`, `"é"`, `"a "`}},
		"Code":         {[]string{`"a"`, `"a b c"`, `"<="`}, []string{`" a"`, `"a "`, `"a  b"`, `" "`, `"a\u0001"`}},
		"Uri":          {[]string{`"http://x/y?z#f"`, `"urn:x"`, `"x"`}, []string{`"a b"`, `" "`, `"a\n"`}},
		"Url":          {[]string{`"mailto:x@y"`}, []string{`"a b"`}},
		"Canonical":    {[]string{`"http://x|1.0"`}, []string{`"http://x |1"`}},
		"Oid":          {[]string{`"urn:oid:1.2.0.30"`, `"urn:oid:2.16"`}, []string{`"1.2"`, `"urn:oid:3.1"`, `"urn:oid:1"`, `"urn:oid:1.02"`, `"urn:oid:1."`, `"urn:oid:1..2"`, `"urn:oid:1.a"`}},
		"Uuid":         {[]string{`"urn:uuid:0d6a1c5e-2a9c-4d52-9d0e-1f4f1b1f2b11"`}, []string{`"0d6a1c5e-2a9c-4d52-9d0e-1f4f1b1f2b11"`, `"urn:uuid:0D6A1C5E-2a9c-4d52-9d0e-1f4f1b1f2b11"`, `"urn:uuid:0d6a1c5e-2a9c-4d52-9d0e-1f4f1b1f2b1"`, `"urn:uuid:0d6a1c5e02a9c-4d52-9d0e-1f4f1b1f2b11"`}},
		"Base64Binary": {[]string{`"AQ=="`, `"AQI="`, `"AQID"`, `"AQ\r\nID"`}, []string{`"A"`, `"AQ="`, `"AQ==AQ=="`, `"A==="`, `"A-ID"`, `" "`}},
		"Date":         {[]string{`"2024"`, `"2024-02"`, `"2024-02-29"`, `"0001"`}, []string{`"0000"`, `"2023-02-29"`, `"1900-02-29"`, `"2024-13"`, `"2024-00"`, `"2024-04-31"`, `"2024-1"`, `"24"`, `"2024-01-01T"`, `"2024-01-01T10:00:00Z"`, `"2024-01-01 "`, `"2024-01-00"`}},
		"DateTime":     {[]string{`"2024"`, `"2024-02"`, `"2024-02-29"`, `"2024-02-29T23:59:60Z"`, `"2024-02-29T00:00:00.123456789123-14:00"`}, []string{`"2024-02-29T10:00Z"`, `"2024-02-29T10:00:00"`, `"2024-02-29T24:00:00Z"`, `"2024-02-29T10:60:00Z"`, `"2024-02-29T10:00:61Z"`, `"2024-02-29T10:00:00.Z"`, `"2024-02-29T10:00:00+14:01"`, `"2024-02-29T10:00:00+1400"`, `"2024-02T10:00:00Z"`, `"2024-02-29t10:00:00Z"`, `"2024-02-29T10:00:00z"`, `"2024-02-30T10:00:00Z"`}},
		"Instant":      {[]string{`"2024-02-29T10:00:00Z"`, `"2024-02-29T10:00:00.1+01:00"`}, []string{`"2024-02-29"`, `"2024"`, `"2024-02-29T10:00:00"`}},
		"Time":         {[]string{`"23:59:59"`, `"00:00:00.001"`}, []string{`"24:00:00"`, `"10:00"`, `"10:00:00Z"`, `"1:00:00"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one := func(v string) int {
				return len(check(t, `{"resourceType":"Parameters","parameter":[{"name":"n","value`+name+`":`+v+`}]}`, nil).Issues)
			}
			for _, v := range c.good {
				if one(v) != 0 {
					t.Errorf("refuses %s", v)
				}
			}
			for _, v := range c.bad {
				if one(v) == 0 {
					t.Errorf("accepts %s", v)
				}
			}
		})
	}
}

func TestXHTML(t *testing.T) {
	t.Parallel()
	good := []string{
		`<div xmlns="http://www.w3.org/1999/xhtml">x</div>`,
		` <div>a<br/>b<br />c &amp; &#160; &#xA0; &nbsp;<!-- c --><p class='x' style="color: red">d</p></div> `,
		`<div><a href="http://x?a=1&amp;b=2">l</a><a href="#n1">n</a><img src="data:image/png;base64,AA==" alt="i"/></div>`,
		`<div><table><tr><td colspan="2">1 > 0</td></tr></table></div>`,
	}
	bad := []string{
		``, `x`, `<p>x</p>`, `<div>x`, `<div>x</p>`, `<div>x</div>y`, `<div>x</div><div>y</div>`, `<div><b><i></b></i></div>`,
		`<div><script>x</script></div>`, `<div onclick="x">y</div>`, `<div><a href="javascript:x">y</a></div>`,
		`<div><a href=" java` + "\n" + `script:x">y</a></div>`, `<div><a href="&#106;avascript:x">y</a></div>`,
		`<div><a href="data:text/html,x">y</a></div>`,
		`<div><iframe src="x"/></div>`, `<div><form/></div>`, `<div><style>x</style></div>`, `<div><object/></div>`,
		`<div>a & b</div>`, `<div>&amp</div>`, `<div class=x>y</div>`, `<div class>y</div>`, `<div class="x"id="y">z</div>`,
		`<div class="<">y</div>`, `<div><!-- a -- b --></div>`, `<!DOCTYPE html><div>x</div>`, `<?xml version="1.0"?><div>x</div>`,
		`<div><![CDATA[x]]></div>`, `<div`, `<div>x</div `, `<div>` + strings.Repeat("<b>", 200) + strings.Repeat("</b>", 200) + `</div>`,
		`<DIV>x</DIV>`, `<div><svg/></div>`, `<!-- x --><div>y</div>`,
	}
	one := func(div string) int {
		return len(check(t, pat(`"text":{"status":"generated","div":`+strconv.Quote(div)+`}`), nil).Issues)
	}
	for _, v := range good {
		if one(v) != 0 {
			t.Errorf("refuses %s", v)
		}
	}
	for _, v := range bad {
		if one(v) == 0 {
			t.Errorf("accepts %s", v)
		}
	}
}

func TestParseDateTime(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{ // lo, then hi
		"2024":                                   "2024-01-01T00:00:00Z 2025-01-01T00:00:00Z",
		"2024-02":                                "2024-02-01T00:00:00Z 2024-03-01T00:00:00Z",
		"2024-02-29":                             "2024-02-29T00:00:00Z 2024-03-01T00:00:00Z",
		"2024-02-29T10:30":                       "2024-02-29T10:30:00Z 2024-02-29T10:31:00Z",
		"2024-02-29T10:30Z":                      "2024-02-29T10:30:00Z 2024-02-29T10:31:00Z",
		"2024-02-29T10:30+02:00":                 "2024-02-29T08:30:00Z 2024-02-29T08:31:00Z",
		"2024-02-29T10:30:05":                    "2024-02-29T10:30:05Z 2024-02-29T10:30:06Z",
		"2024-02-29T10:30:05-01:30":              "2024-02-29T12:00:05Z 2024-02-29T12:00:06Z",
		"2024-02-29T10:30:05.5Z":                 "2024-02-29T10:30:05.5Z 2024-02-29T10:30:05.6Z",
		"2024-02-29T10:30:05.123Z":               "2024-02-29T10:30:05.123Z 2024-02-29T10:30:05.124Z",
		"2024-02-29T10:30:05.12345678901+00:00":  "2024-02-29T10:30:05.123456789Z 2024-02-29T10:30:05.12345679Z",
		"2016-12-31T23:59:60Z":                   "2017-01-01T00:00:00Z 2017-01-01T00:00:01Z",
		"":                                       "",
		"x":                                      "",
		"2024-":                                  "",
		"2024-02-30":                             "",
		"2024-02-29T":                            "",
		"2024-02-29T10":                          "",
		"2024-02-29T10:30:":                      "",
		"2024-02-29T10:30:05.":                   "",
		"2024-02-29T10:30:05 00:00":              "",
		"2024-02-29T10:30:05+25:00":              "",
		"2024-02-29T10:30:05Zx":                  "",
		"2024-02T10:30:05Z":                      "",
		"2024-02-29T10:30:05." + zeros(60) + "Z": "",
	} {
		lo, hi, ok := fhir.ParseDateTime(in)
		got := ""
		if ok {
			got = lo.Format(time.RFC3339Nano) + " " + hi.Format(time.RFC3339Nano)
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func zeros(n int) string { return strings.Repeat("0", n) }

func TestValidID(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{"a": true, "A-1.b": true, "": false, "a/b": false, "a b": false, "ä": false,
		strings.Repeat("x", 64): true, strings.Repeat("x", 65): false} {
		if fhir.ValidID(s) != want {
			t.Errorf("%q: want %t", s, want)
		}
	}
}
