package test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// kept says where each resource of a Bundle that was sent is now.
type kept struct {
	sent map[string]map[string]any // by Type/id
	refs []string                  // the same in the order of sending
	ids  map[string]string         // fullUrl → Type/id
}

func newKept() *kept {
	return &kept{sent: map[string]map[string]any{}, ids: map[string]string{}}
}

// sendBundle posts a Bundle and notes where its entries went. Entries that a condition resolved to an existing resource are
// not noted as sent: the server rightly keeps the older one.
func (s *kept) sendBundle(t testing.TB, c *cordontest.Client, body []byte) {
	t.Helper()
	sent := decodeJSON(t, body)["entry"].([]any)
	answered := c.Do(t, "POST", "/", body).Want(t, http.StatusOK).JSON(t)["entry"].([]any)
	if len(answered) != len(sent) {
		t.Fatalf("%d entries were sent, %d answered", len(sent), len(answered))
	}
	for i := range sent {
		e, resp := sent[i].(map[string]any), answered[i].(map[string]any)["response"].(map[string]any)
		status, at := str(resp["status"]), str(resp["location"])
		if !strings.HasPrefix(status, "20") {
			t.Fatalf("entry %d: %v", i, resp)
		}
		ref, _, _ := strings.Cut(strings.TrimPrefix(at, c.Base+"/"), "/_history/")
		s.ids[str(e["fullUrl"])] = ref
		if strings.HasPrefix(status, "201") {
			s.note(ref, e["resource"].(map[string]any))
		}
	}
}

func (s *kept) note(ref string, r map[string]any) {
	s.sent[ref] = r
	s.refs = append(s.refs, ref)
}

// readBack compares everything that was sent with what is read now. Differences that are allowed: id, meta.versionId,
// meta.lastUpdated, and references that the transaction resolved.
func (s *kept) readBack(t *testing.T, n *naive) {
	t.Helper()
	bad := 0
	for ref, sent := range s.sent {
		got := n.all[ref]
		if got == nil {
			t.Errorf("%s was stored and is not there", ref)
			continue
		}
		if diff := s.differ(n, ref, sent, got, true); diff != "" {
			if bad++; bad < 10 {
				t.Error(diff)
			}
		}
	}
}

// differ names the first place where two values differ.
func (s *kept) differ(n *naive, at string, sent, got any, root bool) string {
	switch x := sent.(type) {
	case map[string]any:
		y, _ := got.(map[string]any)
		if root {
			x, y = bare(x), bare(y)
		}
		for _, k := range slices.Sorted(maps.Keys(x)) {
			if k == "reference" && s.resolved(n, str(x[k])) == str(y[k]) {
				continue
			}
			if d := s.differ(n, at+"."+k, x[k], y[k], false); d != "" {
				return d
			}
		}
		for k := range y {
			if _, ok := x[k]; !ok {
				return fmt.Sprintf("%s.%s was added", at, k)
			}
		}
		return ""
	case []any:
		y, _ := got.([]any)
		if len(x) != len(y) {
			return fmt.Sprintf("%s: %d elements became %d", at, len(x), len(y))
		}
		for i := range x {
			if d := s.differ(n, fmt.Sprintf("%s[%d]", at, i), x[i], y[i], false); d != "" {
				return d
			}
		}
		return ""
	}
	if !reflect.DeepEqual(sent, got) { // numbers are json.Number: their text is compared
		return fmt.Sprintf("%s: sent %v, got %v", at, sent, got)
	}
	return ""
}

// bare is a resource without what the server sets.
func bare(r map[string]any) map[string]any {
	out := maps.Clone(r)
	delete(out, "id")
	meta, _ := out["meta"].(map[string]any)
	meta = maps.Clone(meta)
	delete(meta, "versionId")
	delete(meta, "lastUpdated")
	if delete(out, "meta"); len(meta) > 0 {
		out["meta"] = meta
	}
	return out
}

