package synth_test

import (
	"encoding/json"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/synth"
)

var today = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func population(t *testing.T, seed uint64, n int) []life {
	t.Helper()
	var out []life
	for p := range synth.Patients(synth.Options{Seed: seed, Count: n}) {
		out = append(out, inspect(t, p, today))
	}
	return out
}

// share is the part of those selected of whom have is true.
func share(ls []life, of, have func(life) bool) float64 {
	n, k := 0, 0
	for _, l := range ls {
		if of(l) {
			n++
			if have(l) {
				k++
			}
		}
	}
	return float64(k) / float64(max(n, 1))
}

func TestPopulation(t *testing.T) {
	t.Parallel()
	ls := population(t, 1, 400)
	everyone := func(life) bool { return true }
	from := func(lo, hi float64) func(life) bool {
		return func(l life) bool { return l.age >= lo && l.age < hi }
	}
	with := func(text string) func(life) bool { return func(l life) bool { return l.has[text] } }
	for _, c := range []struct {
		name   string
		of, is func(life) bool
		lo, hi float64
	}{
		{"women", everyone, func(l life) bool { return l.patient["gender"] == "female" }, 0.44, 0.58},
		{"children", everyone, from(0, 18), 0.13, 0.27},
		{"over 60", everyone, from(60, 120), 0.2, 0.34},
		{"deceased", everyone, func(l life) bool { return l.patient["deceasedDateTime"] != nil }, 0.015, 0.09},
		{"deceased over 75", from(75, 120), func(l life) bool { return l.patient["deceasedDateTime"] != nil }, 0.08, 0.4},
		{"hypertension over 60", from(60, 120), with("Essential hypertension"), 0.5, 0.8},
		{"hypertension of children", from(0, 18), with("Essential hypertension"), 0, 0},
		{"diabetes over 60", from(60, 120), with("Type 2 diabetes mellitus"), 0.14, 0.36},
		{"diabetes of 18 to 40", from(18, 40), with("Type 2 diabetes mellitus"), 0, 0.07},
		{"obesity of adults", from(21, 120), with("Obesity"), 0.12, 0.4},
		{"Alzheimer under 60", from(0, 60), with("Alzheimer's disease"), 0, 0},
		{"native names", everyone, func(l life) bool {
			return regexp.MustCompile(`[^\x00-\x7f]`).MatchString(text(l.patient["name"]))
		}, 0.2, 0.6},
	} {
		if got := share(ls, c.of, c.is); got < c.lo || got > c.hi {
			t.Errorf("%s: %.3f, want %.3f to %.3f", c.name, got, c.lo, c.hi)
		}
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	total, n, outside := 0, 1000, 0
	for p := range synth.Patients(synth.Options{Seed: 4, Count: n}) {
		total += p.Resources
		if p.Resources < 45 || p.Resources > 170 {
			outside++
		}
	}
	if mean := float64(total) / float64(n); mean < 88 || mean > 104 {
		t.Errorf("mean of %.1f resources, want about 95", mean)
	}
	if outside > n/20 {
		t.Errorf("%d of %d patients are very small or very large", outside, n)
	}
}

func TestIdentifiers(t *testing.T) {
	t.Parallel()
	mrn := regexp.MustCompile(`"value":"(MRN\d{9})"`)
	ssn := regexp.MustCompile(`"system":"http://hl7.org/fhir/sid/us-ssn","value":"900-[0-4]\d-\d{4}"`)
	phone := regexp.MustCompile(`"system":"phone","value":"([^"]*)"`)
	seen := map[string]bool{}
	for p := range synth.Patients(synth.Options{Seed: 2, Count: 1500}) {
		m := mrn.FindSubmatch(p.Bundle)
		if m == nil || seen[string(m[1])] || seen[p.ID] {
			t.Fatalf("patient %d: MRN or ID missing or seen before", p.Index)
		}
		seen[string(m[1])], seen[p.ID] = true, true
		if !ssn.Match(p.Bundle) {
			t.Errorf("patient %d: no invalid-range SSN", p.Index)
		}
		for _, m := range phone.FindAllSubmatch(p.Bundle, -1) {
			if !strings.Contains(string(m[1]), "-555-01") {
				t.Errorf("patient %d: phone %s could be real", p.Index, m[1])
			}
		}
	}
}

// number reads the first value of a quantity.
func number(r object, name string) float64 {
	q, ok := r[name].(object)
	if !ok {
		return math.NaN()
	}
	return q["value"].(float64)
}

func coded(r object, code string) bool { return strings.Contains(text(r["code"]), `"`+code+`"`) }

// Measurements agree with each other and with the problem list.
func TestMeasurements(t *testing.T) {
	t.Parallel()
	var found, treated, diabetic, healthy []float64
	for _, l := range population(t, 11, 200) {
		last := map[string]float64{}
		for _, o := range l.byType["Observation"] {
			plausible(t, o)
			value := number(o, "valueQuantity")
			switch {
			case coded(o, "8302-2"):
				if l.age < 18 && value < last["cm"] {
					t.Errorf("a child shrank from %.1f to %.1f", last["cm"], value)
				}
				last["cm"] = value
			case coded(o, "29463-7"):
				last["kg"] = value
			case coded(o, "39156-5"):
				if want := last["kg"] / math.Pow(last["cm"]/100, 2); math.Abs(want-value) > 0.06 {
					t.Errorf("BMI %.1f, want %.2f", value, want)
				}
			case coded(o, "4548-4") && l.has["Type 2 diabetes mellitus"]:
				diabetic = append(diabetic, value)
			case coded(o, "4548-4") && !l.has["Prediabetes"]:
				healthy = append(healthy, value)
			}
		}
		found, treated = pressures(t, l, found, treated)
	}
	if mean(diabetic) < mean(healthy)+1 {
		t.Errorf("HbA1c with diabetes %.2f, without %.2f", mean(diabetic), mean(healthy))
	}
	if len(found) < 5 || mean(found) < mean(treated)+8 {
		t.Errorf("systolic pressure when found %.0f (%d), treated %.0f", mean(found), len(found), mean(treated))
	}
}

// pressures collects the systolic pressure of the day hypertension was found
// and of a year and more after.
func pressures(t *testing.T, l life, found, treated []float64) (f, tr []float64) {
	t.Helper()
	for _, c := range l.byType["Condition"] {
		if !coded(c, "59621000") || c["encounter"] == nil {
			continue
		}
		onset := parse(t, c["onsetDateTime"].(string))
		for _, o := range l.byType["Observation"] {
			if !coded(o, "85354-9") {
				continue
			}
			sys := number(o["component"].([]any)[0].(object), "valueQuantity")
			switch since := parse(t, o["effectiveDateTime"].(string)).Sub(onset).Hours() / 24; {
			case since >= 0 && since < 1:
				found = append(found, sys)
			case since > 365:
				treated = append(treated, sys)
			}
		}
	}
	return found, treated
}

func mean(vs []float64) float64 {
	sum := 0.0
	for _, v := range vs {
		sum += v
	}
	return sum / float64(len(vs))
}

// plausible holds every quantity to what a living body can show, and a flag to
// its range.
func plausible(t *testing.T, o object) {
	t.Helper()
	limits := map[string][2]float64{
		"8302-2": {40, 215}, "29463-7": {2, 200}, "39156-5": {11, 54}, "8867-4": {40, 190}, "9279-1": {8, 60},
		"8310-5": {35, 41.5}, "59408-5": {75, 100}, "9843-4": {30, 54}, "2823-3": {3, 6.8}, "2160-0": {0.15, 6},
		"718-7": {7, 19}, "4548-4": {4.2, 12}, "3016-3": {0.3, 16}, "2093-3": {80, 380}, "98979-8": {5, 150},
	}
	if code := o["code"].(object)["coding"].([]any)[0].(object)["code"].(string); limits[code] != [2]float64{} {
		if v := number(o, "valueQuantity"); v < limits[code][0] || v > limits[code][1] {
			t.Errorf("%s is %v", text(o["code"]), v)
		}
	}
	ranges, ok := o["referenceRange"].([]any)
	if !ok {
		return
	}
	v, want := number(o, "valueQuantity"), "N"
	r := ranges[0].(object)
	if low := number(r, "low"); v < low {
		want = "L"
	}
	if high := number(r, "high"); v > high {
		want = "H"
	}
	if !strings.Contains(text(o["interpretation"]), `"code":"`+want+`"`) {
		t.Errorf("value %v in %s is flagged %s", v, text(r), text(o["interpretation"]))
	}
}

// Every conditional reference of a population finds one entry of its directory.
func TestDirectory(t *testing.T) {
	t.Parallel()
	body := synth.Directory(6)
	check(t, body)
	var batch struct {
		Type  string
		Entry []struct {
			Resource object
			Request  struct{ Method, URL, IfNoneExist string }
		}
	}
	if err := json.Unmarshal(body, &batch); err != nil || batch.Type != "batch" {
		t.Fatalf("directory: %s, %v", batch.Type, err)
	}
	known := map[string]int{}
	for _, e := range batch.Entry {
		if e.Request.Method != "POST" || e.Request.URL != e.Resource["resourceType"] || e.Request.IfNoneExist == "" {
			t.Errorf("request %+v", e.Request)
		}
		known[e.Request.URL+"?"+e.Request.IfNoneExist]++
	}
	for ref, n := range known {
		if n != 1 {
			t.Errorf("%s: %d entries", ref, n)
		}
	}
	reference := regexp.MustCompile(`"reference":"([A-Z][A-Za-z]+\?[^"]+)"`)
	for p := range synth.Patients(synth.Options{Seed: 6, Count: 200}) {
		for _, m := range reference.FindAllSubmatch(p.Bundle, -1) {
			if known[string(m[1])] != 1 {
				t.Fatalf("patient %d: %s is not in the directory", p.Index, m[1])
			}
		}
	}
}
