package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

func bundleOf(kind string, entries ...string) string {
	return `{"resourceType":"Bundle","type":"` + kind + `","entry":[` + strings.Join(entries, ",") + `]}`
}

// posting is an entry that makes a resource.
func posting(fullURL, resource, more string) string {
	var head struct{ ResourceType string }
	_ = json.Unmarshal([]byte(resource), &head) // a resource that is no JSON is one of the cases
	if head.ResourceType == "" {
		head.ResourceType = "Patient"
	}
	if fullURL != "" {
		fullURL = `"fullUrl":"` + fullURL + `",`
	}
	return `{` + fullURL + `"resource":` + resource + `,"request":{"method":"POST","url":"` + head.ResourceType + `"` + more + `}}`
}

func asking(method, url string) string {
	return `{"request":{"method":"` + method + `","url":"` + url + `"}}`
}

const (
	urnA = "urn:uuid:11111111-1111-4111-8111-111111111111"
	urnB = "urn:uuid:22222222-2222-4222-8222-222222222222"
	urnX = "urn:uuid:99999999-9999-4999-8999-999999999999"
)

func observationOf(subject string) string {
	return `{"resourceType":"Observation","status":"final","code":{"text":"` + canary + `"},"subject":{"reference":"` + subject + `"}}`
}

// TestOneWrongOfFiveThousand sends a transaction whose next to last entry is wrong: it is named, and nothing is stored.
func TestOneWrongOfFiveThousand(t *testing.T) {
	t.Parallel()
	n := cordontest.Shared(t).Tenant(t)
	quietAfter(t, n.P)
	n.Do(t, "PUT", "/Patient/p", `{"resourceType":"Patient","id":"p"}`).Want(t, http.StatusCreated)
	watch := watchChart(t, n)
	state := watch.state(t)
	const at = 4998
	good := make([]string, 5000)
	for i := range good {
		good[i] = posting(fmt.Sprintf("urn:uuid:00000000-0000-4000-8000-%012d", i), observationOf("Patient/p"), "")
	}
	for name, c := range map[string]struct {
		entry  string
		status int
		place  string
	}{
		"resource":           {posting("", `{"resourceType":"Observation","status":"`+canary+` "}`, ""), 400, ".resource"},
		"method":             {`{"resource":` + ada + `,"request":{"method":"` + canary + `","url":"Patient"}}`, 400, ".request.method"},
		"method and query":   {`{"resource":` + ada + `,"request":{"method":"` + canary + `","url":"Patient?a=b"}}`, 400, ".request"},
		"URL":                {`{"resource":` + ada + `,"request":{"method":"POST","url":"` + canary + `"}}`, 400, ".request.url"},
		"no request":         {`{"resource":` + ada + `}`, 400, ".request"},
		"no resource":        {asking("POST", "Patient"), 400, ".resource"},
		"fullUrl again":      {posting("urn:uuid:00000000-0000-4000-8000-000000000001", observationOf("Patient/p"), ""), 400, ".fullUrl"},
		"unknown urn":        {posting("", observationOf(urnX), ""), 400, ".resource.subject.reference"},
		"unknown condition":  {posting("", observationOf("Patient?identifier="+canary), ""), 412, ".resource.subject.reference"},
		"bad condition":      {posting("", observationOf("Patient?nothing="+canary), ""), 400, ""},
		"bad ifNoneExist":    {posting("", ada, `,"ifNoneExist":"nothing=`+canary+`"`), 400, ""},
		"stale ifMatch":      {`{"resource":{"resourceType":"Patient","id":"p"},"request":{"method":"PUT","url":"Patient/p","ifMatch":"W/\"7\""}}`, 412, ".request.ifMatch"},
		"odd ifMatch":        {`{"resource":{"resourceType":"Patient","id":"p"},"request":{"method":"PUT","url":"Patient/p","ifMatch":"` + canary + `"}}`, 400, ".request.ifMatch"},
		"id mismatch":        {`{"resource":{"resourceType":"Patient","id":"p"},"request":{"method":"PUT","url":"Patient/` + canary + `"}}`, 400, ".resource.id"},
		"type mismatch":      {`{"resource":` + ada + `,"request":{"method":"POST","url":"Observation"}}`, 400, ".resource.resourceType"},
		"conditional delete": {asking("DELETE", "Patient?name="+canary), 400, ".request.url"},
		"conditional update": {`{"resource":` + ada + `,"request":{"method":"PUT","url":"Patient?name=` + canary + `"}}`, 400, ".request.url"},
		"patch":              {`{"resource":` + ada + `,"request":{"method":"PATCH","url":"Patient/p"}}`, 400, ".request.method"},
		"a number":           {`7`, 400, ""},
	} {
		entries := append([]string(nil), good...)
		entries[at] = c.entry
		r := sendBad(t, name, n, leakAsk{"POST", "", bundleOf("transaction", entries...), nil})
		if want := fmt.Sprintf("Bundle.entry[%d]%s", at, c.place); r.Status != c.status || (c.place != "" && !strings.Contains(string(r.Body), want)) {
			t.Errorf("%s: %d, want %d at %s: %.300s", name, r.Status, c.status, want, r.Body)
		}
		if got := watch.state(t); got != state {
			t.Fatalf("%s: half of it was stored\n%s\n%s", name, state, got)
		}
	}
}

