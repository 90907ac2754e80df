package test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cordon-ehr/cordon/internal/cordontest"
	"github.com/cordon-ehr/cordon/internal/synth"
)

// TestNaiveAfterChanges updates, deletes and revives resources at random. Then the index must answer as if nothing else had
// ever been there, and history must tell every version.
func TestNaiveAfterChanges(t *testing.T) {
	t.Parallel()
	a := cordontest.Shared(t).Tenant(t)
	w := &world{Tenant: a, n: newNaive(a.Base), s: newKept()}
	w.s.sendBundle(t, a.Client, synth.Directory(9))
	for p := range synth.Patients(synth.Options{Seed: 9, Count: 2}) {
		w.s.sendBundle(t, a.Client, p.Bundle)
	}
	w.putEdges(t)
	readEach(t, a.Client, w.n, w.s.refs)
	past := w.shuffle(t, rand.New(rand.NewPCG(5, 6)))
	w.random(t)
	for _, typ := range slices.Sorted(maps.Keys(w.n.of)) {
		w.judge(t, typ, "_count=1000&_sort=-_lastUpdated")
		if got := w.Do(t, "GET", "/"+typ+"?_count=0", nil).JSON(t)["total"]; fmt.Sprint(got) != fmt.Sprint(len(w.n.of[typ])) {
			t.Errorf("%s: total %v, want %d", typ, got, len(w.n.of[typ]))
		}
	}
	for ref, versions := range past {
		w.history(t, ref, versions)
	}
}

// shuffle changes resources and keeps the copy in step. It gives each one's versions, oldest first, nil for a deletion.
func (w *world) shuffle(t *testing.T, r *rand.Rand) map[string][]map[string]any {
	t.Helper()
	past, first := map[string][]map[string]any{}, maps.Clone(w.n.all)
	for range 200 {
		ref := pick(r, w.s.refs)
		typ, id, _ := strings.Cut(ref, "/")
		now := w.n.all[ref]
		if past[ref] == nil {
			past[ref] = append(past[ref], now)
		}
		if now != nil && r.IntN(4) == 0 {
			w.Do(t, "DELETE", "/"+ref, nil).Want(t, http.StatusNoContent)
			w.n.replace(ref, nil)
			past[ref] = append(past[ref], nil)
			continue
		}
		body := maps.Clone(first[pick(r, sameType(w.s.refs, typ))]) // the content of another one
		body["id"] = id
		got := w.Do(t, "PUT", "/"+ref, body)
		if want := map[bool]int{true: http.StatusCreated, false: http.StatusOK}[now == nil]; got.Status != want {
			t.Fatalf("PUT %s: %d, want %d: %.300s", ref, got.Status, want, got.Body)
		}
		w.n.replace(ref, got.JSON(t))
		past[ref] = append(past[ref], got.JSON(t))
	}
	return past
}

func sameType(refs []string, typ string) (out []string) {
	for _, ref := range refs {
		if strings.HasPrefix(ref, typ+"/") {
			out = append(out, ref)
		}
	}
	return out
}

// replace puts another version in the place of a resource; nil takes it away.
func (n *naive) replace(ref string, r map[string]any) {
	typ, _, _ := strings.Cut(ref, "/")
	n.of[typ] = slices.DeleteFunc(n.of[typ], func(o map[string]any) bool { return keyOf(o) == ref })
	delete(n.all, ref)
	switch {
	case r != nil:
		n.add(r)
	case len(n.of[typ]) == 0:
		delete(n.of, typ)
	}
}

// history compares a resource's history, paged, and each of its versions.
func (w *world) history(t *testing.T, ref string, past []map[string]any) {
	t.Helper()
	var got []map[string]any
	for next := "/" + ref + "/_history?_count=2"; next != ""; {
		page := w.Do(t, "GET", next, nil).Want(t, http.StatusOK).JSON(t)
		for _, e := range page["entry"].([]any) {
			got = append(got, e.(map[string]any))
		}
		next = ""
		for _, l := range page["link"].([]any) {
			if m := l.(map[string]any); m["relation"] == "next" {
				next = strings.TrimPrefix(str(m["url"]), w.Base)
			}
		}
	}
	if len(got) != len(past) {
		t.Errorf("%s: %d versions, want %d", ref, len(got), len(past))
		return
	}
	for i, e := range got {
		version, want := len(past)-i, past[len(past)-1-i]
		r, _ := e["resource"].(map[string]any)
		read := w.Do(t, "GET", fmt.Sprintf("/%s/_history/%d", ref, version), nil)
		method := str(e["request"].(map[string]any)["method"])
		if want == nil {
			if r != nil || method != "DELETE" || read.Status != http.StatusGone {
				t.Errorf("%s version %d was a deletion: history %v, read %d", ref, version, e["request"], read.Status)
			}
			continue
		}
		if method == "DELETE" || read.Status != http.StatusOK {
			t.Errorf("%s version %d: history says %s, read %d", ref, version, method, read.Status)
			continue
		}
		if fmt.Sprint(r) != fmt.Sprint(want) || fmt.Sprint(read.JSON(t)) != fmt.Sprint(want) {
			t.Errorf("%s version %d is not as it was", ref, version)
		}
	}
}
