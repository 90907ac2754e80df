package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// TestDisablingOneChangesNothingForAnother asks all that the CapabilityStatement offers of one tenant while its neighbour's keys are
// enabled, disabled and enabled again: the answers are the same to the byte.
func TestDisablingOneChangesNothingForAnother(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	alpha, bravo := p.Tenant(t), p.Tenant(t)
	loadCrafted(t, alpha, "alpha", "bravo", bravo.Base)
	loadCrafted(t, bravo, "bravo", "alpha", alpha.Base)
	asks := leakCorpus(t, bravo, alpha, false)
	before := leakSweep(t, bravo.Client, asks)
	for _, verb := range []string{"/disable", "/enable", "/rotate"} {
		keyOp(t, p, alpha.Slug, verb, nil).Want(t, http.StatusOK)
		bravo.Renew(t)
		for i, after := range leakSweep(t, bravo.Client, asks) {
			if after != before[i] {
				t.Fatalf("%s: the answer changed with another tenant's keys%s\nbefore %.500s\nafter  %.500s", asks[i], verb, before[i], after)
			}
		}
	}
	t.Logf("%d answers compared four times", len(asks))
}

// TestKeyVerbsAreForOperators sends each verb with no token, with a tenant's own and with a made-up one, for a tenant that is, one that is
// closed and one that is not: the answers do not tell them apart, and nothing changes.
func TestKeyVerbsAreForOperators(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n, shut := p.Tenant(t), p.Tenant(t)
	keyOp(t, p, shut.Slug, "/disable", nil).Want(t, http.StatusOK)
	state := func() string {
		return string(keyOp(t, p, n.Slug, "", nil).Want(t, http.StatusOK).Body) + string(keyOp(t, p, shut.Slug, "", nil).Want(t, http.StatusOK).Body)
	}
	before := state()
	verbs := []struct{ method, verb string }{{"GET", ""}, {"POST", "/disable"}, {"POST", "/enable"}, {"POST", "/rotate"}}
	for _, v := range verbs {
		for who, bearer := range map[string]string{"nobody": "", "a tenant's client": "Bearer " + n.Token(), "a made-up token": "Bearer " + strings.Repeat("x", 43), "half a token": "Bearer " + p.Info.Operators["alice"][:20]} {
			answers := map[string]bool{}
			for _, slug := range []string{n.Slug, shut.Slug, "nobody-has-this"} {
				r := p.Send(t, v.method, p.Info.URL+"/operator/v1/tenants/"+slug+"/keys"+v.verb, nil, map[string]string{"Authorization": bearer})
				if r.Status != http.StatusUnauthorized {
					t.Errorf("%s keys%s as %s: %d %s", v.method, v.verb, who, r.Status, r.Body)
				}
				answers[wholeAnswer(r)] = true
			}
			if len(answers) != 1 {
				t.Errorf("keys%s as %s tells tenants apart: %v", v.verb, who, answers)
			}
		}
		keyOp(t, p, "nobody-has-this", v.verb, nil).Want(t, http.StatusNotFound)
		keyOp(t, p, "NOT-A-SLUG", v.verb, nil).Want(t, http.StatusBadRequest)
		for _, at := range []string{"/t/" + n.Slug + "/operator/v1/tenants/" + n.Slug + "/keys" + v.verb, "/t/" + n.Slug + "/v1/tenants/" + n.Slug + "/keys" + v.verb} {
			if r := p.Send(t, v.method, p.Info.URL+at, nil, map[string]string{"Authorization": "Bearer " + p.Info.Operators["alice"]}); r.Status != http.StatusNotFound {
				t.Errorf("%s: %d %s", at, r.Status, r.Body)
			}
		}
	}
	for _, in := range []any{map[string]string{"kind": "index"}, map[string]string{"kind": ""}, map[string]any{"kind": 1}, map[string]string{"other": "x"}, []int{}} {
		keyOp(t, p, n.Slug, "/rotate", in).Want(t, http.StatusBadRequest)
	}
	if after := state(); after != before {
		t.Errorf("keys changed: %s, were %s", after, before)
	}
}

