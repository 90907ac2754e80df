package test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// canary stands where a patient's data would: it may not come back in an error, and not go into a log.
const canary = "Kanarienvogel"

// sendBad sends what is wrong and judges the answer: a clear OperationOutcome, soon, that repeats nothing.
func sendBad(t testing.TB, name string, n *cordontest.Tenant, a leakAsk) cordontest.Response {
	t.Helper()
	var body any
	if a.body != "" || a.method == "POST" {
		body = a.body
	}
	var r cordontest.Response
	limit := time.Second + time.Duration(len(a.body)>>22)*time.Second // what is megabytes takes its time to send
	for try := 1; ; try++ {
		start := time.Now()
		if r = n.Do(t, a.method, a.path, body, a.headers...); time.Since(start) < limit {
			break
		}
		if try == 3 { // a machine may be busy once or twice
			t.Errorf("%s: took %v", name, time.Since(start))
			break
		}
	}
	if r.Status < 400 || r.Status >= 500 {
		t.Errorf("%s: %d %.300s", name, r.Status, r.Body)
		return r
	}
	if strings.Contains(string(r.Body)+fmt.Sprint(r.Header), canary) {
		t.Errorf("%s: the answer repeats what was sent: %.400s", name, r.Body)
	}
	if a.method == "HEAD" {
		return r
	}
	var o struct {
		ResourceType string
		Issue        []struct {
			Severity, Code, Diagnostics string
			Expression                  []string
		}
	}
	if err := json.Unmarshal(r.Body, &o); err != nil || o.ResourceType != "OperationOutcome" || len(o.Issue) == 0 || o.Issue[0].Diagnostics == "" || o.Issue[0].Code == "" {
		t.Errorf("%s: not a clear OperationOutcome: %v %.300s", name, err, r.Body)
	}
	return r
}

// quietAfter looks into the log when the test has ended: it holds nothing that was sent, and no panic.
func quietAfter(t testing.TB, p *cordontest.Platform) {
	t.Helper()
	t.Cleanup(func() {
		logs := p.Logs.String()
		if at := strings.Index(logs, canary); at >= 0 {
			t.Errorf("the log holds what was sent: %.300s", logs[max(0, at-200):])
		}
		if at := strings.Index(logs, `"msg":"panic"`); at >= 0 {
			t.Errorf("a panic: %.2000s", logs[max(0, at-100):])
		}
	})
}

// badCase is a body, and what its answer must say.
type badCase struct {
	body   string
	status int
	says   string
}

