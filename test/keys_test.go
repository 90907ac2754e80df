package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/cordontest"
	"github.com/cordon-ehr/cordon/internal/dev"
	"github.com/cordon-ehr/cordon/internal/platform"
)

// keyOp runs a key operation and gives its answer.
func keyOp(t *testing.T, p *cordontest.Platform, slug, verb string, in any) cordontest.Response {
	t.Helper()
	method := http.MethodPost
	if verb == "" {
		method = http.MethodGet
	}
	return p.Operator(t, method, "/tenants/"+slug+"/keys"+verb, in)
}

// askToken asks the token endpoint.
func askToken(t *testing.T, c *cordontest.Client, secret string) cordontest.Response {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.ClientID}, "client_secret": {secret}}
	return c.P.Send(t, http.MethodPost, c.TokenURL, []byte(form.Encode()), map[string]string{"Content-Type": "application/x-www-form-urlencoded"})
}

// wantLocked wants the 423 of a tenant whose keys are disabled, with nothing of a chart.
func wantLocked(t *testing.T, what string, r cordontest.Response) {
	t.Helper()
	if r.Status != http.StatusLocked || !strings.Contains(string(r.Body), "keys are disabled") || strings.Contains(string(r.Body), "Lovelace") {
		t.Errorf("%s of a tenant whose keys are disabled: %d %.300s", what, r.Status, r.Body)
	}
}

// TestDisabledKeys closes a tenant with one command: every interaction answers 423, at once when the command has returned. Who is not
// of the tenant learns nothing of it. Enabled, all that was written opens again.
func TestDisabledKeys(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n, other := p.Tenant(t), p.Tenant(t)
	id := n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated).ID(t)
	before := n.Do(t, http.MethodGet, "/Patient/"+id, nil).Want(t, http.StatusOK)
	strangers := func() (out []string) {
		for _, h := range []string{"", "Bearer junk", "Bearer " + other.Token(), "Basic eDp5"} {
			r := n.Do(t, http.MethodGet, "/Patient/"+id, nil, "Authorization", h)
			out = append(out, fmt.Sprint(r.Status, string(r.Body)))
		}
		for _, path := range []string{"/fhir/metadata", "/oauth/jwks.json", "/fhir/.well-known/smart-configuration"} {
			r := p.Send(t, http.MethodGet, p.Info.URL+"/t/"+n.Slug+path, nil, nil)
			out = append(out, fmt.Sprint(r.Status, string(r.Body)))
		}
		r := askToken(t, n.Client, "wrong")
		return append(out, fmt.Sprint(r.Status, string(r.Body)))
	}
	seen := strangers()
	start := time.Now()
	r := keyOp(t, p, n.Slug, "/disable", nil).Want(t, http.StatusOK).JSON(t)
	took := time.Since(start)
	if r["state"] != "disabled" || r["tenant"] != n.Slug || r["took_ms"] == nil || took > 5*time.Second {
		t.Errorf("after %s: %v", took, r)
	}
	for _, i := range oneOfEach(n, id) {
		if i.body == "" {
			wantLocked(t, i.what, n.Do(t, i.method, i.path, nil))
		} else {
			wantLocked(t, i.what, n.Do(t, i.method, i.path, i.body))
		}
	}
	wantLocked(t, "an export", p.Operator(t, http.MethodGet, "/tenants/"+n.Slug+"/audit", nil))
	if r := n.Do(t, http.MethodGet, "/Patient/"+id, nil); r.JSON(t)["resourceType"] != "OperationOutcome" {
		t.Errorf("not an outcome: %s", r.Body)
	}
	token := askToken(t, n.Client, n.Secret)
	if j := token.JSON(t); token.Status != http.StatusLocked || j["error"] != "temporarily_unavailable" || !strings.Contains(fmt.Sprint(j["error_description"]), "keys are disabled") {
		t.Errorf("a token of a tenant whose keys are disabled: %d %s", token.Status, token.Body)
	}
	for i, now := range strangers() {
		if now != seen[i] {
			t.Errorf("a stranger sees that the keys are disabled: %s, was %s", now, seen[i])
		}
	}
	keyOp(t, p, n.Slug, "/disable", nil).Want(t, http.StatusOK) // once more is no difference
	keyOp(t, p, n.Slug, "/rotate", nil).Want(t, http.StatusLocked)
	if got := keyOp(t, p, n.Slug, "", nil).Want(t, http.StatusOK).JSON(t)["state"]; got != "disabled" {
		t.Errorf("status: %v", got)
	}
	keyOp(t, p, n.Slug, "/enable", nil).Want(t, http.StatusOK)
	after := n.Do(t, http.MethodGet, "/Patient/"+id, nil).Want(t, http.StatusOK)
	if string(after.Body) != string(before.Body) {
		t.Errorf("enabled again it reads %s, was %s", after.Body, before.Body)
	}
	for _, i := range oneOfEach(n, id) {
		if i.body == "" {
			n.Do(t, i.method, i.path, nil).Want(t, i.ok)
		} else {
			n.Do(t, i.method, i.path, i.body).Want(t, i.ok)
		}
	}
	n.Renew(t)
	keyEvents(t, n, map[string]int{"control request-disable": 2, "control request-enable": 1, "control request-rotate-data": 1, "keys disable": 1, "keys enable": 1, "keys rotate-data": 0})
}

