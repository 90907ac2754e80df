package test

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/cordontest"
	"github.com/cordon-ehr/cordon/internal/synth"
)

// leakAsk is one request below a FHIR base.
type leakAsk struct {
	method, path, body string
	headers            []string
}

func (a leakAsk) String() string { return a.method + " " + a.path }

// send sends an ask and gives all of the answer that may not differ, as one text.
func (a leakAsk) send(t testing.TB, c *cordontest.Client) string {
	t.Helper()
	var body any
	if a.body != "" {
		body = a.body
	}
	return wholeAnswer(c.Do(t, a.method, a.path, body, a.headers...))
}

// wholeAnswer is status, headers and body. Date and request id differ between any two answers, and so do sealed cursors.
func wholeAnswer(r cordontest.Response) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d\n", r.Status)
	var names []string
	for k := range r.Header {
		if k != "Date" && k != "X-Request-Id" {
			names = append(names, k)
		}
	}
	slices.Sort(names)
	for _, k := range names {
		fmt.Fprintf(&b, "%s: %s\n", k, strings.Join(r.Header[k], ","))
	}
	return b.String() + cursorForm.ReplaceAllString(string(r.Body), "_cursor=C")
}

var cursorForm = regexp.MustCompile(`_cursor=[A-Za-z0-9_-]+`)

// leakSweep sends asks, several at once, and gives the answers in order.
func leakSweep(t testing.TB, c *cordontest.Client, asks []leakAsk) []string {
	t.Helper()
	out := make([]string, len(asks))
	var wg sync.WaitGroup
	next := make(chan int)
	for range 6 {
		wg.Go(func() {
			for i := range next {
				out[i] = asks[i].send(t, c)
			}
		})
	}
	for i := range asks {
		next <- i
	}
	close(next)
	wg.Wait()
	return out
}

// tenantNumber is a tenant's number in the chart database.
func tenantNumber(t testing.TB, p *cordontest.Platform, n *cordontest.Tenant) (num int32) {
	t.Helper()
	if err := p.SuperuserOn(t, "cordon_control").QueryRow(t.Context(), `SELECT number FROM tenant WHERE id = $1`, n.ID).Scan(&num); err != nil {
		t.Fatal(err)
	}
	return num
}

// chartTables hold tenant rows; audit grows with every request, the rest only with writes.
var chartTables = []string{"head", "version", "idx", "ref", "range"}

// chartWatch sees all rows of a tenant.
type chartWatch struct {
	db     *pgx.Conn
	number int32
}

func watchChart(t testing.TB, n *cordontest.Tenant) chartWatch {
	t.Helper()
	return chartWatch{n.P.Superuser(t), tenantNumber(t, n.P, n)}
}

// state is a digest of the rows.
func (w chartWatch) state(t testing.TB) string {
	t.Helper()
	var out []string
	for _, table := range chartTables {
		var digest string
		sql := fmt.Sprintf(`SELECT count(*) || ' ' || coalesce(md5(string_agg(r::text, '|' ORDER BY r::text)), '') FROM %s r WHERE tenant = $1`, pgx.Identifier{table}.Sanitize())
		if err := w.db.QueryRow(t.Context(), sql, w.number).Scan(&digest); err != nil {
			t.Fatal(err)
		}
		out = append(out, table+" "+digest)
	}
	return strings.Join(out, ", ")
}