func badBodies() map[string]badCase {
	deep := func(n int) string {
		return `{"resourceType":"Patient","extension":` + strings.Repeat(`[{"url":"u","extension":`, n) + "[]" + strings.Repeat("}]", n) + "}"
	}
	name := `"name":[{"family":"` + canary + `"}]`
	return map[string]badCase{
		"empty":               {"", 400, "empty"},
		"white space":         {" \n", 400, "empty"},
		"one brace":           {"{", 400, "line 1"},
		"cut":                 {`{"resourceType":"Patient",` + name, 400, "body ends"},
		"cut in a string":     {`{"resourceType":"Patient","name":[{"family":"` + canary, 400, "body ends"},
		"trailing comma":      {`{"resourceType":"Patient",` + name + `,}`, 400, "line 1"},
		"two objects":         {`{"resourceType":"Patient",` + name + `}{}`, 400, "after the end"},
		"array":               {`[{"resourceType":"Patient"}]`, 400, "not a JSON object"},
		"string":              {`"` + canary + `"`, 400, "not a JSON object"},
		"null":                {`null`, 400, "not a JSON object"},
		"no JSON":             {canary, 400, "not a JSON object"},
		"XML":                 {`<Patient xmlns="http://hl7.org/fhir"><name value="` + canary + `"/></Patient>`, 400, "XML"},
		"single quotes":       {`{'resourceType':'Patient'}`, 400, "line 1"},
		"comment":             {"{\"resourceType\":\"Patient\",\n/* " + canary + " */}", 400, "line 2"},
		"duplicate":           {`{"resourceType":"Patient","gender":"male","gender":"female"}`, 400, "same name"},
		"duplicate, escaped":  {`{"resourceType":"Patient","gender":"male","gend\u0065r":"female"}`, 400, "same name"},
		"duplicate, deep":     {`{"resourceType":"Patient","name":[{"family":"` + canary + `","family":"b"}]}`, 400, "name[0]"},
		"duplicate type":      {`{"resourceType":"Patient","resourceType":"Observation"}`, 400, "same name"},
		"not UTF-8":           {"{\"resourceType\":\"Patient\",\"language\":\"\xff\xfe\"}", 400, "UTF-8"},
		"overlong UTF-8":      {"{\"resourceType\":\"Patient\",\"language\":\"\xc0\xaf\"}", 400, "UTF-8"},
		"half a pair":         {`{"resourceType":"Patient","language":"\ud800"}`, 400, "surrogate"},
		"BOM":                 {"\xef\xbb\xbf{\"resourceType\":\"Patient\"}", 400, "byte order mark"},
		"UTF-16":              {"\xff\xfe{\x00\"\x00", 400, "not a JSON object"},
		"NUL escape":          {`{"resourceType":"Patient","name":[{"family":"` + canary + `\u0000"}]}`, 400, "NUL"},
		"raw NUL":             {"{\"resourceType\":\"Patient\",\"language\":\"a\x00b\"}", 400, "control character"},
		"raw newline":         {"{\"resourceType\":\"Patient\",\"language\":\"a\nb\"}", 400, "control character"},
		"NaN":                 {`{"resourceType":"Patient","multipleBirthInteger":NaN}`, 400, "NaN"},
		"Infinity":            {`{"resourceType":"Patient","multipleBirthInteger":-Infinity}`, 400, "line 1"},
		"leading zero":        {`{"resourceType":"Patient","multipleBirthInteger":01}`, 400, "line 1"},
		"huge integer":        {`{"resourceType":"Patient","multipleBirthInteger":99999999999999999999999}`, 400, "Patient.multipleBirth"},
		"huge exponent":       {`{"resourceType":"Patient","multipleBirthInteger":1e999999999}`, 400, "Patient.multipleBirth"},
		"65 deep":             {deep(40), 413, "levels of nesting"},
		"a million deep":      {deep(1_000_000), 413, "levels of nesting"},
		"a million brackets":  {`{"a":` + strings.Repeat("[", 1_000_000), 413, "levels of nesting"},
		"five million nulls":  {`{"a":[` + strings.Repeat("0,", 5_000_000) + `0]}`, 413, "values"},
		"2 MB string":         {`{"resourceType":"Patient","name":[{"family":"` + strings.Repeat("x", 2<<20) + `"}]}`, 400, "Patient.name[0].family"},
		"17 MB string":        {`{"resourceType":"Patient","name":[{"family":"` + strings.Repeat("x", 17<<20) + `"}]}`, 413, "string is longer"},
		"long name":           {`{"resourceType":"Patient","` + strings.Repeat("x", 100_000) + `":1}`, 400, "no such element"},
		"100,000 members":     {`{"resourceType":"Patient"` + manyMembers(100_000) + `}`, 400, "more members"},
		"no type":             {`{` + name + `}`, 400, "resourceType"},
		"number as type":      {`{"resourceType":1}`, 400, "resourceType"},
		"another type":        {`{"resourceType":"Observation","status":"final","code":{"text":"x"}}`, 400, "another type"},
		"unknown type":        {`{"resourceType":"` + canary + `"}`, 400, "another type"},
		"unknown element":     {`{"resourceType":"Patient","nome":"` + canary + `"}`, 400, "Patient.nome"},
		"string for a list":   {`{"resourceType":"Patient","name":"` + canary + `"}`, 400, "Patient.name"},
		"number for a string": {`{"resourceType":"Patient","name":[{"family":7}]}`, 400, "Patient.name[0].family"},
		"not a date":          {`{"resourceType":"Patient","birthDate":"` + canary + `"}`, 400, "Patient.birthDate"},
		"no such day":         {`{"resourceType":"Patient","birthDate":"2023-02-30"}`, 400, "Patient.birthDate"},
		"empty object":        {`{"resourceType":"Patient","name":[{}]}`, 400, "Patient.name[0]"},
		"empty list":          {`{"resourceType":"Patient","name":[]}`, 400, "Patient.name"},
		"empty string":        {`{"resourceType":"Patient","name":[{"family":""}]}`, 400, "Patient.name[0].family"},
		"null value":          {`{"resourceType":"Patient","gender":null}`, 400, "Patient.gender"},
		"script in narrative": {`{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><script>` + canary + `</script></div>"}}`, 400, "Patient.text.div"},
		"entity in narrative": {`{"resourceType":"Patient","text":{"status":"generated","div":"<!DOCTYPE x [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><div xmlns=\"http://www.w3.org/1999/xhtml\">&a;</div>"}}`, 400, "Patient.text.div"},
		"wrong target":        {`{"resourceType":"Patient","managingOrganization":{"reference":"Patient/` + canary + `"}}`, 400, "Patient.managingOrganization"},
		"odd reference":       {`{"resourceType":"Patient","managingOrganization":{"reference":"../../` + canary + `"}}`, 400, "Patient.managingOrganization"},
		"unknown target":      {`{"resourceType":"Patient","managingOrganization":{"reference":"Organisation/` + canary + `"}}`, 400, "Patient.managingOrganization"},
		"urn outside":         {`{"resourceType":"Patient","managingOrganization":{"reference":"urn:uuid:0d8b43b4-3b8b-4cb1-a8a7-7a09d8a0a4a5"}}`, 400, "Patient.managingOrganization"},
		"query outside":       {`{"resourceType":"Patient","managingOrganization":{"reference":"Organization?name=` + canary + `"}}`, 400, "Patient.managingOrganization"},
	}
}

