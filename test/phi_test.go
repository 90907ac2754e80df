package test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// seeds are what a patient would not want to find in a log: each stands in one kind of place.
var seeds = map[string]string{
	"family": "Zyzzyvason", "given": "Quaggabert", "mrn": "MRN-8675309-QX", "ssn": "987-65-4329", "line": "17 Xylophone-Terrace", "phone": "+1-555-0177-99x", "note": "suffers from quixotitis",
	"id": "xq-patient-4711", "value": "Vexillology", "code": "QQ-13-ZZ", "unit": "zorkmid",
}

// seededPatient holds a seed in every kind of element.
func seededPatient(id string) string {
	return `{"resourceType":"Patient","id":"` + id + `","identifier":[{"system":"urn:mrn","value":"` + seeds["mrn"] + `"},{"system":"http://hl7.org/fhir/sid/us-ssn","value":"` + seeds["ssn"] + `"}],
"name":[{"family":"` + seeds["family"] + `","given":["` + seeds["given"] + `"]}],"telecom":[{"system":"phone","value":"` + seeds["phone"] + `"}],"address":[{"line":["` + seeds["line"] + `"]}],
"extension":[{"url":"http://x.example/note","valueString":"` + seeds["note"] + `"}]}`
}

func seededObservation(id string) string {
	return `{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"urn:x","code":"` + seeds["code"] + `"}],"text":"` + seeds["value"] + `"},"subject":{"reference":"Patient/` + id +
		`","display":"` + seeds["given"] + " " + seeds["family"] + `"},"valueQuantity":{"value":1,"unit":"` + seeds["unit"] + `"},"note":[{"text":"` + seeds["note"] + `"}]}`
}

// finds tells which seed a text holds, as it is or in the encodings that a careless hand leaves it in.
func finds(text string) (string, bool) {
	low := strings.ToLower(text)
	for what, s := range seeds {
		for _, form := range []string{s, url.QueryEscape(s), url.PathEscape(s), base64.StdEncoding.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte(s)), hex.EncodeToString([]byte(s)), fmt.Sprintf("%q", s)} {
			if strings.Contains(low, strings.ToLower(form)) {
				return what, true
			}
		}
	}
	return "", false
}

// seeded is every request that a good client sends.
func seededGood(id string) []leakAsk {
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	q := url.QueryEscape
	return []leakAsk{
		{"PUT", "/Patient/" + id, seededPatient(id), []string{"User-Agent", seeds["family"]}},
		{"POST", "/Observation", seededObservation(id), nil},
		{"POST", "", bundleOf("transaction", posting("urn:uuid:0b5b2c4e-5f7c-4a0c-9a59-6a2f3a1b2c3d", strings.Replace(seededPatient(id), `"id":"`+id+`",`, "", 1), `,"ifNoneExist":"identifier=`+seeds["mrn"]+`"`)), nil},
		{"POST", "", bundleOf("batch", asking("GET", "Patient/"+id), asking("GET", "Patient?name="+seeds["family"]), asking("GET", "Patient?identifier="+seeds["mrn"])), nil},
		{"POST", "/Patient", strings.Replace(seededPatient(id), `"id":"`+id+`",`, "", 1), []string{"If-None-Exist", "identifier=" + seeds["mrn"]}},
		{"GET", "/Patient/" + id, "", nil}, {"GET", "/Patient/" + id + "/_history", "", nil}, {"GET", "/Patient/" + id + "/_history/1", "", nil}, {"GET", "/Patient/" + id + "/$everything", "", nil},
		{"GET", "/Patient?name=" + seeds["family"] + "&given=" + seeds["given"], "", nil},
		{"GET", "/Patient?identifier=" + seeds["ssn"] + "&phone=" + q(seeds["phone"]) + "&address=" + q(seeds["line"]), "", nil},
		{"GET", "/Observation?patient=" + id + "&code=" + seeds["code"] + "&_include=Observation:subject", "", nil},
		{"GET", "/Observation?subject:Patient.name=" + seeds["family"], "", nil},
		{"POST", "/Patient/_search", "name=" + seeds["family"], form},
	}
}

