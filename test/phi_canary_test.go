package test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// canaries are words that stand in one place each: of a resource, of a request. Each names its place and ends in one mark, by which all
// are found, whatever they are encoded in.
type canaries struct {
	mu     sync.Mutex // guards placed
	placed map[string]bool
}

// in gives the word of a place.
func (c *canaries) in(place string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.placed[place] = true
	return place + canaryMark
}

const canaryMark = "QqCanaryXy7"

// bornOn is the one date of a chart that is text like the others.
const bornOn = "1907-11-23"

// canaryForms are the needles.
func canaryForms() map[string][]byte { return forms(canaryMark, bornOn) }

// chart is a patient and what belongs to it, with a canary in every kind of element.
func (c *canaries) chart(id string) []leakAsk {
	in := c.in
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	patient := fmt.Sprintf(`{"resourceType":"Patient","id":%q,"meta":{"tag":[{"system":"urn:t","code":%q,"display":%q}],"security":[{"code":%q}],"source":"urn:%s","profile":["http://x.example/%s"]},
"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">%s</div>"},"contained":[{"resourceType":"Organization","id":"c","name":%q}],"extension":[{"url":"http://x.example/%s","valueString":%q}],
"identifier":[{"system":"urn:%s","value":%q}],"name":[{"family":%q,"given":[%q],"text":%q}],"telecom":[{"system":"phone","value":%q}],"birthDate":%q,"_birthDate":{"extension":[{"url":"urn:x","valueString":%q}]},
"address":[{"line":[%q],"city":%q,"postalCode":%q}],"photo":[{"contentType":"text/plain","data":%q,"title":%q,"url":"https://x.example/%s"}],"contact":[{"name":{"family":%q}}],
"generalPractitioner":[{"reference":"Practitioner/%s","display":%q,"identifier":{"value":%q}}]}`, id, in("tagcode"), in("tagdisplay"), in("label"), in("source"), in("profile"), in("narrative"), in("contained"), in("extensionurl"), in("extension"),
		in("system"), in("mrn"), in("family"), in("given"), in("nametext"), in("phone"), bornOn, in("primitive"), in("line"), in("city"), in("postal"), b64(in("attachment")+" "+in("attachmenttail")), in("title"), in("link"), in("contact"),
		in("practitioner"), in("display"), in("logical"))
	observation := fmt.Sprintf(`{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://x.example/%s","code":%q,"display":%q}],"text":%q},"subject":{"reference":"Patient/%s"},
"valueQuantity":{"value":7,"unit":%q,"code":%q},"note":[{"text":%q}],"effectiveDateTime":"%sT03:04:05.678Z"}`, in("codesystem"), in("code"), in("codedisplay"), in("codetext"), id, in("unit"), in("unitcode"), in("note"), bornOn)
	return []leakAsk{
		{"PUT", "/Patient/" + id, patient, []string{"User-Agent", in("agent"), "X-Request-Id", in("request"), "Prefer", "return=representation; x=" + in("prefer"), "Cookie", "a=" + in("cookie"), "Referer", "https://x.example/" + in("referer")}},
		{"POST", "/Observation", observation, nil},
		{"POST", "", bundleOf("transaction", posting("urn:uuid:0b5b2c4e-5f7c-4a0c-9a59-6a2f3a1b2c3d", observation, `,"ifNoneExist":"code=`+in("ifnoneexist")+`"`)), nil},
		{"POST", "", bundleOf("batch", asking("GET", "Patient/"+id), asking("GET", "Patient?name="+in("batchquery")), asking("GET", "Patient/"+in("batchid"))), nil},
		{"GET", "/Patient/" + id, "", nil}, {"GET", "/Patient/" + id + "/_history", "", nil}, {"GET", "/Patient/" + id + "/$everything", "", nil},
		{"GET", "/Patient?family=" + in("family") + "&identifier=" + in("mrn") + "&birthdate=" + bornOn, "", nil},
		{"GET", "/Observation?code=http://x.example/" + in("codesystem") + "|" + in("code") + "&subject:Patient.name=" + in("chain") + "&_include=Observation:subject", "", nil},
		{"POST", "/Patient/_search", "address=" + in("posted"), []string{"Content-Type", "application/x-www-form-urlencoded"}},
	}
}