// leakTypes are the types of the crafted charts, each with the elements that make it interesting. ID, SIDE and MRN are replaced.
var leakTypes = map[string]string{
	"Patient": `"identifier":[{"system":"urn:mrn","value":"MRN-SIDE"},{"system":"urn:mrn","value":"MRN-same"}],"name":[{"family":"SIDEsecret","given":["Same"]}],
"gender":"female","birthDate":"1980-01-01","generalPractitioner":[{"reference":"Practitioner/ID"}],"managingOrganization":{"reference":"Organization/ID"}`,
	"Practitioner": `"identifier":[{"system":"urn:npi","value":"NPI-SIDE"}],"name":[{"family":"SIDEdoctor"}]`,
	"Organization": `"identifier":[{"system":"urn:org","value":"ORG-SIDE"}],"name":"SIDEclinic"`,
	"Observation": `"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]},"subject":{"reference":"Patient/ID"},"encounter":{"reference":"Encounter/ID"},
"performer":[{"reference":"Practitioner/ID"}],"effectiveDateTime":"2024-05-01","valueQuantity":{"value":71,"unit":"SIDEunit"}`,
	"Encounter": `"status":"finished","class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"AMB"},"subject":{"reference":"Patient/ID"},
"participant":[{"individual":{"reference":"Practitioner/ID"}}],"period":{"start":"2024-05-01"},"serviceProvider":{"reference":"Organization/ID"}`,
	"Condition":          `"code":{"text":"SIDEsecret","coding":[{"system":"http://snomed.info/sct","code":"38341003"}]},"subject":{"reference":"Patient/ID"},"encounter":{"reference":"Encounter/ID"}`,
	"AllergyIntolerance": `"code":{"text":"SIDEsecret"},"patient":{"reference":"Patient/ID"},"recorder":{"reference":"Practitioner/ID"}`,
	"MedicationRequest":  `"status":"active","intent":"order","medicationCodeableConcept":{"text":"SIDEsecret"},"subject":{"reference":"Patient/ID"},"requester":{"reference":"Practitioner/ID"}`,
	"Group":              `"type":"person","actual":true,"name":"SIDEsecret","member":[{"entity":{"reference":"Patient/ID"}}]`,
}

// crafted is one resource of a side's chart. No question names SIDEunspoken: where it shows up, a chart leaked.
func crafted(typ, id, side string) string {
	meta := `"meta":{"profile":["http://cordon.example/SIDE"],"source":"http://cordon.example/SIDE","tag":[{"system":"urn:tag","code":"SIDEtag"}]},
"extension":[{"url":"http://cordon.example/note","valueString":"SIDEunspoken"}]`
	return strings.NewReplacer("ID", id, "SIDE", side).Replace(`{"resourceType":"` + typ + `","id":"ID",` + meta + `,` + leakTypes[typ] + `}`)
}