// TestDisablingUnderLoad disables and enables one tenant while its own requests and a neighbour's are under way. Its own end whole or
// with 423; from when the command returns there is none but 423. The neighbour's do not wait for it.
func TestDisablingUnderLoad(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	a, b := p.Tenant(t), p.Tenant(t)
	loadSynthetic(t, a)
	id := b.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated).ID(t)
	neighbour := func(n int) (took []time.Duration) {
		for range n {
			start := time.Now()
			b.Do(t, http.MethodGet, "/Patient/"+id, nil).Want(t, http.StatusOK)
			took = append(took, time.Since(start))
		}
		slices.Sort(took)
		return took
	}
	stop := make(chan struct{})
	var mu sync.Mutex // guards closed and seen
	closed, seen := false, map[int]int{}
	var wg sync.WaitGroup
	for _, path := range []string{"/Patient?_count=50&_revinclude=Observation:subject", "/Observation?_count=100", "/Patient/no-such-id"} {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				mu.Lock()
				shut := closed
				mu.Unlock()
				r := a.Do(t, http.MethodGet, path, nil)
				mu.Lock()
				stillShut := shut && closed
				seen[r.Status]++
				mu.Unlock()
				if !json.Valid(r.Body) || (r.Status != http.StatusOK && r.Status != http.StatusNotFound && r.Status != http.StatusLocked) {
					t.Errorf("%s: %d %.200s", path, r.Status, r.Body)
					return
				}
				if stillShut && r.Status != http.StatusLocked {
					t.Errorf("%s after the command returned: %d", path, r.Status)
				}
			}
		})
	}
	before := neighbour(200)
	var during, op []time.Duration
	for range 4 {
		start := time.Now()
		keyOp(t, p, a.Slug, "/disable", nil).Want(t, http.StatusOK)
		op = append(op, time.Since(start))
		mu.Lock()
		closed = true
		mu.Unlock()
		during = append(during, neighbour(50)...)
		mu.Lock()
		closed = false
		mu.Unlock()
		keyOp(t, p, a.Slug, "/enable", nil).Want(t, http.StatusOK)
		start = time.Now()
		cordontest.Eventually(t, "enabled again", func() bool { return a.Do(t, http.MethodGet, "/Patient?_count=1", nil).Status == http.StatusOK })
		if back := time.Since(start); back > 5*time.Second {
			t.Errorf("enabled after %s", back)
		}
	}
	close(stop)
	wg.Wait()
	slices.Sort(during)
	slices.Sort(op)
	t.Logf("neighbour's reads: median %s p99 %s before, median %s p99 %s while disabled; disable takes %s to %s; answers of its own: %v",
		before[100], before[198], during[100], during[198], op[0], op[len(op)-1], seen)
	if during[100] > 4*before[100]+50*time.Millisecond || during[198] > 4*before[198]+250*time.Millisecond {
		t.Errorf("the neighbour waits: median %s, was %s; p99 %s, was %s", during[100], before[100], during[198], before[198])
	}
	if op[len(op)-1] > 5*time.Second || seen[http.StatusLocked] == 0 || seen[http.StatusOK] == 0 {
		t.Errorf("disabled in %v; answers %v", op, seen)
	}
}

