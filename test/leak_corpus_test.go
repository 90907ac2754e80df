package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// leakOffer is what a CapabilityStatement says of one type: the source of the corpus, so that what is added is asked, too.
type leakOffer struct {
	Type             string
	SearchInclude    []string
	SearchRevInclude []string
	SearchParam      []struct{ Name, Type string }
}

func leakOffers(t testing.TB, n *cordontest.Tenant) []leakOffer {
	t.Helper()
	var c struct {
		Rest []struct{ Resource []leakOffer }
	}
	if err := json.Unmarshal(n.Do(t, "GET", "/metadata", nil).Want(t, http.StatusOK).Body, &c); err != nil || len(c.Rest) != 1 || len(c.Rest[0].Resource) < 100 {
		t.Fatalf("the CapabilityStatement offers nothing: %v", err)
	}
	return c.Rest[0].Resource
}

// leakCorpus asks for Bravo's data in every way that Alpha is offered; with wide also on the types of which neither has anything.
func leakCorpus(t testing.TB, alpha, bravo *cordontest.Tenant, wide bool) (asks []leakAsk) {
	t.Helper()
	get := func(path string, query ...string) {
		v := url.Values{}
		for i := 0; i+1 < len(query); i += 2 {
			v.Add(query[i], query[i+1])
		}
		if len(v) > 0 {
			path += "?" + v.Encode()
		}
		asks = append(asks, leakAsk{method: "GET", path: path})
	}
	for _, o := range leakOffers(t, alpha) {
		if o.Type == "AuditEvent" {
			continue // asking it adds to it: TestNothingOfAnotherTrail asks in its own way
		}
		typ := "/" + o.Type
		_, stored := leakTypes[o.Type]
		for k, p := range o.SearchParam {
			for i, q := range leakValues(p.Name, p.Type, bravo) {
				if stored || (wide && i == 0 && (k < 4 || p.Name[0] == '_')) {
					get(typ, q[0], q[1], "_total", "accurate", "_count", "200")
				}
			}
		}
		if !stored {
			continue
		}
		for _, p := range o.SearchParam {
			get(typ, "_sort", p.Name, "_count", "3")
			get(typ, "_sort", "-"+p.Name, "_summary", "count")
			if p.Type == "reference" {
				leakChains(typ, p.Name, get)
			}
		}
		for _, in := range o.SearchInclude {
			get(typ, "_include", in, "_count", "100")
			get(typ, "_id", "points-alpha,far-alpha,shared,only-bravo", "_include", in)
		}
		for _, in := range o.SearchRevInclude {
			get(typ, "_id", "shared,only-bravo,only-alpha", "_revinclude", in)
		}
		get(typ, "_count", "1")
		get(typ)
		for _, id := range []string{"shared", "only-bravo", "points-bravo"} {
			for _, tail := range []string{"", "/_history", "/_history/1", "/_history?_count=0", "/_history?_before=1", "/$everything"} {
				asks = append(asks, leakAsk{method: "GET", path: typ + "/" + id + tail}, leakAsk{method: "HEAD", path: typ + "/" + id + tail})
			}
		}
	}
	return append(asks, postedSearches(bravo)...)
}

// postedSearches are searches by POST, with what stands in the URL.
func postedSearches(bravo *cordontest.Tenant) (asks []leakAsk) {
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	for typ := range leakTypes {
		for _, q := range []string{"_id=only-bravo", "_tag=bravotag", "_profile=http://cordon.example/bravo", "_lastUpdated=gt2000", "_id:not=x", "_tag:not=none",
			"_source=http://cordon.example/bravo", "tenant=" + bravo.Slug, "_id=only-bravo&_total=accurate", "_summary=count"} {
			asks = append(asks, leakAsk{"POST", "/" + typ + "/_search", q, form}, leakAsk{"POST", "/" + typ + "/_search?" + q, "_count=10", form})
		}
	}
	return asks
}

// leakValues are values that match Bravo's data, by type of parameter.
func leakValues(name, kind string, bravo *cordontest.Tenant) (out [][2]string) {
	switch {
	case name == "_id":
		return [][2]string{{name, "only-bravo"}, {name, "only-bravo,shared,points-bravo"}}
	case kind == "token":
		out = [][2]string{{name, "urn:mrn|MRN-bravo,urn:npi|NPI-bravo,urn:org|ORG-bravo,bravotag,urn:tag|,MRN-same,final,female,active,true,|8867-4"}, {name + ":not", "bravo"}}
	case kind == "string":
		out = [][2]string{{name, "bravosecret,same,bravodoctor,bravoclinic,a"}, {name + ":exact", "bravosecret,Same"}}
	case kind == "reference":
		var all []string
		for _, base := range []string{"", bravo.Base + "/"} {
			for typ := range leakTypes {
				all = append(all, base+typ+"/only-bravo", base+typ+"/shared")
			}
		}
		out = [][2]string{{name, strings.Join(all, ",")}, {name, "only-bravo"}}
	case kind == "date":
		out = [][2]string{{name, "gt1900"}}
	case kind == "number" || kind == "quantity":
		out = [][2]string{{name, "gt0"}}
	default:
		out = [][2]string{{name, "http://cordon.example/bravo"}}
	}
	return append(out, [2]string{name + ":missing", "false"}, [2]string{name + ":missing", "true"})
}