// keyEvents counts a tenant's events of key operations by role and name, and wants each to say who, under which request, and what was
// before and after.
func keyEvents(t *testing.T, n *cordontest.Tenant, want map[string]int) {
	t.Helper()
	got := map[string]int{}
	for _, e := range n.Events(t) {
		if e["type"] == "key" && e["request_id"] == nil {
			t.Errorf("no request id: %v", e)
		}
		what := fmt.Sprint(e["source"].(map[string]any)["role"], " ", e["subtype"])
		if _, asked := want[what]; e["type"] != "key" || !asked {
			continue
		}
		got[what]++
		if e["request_id"] == nil || e["before"] == nil || e["after"] == nil || e["agent"].(map[string]any)["id"] != "alice" {
			t.Errorf("%s: %v", what, e)
		}
	}
	for what, n := range want {
		if got[what] != n {
			t.Errorf("%d events %s, want %d", got[what], what, n)
		}
	}
}

// TestRotatedKeysUnderLoad rotates the data and the signing key again and again while four workers write and read: no request fails,
// and everything written stays readable, by pages and history that began before.
func TestRotatedKeysUnderLoad(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	n := p.Tenant(t)
	old := n.Token()
	var mu sync.Mutex
	written := map[string]string{}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				name := fmt.Sprintf("w%d-%d", w, i)
				r := n.Do(t, http.MethodPost, "/Patient", `{"resourceType":"Patient","name":[{"family":"`+name+`"}]}`)
				if r.Status != http.StatusCreated {
					t.Errorf("a write during a rotation: %d %.200s", r.Status, r.Body)
					return
				}
				id := r.ID(t)
				mu.Lock()
				written[id] = name
				mu.Unlock()
				if r := n.Do(t, http.MethodPut, "/Patient/"+id, `{"resourceType":"Patient","id":"`+id+`","name":[{"family":"`+name+`"}],"active":true}`); r.Status != http.StatusOK {
					t.Errorf("an update during a rotation: %d %.200s", r.Status, r.Body)
				}
				if r := n.Do(t, http.MethodGet, "/Patient?_count=5&family=w", nil); r.Status != http.StatusOK {
					t.Errorf("a search during a rotation: %d %.200s", r.Status, r.Body)
				}
			}
		})
	}
	cordontest.Eventually(t, "enough is written", func() bool { mu.Lock(); defer mu.Unlock(); return len(written) > 20 })
	page := cursorForm.FindString(string(n.Do(t, http.MethodGet, "/Patient?_count=2", nil).Want(t, http.StatusOK).Body))
	for i := range 3 {
		keyOp(t, p, n.Slug, "/rotate", nil).Want(t, http.StatusOK)
		keyOp(t, p, n.Slug, "/rotate", map[string]string{"kind": "sign"}).Want(t, http.StatusOK)
		n.Renew(t)
		mu.Lock()
		enough := len(written) + 10
		mu.Unlock()
		cordontest.Eventually(t, fmt.Sprint("more is written after rotation ", i), func() bool { mu.Lock(); defer mu.Unlock(); return t.Failed() || len(written) > enough })
	}
	close(stop)
	wg.Wait()
	n.Do(t, http.MethodGet, "/Patient?_count=2&"+page, nil).Want(t, http.StatusOK)
	for id, name := range written {
		for _, path := range []string{"/Patient/" + id, "/Patient/" + id + "/_history/1", "/Patient/" + id + "/_history"} {
			if r := n.Do(t, http.MethodGet, path, nil); r.Status != http.StatusOK || !strings.Contains(string(r.Body), name) {
				t.Fatalf("%s written during rotations: %d %.200s", path, r.Status, r.Body)
			}
		}
	}
	r := n.Do(t, http.MethodGet, "/Patient?_count=1", nil, "Authorization", "Bearer "+old) // signed by the first of four keys
	if r.Status != http.StatusOK {
		t.Errorf("a token of a retired key: %d %s", r.Status, r.Body)
	}
	newWrites(t, n, 4)
	var status struct {
		Mode    string           `json:"mode"`
		KEK     []map[string]any `json:"kek"`
		Secrets []struct {
			Kind, State string
			Version     int
		} `json:"secrets"`
	}
	raw := keyOp(t, p, n.Slug, "", nil).Want(t, http.StatusOK).Body
	if err := json.Unmarshal(raw, &status); err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, s := range status.Secrets {
		got += fmt.Sprintf("%s/%d=%s ", s.Kind, s.Version, s.State)
	}
	if want := "data/1=retired data/2=retired data/3=retired data/4=active index/1=active sign/1=retired sign/2=retired sign/3=retired sign/4=active "; got != want ||
		status.Mode != "shared-root" || len(status.KEK) != 1 {
		t.Errorf("status: %s", raw)
	}
	keyEvents(t, n, map[string]int{"keys rotate-data": 3, "keys rotate-sign": 3, "keys activate-sign": 3})
}

