package test

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cordon-ehr/cordon/internal/cordontest"
	"github.com/cordon-ehr/cordon/internal/synth"
)

// world is a tenant with charts, and the judge's copy of them.
type world struct {
	*cordontest.Tenant
	n     *naive
	s     *kept
	names map[string]string // for {name} in queries
	most  int               // random queries that find more are left out; 0 is all
}

// TestNaive compares the running server with an evaluation that reads every resource.
func TestNaive(t *testing.T) {
	t.Parallel()
	w := naiveWorld(t)
	for name, f := range map[string]func(*testing.T){"ReadBack": func(t *testing.T) { w.s.readBack(t, w.n) }, "Cases": w.cases, "Random": w.random,
		"Paging": w.paging, "Sort": w.sorts, "Include": w.included, "Post": w.post, "Everything": w.charts, "Counts": w.counts, "LastUpdated": w.updated} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t)
		})
	}
}

func naiveWorld(t *testing.T) *world {
	t.Helper()
	a := cordontest.Shared(t).Tenant(t)
	w := &world{Tenant: a, n: newNaive(a.Base), s: newKept()}
	w.s.sendBundle(t, a.Client, synth.Directory(7))
	for p := range synth.Patients(synth.Options{Seed: 7, Count: 12}) {
		w.s.sendBundle(t, a.Client, p.Bundle)
	}
	w.putEdges(t)
	readEach(t, a.Client, w.n, w.s.refs)
	t.Logf("%d resources of %d types", len(w.n.all), len(w.n.of))
	w.names = w.examples()
	return w
}

func (w *world) putEdges(t *testing.T) {
	t.Helper()
	for _, e := range naiveEdges {
		body := strings.ReplaceAll(e, "{base}", w.Base)
		r := decodeJSON(t, []byte(body))
		if got := w.Do(t, "PUT", "/"+keyOf(r), body); got.Status != http.StatusCreated {
			t.Errorf("PUT %s: %d %.300s", keyOf(r), got.Status, got.Body)
			continue
		}
		w.s.note(keyOf(r), r)
	}
}

// examples are values that the table of queries uses: of the patient with the most in the chart.
func (w *world) examples() map[string]string {
	load := map[string]int{}
	for _, o := range w.n.of["Observation"] {
		for _, p := range w.n.targets(o, "patient") {
			load[p]++
		}
	}
	ps := slices.SortedFunc(maps.Keys(load), func(a, b string) int {
		return cmp.Or(load[b]-load[a], strings.Compare(str(w.n.all[a]["birthDate"]), str(w.n.all[b]["birthDate"])))
	})
	out := map[string]string{"base": w.Base, "p": ps[0][8:], "p2": ps[1][8:]}
	one := w.n.all[ps[0]]
	names := down([]any{one}, "name")
	out["family"], out["given"] = str(down(names, "family")[0]), str(down(names, "given")[0])
	out["mrn"] = str(down(down([]any{one}, "identifier"), "value")[0])
	out["mrnsys"] = str(down(down([]any{one}, "identifier"), "system")[0])
	enc := w.busiest(ps[0])
	out["enc"], out["doc"] = enc["id"].(string), w.n.targets(enc, "participant")[0]
	out["loc"], out["org"] = w.n.targets(enc, "location")[0], w.n.targets(enc, "service-provider")[0]
	out["docid"] = strings.TrimPrefix(out["doc"], "Practitioner/")
	out["docfamily"] = str(down(down([]any{w.n.all[out["doc"]]}, "name"), "family")[0])
	return out
}

// busiest is the encounter of a patient that most refers to: conditions first of all.
func (w *world) busiest(patient string) (out map[string]any) {
	best := -1
	for _, e := range w.n.of["Encounter"] {
		if !slices.Contains(w.n.targets(e, "patient"), patient) {
			continue
		}
		n := 0
		for typ, weight := range map[string]int{"Condition": 1000, "Observation": 1} {
			for _, r := range w.n.of[typ] {
				if slices.Contains(w.n.targets(r, "encounter"), keyOf(e)) {
					n += weight
				}
			}
		}
		if n > best {
			best, out = n, e
		}
	}
	return out
}