func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"m%d":1`, i)
	}
	return b.String()
}

// TestBadBodies sends bodies that are wrong in one way each, in every interaction that takes one. Nothing is stored.
func TestBadBodies(t *testing.T) {
	t.Parallel()
	n := cordontest.Shared(t).Tenant(t)
	quietAfter(t, n.P)
	n.Do(t, "PUT", "/Patient/p", `{"resourceType":"Patient","id":"p"}`).Want(t, http.StatusCreated)
	watch := watchChart(t, n)
	state := watch.state(t)
	cases := badBodies()
	for name, c := range cases {
		r := sendBad(t, name, n, leakAsk{"POST", "/Patient", c.body, nil})
		if r.Status != c.status || !strings.Contains(string(r.Body), c.says) {
			t.Errorf("%s: %d, want %d and %q: %.300s", name, r.Status, c.status, c.says, r.Body)
		}
		if len(c.body) > 1<<20 {
			continue
		}
		sendBad(t, name+", conditional", n, leakAsk{"POST", "/Patient", c.body, []string{"If-None-Exist", "identifier=" + canary}})
		sendBad(t, name+", PUT", n, leakAsk{"PUT", "/Patient/p", c.body, nil})
		sendBad(t, name+", as Bundle", n, leakAsk{"POST", "", c.body, nil})
		sendBad(t, name+", in a transaction", n, leakAsk{"POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":` + ada + `,"request":{"method":"POST","url":"Patient"}},
{"resource":` + c.body + `,"request":{"method":"POST","url":"Patient"}}]}`, nil})
	}
	for name, c := range map[string]leakAsk{
		"id mismatch":       {"PUT", "/Patient/q", `{"resourceType":"Patient","id":"` + canary + `"}`, nil},
		"no id":             {"PUT", "/Patient/p", `{"resourceType":"Patient"}`, nil},
		"id is a number":    {"PUT", "/Patient/1", `{"resourceType":"Patient","id":1}`, nil},
		"id is no id":       {"PUT", "/Patient/a_b", `{"resourceType":"Patient","id":"a_b"}`, nil},
		"long id":           {"PUT", "/Patient/" + strings.Repeat("a", 65), `{"resourceType":"Patient","id":"` + strings.Repeat("a", 65) + `"}`, nil},
		"stale If-Match":    {"PUT", "/Patient/p", `{"resourceType":"Patient","id":"p"}`, []string{"If-Match", `W/"9"`}},
		"odd If-Match":      {"PUT", "/Patient/p", `{"resourceType":"Patient","id":"p"}`, []string{"If-Match", canary}},
		"If-Match star":     {"PUT", "/Patient/p", `{"resourceType":"Patient","id":"p"}`, []string{"If-Match", "*"}},
		"If-Match overflow": {"DELETE", "/Patient/p", "", []string{"If-Match", `W/"99999999999999999999"`}},
		"stale delete":      {"DELETE", "/Patient/p", "", []string{"If-Match", `W/"9"`}},
		"odd condition":     {"POST", "/Patient", ada, []string{"If-None-Exist", "nothing=" + canary}},
		"empty condition":   {"POST", "/Patient", ada, []string{"If-None-Exist", "_count=1"}},
		"condition sorts":   {"POST", "/Patient", ada, []string{"If-None-Exist", "name=x&_sort=name"}},
		"condition is %zz":  {"POST", "/Patient", ada, []string{"If-None-Exist", "name=%zz"}},
	} {
		sendBad(t, name, n, c)
	}
	if got := watch.state(t); got != state {
		t.Errorf("something was stored: %s\n%s", state, got)
	}
	t.Logf("%d bodies", len(cases))
}