// newWrites wants a write of now, and its event, to be sealed under the given version.
func newWrites(t *testing.T, n *cordontest.Tenant, version int32) {
	t.Helper()
	n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated)
	su := n.P.Superuser(t)
	for what, sql := range map[string]string{"a body": `SELECT keyver FROM version WHERE tenant = $1 ORDER BY xid DESC LIMIT 1`, "an event": `SELECT keyver FROM audit WHERE tenant = $1 ORDER BY id DESC LIMIT 1`} {
		var got int32
		if err := su.QueryRow(t.Context(), sql, number(t, n)).Scan(&got); err != nil || got != version {
			t.Errorf("%s is sealed under version %d, want %d: %v", what, got, version, err)
		}
	}
}

// TestARetiredSigningKeyLeavesTheDirectory waits out the overlap: the key before is published no longer, and its tokens are refused.
func TestARetiredSigningKeyLeavesTheDirectory(t *testing.T) {
	t.Parallel()
	p := cordontest.OwnWith(t, func(o *dev.Options) { o.Keys = func(b *platform.Keys) { b.Overlap = 3 * time.Second } })
	n := p.Tenant(t)
	kids := func() string {
		var out []string
		keys, _ := p.Send(t, http.MethodGet, p.Info.URL+"/t/"+n.Slug+"/oauth/jwks.json", nil, nil).JSON(t)["keys"].([]any) // none when it is asked too often
		for _, k := range keys {
			out = append(out, k.(map[string]any)["kid"].(string))
		}
		return strings.Join(out, " ")
	}
	old := n.Token()
	keyOp(t, p, n.Slug, "/rotate", map[string]string{"kind": "sign"}).Want(t, http.StatusOK)
	if got := kids(); got != "1 2" {
		t.Errorf("published: %s", got)
	}
	n.Do(t, http.MethodGet, "/Patient", nil, "Authorization", "Bearer "+old).Want(t, http.StatusOK)
	cordontest.Eventually(t, "the retired key is gone", func() bool { return kids() == "2" })
	cordontest.Eventually(t, "its tokens are refused", func() bool {
		return n.Do(t, http.MethodGet, "/Patient", nil, "Authorization", "Bearer "+old).Status == http.StatusUnauthorized
	})
	n.Renew(t)
	n.Do(t, http.MethodGet, "/Patient", nil).Want(t, http.StatusOK)
}