// seededBad is what goes wrong in every way: the answers may say where, never what.
func seededBad(id string) []leakAsk {
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	var out []leakAsk
	for _, s := range seeds {
		e, q, p := strings.ReplaceAll(s, `"`, ""), url.QueryEscape(s), url.PathEscape(s)
		out = append(out, []leakAsk{
			{"GET", "/Patient/" + p, "", nil}, {"GET", "/" + p + "/1", "", nil}, {"GET", "/Patient/" + p + "/_history/9", "", nil}, {"GET", "/Patient/x/_history/" + p, "", nil}, {"GET", "/Patient/x/$" + p, "", nil},
			{"GET", "/Patient?birthdate=" + q, "", nil}, {"GET", "/Patient?nothing=" + q, "", nil}, {"GET", "/Patient?_id=" + q + "!", "", nil}, {"GET", "/Patient?_sort=" + q, "", nil}, {"GET", "/Patient?_include=" + q, "", nil},
			{"GET", "/Patient?_count=" + q, "", nil}, {"GET", "/Patient?_cursor=" + q, "", nil}, {"GET", "/Patient?_format=" + q, "", nil}, {"GET", "/Patient?name=" + q + "%00", "", nil}, {"GET", "/Patient?name=%zz" + q, "", nil},
			{"GET", "/Patient/" + id + "?x=" + q, "", nil}, {"GET", "/Patient", "", []string{"Accept", "text/" + strings.ReplaceAll(p, "%", "")}}, {"GET", "/Patient", "", []string{"Authorization", "Bearer " + p}},
			{"GET", "/Patient", "", []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(s+":"+s))}}, {"PUT", "/Patient/" + p, seededPatient("other"), nil},
			{"PUT", "/Patient/" + id, `{"resourceType":"Patient","id":"` + e + ` "}`, nil}, {"PUT", "/Patient/" + id, seededPatient(id), []string{"If-Match", e}}, {"PUT", "/Patient/" + id, seededPatient(id), []string{"If-Match", `W/"77"`}},
			{"POST", "/Patient", `{"resourceType":"Patient","name":"` + e + `"}`, nil}, {"POST", "/Patient", `{"resourceType":"` + e + `"}`, nil}, {"POST", "/Patient", `{"resourceType":"Patient","gender":"x","gender":"` + e + `"}`, nil},
			{"POST", "/Patient", `{"resourceType":"Patient","birthDate":"` + e + `"}`, nil}, {"POST", "/Patient", `{"resourceType":"Patient","name":[{"family":"` + e, nil}, {"POST", "/Patient", e, nil},
			{"POST", "/Patient", `{"resourceType":"Patient","text":{"status":"generated","div":"<div>` + e + `</div>"}}`, nil}, {"POST", "/Patient", `{"resourceType":"Patient","link":[{"other":{"reference":"` + e + `"},"type":"refer"}]}`, nil},
			{"POST", "/Patient", seededPatient(id), []string{"If-None-Exist", "birthdate=" + q}}, {"POST", "/Patient", seededPatient(id), []string{"Content-Type", "text/plain; a=" + strings.ReplaceAll(p, "%", "")}},
			{"POST", "/Patient", seededPatient(id), []string{"Content-Encoding", "gzip"}}, {"POST", "/Patient/_search", "birthdate=" + q, form}, {"POST", "/Patient/_search", q + "%00", form},
			{"POST", "", bundleOf(e), nil}, {"POST", "", bundleOf("transaction", `{"resource":`+seededPatient(id)+`,"request":{"method":"`+e+`","url":"Patient?`+e+`"}}`), nil},
			{"POST", "", bundleOf("transaction", posting("", seededObservation("x"), `,"ifNoneExist":"date=`+q+`"`)), nil}, {"POST", "", bundleOf("transaction", asking("DELETE", "Patient?name="+q)), nil},
			{"POST", "", bundleOf("transaction", posting("", strings.Replace(seededObservation("x"), "Patient/x", "Patient?identifier="+q, 1), "")), nil},
			{"POST", "", bundleOf("batch", asking("GET", e), asking("GET", "Patient?birthdate="+q), asking(e, "Patient/"+e)), nil},
			{"PATCH", "/Patient/" + p, e, nil}, {"DELETE", "/Patient/" + p + "!", "", nil},
		}...)
	}
	return out
}