// leakChains asks for what can only be known of the referenced resource.
func leakChains(typ, param string, get func(string, ...string)) {
	for to, inner := range map[string][2]string{"Patient": {"name", "bravosecret"}, "Practitioner": {"name", "bravodoctor"}, "Organization": {"name", "bravoclinic"},
		"Encounter": {"status", "finished"}, "Group": {"identifier", "x"}} {
		get(typ, param+":"+to+"."+inner[0], inner[1])
		get(typ, param+":"+to+"._id", "only-bravo,shared")
		get(typ, param+":"+to+"._tag", "bravotag", "_total", "accurate")
		get(typ, param+":"+to, "only-bravo")
	}
	get(typ, param+".identifier", "urn:mrn|MRN-bravo")
}

// leakNames are what a script is told of one side: an id, an MRN, a base.
type leakNames struct{ id, mrn, base string }

// leakScript asks for one resource in every way, by names; what is written stays in the asker's own chart.
func leakScript(typ, body string, n leakNames) []leakAsk {
	r := strings.NewReplacer("{T}", typ, "{id}", n.id, "{mrn}", n.mrn, "{base}", n.base)
	entry := func(method, path, more string) string {
		return `{"request":{"method":"` + method + `","url":"` + path + `"` + more + `}}`
	}
	with := func(method, path, more string) string {
		return `{"resource":` + body + `,"request":{"method":"` + method + `","url":"` + path + `"` + more + `}}`
	}
	var asks []leakAsk
	add := func(method, path, body string, headers ...string) {
		asks = append(asks, leakAsk{method, r.Replace(path), body, headers})
	}
	bundles := func(entries ...string) {
		for _, kind := range []string{"batch", "transaction"} {
			for _, e := range entries {
				add("POST", "", `{"resourceType":"Bundle","type":"`+kind+`","entry":[`+r.Replace(e)+`]}`)
			}
		}
	}
	for _, path := range []string{"", "/_history", "/_history/1", "/_history/2", "/_history/0", "/_history?_count=0", "/_history?_before=1", "/$everything"} {
		add("GET", "/{T}/{id}"+path, "")
		add("HEAD", "/{T}/{id}"+path, "")
		bundles(entry("GET", "{T}/{id}"+path, ""))
	}
	for _, q := range []string{"_id={id}", "_id={id}&_total=accurate", "_id={id}&_revinclude=Observation:subject", "identifier={mrn}"} {
		add("GET", "/{T}?"+q, "")
		add("POST", "/{T}/_search", r.Replace(q), "Content-Type", "application/x-www-form-urlencoded")
	}
	for _, q := range []string{"subject={T}/{id}", "subject={base}/{T}/{id}", "subject={id}&_include=Observation:subject", "subject:{T}._id={id}"} {
		add("GET", "/Observation?"+q, "")
	}
	bundles(entry("GET", "{base}/{T}/{id}", ""), entry("GET", "../../bravo/fhir/{T}/{id}", ""), entry("GET", "{T}?_id={id}", ""),
		entry("DELETE", "{base}/{T}/{id}", ""), entry("DELETE", "{T}/{id}", ""), entry("DELETE", "{T}/{id}", `,"ifMatch":"W/\"1\""`),
		with("PUT", "{T}/{id}", `,"ifMatch":"W/\"1\""`), with("PUT", "{base}/{T}/{id}", ""))
	add("DELETE", "/{T}/{id}", "")
	add("DELETE", "/{T}/{id}", "", "If-Match", `W/"1"`)
	add("PUT", "/{T}/{id}", body, "If-Match", `W/"1"`)
	add("PATCH", "/{T}/{id}", body)
	obs := `{"resource":{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"REF"}},"request":{"method":"POST","url":"Observation"}}`
	for _, ref := range []string{"{T}/{id}", "{base}/{T}/{id}", "{T}?identifier={mrn}", "{T}?_id={id}"} {
		if typ == "Patient" || strings.Contains(ref, "base") {
			bundles(strings.ReplaceAll(obs, "REF", ref))
		}
	}
	org := `{"resourceType":"Organization","identifier":[{"value":"{id}"}],"name":"x"}`
	add("POST", "/Organization", r.Replace(org), "If-None-Exist", r.Replace("_id={id}"))
	add("POST", "/Organization", r.Replace(org), "If-None-Exist", r.Replace("identifier={mrn}"))
	bundles(`{"fullUrl":"{base}/Organization/{id}","resource":` + org + `,"request":{"method":"POST","url":"Organization","ifNoneExist":"identifier={mrn}&_id={id}"}}`)
	add("PUT", "/{T}/{id}", body)
	add("GET", "/{T}/{id}", "")
	add("GET", "/{T}/{id}/_history", "")
	add("GET", "/{T}?_id={id}", "")
	add("DELETE", "/{T}/{id}", "")
	add("GET", "/{T}/{id}", "")
	return asks
}

