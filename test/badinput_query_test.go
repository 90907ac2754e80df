package test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// badQueries are wrong in one way each; the answer names the parameter.
var badQueries = map[string]string{
	"nothing=" + canary:                           "nothing",
	"Name=" + canary:                              "Name",
	"name:near=" + canary:                         "name:near",
	"gender:exact=" + canary:                      "gender:exact",
	"name.family=" + canary:                       "name.family",
	"general-practitioner.name=" + canary:         "general-practitioner",
	"organization.nothing=" + canary:              "organization.nothing",
	"organization.partof.name=" + canary:          "partof.name",
	"organization:Nothing=" + canary:              "organization:Nothing",
	"_has:Observation:patient:code=" + canary:     "_has",
	"_filter=name eq " + canary:                   "_filter",
	"_content=" + canary:                          "_content",
	"_text=" + canary:                             "_text",
	"_list=" + canary:                             "_list",
	"_elements=" + canary:                         "_elements",
	"_contained=both":                             "_contained",
	"_count=-1":                                   "_count",
	"_count=":                                     "",
	"_count=1.5":                                  "_count",
	"_count=" + canary:                            "_count",
	"_count=99999999999999999999":                 "_count",
	"_count=0x10":                                 "_count",
	"_cursor=" + canary:                           "_cursor",
	"_cursor=" + strings.Repeat("A", 9<<10):       "_cursor",
	"_sort=" + canary:                             "_sort",
	"_sort=-":                                     "_sort",
	"_sort=name,name,name,name,name":              "_sort",
	"_sort=name;drop table version":               "_sort",
	"_total=" + canary:                            "_total",
	"_summary=" + canary:                          "_summary",
	"_include=" + canary:                          "_include",
	"_include=Patient:" + canary:                  "_include",
	"_include=Patient:name":                       "_include",
	"_include=Observation:subject":                "_include",
	"_include=*":                                  "_include",
	"_include:iterate=Patient:organization":       "_include:iterate",
	"_revinclude=" + canary + ":x":                "_revinclude",
	"_revinclude=Observation:subject:Device":      "_revinclude",
	"birthdate=" + canary:                         "birthdate",
	"birthdate=xx2020":                            "birthdate",
	"birthdate=2020-13":                           "birthdate",
	"birthdate=2020-02-30":                        "birthdate",
	"birthdate=ge":                                "birthdate",
	"birthdate=99999":                             "birthdate",
	"birthdate=-2020":                             "birthdate",
	"birthdate=2020-01-01T25:00:00Z":              "birthdate",
	"birthdate:exact=2020":                        "birthdate:exact",
	"_lastUpdated=" + canary:                      "_lastUpdated",
	"_id=a_b":                                     "_id",
	"_id=" + strings.Repeat("a", 65):              "_id",
	"_id=a,,b":                                    "_id",
	"name:missing=" + canary:                      "name:missing",
	"organization:Organization=Patient/" + canary: "organization:Organization",
	"name=" + strings.Repeat("x", 3000):           "name",
	"name=" + strings.Repeat("x,", 300):           "name",
	strings.Repeat("name=x&", 60):                 "more than",
	"name=%zz":                                    "URL encoding",
	"name=%ff%fe":                                 "URL encoding",
	"name=%00" + canary:                           "URL encoding",
	"%00=x":                                       "URL encoding",
	"<script>=" + canary:                          "?script?",
	strings.Repeat("x", 500) + "=1":               "xxx",
}

// TestBadQueries asks them by GET and by POST.
func TestBadQueries(t *testing.T) {
	t.Parallel()
	n := cordontest.Shared(t).Tenant(t)
	quietAfter(t, n.P)
	n.Do(t, "PUT", "/Patient/p", `{"resourceType":"Patient","id":"p"}`).Want(t, http.StatusCreated)
	for query, says := range badQueries {
		for _, a := range []leakAsk{{"GET", "/Patient?" + strings.NewReplacer(" ", "%20", "<", "%3C", ">", "%3E").Replace(query), "", nil},
			{"POST", "/Patient/_search", query, []string{"Content-Type", "application/x-www-form-urlencoded"}}} {
			if query == "_count=" {
				a.send(t, n.Client) // an empty value is none (FHIR R4 search.html)
				continue
			}
			r := sendBad(t, fmt.Sprintf("%s %.60s", a.method, query), n, a)
			if r.Status != http.StatusBadRequest || !strings.Contains(string(r.Body), says) {
				t.Errorf("%.80s: %d, want 400 that says %q: %.300s", query, r.Status, says, r.Body)
			}
		}
	}
	for _, q := range []string{"nothing=" + canary, "_filter=x&name:missing=true", "_has:Observation:patient:code=x"} {
		r := n.Do(t, "GET", "/Patient?"+q, nil, "Prefer", "handling=lenient").Want(t, http.StatusOK)
		if got := r.Matches(t); len(got) != 1 || strings.Contains(string(r.Body), canary) {
			t.Errorf("lenient %s: %v", q, got)
		}
	}
	for _, path := range []string{"/Patient/p?x=1", "/Patient/p/_history?_count=-1", "/Patient/p/_history?_count=x", "/Patient/p/_history?_since=2020", "/Patient/p/_history?_count=1&_count=2",
		"/Patient/p/_history/1?x=1", "/Patient/p/$everything?start=2020", "/Patient/p/_history?_before=" + canary} {
		sendBad(t, path, n, leakAsk{"GET", path, "", nil})
	}
}

