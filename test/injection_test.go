package test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// sqlInjections are what scanners for SQL injection try: breaking out of a text, a number, an identifier or a list, reading what is
// another's, waiting. One that waits does so for longer than any request may take.
var sqlInjections = []string{
	"'", "''", `"`, `\'`, "');--", "'))--", "' OR '1'='1", "' OR 1=1--", "1 OR 1=1", "1) OR (1=1", `" OR ""="`, "x' AND 1=0 UNION ALL SELECT body FROM version--", "x') UNION SELECT NULL,NULL,NULL,NULL,NULL,NULL,NULL--",
	"'; SELECT set_config('app.tenant', '1', false);--", "'; SET app.tenant = 1;--", "1; SET ROLE NONE;--", "'; DROP TABLE version;--", "'; COPY version TO PROGRAM 'id';--", "'||(SELECT pg_sleep(20))||'", "1;SELECT pg_sleep(20)--",
	"(SELECT 1 FROM pg_sleep(20))", "' AND 1=(SELECT COUNT(*) FROM pg_stat_activity)--", "$1", "$$;SELECT 1;$$", "${jndi}", "%27%20OR%201=1--", "\u02bc OR 1=1--", "＇ OR 1=1--", "0x27", "CHR(39)", "/*!1*/", "a'/**/OR/**/1=1--", "\\x27", "name;SELECT pg_sleep(20)",
	"id,(SELECT pg_sleep(20))", "name ASC, (SELECT body FROM version LIMIT 1)", "{\"$ne\":null}", "' RETURNING body--", "E'\\047'", "1e999', 1", "'::int", "CAST((SELECT body FROM version LIMIT 1) AS int)",
}

// injected are the requests that carry one text in every place where a request has room for one.
func injected(s string) (asks []leakAsk) {
	q, p := url.QueryEscape(s), url.PathEscape(s)
	quoted, _ := json.Marshal(s) // a string is always JSON
	in := string(quoted)
	get := func(paths ...string) {
		for _, path := range paths {
			asks = append(asks, leakAsk{"GET", path, "", nil})
		}
	}
	get("/Observation?subject="+q, "/Observation?subject:Patient.name="+q, "/Observation?code="+q, "/Observation?code="+q+"%7C"+q, "/Observation?code:not="+q, "/Observation?date="+q, "/Observation?value-quantity="+q, "/Observation?value-quantity=1%7C"+q+"%7C"+q,
		"/Patient?name="+q, "/Patient?name:exact="+q, "/Patient?"+q+"=1", "/Patient?name:"+q+"=1", "/Patient?_id="+q, "/Patient?_tag="+q, "/Patient?_profile="+q, "/Patient?_source="+q, "/Patient?_lastUpdated=gt"+q, "/Patient?_sort="+q, "/Patient?_sort=-"+q,
		"/Patient?_count="+q, "/Patient?_total="+q, "/Patient?_summary="+q, "/Patient?_elements="+q, "/Patient?_include="+q, "/Patient?_include=Patient:"+q, "/Patient?_revinclude=Observation:"+q, "/Patient?_revinclude="+q+":subject", "/Patient?_cursor="+q,
		"/Patient?_format="+q, "/Patient?_has:"+q+":subject:code=x", "/Patient?_filter="+q, "/RiskAssessment?probability="+q, "/ValueSet?url="+q, "/Patient/"+p, "/"+p, "/"+p+"/1", "/Patient/shared/_history/"+p, "/Patient/shared/_history?_before="+q, "/Patient/shared/_history?_count="+q,
		"/Patient/shared/$everything?_count="+q, "/Patient/shared/$"+p)
	org := `{"resourceType":"Organization","name":` + in + `,"identifier":[{"system":"urn:x","value":` + in + `}],"partOf":{"display":` + in + `,"reference":"Organization/none"}}`
	asks = append(asks, leakAsk{"POST", "/Organization", org, nil}, leakAsk{"POST", "/Organization", org, []string{"If-None-Exist", "name=" + q}}, leakAsk{"POST", "/Patient/_search", "name=" + s, []string{"Content-Type", "application/x-www-form-urlencoded"}},
		leakAsk{"POST", "/Organization", `{"resourceType":"Organization","id":` + in + `,"name":"x"}`, nil}, leakAsk{"PUT", "/Organization/" + p, org, nil}, leakAsk{"POST", "/Organization", `{` + in + `:1,"resourceType":"Organization"}`, nil},
		leakAsk{"POST", "", bundleOf("transaction", posting("", org, `,"ifNoneExist":`+fieldOf("name=", in))), nil}, leakAsk{"POST", "", bundleOf("transaction", posting("", strings.Replace(org, `"Organization/none"`, fieldOf("Organization?name=", in), 1), "")), nil},
		leakAsk{"POST", "", bundleOf("batch", `{"request":{"method":"GET","url":`+fieldOf("Patient?name=", in)+`}}`, `{"request":{"method":`+in+`,"url":`+in+`}}`), nil})
	if header := strings.Map(printable, s); header == s {
		for _, h := range []string{"If-Match", "Prefer", "X-Request-Id", "User-Agent", "Accept", "X-Forwarded-For", "Cordon-Tenant", "Content-Encoding", "If-None-Exist"} {
			asks = append(asks, leakAsk{"POST", "/Organization", `{"resourceType":"Organization","name":"x"}`, []string{h, header}})
		}
	}
	return asks
}