// resolved is what a transaction makes of a reference: a urn becomes the entry's place, Type?identifier=… the one that has it.
func (s *kept) resolved(n *naive, ref string) string {
	if to, ok := s.ids[ref]; ok {
		return to
	}
	typ, q, ok := strings.Cut(ref, "?identifier=")
	if !ok {
		return ref
	}
	q, _ = url.QueryUnescape(q)
	for _, r := range n.of[typ] {
		for _, v := range n.values(r, naiveParams[typ]["identifier"]) {
			if matchToken(v, q) {
				s.ids[ref] = keyOf(r)
				return keyOf(r)
			}
		}
	}
	return ref
}

// readEach reads resources one by one, some at a time.
func readEach(t *testing.T, c *cordontest.Client, n *naive, refs []string) {
	t.Helper()
	out, work := make([]map[string]any, len(refs)), make(chan int)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range work {
				r := c.Do(t, "GET", "/"+refs[i], nil)
				if r.Status != http.StatusOK || keyOf(r.JSON(t)) != refs[i] {
					t.Errorf("read %s: %d %.200s", refs[i], r.Status, r.Body)
					continue
				}
				out[i] = r.JSON(t)
			}
		})
	}
	for i := range refs {
		work <- i
	}
	close(work)
	wg.Wait()
	for _, r := range out {
		if r != nil {
			n.add(r)
		}
	}
}

// result is a search result, all pages together.
type result struct {
	list     []string // matches in order
	match    map[string]bool
	included map[string]bool
	total    json.Number // of the first page, "" if none
	pages    int
}

// search asks for a query and all its next links.
func ask(t testing.TB, c *cordontest.Client, typ, query string) result {
	t.Helper()
	r := c.Do(t, "GET", "/"+typ+"?"+query, nil)
	return askAll(t, c, r, typ+"?"+query)
}

func askAll(t testing.TB, c *cordontest.Client, r cordontest.Response, query string) result {
	t.Helper()
	out := result{match: map[string]bool{}, included: map[string]bool{}}
	for {
		if r.Status != http.StatusOK {
			t.Errorf("%s: %d %.300s", query, r.Status, r.Body)
			return out
		}
		page := r.JSON(t)
		if out.pages++; out.pages == 1 {
			out.total, _ = page["total"].(json.Number)
		}
		entries, _ := page["entry"].([]any)
		for _, e := range entries {
			out.take(t, e.(map[string]any), query)
		}
		next := ""
		for _, l := range page["link"].([]any) {
			if m := l.(map[string]any); m["relation"] == "next" {
				next = str(m["url"])
			}
		}
		if next == "" {
			return out
		}
		if out.pages > 5000 {
			t.Fatalf("%s: paging does not end", query)
		}
		r = c.Do(t, "GET", strings.TrimPrefix(next, c.Base), nil)
	}
}

func (a *result) take(t testing.TB, e map[string]any, query string) {
	t.Helper()
	k := keyOf(e["resource"].(map[string]any))
	switch mode := e["search"].(map[string]any)["mode"]; mode {
	case "match":
		if a.match[k] {
			t.Errorf("%s: %s comes twice", query, k)
		}
		a.match[k] = true
		a.list = append(a.list, k)
	case "include":
		a.included[k] = true
	default:
		t.Errorf("%s: an entry of mode %v", query, mode)
	}
}

// same compares two sets and tells a few of what is missing or too much.
func sameSet(t testing.TB, what string, got, want map[string]bool) bool {
	t.Helper()
	var missed, extra []string
	for k := range want {
		if !got[k] {
			missed = append(missed, k)
		}
	}
	for k := range got {
		if !want[k] {
			extra = append(extra, k)
		}
	}
	if len(missed)+len(extra) == 0 {
		return true
	}
	slices.Sort(missed)
	slices.Sort(extra)
	t.Errorf("%s: %d expected, %d found; missed %d %q, extra %d %q", what, len(want), len(got), len(missed), missed[:min(3, len(missed))],
		len(extra), extra[:min(3, len(extra))])
	return false
}