// poison are values that break what builds SQL, paths, logs or templates out of text.
var poison = []string{"'", "''", `"`, `\`, `\'`, "' OR '1'='1", "'; DROP TABLE version; --", "1; SELECT pg_sleep(5)", "(SELECT pg_sleep(5))", "$1", "$$", "%", "%25", "_", "*", "|", "||", "a|", "|a", "a|b|c|d", ",", `\,`, ";",
	"(", ")", "[", "{", "eq", "gt", "ap", "ap0001-01-01", "ap9999-12-31", "lt0001", "gt9999-12-31T23:59:59.999999999Z", "eb1-1-1", "2020-01-01T00:00:00+99:99", "1e300", "-1e-300", "1e999999999", "ap1e300", "0x1", "1e", ".", "-", "+1",
	"00000000000000000000000000000000000001", "9223372036854775808", "-9223372036854775809", "null", "true", "NaN", "Infinity", "../../../etc/passwd", "file:///etc/passwd", "http://127.0.0.1:5432/", "${jndi:ldap://x}", "{{7*7}}",
	"<script>alert(1)</script>", "a\r\nSet-Cookie: x=y", "\u001b[31m", "\u202e\u2066", "\ufeff", "e\u0301\u0301\u0301", "𝔘𝔫𝔦", "İı", "ﬃ", strings.Repeat("a", 2048), strings.Repeat("é", 1024), strings.Repeat(`\`, 2047), strings.Repeat("|", 2000), strings.Repeat("9", 39), "#", "?", "/", "//", "Patient/", "/p", "Patient/p/_history/1", "Patient/../x", "urn:uuid:x", ":"}

// TestPoison puts each into every parameter of some types: the answer is a page or a 400, soon, and speaks of
// no database.
func TestPoison(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n := p.Tenant(t)
	loadCrafted(t, n, "alpha", "bravo", "https://x.example/fhir")
	watch := watchChart(t, n)
	state := watch.state(t)
	var asks []leakAsk
	types := []string{"Patient", "Observation", "Encounter", "RiskAssessment", "ValueSet", "Substance"}
	for _, o := range leakOffers(t, n) {
		if !slices.Contains(types, o.Type) {
			continue
		}
		kinds := map[string]int{}
		for _, param := range o.SearchParam {
			if kinds[param.Type]++; kinds[param.Type] > 3 && param.Name[0] != '_' {
				continue // one of a kind is built like the other
			}
			for i, v := range poison {
				v = url.QueryEscape(v)
				asks = append(asks, leakAsk{"GET", "/" + o.Type + "?" + param.Name + "=" + v + "&_total=accurate", "", nil})
				if i%8 == 0 {
					asks = append(asks, leakAsk{"GET", "/" + o.Type + "?" + param.Name + ":" + v + "=x", "", nil}, leakAsk{"GET", "/" + o.Type + "?" + param.Name + ":not=" + v, "", nil})
				}
			}
		}
	}
	for _, v := range poison {
		v = url.QueryEscape(v)
		for _, name := range []string{"_sort", "_count", "_include", "_revinclude", "_total", "_summary", "_cursor", "_elements", "_format", "subject:Patient.name", "patient._id", "", "_id,x"} {
			asks = append(asks, leakAsk{"GET", "/Observation?" + name + "=" + v, "", nil}, leakAsk{"GET", "/Observation?" + v + "=" + name, "", nil})
		}
		asks = append(asks, leakAsk{"GET", "/Patient/" + url.PathEscape(v), "", nil}, leakAsk{"GET", "/Patient/shared/_history/" + url.PathEscape(v), "", nil}, leakAsk{"GET", "/Patient/shared/_history?_before=" + v, "", nil},
			leakAsk{"POST", "/Organization", `{"resourceType":"Organization","name":"x"}`, []string{"If-None-Exist", "name=" + v + "&_id=shared,x"}},
			leakAsk{"GET", "/Patient", "", []string{"Prefer", strings.ToValidUTF8(url.PathEscape(v), "")}})
	}
	for i, got := range leakSweep(t, n.Client, asks) {
		if got[0] != '2' && got[0] != '4' {
			t.Errorf("%s: %.300s", asks[i], got)
		}
		for _, word := range []string{"SQLSTATE", "syntax error at", "relation \"", "postgres", "pgx", "goroutine"} {
			if strings.Contains(got, word) {
				t.Errorf("%s speaks of its inside: %.300s", asks[i], got)
			}
		}
	}
	before, _, _ := strings.Cut(state, "version")
	if after, _, _ := strings.Cut(watch.state(t), "version"); len(before) == 0 || len(after) == 0 {
		t.Error("the tables are gone")
	}
	t.Logf("%d requests with %d poisons", len(asks), len(poison))
}

// TestBadPaths sends odd methods and paths as they are, past what a client would tidy up.
func TestBadPaths(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	quietAfter(t, p)
	n := p.Tenant(t)
	n.Do(t, "PUT", "/Patient/p", `{"resourceType":"Patient","id":"p"}`).Want(t, http.StatusCreated)
	watch := watchChart(t, n)
	state := watch.state(t)
	base := "/t/" + n.Slug + "/fhir"
	send := func(method, path, headers, body string) cordontest.Response {
		return rawWire(t, p, method+" "+path+" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer "+n.Token()+"\r\n"+headers+"\r\n"+body)
	}
	for _, path := range []string{"/Patient//p", "//Patient/p", "/Patient/./p", "/Patient/../Patient/p", "/Patient/p/../p", "/Patient/%2e%2e/Patient/p", "/Patient%2fp/..", "/Patient/p%2f..%2fq", "/Patient/%00", "/Patient/p%00",
		"/Patient/%ff", "/Patient/p%0d%0aX-A:b", "/Patient/p;x=y", "/Patient/p/_history/x", "/Patient/p/_history/-1", "/Patient/p/_history/99999999999999999999", "/Patient/p/_history/1/2", "/Patient/p/x",
		"/Patient/p/$nothing", "/$everything", "/Observation/p/$everything", "/_history", "/Patient/_history", "/metadata/x", "/" + canary, "/" + canary + "/p", "/Patient/" + strings.Repeat("x", 3000), "/patient/p", "/Patient/" + canary,
		"/Patient/*", "/..", "/../..", "/%2e%2e/%2e%2e/operator/v1/tenants", "/.well-known/x", "/\\..\\Patient", "/Patient/p\\..", "/Patient/$everything", "/$export", "/Patient/$validate"} {
		for _, method := range []string{"GET", "PUT", "DELETE", "POST", "PATCH", "OPTIONS", canary, "get"} {
			r := send(method, base+path, "", "")
			if r.Status < 400 || r.Status >= 500 || !strings.Contains(string(r.Body), "OperationOutcome") || strings.Contains(string(r.Body), canary) {
				if !(r.Status == 204 && method == "DELETE") { // deleting what is not there is no error
					t.Errorf("%s %.80s: %d %.200s", method, path, r.Status, r.Body)
				}
			}
		}
	}
	for _, path := range []string{"", "/", "/Patient", "/Patient/p", "/Patient/p/_history", "/Patient/p/_history/1", "/Patient/_search"} {
		for _, method := range []string{"PATCH", "OPTIONS", "TRACE", "PROPFIND", "LINK", canary} {
			if r := send(method, base+path, "", ""); (r.Status != 405 && r.Status != 400) || !strings.Contains(string(r.Body), "OperationOutcome") || strings.Contains(string(r.Body), canary) {
				t.Errorf("%s %s: %d %.200s", method, path, r.Status, r.Body)
			}
		}
	}
	for name, r := range map[string]cordontest.Response{
		"large header":    send("GET", base+"/Patient", "X-A: "+strings.Repeat("x", 100<<10)+"\r\n", ""),
		"many headers":    send("GET", base+"/Patient", strings.Repeat("X-A: x\r\n", 20_000), ""),
		"large URL":       send("GET", base+"/Patient?name="+strings.Repeat("x", 1<<20), "", ""),
		"NUL in a header": send("GET", base+"/Patient", "X-A: a\x00b\r\n", ""),
		"NUL in the path": send("GET", base+"/Patient/a\x00b", "", ""),
		"bad escape":      send("GET", base+"/Patient/%zz", "", ""),
		"chunked garbage": send("POST", base+"/Patient", "Content-Type: application/fhir+json\r\nTransfer-Encoding: chunked\r\n", "zz\r\n"+canary+"\r\n0\r\n\r\n"),
		"negative length": send("POST", base+"/Patient", "Content-Type: application/fhir+json\r\nContent-Length: -1\r\n", ""),
		"odd coding":      send("POST", base+"/Patient", "Content-Type: application/fhir+json\r\nTransfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
		"no HTTP":         rawWire(t, p, canary+"\r\n\r\n"),
		"HTTP/3":          rawWire(t, p, "GET / HTTP/3.0\r\n\r\n"),
		"HTTP/2 preface":  rawWire(t, p, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
	} {
		if (r.Status < 400 || r.Status >= 500) && r.Status != http.StatusHTTPVersionNotSupported && r.Status != http.StatusNotImplemented {
			t.Errorf("%s: %d %.200s", name, r.Status, r.Body)
		}
		if strings.Contains(string(r.Body), canary) {
			t.Errorf("%s repeats what was sent", name)
		}
	}
	if got := watch.state(t); got != state {
		t.Errorf("something changed: %s\n%s", state, got)
	}
}