// judge asks one query and compares the matches with the naive ones. It gives the result back.
func (w *world) judge(t *testing.T, typ, query string) result {
	t.Helper()
	got := ask(t, w.Client, typ, query)
	sameSet(t, typ+"?"+query, got.match, w.n.find(t, typ, query))
	return got
}

// cases runs the table.
func (w *world) cases(t *testing.T) {
	for _, c := range naiveCases {
		c, none := strings.CutPrefix(c, "0 ") // a query that must find nothing
		for k, v := range w.names {
			c = strings.ReplaceAll(c, "{"+k+"}", escapeQuery(v))
		}
		typ, query, _ := strings.Cut(c, "?")
		got := w.judge(t, typ, query)
		if none != (len(got.match) == 0) {
			t.Errorf("%s: finds %d: the case proves nothing", c, len(got.match))
		}
		if all := w.n.of[typ]; !none && len(got.match) == len(all) && len(all) > 40 {
			t.Logf("%s: finds all", c)
		}
	}
	t.Logf("%d queries", len(naiveCases))
}

// paging walks lists in small pages: no duplicates (search tells them), no misses, and the order of the whole list.
func (w *world) paging(t *testing.T) {
	p := w.names["p"]
	for _, q := range []string{"Observation?_count=97", "Observation?patient=" + p + "&_count=3", "Observation?code=29463-7,8302-2&_count=2", "Patient?_count=1",
		"Encounter?_count=7&_sort=date", "Encounter?_count=7&_sort=-date", "Observation?_count=11&_sort=code,-date&patient=" + p, "Patient?_count=1&_sort=family",
		"Patient?_count=2&_sort=-birthdate", "Condition?_count=5&_sort=_lastUpdated", "Condition?_count=5&_sort=-_lastUpdated", "Observation?date=ge2000&_count=50",
		"Observation?code=nosys&_count=1", "Observation?code=nosys&_count=1&_sort=date", "Observation?code:not=nosys&patient=" + p + "&_count=9", "Encounter?participant=" + w.names["doc"] + "&_count=2",
		"Observation?encounter=" + w.names["enc"] + "&_count=2", "RiskAssessment?_count=1&_sort=-probability", "Observation?patient.family=M&_count=1",
		"Observation?_id=e-o1,e-o2,e-o3&_count=1", "Patient?identifier=" + w.names["mrnsys"] + "%7C&_count=3"} {
		typ, query, _ := strings.Cut(q, "?")
		got := w.judge(t, typ, query)
		sized := func(n string) string {
			before, after, _ := strings.Cut(query, "_count=")
			_, after, _ = strings.Cut(after, "&")
			return strings.TrimSuffix(before+"_count="+n+"&"+after, "&")
		}
		whole := ask(t, w.Client, typ, sized("1000"))
		if !slices.Equal(got.list, whole.list) {
			t.Errorf("%s: another order than in one page", q)
		}
		per, _ := strconv.Atoi(strings.SplitN(strings.SplitN(query, "_count=", 2)[1], "&", 2)[0])
		if want := (len(got.list) + per - 1) / per; got.pages != max(want, 1) {
			t.Errorf("%s: %d matches on %d pages, want %d full ones", q, len(got.list), got.pages, want)
		}
	}
}

// included checks _include and _revinclude of whole results.
func (w *world) included(t *testing.T) {
	for _, q := range naiveIncludes {
		for k, v := range w.names {
			q = strings.ReplaceAll(q, "{"+k+"}", v)
		}
		typ, query, _ := strings.Cut(q, "?")
		got := w.judge(t, typ, query+"&_count=1000")
		want := w.n.includes(t, query, got.match)
		if len(want) == 0 {
			t.Errorf("%s: includes nothing: the case proves nothing", q)
		}
		sameSet(t, q+" (included)", got.included, want)
	}
}