// TestBadBundles sends Bundles that are none, are too large, or do to a resource more than one thing.
func TestBadBundles(t *testing.T) {
	t.Parallel()
	n := cordontest.Shared(t).Tenant(t)
	quietAfter(t, n.P)
	watch := watchChart(t, n)
	state := watch.state(t)
	many := strings.Repeat(asking("GET", "Patient/x")+",", 20_001)
	put := `{"resource":{"resourceType":"Patient","id":"p"},"request":{"method":"PUT","url":"Patient/p"}}`
	for name, body := range map[string]string{
		"a patient":          ada,
		"a collection":       bundleOf("collection", `{"resource":`+ada+`}`),
		"no type":            `{"resourceType":"Bundle"}`,
		"odd type":           bundleOf(canary, asking("GET", "Patient")),
		"type is a number":   `{"resourceType":"Bundle","type":7}`,
		"entry is no list":   `{"resourceType":"Bundle","type":"batch","entry":{"request":{"method":"GET","url":"Patient"}}}`,
		"entry of nulls":     bundleOf("batch", "null"),
		"20,001 entries":     bundleOf("batch", strings.TrimSuffix(many, ",")),
		"20,001 in one":      bundleOf("transaction", strings.TrimSuffix(many, ",")),
		"twice the same":     bundleOf("transaction", put, put),
		"put and delete":     bundleOf("transaction", put, asking("DELETE", "Patient/p")),
		"same fullUrl":       bundleOf("transaction", posting(urnA, ada, ""), posting(urnA, ada, "")),
		"same condition":     bundleOf("transaction", posting("", ada, `,"ifNoneExist":"identifier=x"`), posting("", ada, `,"ifNoneExist":"identifier=x"`)),
		"condition on PUT":   bundleOf("transaction", `{"resource":{"resourceType":"Patient","id":"p"},"request":{"method":"PUT","url":"Patient/p","ifNoneExist":"identifier=x"}}`),
		"urn of nobody":      bundleOf("transaction", posting(urnA, ada, ""), posting("", observationOf(urnX), "")),
		"urn of a deletion":  bundleOf("transaction", `{"fullUrl":"`+urnA+`","request":{"method":"DELETE","url":"Patient/p"}}`, posting("", observationOf(urnA), "")),
		"urn in capitals":    bundleOf("transaction", posting(urnA, ada, ""), posting("", observationOf(strings.ToUpper(urnA)), "")),
		"urn of a read":      bundleOf("transaction", `{"fullUrl":"`+urnA+`","request":{"method":"GET","url":"Patient/p"}}`, posting("", observationOf(urnA), "")),
		"urn to wrong type":  bundleOf("transaction", posting(urnA, ada, ""), posting("", `{"resourceType":"Patient","managingOrganization":{"reference":"Patient?name=x"}}`, "")),
		"parameters in URL":  bundleOf("transaction", posting("", ada, ""))[:10],
		"absolute URL":       bundleOf("transaction", `{"resource":`+ada+`,"request":{"method":"POST","url":"https://evil.example/Patient"}}`),
		"dots in a write":    bundleOf("transaction", `{"resource":`+ada+`,"request":{"method":"POST","url":"../Patient"}}`),
		"an id that is none": bundleOf("transaction", asking("DELETE", "Patient/a_b")),
		"more path":          bundleOf("transaction", asking("DELETE", "Patient/p/_history/1")),
	} {
		sendBad(t, name, n, leakAsk{"POST", "", body, nil})
	}
	sendBad(t, "base with a query", n, leakAsk{"POST", "?x=" + canary, bundleOf("batch"), nil})
	if got := watch.state(t); got != state {
		t.Errorf("something was stored: %s\n%s", state, got)
	}
}