// loadCrafted stores a side's chart: ids that both sides have, ids of its own, ids that one type has, and one set that points at ids of the other side.
func loadCrafted(t testing.TB, n *cordontest.Tenant, side, other, otherBase string) {
	t.Helper()
	var entries []string
	put := func(typ, id, body string) {
		entries = append(entries, fmt.Sprintf(`{"resource":%s,"request":{"method":"PUT","url":"%s/%s"}}`, body, typ, id))
	}
	for typ := range leakTypes {
		for _, id := range []string{"shared", "only-" + side, strings.ToLower(typ) + "-" + side} {
			put(typ, id, crafted(typ, id, side))
		}
		points := crafted(typ, "points-"+side, side)
		for _, to := range []string{"Patient", "Practitioner", "Organization", "Encounter"} {
			points = strings.ReplaceAll(points, `"`+to+`/points-`+side, `"`+to+`/only-`+other)
		}
		put(typ, "points-"+side, points)
		put(typ, "far-"+side, strings.ReplaceAll(strings.ReplaceAll(points, "points-"+side, "far-"+side), `"reference":"`, `"reference":"`+otherBase+`/`))
	}
	n.Do(t, "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[`+strings.Join(entries, ",")+`]}`).Want(t, http.StatusOK)
}

// loadSynthetic stores the same synthetic patients whoever the tenant is.
func loadSynthetic(t testing.TB, n *cordontest.Tenant) {
	t.Helper()
	n.Do(t, "POST", "", synth.Directory(7)).Want(t, http.StatusOK)
	for p := range synth.Patients(synth.Options{Seed: 7, Count: 2}) {
		n.Do(t, "POST", "", p.Bundle).Want(t, http.StatusOK)
	}
}

// leakPlace is where the suite runs: a platform and a placement of tenants on it. Whoever adds a placement, or another way to run the
// roles, adds it here.
type leakPlace struct {
	name, placement string
	platform        func(testing.TB) *cordontest.Platform
}

// leakPlaces are the test binary's own platform, or the one whose folder CORDON_LEAK_PLATFORM names.
func leakPlaces() []leakPlace {
	platform := cordontest.Shared
	if dir := os.Getenv("CORDON_LEAK_PLATFORM"); dir != "" {
		platform = func(t testing.TB) *cordontest.Platform { return cordontest.At(t, dir) }
	}
	return []leakPlace{{"pooled", "pooled", platform}}
}

// TestNothingOfAnotherTenant is the leak suite. Alpha attacks, Bravo is the victim, Charlie stands by. Alpha asks all that the routes,
// the operators' API and the CapabilityStatement offer before Bravo has a chart, and again after: the answers are the same to the byte.
// Alpha asks and writes by Bravo's names and by nobody's: there is no difference. Bravo's and Charlie's rows do not change, and what
// Bravo alone knows is in no answer. With -short a part of each kind of case runs.
func TestNothingOfAnotherTenant(t *testing.T) {
	t.Parallel()
	for _, place := range leakPlaces() {
		t.Run(place.name, func(t *testing.T) {
			t.Parallel()
			p := place.platform(t)
			sides := map[string]*cordontest.Tenant{}
			for _, side := range []string{"alpha", "bravo", "charlie"} {
				sides[side] = p.TenantOn(t, place.placement)
			}
			board := newLeakBoard()
			leakOn(t, board, sides["alpha"], sides["bravo"], sides["charlie"], true)
			board.report(t)
		})
	}
}

// TestNothingOfAnotherTenantWithoutRowSecurity takes the database's lock away: the application's and the cryptographic one
// hold alone. The running self-check, which would stop the cell within a second, is left out (TestEachBreachStopsTheRole is about that).
func TestNothingOfAnotherTenantWithoutRowSecurity(t *testing.T) {
	t.Parallel()
	p := cordontest.Unwatched(t)
	alpha, bravo, charlie := p.Tenant(t), p.Tenant(t), p.Tenant(t) // before: no tenant is provisioned behind a broken wall
	db := p.Superuser(t)
	for _, table := range append(chartTables, "audit") {
		if _, err := db.Exec(t.Context(), "ALTER TABLE "+pgx.Identifier{table}.Sanitize()+" DISABLE ROW LEVEL SECURITY"); err != nil {
			t.Fatal(err)
		}
	}
	leakOn(t, newLeakBoard(), alpha, bravo, charlie, false)
}

// leakQuestions is all that Alpha asks before and after; it changes nothing.
func leakQuestions(t testing.TB, alpha, bravo *cordontest.Tenant, wide bool) []leakAsk {
	t.Helper()
	asks := thin(leakCorpus(t, alpha, bravo, wide), 400)
	if wide {
		asks = append(asks, thin(leakSpecial(bravo), 200)...)
		asks = append(asks, inBundles(thin(asks[:len(asks)/4], 80))...)
		asks = append(asks, leakAsk{"GET", "/metadata", "", nil}, leakAsk{"HEAD", "/metadata", "", nil}, leakAsk{"GET", "/metadata?_format=json", "", nil}, leakAsk{"GET", "/", "", nil}, leakAsk{"GET", "", "", nil})
	}
	return asks
}

func leakOn(t *testing.T, board *leakBoard, alpha, bravo, charlie *cordontest.Tenant, wide bool) {
	t.Helper()
	loadSynthetic(t, alpha)
	loadCrafted(t, alpha, "alpha", "bravo", bravo.Base)
	loadCrafted(t, charlie, "charlie", "bravo", bravo.Base)
	asks := leakQuestions(t, alpha, bravo, wide)
	byStander := thin(asks, 60)[:60]
	before, apart := leakSweep(t, alpha.Client, asks), leakSweep(t, charlie.Client, byStander)
	loadSynthetic(t, bravo)
	loadCrafted(t, bravo, "bravo", "alpha", alpha.Base)
	alpha.Renew(t) // a token lives five minutes
	watch, aside := watchChart(t, bravo), watchChart(t, charlie)
	state, stood := watch.state(t), aside.state(t)
	leakCompare(t, board, asks, before, leakSweep(t, alpha.Client, asks))
	leakAfter(t, board, alpha, bravo, asks, before)
	pairs := leakByID(t, board, alpha, bravo, wide)
	if wide {
		leakHeaders(t, board, alpha, bravo)
		leakCursors(t, board, alpha, bravo)
		leakPages(t, board, alpha, bravo)
	}
	leakCompare(t, board, byStander, apart, leakSweep(t, charlie.Client, byStander))
	if got := watch.state(t); got != state {
		t.Errorf("Bravo's rows changed:\n%s\n%s", state, got)
	}
	if got := aside.state(t); got != stood {
		t.Errorf("Charlie's rows changed:\n%s\n%s", stood, got)
	}
	leakEvents(t, board, alpha)
	// The same questions find a lot for whom the data belongs to: the corpus can fail.
	own := thin(leakCorpus(t, bravo, bravo, false), 200)
	found := 0
	for _, a := range leakSweep(t, bravo.Client, own) {
		if strings.Contains(a, "bravounspoken") {
			found++
		}
	}
	if found < len(own)/6 {
		t.Errorf("only %d of %d questions find Bravo's data for Bravo", found, len(own))
	}
	t.Logf("%d requests compared before and after the neighbour's data (%d of %d find it for the neighbour), %d compared between a foreign and an unknown id",
		len(asks), found, len(own), pairs)
}

// leakCompare wants the same answers after as before, and Bravo's secret in none.
func leakCompare(t *testing.T, board *leakBoard, asks []leakAsk, before, after []string) {
	t.Helper()
	differ := 0
	for i := range asks {
		board.count(asks[i])
		switch {
		case after[i] != before[i]:
			if differ++; differ <= 5 {
				t.Errorf("%s: the answer changed with another tenant's data\nbefore %.700s\nafter  %.700s", asks[i], before[i], after[i])
			}
		case strings.Contains(after[i], "bravounspoken"):
			t.Errorf("%s shows what Bravo alone knows: %.300s", asks[i], after[i])
		case strings.HasPrefix(after[i], "5"):
			t.Errorf("%s: %.300s", asks[i], after[i])
		}
	}
}

// leakAfter lets Bravo ask what nobody asked yet, and then Alpha the same: no cache that Bravo filled answers Alpha, whose answer is known
// from the same question spelled otherwise.
func leakAfter(t *testing.T, board *leakBoard, alpha, bravo *cordontest.Tenant, asks []leakAsk, before []string) {
	t.Helper()
	var fresh []leakAsk
	var want []string
	for i, a := range asks {
		if at := strings.Replace(a.path, "_count=200&", "_count=201&", 1); at != a.path && a.method == "GET" {
			fresh, want = append(fresh, leakAsk{"GET", at, "", nil}), append(want, strings.Replace(before[i], "_count=200", "_count=201", 1))
		}
	}
	if every := len(fresh) / 400; every > 1 { // a part is enough: what keeps answers keeps them by kind
		keep := func(i int) bool { return i%every == 0 }
		fresh, want = some(fresh, keep), some(want, keep)
	}
	fresh, want = thin(fresh, 80), thin(want, 80)
	leakSweep(t, bravo.Client, fresh)
	for i, got := range leakSweep(t, alpha.Client, fresh) {
		if got != want[i] {
			t.Errorf("%s after Bravo asked it: %.400s\nwant %.400s", fresh[i], got, want[i])
		}
		board.count(fresh[i], "T13")
	}
}

// leakEvents reads the attacker's own log, the one job there is that writes out a tenant's data: it holds that tenant's events only.
func leakEvents(t *testing.T, board *leakBoard, alpha *cordontest.Tenant) {
	t.Helper()
	events := alpha.Events(t)
	if len(events) < 100 {
		t.Errorf("only %d events of Alpha's", len(events))
	}
	for _, e := range events {
		if e["tenant_id"] != alpha.ID || strings.Contains(fmt.Sprint(e), "bravounspoken") {
			t.Fatalf("Alpha's log holds another's event: %v", e)
		}
	}
	board.note("", "audit export", []string{"T5"})
}

// TestMovedKeyring gives a tenant another's wrapped keys, all of them: they do not unwrap for it.
func TestMovedKeyring(t *testing.T) {
	t.Parallel()
	p := cordontest.Unwatched(t)             // the broker would stop for everybody: two tenants share a key
	alpha, bravo := p.Tenant(t), p.Tenant(t) // neither has had a lease yet
	db := p.SuperuserOn(t, "cordon_keyring")
	for _, table := range []string{"secret", "kek"} {
		key := map[string]string{"kek": "x.ver = y.ver", "secret": "x.kind = y.kind AND x.ver = y.ver"}[table]
		if tag, err := db.Exec(t.Context(), "UPDATE "+table+" x SET wrapped = y.wrapped FROM "+table+" y WHERE x.tenant = $1 AND y.tenant = $2 AND "+key, alpha.ID, bravo.ID); err != nil || tag.RowsAffected() == 0 {
			t.Fatal(tag, err)
		}
	}
	alpha.Do(t, "POST", "/Patient", ada).Want(t, http.StatusInternalServerError)
	alpha.Do(t, "GET", "/Patient", nil).Want(t, http.StatusInternalServerError)
	bravo.Do(t, "POST", "/Patient", ada).Want(t, http.StatusCreated)
}