var (
	uuidForm   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	timeForm   = regexp.MustCompile(`20\d\d-\d\d-\d\dT[0-9:.]+Z`)
	httpForm   = regexp.MustCompile(`Last-Modified: .*`)
	lengthForm = regexp.MustCompile(`Content-Length: .*`)
)

// leakByID runs the same requests with names of Bravo and with names of nobody, as Alpha: the answers are the same but for those names,
// which are as long; with wide by every route, too. Where nothing is written they are compared as they are.
func leakByID(t *testing.T, board *leakBoard, alpha, bravo *cordontest.Tenant, wide bool) int {
	t.Helper()
	var pairs atomic.Int64
	var wg sync.WaitGroup
	room := make(chan struct{}, 4) // types at once
	for _, o := range leakOffers(t, alpha) {
		_, inPlay := leakTypes[o.Type]
		m := []string{o.Type + "/" + strings.ToLower(o.Type) + "-bravo"} // no other script writes what names it
		if !inPlay {
			m = bravo.Do(t, "GET", "/"+o.Type+"?_count=1", nil).Want(t, http.StatusOK).Matches(t)
		}
		if len(m) == 0 || (testing.Short() && o.Type != "Patient" && o.Type != "Observation") {
			continue
		}
		body := string(bravo.Do(t, "GET", "/"+m[0], nil).Want(t, http.StatusOK).Body)
		wg.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			pairs.Add(int64(leakPairs(t, board, alpha, bravo, m[0], body, inPlay && wide)))
		})
	}
	wg.Wait()
	if pairs.Load() < 500 && !testing.Short() {
		t.Errorf("only %d pairs", pairs.Load())
	}
	return int(pairs.Load())
}

// leakPairs compares the answers about one resource of Bravo with those about one of nobody.
func leakPairs(t *testing.T, board *leakBoard, alpha, bravo *cordontest.Tenant, ref, body string, inPlay bool) int {
	t.Helper()
	typ, id, _ := strings.Cut(ref, "/")
	foreign := leakNames{id, "urn:mrn|MRN-bravo", bravo.Base}
	unknown := leakNames{strings.Map(shifted, id), "urn:mrn|MRN-brovo", strings.Replace(bravo.Base, "/t/t", "/t/u", 1)}
	if uuidForm.MatchString(id) {
		unknown.id = uuid.NewString()
	}
	nobodysBody := strings.NewReplacer(id, unknown.id, "MRN-bravo", "MRN-brovo").Replace(body)
	theirs, nobodys := leakScript(typ, body, foreign), leakScript(typ, nobodysBody, unknown)
	if inPlay {
		theirs, nobodys = append(leakByRoute(t, typ, body, foreign), theirs...), append(leakByRoute(t, typ, nobodysBody, unknown), nobodys...)
	}
	for i := range thin(theirs, 150) {
		if testing.Short() { // the same of both
			i = i * len(theirs) / 150
		}
		got, want := theirs[i].send(t, alpha.Client), nobodys[i].send(t, alpha.Client)
		if got != want && neutral(got, foreign) != neutral(want, unknown) {
			t.Errorf("%s (%s): a foreign id differs from an unknown one\nforeign %.600s\nunknown %.600s", theirs[i], typ, got, want)
		}
		board.count(theirs[i])
	}
	return len(thin(theirs, 150))
}

// shifted makes another id of the same form.
func shifted(r rune) rune {
	if r >= 'a' && r <= 'y' {
		return r + 1
	}
	return r
}

// neutral takes away what a caller knows already (the names it gave) and what every write makes anew.
func neutral(s string, n leakNames) string {
	for _, form := range []string{"%s", "%q"} {
		s = strings.ReplaceAll(s, strings.Trim(fmt.Sprintf(form, n.id), `"`), "ID")
	}
	for _, v := range []string{n.base, url.QueryEscape(n.base)} {
		s = strings.ReplaceAll(s, v, "BASE")
	}
	for _, v := range []string{n.mrn, url.QueryEscape(n.mrn), strings.TrimPrefix(n.mrn, "urn:mrn|")} {
		s = strings.ReplaceAll(s, v, "MRN")
	}
	s = uuidForm.ReplaceAllString(s, "ID")
	head := strings.HasSuffix(s, "\n") && strings.HasPrefix(s, "200") // an answer to HEAD may hold times that are not shown
	if head || timeForm.MatchString(s) {                              // a time drops its last zeros, so its length says nothing; else the length is the same to the byte
		s = lengthForm.ReplaceAllString(timeForm.ReplaceAllString(s, "TIME"), "Content-Length: N")
	}
	return httpForm.ReplaceAllString(s, "Last-Modified: T")
}