// TestBadEntries sends batches: a wrong entry is answered by itself, as JSON, and the good one beside it works.
func TestBadEntries(t *testing.T) {
	t.Parallel()
	n := cordontest.Shared(t).Tenant(t)
	quietAfter(t, n.P)
	for _, id := range []string{"p", "q"} {
		n.Do(t, "PUT", "/Patient/"+id, `{"resourceType":"Patient","id":"`+id+`"}`).Want(t, http.StatusCreated)
	}
	for _, url := range []string{"Patient//p", "Patient/../Patient/p", "//evil.example/Patient/p", "https://evil.example/Patient/p", "./Patient/p", "Patient/p/..", "?", "", "/", "Patient/%00", "%zz",
		"Patient/p#x/..//", "Patient/%2e%2e/Patient/p", "Patient/\\u0000", "Patient/p\\n", canary, canary + "/p", "Patient/" + canary, "Patient?nothing=" + canary, "Patient?name=%zz", "Patient?_count=-1",
		"metadata", "$everything", "Patient/p/$" + canary, "Patient/p?nothing=" + canary, "operator/v1/tenants", "../operator/v1/tenants", "Patient/p/_history/x/y", ":", "Patient:p", "Patient/p;x=y"} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "get", canary, "G T", ""} {
			entry := `{"resource":{"resourceType":"Patient","id":"p"},"request":{"method":"` + method + `","url":"` + url + `"}}`
			r := n.Do(t, "POST", "", bundleOf("batch", entry, asking("GET", "Patient/q")))
			if r.Status >= 500 || strings.Contains(string(r.Body), canary) {
				t.Errorf("%s %s: %d %.300s", method, url, r.Status, r.Body)
			}
			if r.Status != http.StatusOK {
				continue
			}
			entries, _ := r.JSON(t)["entry"].([]any) // fails the test when an entry broke the JSON
			var st []string
			for _, e := range entries {
				st = append(st, e.(map[string]any)["response"].(map[string]any)["status"].(string))
			}
			good := url == "Patient/p#x/..//" || url == "./Patient/p" || url == "Patient/p"
			if len(st) != 2 || st[1][0] != '2' || (st[0][0] != '4' && !good && st[0] != "204 No Content") {
				t.Errorf("%s %s: %v", method, url, st)
			}
		}
	}
}

// TestLargeAnswers asks for more in one batch than a process may hold: what comes late is refused, and says so.
func TestLargeAnswers(t *testing.T) {
	t.Parallel()
	n := cordontest.Shared(t).Tenant(t)
	n.Do(t, "PUT", "/Binary/b", `{"resourceType":"Binary","id":"b","contentType":"text/plain","data":"`+strings.Repeat("QUJD", 3<<20)+`"}`).Want(t, http.StatusCreated)
	var entries []string
	for range 40 {
		entries = append(entries, asking("GET", "Binary/b"))
	}
	r := n.Do(t, "POST", "", bundleOf("batch", entries...)).Want(t, http.StatusOK)
	served, refused := strings.Count(string(r.Body), `"status":"200 OK"`), strings.Count(string(r.Body), `"status":"413 `)
	if served+refused != 40 || served < 5 || refused < 20 {
		t.Errorf("%d served, %d refused, %d MB", served, refused, len(r.Body)>>20)
	}
}

