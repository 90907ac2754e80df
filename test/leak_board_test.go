package test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cordon-ehr/cordon/internal/control"
	"github.com/cordon-ehr/cordon/internal/fhirhttp"
)

// leakBoard counts what the leak suite tries: by threat and interaction, and by route of the product's own tables. A route without
// cases fails the suite, and so does a threat with fewer cases than it had.
type leakBoard struct {
	fhir     *http.ServeMux
	named    map[string]string // pattern to interaction
	mu       sync.Mutex        // guards tried and routes
	tried    map[string]map[string]int
	routes   map[string]int
	patterns []string
}

// threats of the ledger that each interaction answers to: T2 is asking by another's id, T3 searching, T4 tricks of writing, T5 bulk
// and jobs, T13 keys and caches, T16 and T17 whose token and whose name, T31 existence.
var threats = map[string][]string{
	"read": {"T2"}, "vread": {"T2"}, "history-instance": {"T2"}, "update": {"T2", "T4"}, "delete": {"T2", "T4"}, "create": {"T4"}, "bundle": {"T4"},
	"search-type": {"T3"}, "everything": {"T3"}, "none": {"T2"}, "capabilities": {"T3"}, "tenant page": {"T17"}, "operators' API": {"T16"},
}

// leakFloors are the least numbers of cases: of a whole run, and of one with -short. They grow with the suite.
var leakFloors = map[string][2]int{"T2": {3000, 250}, "T3": {9000, 900}, "T4": {1800, 120}, "T5": {350, 35}, "T13": {120, 120}, "T16": {80, 80}, "T17": {350, 130}, "T31": {2800, 250}}

// leastOfRoute is how many cases every route has.
const leastOfRoute = 3

func newLeakBoard() *leakBoard {
	b := &leakBoard{fhir: http.NewServeMux(), named: map[string]string{}, tried: map[string]map[string]int{}, routes: map[string]int{}}
	for _, r := range fhirhttp.Routes() {
		b.fhir.HandleFunc(r.Pattern, func(http.ResponseWriter, *http.Request) {})
		b.named[r.Pattern] = r.Interaction
		b.patterns = append(b.patterns, "fhir "+r.Pattern)
	}
	for _, p := range control.TenantPages() {
		b.patterns = append(b.patterns, "tenant "+p)
	}
	for _, p := range control.OperatorCalls() {
		b.patterns = append(b.patterns, "operator "+p)
	}
	return b
}

// count notes a case, and each entry of a Bundle that it sends; more are threats beside those of the interaction.
func (b *leakBoard) count(a leakAsk, more ...string) {
	pattern, interaction := b.match(a.method, a.path)
	b.note("fhir "+pattern, interaction, append(append(a.threats(), threats[interaction]...), more...))
	if interaction != "bundle" {
		return
	}
	var sent struct {
		Entry []struct {
			Request struct{ Method, URL string }
		}
	}
	if json.Unmarshal([]byte(a.body), &sent) != nil {
		return
	}
	for _, e := range sent.Entry {
		if e.Request.URL != "" && !strings.Contains(e.Request.URL, "://") {
			_, in := b.match(e.Request.Method, "/"+e.Request.URL)
			b.note("", in+" in a Bundle", threats[in])
		}
	}
}

// threats are told by what an ask holds, whatever its interaction.
func (a leakAsk) threats() (rows []string) {
	low := strings.ToLower(a.path + " " + strings.Join(a.headers, " ") + " " + a.body)
	for _, c := range [][2]string{{"if-none-exist", "T31"}, {"ifnoneexist", "T31"}, {"$export", "T5"}, {"_cursor=", "T13"}, {"if-match", "T31"}, {"x-tenant", "T17"}, {"x-forwarded", "T17"}, {"_total", "T31"}} {
		if strings.Contains(low, c[0]) {
			rows = append(rows, c[1])
		}
	}
	return rows
}

func (b *leakBoard) match(method, path string) (pattern, interaction string) {
	path, _, _ = strings.Cut(path, "?")
	if path == "/metadata" {
		return path, "capabilities"
	}
	r, err := http.NewRequest(method, "http://x.example"+path, nil)
	if err != nil {
		return "/", "none"
	}
	if path == "" {
		r.URL.Path = "/"
	}
	_, pattern = b.fhir.Handler(r)
	if pattern == "" {
		pattern = "/"
	}
	return pattern, b.named[pattern]
}

func (b *leakBoard) note(route, interaction string, rows []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.routes[route]++
	slices.Sort(rows)
	for _, row := range slices.Compact(rows) {
		if b.tried[row] == nil {
			b.tried[row] = map[string]int{}
		}
		b.tried[row][interaction]++
	}
}

// report prints the board and fails the test where it is too low.
func (b *leakBoard) report(t *testing.T) {
	t.Helper()
	var out strings.Builder
	for _, row := range slices.Sorted(maps.Keys(b.tried)) {
		sum := 0
		fmt.Fprintf(&out, "\n%-4s", row)
		for _, in := range slices.Sorted(maps.Keys(b.tried[row])) {
			fmt.Fprintf(&out, " %s %d,", in, b.tried[row][in])
			sum += b.tried[row][in]
		}
		fmt.Fprintf(&out, " in all %d", sum)
		floor := leakFloors[row][0]
		if testing.Short() {
			floor = leakFloors[row][1]
		}
		if sum < floor {
			t.Errorf("%s has %d cases, fewer than the %d that it had", row, sum, floor)
		}
	}
	for row := range leakFloors {
		if b.tried[row] == nil {
			t.Errorf("%s has no case", row)
		}
	}
	for _, p := range b.patterns {
		if b.routes[p] < leastOfRoute {
			t.Errorf("the route %q has %d leak cases: what serves it is not tried (leak_routes_test.go)", p, b.routes[p])
		}
	}
	t.Logf("cases by threat and interaction, on %d routes:%s", len(b.patterns), out.String())
}

// thin keeps about n of many, evenly, for a short run; a whole run keeps all.
func thin[T any](all []T, n int) []T {
	if !testing.Short() || len(all) <= n {
		return all
	}
	out := make([]T, 0, n)
	for i := range n {
		out = append(out, all[i*len(all)/n])
	}
	return out
}

// some keeps those whose index keep takes.
func some[T any](all []T, keep func(int) bool) (out []T) {
	for i := range all {
		if keep(i) {
			out = append(out, all[i])
		}
	}
	return out
}