// phiRun collects all that answers say when something went wrong.
type phiRun struct {
	t     *testing.T
	n     *cordontest.Tenant
	count int
}

// all sends asks; an answer that is an error must hold no seed, in its headers neither.
func (r *phiRun) all(what string, c *cordontest.Client, asks []leakAsk, wantError bool) {
	r.t.Helper()
	for _, a := range asks {
		got := a.send(r.t, c)
		r.count++
		failed := got[0] != '2'
		if wantError && !failed && a.path != "" {
			r.t.Errorf("%s: %s: %.200s", what, a, got)
		}
		if seed, found := finds(got); found && (failed || (wantError && a.path == "")) {
			r.t.Errorf("%s: the answer to %s %.60s holds the %s: %.500s", what, a.method, a.path, seed, got)
		}
	}
}

// TestNoPHIOutside seeds a platform of its own with a patient, goes through good, wrong, denied and failing requests, and then
// looks for the seeds in the log, in the metrics, in what errors say and in Postgres' log.
func TestNoPHIOutside(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	n, other := p.Tenant(t), p.Tenant(t)
	id := seeds["id"]
	run := &phiRun{t: t, n: n}
	run.all("good", n.Client, seededGood(id), false)
	if r := n.Do(t, "GET", "/Patient?name="+seeds["family"], nil).Want(t, http.StatusOK); len(r.Matches(t)) == 0 {
		t.Fatal("the seeds are not stored")
	}
	run.all("wrong", n.Client, seededBad(id), false)
	denied := append(seededGood(id), leakAsk{"DELETE", "/Patient/" + id, "", nil})
	run.all("no scope", p.Client(t, n.Slug, "system/Encounter.r"), denied, true)
	foreign := make([]leakAsk, len(denied))
	for i, a := range denied {
		a.headers = append(slices.Clip(a.headers), "Authorization", "Bearer "+other.Token())
		foreign[i] = a
	}
	run.all("token of another tenant", n.Client, foreign, true)
	run.all("another tenant", other.Client, []leakAsk{{"GET", "/Patient/" + id, "", nil}, {"GET", "/Patient/" + id + "/_history", "", nil}}, true)
	run.endpoints(p)
	run.failing(p, id)
	p.Operator(t, "POST", "/tenants/"+n.Slug+"/suspend", nil).Want(t, http.StatusOK)
	run.all("suspended", n.Client, denied, true)

	logs := p.Logs.String()
	lines := 0
	for line := range strings.Lines(logs) {
		if lines++; !json.Valid([]byte(line)) {
			t.Errorf("a line of the log is no JSON: %.300q", line)
		}
	}
	for what, text := range map[string]string{"log": logs, "metrics": string(p.Send(t, "GET", p.Info.Management+"/metrics", nil, nil).Want(t, http.StatusOK).Body),
		"readyz": string(p.Send(t, "GET", p.Info.Management+"/readyz", nil, nil).Body), "log of Postgres": postgresLog(t, p.Dir)} {
		if seed, found := finds(text); found {
			at := strings.Index(text, seeds[seed])
			t.Errorf("the %s holds the %s: %.400s", what, seed, text[max(0, at-200):])
		}
	}
	if lines < run.count/2 || strings.Contains(logs, `"msg":"panic"`) {
		t.Errorf("%d lines of log for %d requests, or a panic", lines, run.count)
	}
	t.Logf("%d requests with seeds, %d lines of log", run.count, lines)
}