// fieldOf puts text before a JSON string's own.
func fieldOf(before, quoted string) string { return `"` + before + strings.TrimPrefix(quoted, `"`) }

func printable(r rune) rune {
	if r < ' ' || r > '~' {
		return -1
	}
	return r
}

// TestSQLInjection puts each into every parameter, path segment, header and JSON value: no answer speaks of a database, none waits, and
// nothing of another tenant comes or goes.
func TestSQLInjection(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	alpha, bravo := p.Tenant(t), p.Tenant(t)
	loadCrafted(t, alpha, "alpha", "bravo", bravo.Base)
	loadCrafted(t, bravo, "bravo", "alpha", alpha.Base)
	watch := watchChart(t, bravo)
	state := watch.state(t)
	var asks []leakAsk
	for _, s := range thin(sqlInjections, 12) {
		asks = append(asks, injected(s)...)
	}
	start := time.Now()
	answers := leakSweep(t, alpha.Client, asks)
	for i, got := range answers {
		if got[0] != '2' && got[0] != '4' {
			t.Errorf("%s: %.300s", asks[i], got)
		}
		for _, word := range []string{"SQLSTATE", "syntax error", "ERROR:", "postgres", "pgx", "unterminated", "invalid input", "bravounspoken"} {
			if strings.Contains(got, word) {
				t.Errorf("%s says %s: %.300s", asks[i], word, got)
			}
		}
	}
	// Each that waits waits 20 seconds, six at a time: were one in fifty to reach the database, this would take minutes.
	if took := time.Since(start); took > time.Duration(len(asks))*60*time.Millisecond {
		t.Errorf("%d requests took %s", len(asks), took)
	}
	var slept int
	if err := p.Superuser(t).QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()").Scan(&slept); err != nil || slept > 0 {
		t.Errorf("%d statements hold what was sent: %v", slept, err)
	}
	for _, s := range sqlInjections {
		for _, form := range []url.Values{grant("client_id", s, "client_secret", s), grant("client_id", alpha.ClientID, "client_secret", alpha.Secret, "scope", s), asserting(s), {"grant_type": {s}}} {
			if r := tokenForm(t, alpha, form); r.Status < 400 || r.Status >= 500 {
				t.Errorf("token: %q: %d %.200s", s, r.Status, r.Body)
			}
		}
		for _, r := range []cordontest.Response{p.Operator(t, "GET", "/tenants/"+url.PathEscape(s), nil), p.Operator(t, "POST", "/tenants", map[string]string{"slug": s, "placement": s}),
			p.Operator(t, "POST", "/tenants/"+url.PathEscape(s)+"/clients", map[string]string{"name": s, "scope": s}), p.Send(t, "GET", p.Info.URL+"/t/"+url.PathEscape(s)+"/fhir/Patient", nil, nil),
			p.Send(t, "GET", p.Info.URL+"/operator/v1/tenants", nil, map[string]string{"Authorization": "Bearer " + strings.Map(printable, s)})} {
			if r.Status < 400 || r.Status >= 500 || strings.Contains(string(r.Body), "SQLSTATE") {
				t.Errorf("%q: %d %.200s", s, r.Status, r.Body)
			}
		}
	}
	if got := watch.state(t); got != state {
		t.Errorf("Bravo's rows changed:\n%s\n%s", state, got)
	}
	t.Logf("%d requests with %d texts", len(asks), len(sqlInjections))
}