// wrongs are requests with a canary where it is refused, in each place that a request has.
func (c *canaries) wrongs(id string) []leakAsk {
	in := c.in
	patient := func(rest string) string { return `{"resourceType":"Patient",` + rest + `}` }
	return []leakAsk{
		{"GET", "/Patient/" + in("pathid"), "", nil}, {"GET", "/" + in("pathtype") + "/1", "", nil}, {"GET", "/Patient/" + id + "/_history/" + in("pathversion"), "", nil}, {"GET", "/Patient/" + id + "/$" + in("operation"), "", nil},
		{"GET", "/Patient?" + in("param") + "=" + in("unknownvalue"), "", nil}, {"GET", "/Patient?birthdate=" + in("baddate"), "", nil}, {"GET", "/Patient?_sort=" + in("sort"), "", nil}, {"GET", "/Patient?_include=" + in("include"), "", nil},
		{"GET", "/Patient?_cursor=" + in("cursor"), "", nil}, {"GET", "/Patient?name=" + in("badencoding") + "%zz", "", nil}, {"GET", "/Observation?value-quantity=" + in("number"), "", nil}, {"GET", "/Patient?_format=" + in("format"), "", nil},
		{"GET", "/Patient/" + id, "", []string{"Accept", "text/" + in("accept")}}, {"GET", "/Patient/" + id, "", []string{"Authorization", "Bearer " + in("bearer")}}, {"GET", "/Patient/" + id, "", []string{"Host", in("host") + ".example"}},
		{"PUT", "/Patient/" + id, patient(`"id":"` + in("otherid") + `"`), nil}, {"PUT", "/Patient/" + id, patient(`"id":"` + id + `"`), []string{"If-Match", in("ifmatch")}}, {"DELETE", "/Patient/" + id, "", []string{"If-Match", `W/"` + in("etag") + `"`}},
		{"POST", "/Patient", patient(`"birthDate":"` + in("bodydate") + `"`), nil}, {"POST", "/Patient", patient(`"` + in("element") + `":1`), nil}, {"POST", "/Patient", `{"resourceType":"` + in("bodytype") + `"}`, nil}, {"POST", "/Patient", `{"x":"` + in("truncated"), nil},
		{"POST", "/Patient", in("nojson"), nil}, {"POST", "/Patient", patient(`"gender":["` + in("enum") + `"]`), nil}, {"POST", "/Patient", patient(`"active":true`), []string{"If-None-Exist", "birthdate=" + in("condition")}},
		{"POST", "/Patient", patient(`"active":true`), []string{"Content-Type", "text/" + in("mediatype")}}, {"POST", "/Patient", in("gzip"), []string{"Content-Encoding", "gzip"}},
		{"POST", "", bundleOf("transaction", `{"resource":`+patient(`"active":true`)+`,"request":{"method":"POST","url":"`+in("entryurl")+`"}}`), nil},
		{"POST", "", bundleOf("transaction", posting("", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient?identifier=`+in("conditionalref")+`"}}`, "")), nil},
		{"POST", "", bundleOf(in("bundletype")), nil},
	}
}

// TestPHICanaries runs the real command in a process of its own, fills every kind of field and parameter with canaries, lets
// requests succeed, be refused, wait for a database that does not answer, be left by their clients and run into the time limit of the
// database, and ends the process with a dump of all its stacks. Then no sink holds a canary; one that is planted is found.
func TestPHICanaries(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	d := cordontest.StartDevWith(t, cordontest.DevDir(t), []string{"TMPDIR=" + tmp, "GOTRACEBACK=all"}, "--verbose") // a line for each request
	n, other := d.Tenant(t), d.Tenant(t)
	c := &canaries{placed: map[string]bool{}}
	id := c.in("id")
	for i, a := range c.chart(id) {
		if got := a.send(t, n.Client); got[0] != '2' {
			t.Fatalf("%d %s: %.300s", i, a.method, got)
		}
	}
	tried := c.refused(t, d.Platform, n, other, id)
	stuck := c.stuck(t, d.Platform, n, id)
	if events := n.Events(t); len(events) < 30 {
		t.Errorf("%d events", len(events))
	}
	needles := canaryForms()
	// The process, what it keeps, what the database keeps.
	sinks := map[string][]byte{"metrics": d.Send(t, "GET", d.Info.Management+"/metrics", nil, nil).Want(t, http.StatusOK).Body, "activity of Postgres": activity(t, d.Platform)}
	maps.Copy(sinks, processes(t, d.PID(), cordontest.Postmaster(t, d.Dir)))
	maps.Copy(sinks, files(t, tmp))
	checkpoint(t, d.Platform)
	for place, found := range atRest(t, d.Platform, needles) {
		t.Errorf("%s shows %v", place, found)
	}
	c.planted(t, d.Platform, tmp)
	// A dump of all stacks, with requests under way.
	release := c.hold(t, d.Platform)
	var wg sync.WaitGroup
	for _, a := range c.chart(id) {
		wg.Go(func() { abandon(t, n.Client, a, 20*time.Second) })
	}
	cordontest.Eventually(t, "requests wait for the database", func() bool { return bytes.Count(activity(t, d.Platform), []byte("Lock")) > 2 })
	if err := syscall.Kill(d.PID(), syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	d.Wait(t)
	wg.Wait()
	release()
	sinks["log and stacks"] = []byte(d.Out.String())
	if !bytes.Contains(sinks["log and stacks"], []byte("goroutine ")) {
		t.Error("the process left no stacks")
	}
	if lines := bytes.Count(sinks["log and stacks"], []byte(`"msg":"request"`)); lines < tried {
		t.Errorf("only %d lines of log for %d requests and more", lines, tried)
	}
	for place, b := range sinks {
		if found := search(needles, b); len(found) > 0 {
			at := max(0, bytes.Index(b, []byte(canaryMark)))
			t.Errorf("%s shows %v: %.300q", place, found, b[max(0, at-100):])
		}
	}
	t.Logf("%d canaries in %d forms; %d requests refused, %d stuck; %d sinks beside the files and dumps", len(c.placed), len(needles), tried, stuck, len(sinks))
}

// refused sends what is refused: its answers hold no canary either.
func (c *canaries) refused(t *testing.T, p *cordontest.Platform, n, other *cordontest.Tenant, id string) (tried int) {
	t.Helper()
	needles := canaryForms()
	check := func(what, got string) {
		tried++
		if got[0] == '2' && what != "batch" {
			t.Errorf("%s is not refused: %.200s", what, got)
		}
		if found := search(needles, []byte(got)); len(found) > 0 {
			t.Errorf("the refusal of %s shows %v: %.300s", what, found, got)
		}
	}
	for i, a := range c.wrongs(id) {
		// The name of a parameter or of an element is said back, a value is not.
		check(fmt.Sprintf("%d %s", i, a.method), strings.NewReplacer(c.in("param"), "", c.in("element"), "").Replace(a.send(t, n.Client)))
	}
	narrow := p.Client(t, n.Slug, "system/Encounter.r")
	for _, a := range c.chart(id) {
		if a.path != "" || !strings.Contains(a.body, `"batch"`) {
			check("no scope "+a.method, a.send(t, narrow))
		}
		a.headers = append(slices.Clip(a.headers), "Authorization", "Bearer "+other.Token())
		check("another's token "+a.method, a.send(t, n.Client))
	}
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded", "User-Agent": c.in("tokenagent"), "X-Request-Id": c.in("tokenrequest")}
	for _, f := range []string{grant("client_id", c.in("clientid"), "client_secret", c.in("clientsecret")).Encode(), grant("client_id", n.ClientID, "client_secret", n.Secret, "scope", "system/"+c.in("scope")+".r").Encode(),
		"grant_type=" + c.in("granttype"), asserting(c.in("assertion") + "." + c.in("assertionbody") + ".x").Encode(), c.in("formname") + "=" + c.in("formvalue"), "%zz" + c.in("formbroken")} {
		check("token", wholeAnswer(p.Send(t, "POST", n.TokenURL, []byte(f), form)))
	}
	for _, path := range []string{"/t/" + strings.ToLower(c.in("slug")) + "/fhir/Patient", "/" + c.in("path"), "/t/" + n.Slug + "/oauth/" + c.in("page"), "/operator/v1/" + c.in("call")} {
		check(path, wholeAnswer(p.Send(t, "GET", p.Info.URL+path, nil, map[string]string{"X-Forwarded-For": c.in("forwarded")})))
	}
	check("operator", wholeAnswer(p.Operator(t, "POST", "/tenants", map[string]string{"slug": c.in("newslug"), "placement": c.in("placement")})))
	return tried
}

// hold locks the tables of charts, so that every request waits, until the function it gives is called.
func (c *canaries) hold(t *testing.T, p *cordontest.Platform) func() {
	t.Helper()
	db := p.Superuser(t)
	if _, err := db.Exec(t.Context(), "BEGIN; LOCK TABLE version, head, idx IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	return func() { _, _ = db.Exec(context.Background(), "ROLLBACK") } // the server may be gone
}

// abandon sends a request and leaves before there is an answer.
func abandon(t testing.TB, c *cordontest.Client, a leakAsk, after time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), after)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, a.method, c.Base+a.path, strings.NewReader(a.body))
	if err != nil {
		t.Error(err)
		return
	}
	r.Header.Set("Authorization", "Bearer "+c.Token())
	r.Header.Set("Content-Type", "application/fhir+json")
	if resp, err := c.P.HTTP.Do(r); err == nil {
		_ = resp.Body.Close()
	}
}

// stuck sends requests to a database that does not go on: clients leave, and then the database's own time limit ends the statements.
func (c *canaries) stuck(t *testing.T, p *cordontest.Platform, n *cordontest.Tenant, id string) (count int) {
	t.Helper()
	all := append(c.chart(id), c.wrongs(id)...)
	release := c.hold(t, p)
	var wg sync.WaitGroup
	for _, a := range all {
		count++
		wg.Go(func() { abandon(t, n.Client, a, 300*time.Millisecond) })
	}
	wg.Wait()
	db := p.Superuser(t)
	exec := func(sql string) {
		if _, err := db.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	limit := func(to string) { // for connections that are made from now on
		exec("ALTER ROLE cordon_cell IN DATABASE cordon_cell1 SET statement_timeout = '" + to + "'")
		exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'cordon_cell'")
	}
	limit("150ms")
	timedOut := 0
	for _, a := range c.chart(id) {
		count++
		if got := a.send(t, n.Client); strings.HasPrefix(got, "503") {
			timedOut++
		} else if a.path != "" {
			t.Errorf("%s with a database that stands still: %.300s", a.method, got)
		}
	}
	if timedOut < 5 {
		t.Errorf("only %d requests ran into the time limit", timedOut)
	}
	release()
	limit("60s")
	cordontest.Eventually(t, "the platform serves again", func() bool { return n.Do(t, "GET", "/Patient/"+id, nil).Status == http.StatusOK })
	return count
}

// activity is what Postgres shows of statements that run and that are prepared.
func activity(t testing.TB, p *cordontest.Platform) []byte {
	t.Helper()
	var out []byte
	if err := p.Superuser(t).QueryRow(t.Context(), `SELECT convert_to(string_agg(a::text, E'\n'), 'UTF8') FROM pg_stat_activity a WHERE pid <> pg_backend_pid()`).Scan(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

func checkpoint(t testing.TB, p *cordontest.Platform) {
	t.Helper()
	if _, err := p.Superuser(t).Exec(t.Context(), "CHECKPOINT"); err != nil {
		t.Fatal(err)
	}
}

// processes are the command lines and environments of the platform and of Postgres.
func processes(t testing.TB, pids ...int) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		t.Fatal("no processes to look at", err)
	}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it ended
		}
		var pid, parent int
		var state string
		if _, err := fmt.Sscan(string(b), &pid); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Sscan(string(b[bytes.LastIndexByte(b, ')')+1:]), &state, &parent); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(pids, pid) && !slices.Contains(pids, parent) {
			continue
		}
		for _, what := range []string{"environ", "cmdline"} {
			if b, err := os.ReadFile(filepath.Join(filepath.Dir(path), what)); err == nil {
				out[fmt.Sprintf("%s of process %d", what, pid)] = b
			}
		}
	}
	if len(out) < 8 {
		t.Errorf("only %d environments and command lines", len(out))
	}
	return out
}

// files are all files below a folder.
func files(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	if err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		out[path] = b
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// planted leaves canaries where they may not be: the search finds each.
func (c *canaries) planted(t *testing.T, p *cordontest.Platform, tmp string) {
	t.Helper()
	needles := canaryForms()
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	fmt.Fprintf(w, "x %s y", c.in("note"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	line, err := json.Marshal(map[string]string{"msg": "x " + c.in("family")})
	if err != nil {
		t.Fatal(err)
	}
	for what, b := range map[string][]byte{"gzip": z.Bytes(), "log line": line, "base64": []byte(base64.StdEncoding.EncodeToString([]byte("a" + c.in("note") + "b"))), "UTF-16": wide(c.in("note")), "hex": fmt.Appendf(nil, "\\x%x", c.in("note"))} {
		path := filepath.Join(tmp, what)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if len(search(needles, files(t, tmp)[path])) == 0 {
			t.Errorf("the search is blind for %s", what)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	var pid int32
	db := p.Superuser(t)
	if err := db.QueryRow(t.Context(), "SELECT pg_backend_pid() /* "+c.in("family")+" */").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	if len(search(needles, activity(t, p))) == 0 {
		t.Error("the search is blind for what Postgres shows of statements")
	}
}