// TestKeyOperationsKilled ends the process right after each recorded step of a key operation. Between broker and directory a tenant is
// closed; another start ends what was begun by itself, and the command given again finds it done.
func TestKeyOperationsKilled(t *testing.T) {
	t.Parallel()
	dir := cordontest.DevDir(t)
	first := cordontest.StartDev(t, dir)
	n := first.Tenant(t)
	id := n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated).ID(t)
	first.Stop(t)
	op := func(code int, args ...string) cordontest.Ran {
		t.Helper()
		r := cordontest.Cordon(t, nil, append(args, "--tenant", n.Slug, "--dir", dir, "--json")...)
		if r.Code != code {
			t.Fatalf("cordon %v ended with %d, want %d: %s", args, r.Code, code, r.Err)
		}
		return r
	}
	killed := func(step string, args ...string) *cordontest.Dev {
		t.Helper()
		d := cordontest.StartDev(t, dir, "CORDON_TEST_STOP_AFTER="+step)
		op(1, args...)
		if code := d.Wait(t); code != -1 {
			t.Fatalf("after step %s the process ended with %d, not by a signal", step, code)
		}
		d = cordontest.StartDev(t, dir)
		base := d.Info.URL + "/t/" + n.Slug
		n.P, n.Base, n.TokenURL = d.Platform, base+"/fhir", base+"/oauth/token"
		return d
	}
	directory := func(d *cordontest.Dev) (out string) {
		t.Helper()
		if err := d.SuperuserOn(t, "cordon_control").QueryRow(t.Context(), `SELECT keys_state || ' ' || keys_generation || ' ' || (SELECT string_agg(k->>'kid', ' ' ORDER BY k->>'kid') FROM jsonb_array_elements(jwks->'keys') k)
			FROM tenant WHERE slug = $1`, n.Slug).Scan(&out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	d := killed("keys-begin", "keys", "disable")
	n.Renew(t) // nothing had happened
	op(0, "keys", "disable")
	for i, step := range []string{"keys-broker", "keys-mirror"} {
		d.Stop(t)
		d = killed(step, "keys", "enable") // closed until the directory says otherwise, which it does by itself
		cordontest.Eventually(t, "the tenant is open after "+step, func() bool { return askToken(t, n.Client, n.Secret).Status == http.StatusOK })
		n.Renew(t)
		n.Do(t, http.MethodGet, "/Patient/"+id, nil).Want(t, http.StatusOK)
		d.Stop(t)
		d = killed(step, "keys", "disable")
		if r := askToken(t, n.Client, n.Secret); r.Status != http.StatusLocked {
			t.Errorf("killed after step %s the tenant is open: %d %s", step, r.Status, r.Body)
		}
		want := fmt.Sprintf("disabled %d 1", 4+2*i)
		if i == 0 {
			op(0, "keys", "disable") // at once: whoever comes first, it or the start
		}
		cordontest.Eventually(t, "the directory says so after "+step, func() bool { return directory(d) == want })
	}
	op(0, "keys", "enable")
	for i, step := range []string{"keys-broker", "keys-mirror"} {
		d.Stop(t)
		d = killed(step, "keys", "rotate", "--kind", "sign")
		cordontest.Eventually(t, "the new key signs after "+step, func() bool {
			return strings.Contains(op(0, "keys", "status").Out, fmt.Sprintf(`"kind":"sign","version":%d,"state":"active"`, i+2))
		})
		n.Renew(t)
		n.Do(t, http.MethodGet, "/Patient/"+id, nil).Want(t, http.StatusOK)
	}
}

func TestKeysVerbs(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n := p.Tenant(t)
	status := oneJSON(t, verb(t, p, 0, "keys", "status", "--tenant", n.Slug, "--json").Out)
	if want := []string{"generation", "kek", "mode", "secrets", "state", "tenant"}; !slices.Equal(keys(status), want) || status["state"] != "enabled" || status["mode"] != "shared-root" || status["tenant"] != n.Slug {
		t.Errorf("keys status --json: %v", status)
	}
	for _, s := range status["secrets"].([]any) {
		if got := keys(s.(map[string]any)); !slices.Equal(got, []string{"created", "kind", "state", "version"}) {
			t.Errorf("a secret shows %v", got)
		}
	}
	for _, args := range [][]string{{"disable"}, {"disable"}, {"enable"}, {"enable"}, {"rotate"}, {"rotate", "--kind", "sign"}} { // each may be repeated
		out := oneJSON(t, verb(t, p, 0, append(append([]string{"keys"}, args...), "--tenant", n.Slug, "--json")...).Out)
		if want := map[bool]string{true: "disabled", false: "enabled"}[args[0] == "disable"]; out["state"] != want || out["took_ms"] == nil {
			t.Errorf("keys %v: %v", args, out)
		}
	}
	if out := verb(t, p, 0, "keys", "disable", "--tenant", n.Slug).Out; !strings.Contains(out, "keys disabled") || !strings.Contains(out, " ms") {
		t.Errorf("for people: %s", out)
	}
	verb(t, p, 1, "keys", "rotate", "--tenant", n.Slug)
	verb(t, p, 1, "keys", "disable", "--tenant", "nobody-has-this")
	verb(t, p, 2, "keys", "disable")
	verb(t, p, 2, "keys", "rotate", "--tenant", n.Slug, "--kind", "index")
	if out := verb(t, p, 0, "keys", "identities").Out; !strings.Contains(out, "no service identity") {
		t.Errorf("identities: %s", out)
	}
}