// logInjections would end a line, start another, colour it, turn it round, or close the JSON that it stands in.
var logInjections = []string{"a\r\n{\"msg\":\"INJECTED\"}", "a\nINJECTED", "a\rINJECTED", "\x1b[31mINJECTED\x1b[0m", "\x1b]0;INJECTED\a", `","msg":"INJECTED","x":"`, `\",\"msg\":\"INJECTED`, "\u202eINJECTED", "\u2066INJECTED\u2069", "\u2028INJECTED", "\u0085INJECTED", "\u009bINJECTED",
	"INJECTED\x00", "\b\b\bINJECTED", "<script>INJECTED</script>", "%0d%0aINJECTED", "level=ERROR msg=INJECTED", "\xff\xfeINJECTED", "${jndi:INJECTED}", "\x7fINJECTED"}

// TestLogInjection sends each wherever a request has room: the log has one whole JSON line for each event, in printable characters,
// and no word of the sender's; the audit log has one printable line for each event.
func TestLogInjection(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n := p.Tenant(t)
	base := "/t/" + n.Slug + "/fhir"
	for _, s := range logInjections {
		for _, a := range injected(s) {
			a.send(t, n.Client)
		}
		for _, h := range []string{"User-Agent", "X-Request-Id", "Authorization", "Host", "Referer", "X-Forwarded-For", "If-Match", "Accept"} { // as bytes, past what a client would refuse to send
			rawWire(t, p, "GET "+base+"/Patient HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer "+n.Token()+"\r\n"+h+": "+s+"\r\n\r\n")
		}
		rawWire(t, p, "GET "+base+"/Patient/"+s+" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
		rawWire(t, p, s+" "+base+"/Patient HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
		tokenForm(t, n, grant("client_id", s, "client_secret", s))
		tokenForm(t, n, url.Values{"grant_type": {s}, s: {"x"}})
		p.Operator(t, "POST", "/tenants", map[string]string{"slug": s, "placement": s})
		p.Operator(t, "POST", "/tenants/"+n.Slug+"/clients", map[string]string{"name": s, "scope": "system/*.rs"})
	}
	lines := 0
	for line := range strings.Lines(p.Logs.String()) {
		lines++
		var rec map[string]any
		if err := json.Unmarshal([]byte(line), &rec); err != nil || rec["msg"] == nil || rec["level"] == nil {
			t.Errorf("a line is no record: %q", line)
		}
		if strings.IndexFunc(strings.TrimSuffix(line, "\n"), odd) >= 0 || strings.Contains(line, "INJECTED") {
			t.Errorf("a line holds what was sent: %q", line)
		}
	}
	r := p.Operator(t, http.MethodGet, "/tenants/"+n.Slug+"/audit", nil).Want(t, http.StatusOK)
	events := 0
	for line := range strings.Lines(string(r.Body)) {
		events++
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil || e["event_id"] == nil {
			t.Errorf("a line of the audit log is no event: %q", line)
		}
		if strings.IndexFunc(strings.TrimSuffix(line, "\n"), odd) >= 0 {
			t.Errorf("a line of the audit log is not printable: %q", line)
		}
	}
	if lines < 500 || events < 500 {
		t.Errorf("%d lines, %d events", lines, events)
	}
	t.Logf("%d lines of log, %d events", lines, events)
}

// odd are characters that end a line, steer a terminal, or turn the direction of a text.
func odd(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' || r == unicode.ReplacementChar
}
