package test

import (
	"fmt"
	"net/http"
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

// crafted is one resource of a side's chart.
func crafted(typ, id, side string) string {
	meta := `"meta":{"profile":["http://cordon.example/SIDE"],"source":"http://cordon.example/SIDE","tag":[{"system":"urn:tag","code":"SIDEtag"}]}`
	return strings.NewReplacer("ID", id, "SIDE", side).Replace(`{"resourceType":"` + typ + `","id":"ID",` + meta + `,` + leakTypes[typ] + `}`)
}

// loadCrafted stores a side's chart: ids that both sides have, ids of its own, and one set that points at ids of the other side.
func loadCrafted(t testing.TB, n *cordontest.Tenant, side, other, otherBase string) {
	t.Helper()
	var entries []string
	put := func(typ, id, body string) {
		entries = append(entries, fmt.Sprintf(`{"resource":%s,"request":{"method":"PUT","url":"%s/%s"}}`, body, typ, id))
	}
	for typ := range leakTypes {
		for _, id := range []string{"shared", "only-" + side} {
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

// TestNothingOfAnotherTenant asks all that the CapabilityStatement offers before another tenant has a chart, and again after:
// the answers are the same to the byte. What the neighbour stores makes no difference that can be seen.
func TestNothingOfAnotherTenant(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	leakOn(t, p.Tenant(t), p.Tenant(t), true)
}

// TestNothingOfAnotherTenantWithoutRowSecurity takes the database's lock away: the application's and the cryptographic one
// hold alone. The running self-check, which would stop the cell within a second, is left out (TestEachBreachStopsTheRole is about that).
func TestNothingOfAnotherTenantWithoutRowSecurity(t *testing.T) {
	t.Parallel()
	p := cordontest.Unwatched(t)
	alpha, bravo := p.Tenant(t), p.Tenant(t) // before: no tenant is provisioned behind a broken wall
	db := p.Superuser(t)
	for _, table := range append(chartTables, "audit") {
		if _, err := db.Exec(t.Context(), "ALTER TABLE "+pgx.Identifier{table}.Sanitize()+" DISABLE ROW LEVEL SECURITY"); err != nil {
			t.Fatal(err)
		}
	}
	leakOn(t, alpha, bravo, false)
}

func leakOn(t *testing.T, alpha, bravo *cordontest.Tenant, wide bool) {
	t.Helper()
	loadSynthetic(t, alpha)
	loadCrafted(t, alpha, "alpha", "bravo", bravo.Base)
	asks := leakCorpus(t, alpha, bravo, wide)
	before := leakSweep(t, alpha.Client, asks)
	loadSynthetic(t, bravo)
	loadCrafted(t, bravo, "bravo", "alpha", alpha.Base)
	alpha.Renew(t) // a token lives five minutes
	watch := watchChart(t, bravo)
	state := watch.state(t)
	differ := 0
	for i, after := range leakSweep(t, alpha.Client, asks) {
		if after != before[i] {
			if differ++; differ <= 5 {
				t.Errorf("%s: the answer changed with another tenant's data\nbefore %.700s\nafter  %.700s", asks[i], before[i], after)
			}
		}
		if strings.HasPrefix(after, "5") {
			t.Errorf("%s: %.300s", asks[i], after)
		}
	}
	pairs := leakByID(t, alpha, bravo)
	if got := watch.state(t); got != state {
		t.Errorf("Bravo's rows changed:\n%s\n%s", state, got)
	}
	// The same questions find a lot for whom the data belongs to: the corpus can fail.
	own := leakCorpus(t, bravo, bravo, false)
	found := 0
	for _, a := range leakSweep(t, bravo.Client, own) {
		if strings.Contains(a, "bravosecret") || strings.Contains(a, "bravodoctor") || strings.Contains(a, "bravoclinic") {
			found++
		}
	}
	if found < len(own)/5 {
		t.Errorf("only %d of %d questions find Bravo's data for Bravo", found, len(own))
	}
	t.Logf("%d requests compared before and after the neighbour's data (%d of %d find it for the neighbour), %d compared between a foreign and an unknown id",
		len(asks), found, len(own), pairs)
}

// TestSameIDsInParallel reads what two tenants call by the same name, from both at once: nobody gets the other's.
func TestSameIDsInParallel(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	sides := map[string]*cordontest.Tenant{"alpha": p.Tenant(t), "bravo": p.Tenant(t)}
	loadCrafted(t, sides["alpha"], "alpha", "bravo", sides["bravo"].Base)
	loadCrafted(t, sides["bravo"], "bravo", "alpha", sides["alpha"].Base)
	var wg sync.WaitGroup
	for side, n := range sides {
		other := map[string]string{"alpha": "bravo", "bravo": "alpha"}[side]
		for range 4 {
			wg.Go(func() {
				for i := range 60 {
					path := []string{"/Patient/shared", "/Observation?subject=Patient/shared&_include=Observation:subject", "/Patient/shared/$everything", "/Patient/shared/_history"}[i%4]
					r := n.Do(t, "GET", path, nil)
					if body := string(r.Body); r.Status != http.StatusOK || !strings.Contains(body, side+"secret") || strings.Contains(body, other+"secret") {
						t.Errorf("%s as %s: %d %.300s", path, side, r.Status, body)
						return
					}
				}
			})
		}
	}
	wg.Wait()
}

// TestForeignCursor pages on with a cursor of another tenant: it is as good as no cursor.
func TestForeignCursor(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	alpha, bravo := p.Tenant(t), p.Tenant(t)
	loadCrafted(t, alpha, "alpha", "bravo", bravo.Base)
	loadCrafted(t, bravo, "bravo", "alpha", alpha.Base)
	for _, query := range []string{"/Patient?_count=1", "/Patient?_count=1&_sort=family", "/Observation?_count=1&_sort=-date", "/Patient?_count=1&_tag=urn:tag|"} {
		cursor := cursorForm.FindString(string(bravo.Do(t, "GET", query, nil).Want(t, http.StatusOK).Body))
		own := cursorForm.FindString(string(alpha.Do(t, "GET", query, nil).Want(t, http.StatusOK).Body))
		if cursor == "" || own == "" {
			t.Fatalf("%s: no next page", query)
		}
		alpha.Do(t, "GET", query+"&"+own, nil).Want(t, http.StatusOK)
		foreign := wholeAnswer(alpha.Do(t, "GET", query+"&"+cursor, nil).Want(t, http.StatusBadRequest))
		for _, junk := range []string{strings.Repeat("A", len(cursor)-len("_cursor=")), own[len("_cursor="):] + "AA", "x", "%00", own[len("_cursor=") : len(own)-3]} {
			if got := wholeAnswer(alpha.Do(t, "GET", query+"&_cursor="+junk, nil)); junk != "%00" && got != foreign {
				t.Errorf("%s: a foreign cursor differs from a forged one\n%s\n%s", query, foreign, got)
			}
		}
		for _, elsewhere := range []string{"/Encounter?_count=1", query + "&_lastUpdated=gt2000", query + "&_total=accurate"} { // it is of its own query, too
			alpha.Do(t, "GET", elsewhere+"&"+own, nil).Want(t, http.StatusBadRequest)
		}
	}
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