// post checks that POST _search answers as GET does, with parameters in the body, in the URL or both.
func (w *world) post(t *testing.T) {
	for _, q := range []string{"Patient?name=" + escapeQuery(w.names["family"][:2]), "Observation?patient=" + w.names["p"] + "&code=8302-2&_sort=date&_total=accurate",
		"Encounter?patient=" + w.names["p"] + "&_include=Encounter:participant&_count=4", "Patient?gender=male,female&_count=2&_sort=-birthdate"} {
		typ, query, _ := strings.Cut(q, "?")
		get := ask(t, w.Client, typ, query)
		first, rest, _ := strings.Cut(query, "&")
		for _, form := range [][2]string{{"", query}, {"?" + rest, first}} {
			if form[0] == "?" {
				continue
			}
			r := w.Do(t, "POST", "/"+typ+"/_search"+form[0], form[1], "Content-Type", "application/x-www-form-urlencoded")
			got := askAll(t, w.Client, r, "POST "+q)
			if !slices.Equal(got.list, get.list) || got.total != get.total || !maps.Equal(got.included, get.included) {
				t.Errorf("POST %s in %q finds %d, GET %d", q, form, len(got.list), len(get.list))
			}
		}
	}
}

// charts checks Patient/$everything of every patient.
func (w *world) charts(t *testing.T) {
	for _, p := range w.n.of["Patient"] {
		r := w.Do(t, "GET", "/"+keyOf(p)+"/$everything", nil).Want(t, http.StatusOK)
		got := map[string]bool{}
		for _, k := range r.Matches(t) {
			if got[k] {
				t.Errorf("$everything of %s: %s twice", keyOf(p), k)
			}
			got[k] = true
		}
		sameSet(t, keyOf(p)+"/$everything", got, w.n.everything(keyOf(p)))
	}
}

// counts checks _total, _count=0 and _summary=count, for each type and for a few queries.
func (w *world) counts(t *testing.T) {
	queries := []string{"Observation?patient=" + w.names["p"], "Observation?code=8302-2", "Observation?code=http://loinc.org%7C8302-2", "Patient?name=m", "Patient?family=m", "Patient?email=555-0101",
		"Observation?subject=Patient/e-1", "Observation?subject=Group/e-group", "Observation?date=ge2020", "Encounter?participant=" + w.names["doc"], "Observation?code=edge&status=preliminary",
		"Encounter?participant:Practitioner.family=" + escapeQuery(w.names["docfamily"]), "Patient?active:missing=true", "Observation?_lastUpdated=gt2000", "Patient?_id=e-1,e-2,nobody",
		"Observation?patient=" + w.names["p"] + "&category=laboratory", "Observation?combo-code=8480-6", "Observation?category=laboratory,vital-signs", "Patient?deceased=true"}
	for typ := range w.n.of {
		queries = append(queries, typ+"?")
	}
	for _, q := range queries {
		typ, query, _ := strings.Cut(q, "?")
		want := len(w.n.find(t, typ, query))
		for _, how := range []string{"_total=accurate", "_count=0", "_summary=count", "_total=accurate&_count=2"} {
			r := w.Do(t, "GET", "/"+strings.TrimSuffix(q+"&"+how, "&"), nil).Want(t, http.StatusOK).JSON(t)
			if fmt.Sprint(r["total"]) != strconv.Itoa(want) {
				t.Errorf("%s&%s: total %v, want %d", q, how, r["total"], want)
			}
			entries, _ := r["entry"].([]any)
			if how == "_count=0" && len(entries) > 0 {
				t.Errorf("%s&%s has entries", q, how)
			}
		}
	}
}

// updated compares _lastUpdated with the times that resources show.
func (w *world) updated(t *testing.T) {
	for _, typ := range []string{"Patient", "Observation", "Encounter"} {
		for _, r := range w.n.of[typ][:4] {
			at := str(down(down([]any{r}, "meta"), "lastUpdated")[0])
			for _, prefix := range []string{"", "ne", "gt", "lt", "ge", "le", "sa", "eb"} {
				for _, cut := range []string{at, at[:19] + "Z", at[:16] + "Z", at[:10]} {
					w.judge(t, typ, "_count=200&_lastUpdated="+prefix+cut)
				}
			}
			w.judge(t, typ, "_count=400&_sort=-_lastUpdated&_lastUpdated=ge"+at)
			w.judge(t, typ, "_count=400&_lastUpdated=lt"+at+"&_lastUpdated=gt2000")
		}
	}
}
