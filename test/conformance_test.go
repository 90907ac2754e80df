//go:build conformance

package test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// archived gives the JSON files of a .tar.gz under CORDON_SHARED by name. Without that folder the conformance is not known, so
// the test fails.
func archived(t *testing.T, path string) map[string][]byte {
	t.Helper()
	shared := os.Getenv("CORDON_SHARED")
	if shared == "" {
		t.Fatal("CORDON_SHARED is not set: it names the folder that holds data/")
	}
	f, err := os.Open(filepath.Join(shared, path))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(h.Name, ".json") {
			if out[filepath.Base(h.Name)], err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestConformanceSynthea stores 120 Synthea patients, reads every resource back, and judges searches over all of them. Then a
// second tenant gets half of the same patients.
func TestConformanceSynthea(t *testing.T) {
	t.Parallel()
	files := archived(t, "data/synthea/synthea-120.tar.gz")
	a, b := cordontest.Shared(t).Tenant(t), cordontest.Shared(t).Tenant(t)
	w := loadSynthea(t, a, files)
	if len(w.n.all) < 92_000 || len(w.n.of["Patient"]) != 120 {
		t.Fatalf("%d resources, %d patients", len(w.n.all), len(w.n.of["Patient"]))
	}
	w.names = w.examples()
	w.wantCounts(t)
	t.Run("Searches", func(t *testing.T) { w.syntheaCases(t) })
	t.Run("Random", func(t *testing.T) { w.most = 1500; w.askRandom(t, 100) })
	t.Run("Everything", func(t *testing.T) { w.fewCharts(t) })
	t.Run("Wall", func(t *testing.T) { w.otherTenant(t, b, files) })
}

// loadSynthea sends the two directories first, then the patients, some at a time; each Bundle is read back.
func loadSynthea(t *testing.T, a *cordontest.Tenant, files map[string][]byte) *world {
	t.Helper()
	w := &world{Tenant: a, n: newNaive(a.Base), s: newKept()}
	var patients []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasPrefix(name, "0-") {
			w.loadOne(t, files[name], w.n)
		} else {
			patients = append(patients, name)
		}
	}
	var g errgroup.Group
	g.SetLimit(3)
	parts := make([]*naive, len(patients))
	for i, name := range patients {
		g.Go(func() error {
			parts[i] = newNaive(a.Base)
			w.loadOne(t, files[name], parts[i])
			return nil
		})
	}
	_ = g.Wait()
	for _, p := range parts {
		for _, list := range p.of {
			for _, r := range list {
				w.n.add(r)
			}
		}
	}
	return w
}

// loadOne sends a Bundle, finds all of its resources by _id, adds them to into and compares them with what was sent. w.n holds
// the directory, which conditional references point at.
func (w *world) loadOne(t *testing.T, bundle []byte, into *naive) {
	t.Helper()
	s := newKept()
	s.sendBundle(t, w.Client, bundle)
	byType := map[string][]string{}
	for _, ref := range s.refs {
		typ, id, _ := strings.Cut(ref, "/")
		byType[typ] = append(byType[typ], id)
	}
	for typ, ids := range byType {
		for some := range slices.Chunk(ids, 200) {
			page := w.Do(t, "GET", "/"+typ+"?_count=1000&_id="+strings.Join(some, ","), nil).Want(t, http.StatusOK).JSON(t)
			entries, _ := page["entry"].([]any)
			for _, e := range entries {
				into.add(e.(map[string]any)["resource"].(map[string]any))
			}
		}
	}
	local := &naive{base: w.n.base, all: into.all, of: w.n.of}
	s.readBack(t, local)
}

// wantCounts compares the number of each type, asked for in two ways.
func (w *world) wantCounts(t *testing.T) {
	t.Helper()
	for typ, list := range w.n.of {
		for _, how := range []string{"_total=accurate&_count=0", "_summary=count"} {
			got := w.Do(t, "GET", "/"+typ+"?"+how, nil).Want(t, http.StatusOK).JSON(t)["total"]
			if fmt.Sprint(got) != fmt.Sprint(len(list)) {
				t.Errorf("%s?%s: total %v, want %d", typ, how, got, len(list))
			}
		}
	}
}

// half leaves out every other patient; the directory stays.
func half(files map[string][]byte) map[string][]byte {
	out := map[string][]byte{}
	for i, name := range slices.Sorted(maps.Keys(files)) {
		if i%2 == 0 || strings.HasPrefix(name, "0-") {
			out[name] = files[name]
		}
	}
	return out
}

// otherTenant gives half of the same patients to a second tenant. Before and after, nothing of the first one shows there.
func (w *world) otherTenant(t *testing.T, b *cordontest.Tenant, files map[string][]byte) {
	var sample []string
	for i, ref := range slices.Sorted(maps.Keys(w.n.all)) {
		if i%400 == 0 || strings.HasPrefix(ref, "Patient/") {
			sample = append(sample, ref)
		}
	}
	unseen := func(when string) {
		b.Renew(t)
		for _, ref := range sample {
			typ, id, _ := strings.Cut(ref, "/")
			b.Do(t, "GET", "/"+ref, nil).Want(t, http.StatusNotFound)
			b.Do(t, "GET", "/"+ref+"/_history", nil).Want(t, http.StatusNotFound)
			for _, q := range []string{"/Observation?_summary=count&patient=", "/Encounter?_summary=count&patient=", "/" + typ + "?_summary=count&_id="} {
				if got := b.Do(t, "GET", q+id, nil).Want(t, http.StatusOK).JSON(t)["total"]; fmt.Sprint(got) != "0" {
					t.Errorf("%s: %s%s finds %v in the second tenant", when, q, id, got)
				}
			}
		}
	}
	for typ := range w.n.of {
		if got := ask(t, b.Client, typ, ""); len(got.match) > 0 {
			t.Errorf("the second tenant is empty and finds %d %s", len(got.match), typ)
		}
	}
	unseen("before")
	second := loadSynthea(t, b, half(files))
	unseen("after")
	w.Renew(t) // a token lives for minutes, and loading takes one
	for ref := range second.n.all {
		if w.n.all[ref] != nil {
			t.Errorf("%s is in both tenants", ref)
		}
	}
	second.wantCounts(t)
	w.wantCounts(t)
	second.names = second.examples()
	for _, c := range syntheaCases[:12] {
		second.fits(t, c)
	}
}

// fits judges one query of the table.
func (w *world) fits(t *testing.T, c string) {
	t.Helper()
	for k, v := range w.names {
		c = strings.ReplaceAll(c, "{"+k+"}", escapeQuery(v))
	}
	typ, query, _ := strings.Cut(c, "?")
	if got := w.judge(t, typ, query+"&_count=1000"); len(got.match) == 0 {
		t.Errorf("%s: finds nothing: the case proves nothing", c)
	}
}

func (w *world) syntheaCases(t *testing.T) {
	for _, c := range syntheaCases {
		w.fits(t, c)
	}
	for _, q := range []string{"Encounter?patient={p}&_include=Encounter:participant&_include=Encounter:service-provider", "Patient?_id={p2}&_revinclude=Condition:patient&_revinclude=Claim:patient",
		"DiagnosticReport?patient={p}&category=LAB&_count=20&_include=DiagnosticReport:result", "Provenance?patient={p2}&_include=Provenance:agent"} {
		for k, v := range w.names {
			q = strings.ReplaceAll(q, "{"+k+"}", v)
		}
		typ, query, _ := strings.Cut(q, "?")
		got := w.judge(t, typ, query)
		sameSet(t, q+" (included)", got.included, w.n.includes(t, query, got.match))
	}
}

// fewCharts checks $everything of some patients.
func (w *world) fewCharts(t *testing.T) {
	for _, p := range w.n.of["Patient"][:8] {
		got := map[string]bool{}
		for _, k := range w.Do(t, "GET", "/"+keyOf(p)+"/$everything", nil).Want(t, http.StatusOK).Matches(t) {
			got[k] = true
		}
		sameSet(t, keyOf(p)+"/$everything", got, w.n.everything(keyOf(p)))
	}
}

var syntheaCases = []string{
	"Observation?patient={p}&code=8302-2", "Observation?patient={p}&category=laboratory&date=ge2015", "Encounter?patient={p}&date=ge2010&_sort=-date", "Patient?name={family}", "Patient?birthdate=lt1960",
	"Condition?code=http://snomed.info/sct|44054006", "MedicationRequest?patient={p2}&status=stopped,active", "Practitioner?family={docfamily}", "Observation?patient={p}&value-quantity=gt100", "Claim?patient={p2}&use=claim",
	"Immunization?patient={p2}", "Procedure?patient={p}&date=ge2010",
	"Patient?gender=female&birthdate=ge1970&birthdate=lt1990", "Patient?address-city=Bos", "Patient?address-state=MA&deceased=true", "Patient?identifier={mrnsys}|{mrn}", "Patient?family:exact={family}", "Patient?death-date=ge2000", "Patient?phone:missing=false",
	"Observation?code=http://loinc.org|4548-4&value-quantity=ge6.5||%25", "Observation?code=72166-2&value-concept=http://snomed.info/sct|266919005", "Observation?encounter={enc}", "Observation?code=8302-2,29463-7&date=2015", "Observation?value-string:missing=false&code:not=93025-5",
	"Observation?combo-code=8480-6&date=sa2019-06", "Observation?component-value-quantity=gt140|http://unitsofmeasure.org|mm[Hg]&date=ge2018", "Observation?patient.family={family}", "Observation?subject:Patient.birthdate=gt2015&category=vital-signs&code=8302-2",
	"Encounter?participant:Practitioner.family={docfamily}", "Encounter?class=EMER,IMP", "Encounter?service-provider={org}&date=ge2018", "Encounter?date=2016-05", "Encounter?type=162673000&date=lt1990", "Encounter?reason-code=http://snomed.info/sct|&date=ge2020",
	"Condition?patient={p}&clinical-status=resolved", "Condition?abatement-date=ge2019&onset-date=lt2019", "Condition?abatement-date:missing=true&code=59621000", "Condition?encounter.class=EMER",
	"DiagnosticReport?patient={p}&category=LAB", "DiagnosticReport?result.code=2339-0&date=2017", "DocumentReference?patient={p}&period=ge2015", "DocumentReference?author={docid}&date=ge2019", "CarePlan?patient={p}&date=ge2000", "CarePlan?condition.code=59621000",
	"CareTeam?participant={docid}", "ImagingStudy?started=ge2015", "ImagingStudy?modality=DX", "Medication?code=http://www.nlm.nih.gov/research/umls/rxnorm|&status=active", "MedicationRequest?medication.status=active&patient.gender=female", "MedicationAdministration?effective-time=ge2010",
	"Provenance?target={p2}", "SupplyDelivery?patient:missing=false&_lastUpdated=gt2020", "Device?patient.gender=female", "ExplanationOfBenefit?patient={p2}&created=ge2000", "ExplanationOfBenefit?claim:missing=false&created=2015-06", "Claim?created=ge2021",
	"AllergyIntolerance?criticality=low&category=food", "Organization?name=bos", "Location?address-city=BOSTON", "PractitionerRole?specialty=208D00000X&practitioner:missing=false",
}

// refusedExamples are HL7's own examples that R4 forbids (internal/fhir, conformance_test.go says where and why).
var refusedExamples = []string{"DeviceMetric-example.json", "DeviceUseStatement-example.json", "MedicationRequest-medrx0301.json", "Observation-clinical-gender.json", "Questionnaire-qs1.json"}

// TestConformanceExamples stores HL7's R4 examples one by one, reads each back and judges random searches over them.
func TestConformanceExamples(t *testing.T) {
	t.Parallel()
	files := archived(t, "data/examples/hl7-r4-examples.tar.gz")
	a := cordontest.Shared(t).Tenant(t)
	w := &world{Tenant: a, n: newNaive(a.Base), s: newKept()}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		r := decodeJSON(t, files[name])
		got := a.Do(t, "PUT", "/"+keyOf(r), files[name])
		if strings.HasPrefix(keyOf(r), "AuditEvent/") { // a view of the trail, written by nobody (docs/adr/0014)
			if got.Status != http.StatusMethodNotAllowed {
				t.Errorf("%s: %d, want a refusal", name, got.Status)
			}
			continue
		}
		if slices.Contains(refusedExamples, name) {
			if got.Status != http.StatusBadRequest {
				t.Errorf("%s: %d, want a refusal", name, got.Status)
			}
			continue
		}
		if got.Status != http.StatusCreated && got.Status != http.StatusOK {
			t.Errorf("%s: %d %.300s", name, got.Status, got.Body)
			continue
		}
		if got.Status == http.StatusCreated {
			w.s.note(keyOf(r), r)
		}
		w.s.sent[keyOf(r)] = r // of two examples with one id the later one stays
	}
	readEach(t, a.Client, w.n, w.s.refs)
	w.s.readBack(t, w.n)
	t.Logf("%d files, %d resources of %d types", len(files), len(w.n.all), len(w.n.of))
	w.wantCounts(t)
	w.askRandom(t, 3000)
}