func gzipped(t testing.TB, r io.Reader) string {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err == nil {
		_, err = io.Copy(z, r)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestBadEncodings sends bombs, and formats that are not served.
func TestBadEncodings(t *testing.T) {
	t.Parallel()
	n := cordontest.Shared(t).Tenant(t)
	quietAfter(t, n.P)
	watch := watchChart(t, n)
	state := watch.state(t)
	good := gzipped(t, strings.NewReader(ada))
	zeros := gzipped(t, io.LimitReader(zeroReader{}, 48<<20))
	padded := gzipped(t, io.MultiReader(strings.NewReader(ada), io.LimitReader(spaceReader{}, 48<<20)))
	z := []string{"Content-Encoding", "gzip"}
	for name, c := range map[string]struct {
		leakAsk
		status int
	}{
		"bomb":               {leakAsk{"POST", "/Patient", zeros, z}, 413},
		"bomb of JSON":       {leakAsk{"POST", "/Patient", padded, z}, 413},
		"bomb of bombs":      {leakAsk{"POST", "/Patient", strings.Repeat(zeros, 20), z}, 413},
		"bomb to PUT":        {leakAsk{"PUT", "/Patient/x", zeros, z}, 413},
		"bomb to the base":   {leakAsk{"POST", "", zeros, z}, 413},
		"bomb to _search":    {leakAsk{"POST", "/Patient/_search", zeros, []string{"Content-Encoding", "gzip", "Content-Type", "application/x-www-form-urlencoded"}}, 413},
		"truncated":          {leakAsk{"POST", "/Patient", good[:len(good)-9], z}, 400},
		"cut to the header":  {leakAsk{"POST", "/Patient", good[:8], z}, 400},
		"wrong checksum":     {leakAsk{"POST", "/Patient", good[:len(good)-8] + "\x00\x00\x00\x00" + good[len(good)-4:], z}, 400},
		"trailing garbage":   {leakAsk{"POST", "/Patient", good + canary, z}, 400},
		"not gzip":           {leakAsk{"POST", "/Patient", ada, z}, 400},
		"gzip of nothing":    {leakAsk{"POST", "/Patient", gzipped(t, strings.NewReader("")), z}, 400},
		"gzip unannounced":   {leakAsk{"POST", "/Patient", good, nil}, 400},
		"gzip twice":         {leakAsk{"POST", "/Patient", gzipped(t, strings.NewReader(good)), z}, 400},
		"gzip, gzip":         {leakAsk{"POST", "/Patient", good, []string{"Content-Encoding", "gzip, gzip"}}, 415},
		"brotli":             {leakAsk{"POST", "/Patient", ada, []string{"Content-Encoding", "br"}}, 415},
		"XML body":           {leakAsk{"POST", "/Patient", "<Patient/>", []string{"Content-Type", "application/fhir+xml"}}, 415},
		"text body":          {leakAsk{"POST", "/Patient", ada, []string{"Content-Type", "text/plain"}}, 415},
		"no Content-Type":    {leakAsk{"POST", "/Patient", ada, []string{"Content-Type", ""}}, 415},
		"odd Content-Type":   {leakAsk{"POST", "/Patient", ada, []string{"Content-Type", "application/fhir+json; " + canary}}, 415},
		"form to create":     {leakAsk{"POST", "/Patient", "a=b", []string{"Content-Type", "application/x-www-form-urlencoded"}}, 415},
		"JSON to _search":    {leakAsk{"POST", "/Patient/_search", "{}", nil}, 415},
		"Accept XML":         {leakAsk{"GET", "/Patient", "", []string{"Accept", "application/fhir+xml"}}, 406},
		"Accept HTML":        {leakAsk{"GET", "/Patient/" + canary, "", []string{"Accept", "text/html"}}, 406},
		"Accept nothing":     {leakAsk{"GET", "/Patient", "", []string{"Accept", "*/*;q=0"}}, 406},
		"format XML":         {leakAsk{"GET", "/Patient?_format=xml", "", nil}, 406},
		"format odd":         {leakAsk{"GET", "/Patient?_format=" + canary, "", nil}, 406},
		"Accept XML, create": {leakAsk{"POST", "/Patient", ada, []string{"Accept", "application/fhir+xml"}}, 406},
		"large form":         {leakAsk{"POST", "/Patient/_search", "name=" + strings.Repeat("x,", 4<<20), []string{"Content-Type", "application/x-www-form-urlencoded"}}, 413},
	} {
		if r := sendBad(t, name, n, c.leakAsk); r.Status != c.status {
			t.Errorf("%s: %d, want %d: %.200s", name, r.Status, c.status, r.Body)
		}
	}
	if got := watch.state(t); got != state {
		t.Errorf("something was stored: %s\n%s", state, got)
	}
	n.Do(t, "POST", "/Patient", good, "Content-Encoding", "gzip").Want(t, http.StatusCreated)
	n.Do(t, "GET", "/Patient?_format=json", nil, "Accept", "application/fhir+xml").Want(t, http.StatusOK) // _format wins (FHIR R4 http.html#parameters)
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type spaceReader struct{}

func (spaceReader) Read(p []byte) (int, error) {
	return copy(p, bytes.Repeat([]byte(" "), len(p))), nil
}