// TestGoodBundles is the other side of the coin: what looks odd and is right.
func TestGoodBundles(t *testing.T) {
	t.Parallel()
	n := cordontest.Shared(t).Tenant(t)
	quietAfter(t, n.P)
	// Two resources that refer to each other, one to itself, and a urn that is a uri and no reference.
	r := n.Do(t, "POST", "", bundleOf("transaction",
		posting(urnA, `{"resourceType":"Patient","identifier":[{"system":"urn:oid:1.2.3","value":"`+urnX+`"}],"link":[{"other":{"reference":"`+urnB+`"},"type":"seealso"}]}`, ""),
		posting(urnB, `{"resourceType":"Patient","link":[{"other":{"reference":"`+urnA+`"},"type":"seealso"},{"other":{"reference":"`+urnB+`"},"type":"refer"}]}`, ""),
		posting("", `{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"`+urnX+`","resource":`+observationOf(urnX)+`}]}`, "")),
		"Prefer", "return=representation").Want(t, http.StatusOK)
	var out struct {
		Entry []struct {
			Resource struct {
				ID         string
				Identifier []struct{ System, Value string }
				Link       []struct{ Other struct{ Reference string } }
			}
		}
	}
	if err := json.Unmarshal(r.Body, &out); err != nil || len(out.Entry) != 3 {
		t.Fatalf("%v %.300s", err, r.Body)
	}
	a, b := out.Entry[0].Resource, out.Entry[1].Resource
	if a.Link[0].Other.Reference != "Patient/"+b.ID || b.Link[0].Other.Reference != "Patient/"+a.ID || b.Link[1].Other.Reference != "Patient/"+b.ID || a.Identifier[0].System != "urn:oid:1.2.3" {
		t.Errorf("circular references: %.900s", r.Body)
	}
	for _, body := range []string{bundleOf("batch"), `{"resourceType":"Bundle","type":"transaction"}`, `{"resourceType":"Bundle","type":"batch"}`} {
		n.Do(t, "POST", "", body).Want(t, http.StatusOK)
	}
}

// TestCutAnswer breaks a chart behind the part that is sent first: the answer is cut off, so that nobody takes half a chart for
// a whole one.
func TestCutAnswer(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n := p.Tenant(t)
	var entries []string
	for i := range 1100 {
		entries = append(entries, fmt.Sprintf(`{"resource":{"resourceType":"Observation","id":"o%d","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p"}},"request":{"method":"PUT","url":"Observation/o%[1]d"}}`, i))
	}
	n.Do(t, "PUT", "/Patient/p", `{"resourceType":"Patient","id":"p"}`)
	n.Do(t, "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[`+strings.Join(entries, ",")+`]}`).Want(t, http.StatusOK)
	n.Do(t, "GET", "/Patient/p/$everything", nil).Want(t, http.StatusOK)
	if _, err := p.Superuser(t).Exec(t.Context(), `UPDATE version SET body = '\x00' WHERE tenant = $1 AND (type, rid) = (SELECT type, rid FROM head WHERE tenant = $1 ORDER BY type DESC, rid DESC LIMIT 1)`, tenantNumber(t, p, n)); err != nil {
		t.Fatal(err)
	}
	if r, err := attempt(t, n, "GET", "/Patient/p/$everything", ""); err == nil {
		t.Errorf("half a chart came as a whole answer: %d, %d bytes", r.Status, len(r.Body))
	}
	// In a batch the entry fails alone.
	r := n.Do(t, "POST", "", `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Patient/p/$everything"}},{"request":{"method":"GET","url":"Observation/o0"}}]}`).Want(t, http.StatusOK)
	e := r.JSON(t)["entry"].([]any)
	for i, want := range []string{"500", "200"} {
		if got := e[i].(map[string]any)["response"].(map[string]any)["status"].(string); !strings.HasPrefix(got, want) {
			t.Errorf("entry %d: %s", i, got)
		}
	}
}