// endpoints sends seeds to what is not FHIR.
func (r *phiRun) endpoints(p *cordontest.Platform) {
	r.t.Helper()
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	for _, s := range seeds {
		q := url.QueryEscape(s)
		for _, c := range []struct {
			method, path, body string
			headers            map[string]string
		}{
			{"POST", "/t/" + r.n.Slug + "/oauth/token", "grant_type=client_credentials&client_id=" + q + "&client_secret=" + q, form},
			{"POST", "/t/" + r.n.Slug + "/oauth/token", "grant_type=" + q, form},
			{"POST", "/t/" + r.n.Slug + "/oauth/token", grant("client_id", r.n.ClientID, "client_secret", r.n.Secret, "scope", s).Encode(), form},
			{"POST", "/t/" + r.n.Slug + "/oauth/token", asserting(s + "." + s + "." + s).Encode(), form},
			{"POST", "/t/" + r.n.Slug + "/oauth/token?x=" + q, s, nil},
			{"GET", "/t/" + q + "/fhir/Patient", "", nil}, {"GET", "/" + q, "", nil}, {"GET", "/operator/v1/tenants/" + q, "", map[string]string{"Authorization": "Bearer " + p.Info.Operators["alice"]}},
			{"POST", "/operator/v1/tenants", `{"slug":"` + s + `_","placement":"pooled"}`, map[string]string{"Authorization": "Bearer " + p.Info.Operators["alice"]}},
			{"POST", "/operator/v1/tenants", s, map[string]string{"Authorization": "Bearer " + p.Info.Operators["alice"]}},
			{"GET", "/", "", map[string]string{"Host": strings.Map(hostRune, s) + ".example", "User-Agent": s, "Referer": "https://x.example/?q=" + q, "X-Request-Id": s}},
			{"GET", "/t/" + r.n.Slug + "/fhir/Patient?q=" + q, "", map[string]string{"X-Forwarded-For": s, "Cookie": "a=" + q, "X-Request-Id": s + " " + s, "User-Agent": s + "\u202e"}},
		} {
			res := p.Send(r.t, c.method, p.Info.URL+c.path, []byte(c.body), c.headers)
			r.count++
			if seed, found := finds(wholeAnswer(res)); found || res.Status < 400 || res.Status >= 500 {
				r.t.Errorf("%s %s: %d, holds the %s: %.300s", c.method, c.path, res.Status, seed, res.Body)
			}
		}
	}
}

func hostRune(r rune) rune {
	if r == ' ' || r == '+' {
		return '-'
	}
	return r
}

// failing breaks the platform under the requests: a body that does not open, and an audit log that cannot be written, when
// nothing at all may be disclosed.
func (r *phiRun) failing(p *cordontest.Platform, id string) {
	r.t.Helper()
	db := p.Superuser(r.t)
	exec := func(sql string) {
		if _, err := db.Exec(r.t.Context(), sql); err != nil {
			r.t.Fatal(err)
		}
	}
	exec("REVOKE INSERT ON audit FROM cordon_cell")
	asks := append(seededGood(id), leakAsk{"GET", "/Patient/no-" + id, "", nil}, leakAsk{"DELETE", "/Patient/" + id, "", nil})
	r.all("no audit", r.n.Client, asks, true)
	for _, a := range asks {
		if got := a.send(r.t, r.n.Client); a.path != "" && !strings.HasPrefix(got, "503") {
			r.t.Errorf("without an audit log %s answers %.200s", a, got)
		} else if _, found := finds(got); found {
			r.t.Errorf("without an audit log %s discloses %.200s", a, got)
		}
	}
	exec("GRANT INSERT ON audit TO cordon_cell")
	r.n.Do(r.t, "GET", "/Patient/"+id, nil).Want(r.t, http.StatusOK)
	exec("UPDATE version SET body = body || '\\x00'")
	r.all("broken bodies", r.n.Client, []leakAsk{{"GET", "/Patient/" + id, "", nil}, {"GET", "/Patient?name=" + seeds["family"], "", nil}, {"PUT", "/Patient/" + id, seededPatient(id), nil},
		{"GET", "/Patient/" + id + "/_history", "", nil}, {"GET", "/Patient/" + id + "/$everything", "", nil}, {"DELETE", "/Patient/" + id, "", nil}}, true)
	exec("ALTER TABLE version RENAME TO away")
	r.all("no table", r.n.Client, seededGood(id), true)
	exec("ALTER TABLE away RENAME TO version")
}

// postgresLog is what Postgres wrote down for people.
func postgresLog(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".log") {
			return nil //nolint:nilerr // Postgres' files come and go
		}
		text, err := os.ReadFile(path)
		b.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if b.Len() == 0 {
		t.Error("Postgres has no log to look into")
	}
	return b.String()
}
