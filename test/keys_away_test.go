package test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/cordontest"
	"github.com/cordon-ehr/cordon/internal/dev"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/keyring"
	broker "github.com/cordon-ehr/cordon/internal/keys"
	"github.com/cordon-ehr/cordon/internal/platform"
	"github.com/cordon-ehr/cordon/internal/seal"
)

// kms is a KMS that a test takes away.
type kms struct {
	keyring.KMS
	mu    sync.Mutex // guards the rest
	away  bool
	asked int
}

func (k *kms) Unwrap(ctx context.Context, key string, wrapped []byte, at seal.Place) (seal.Secret, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked++
	if k.away {
		return seal.Secret{}, fault.New(fault.Unavailable, "the key service does not answer")
	}
	return k.KMS.Unwrap(ctx, key, wrapped, at)
}

func (k *kms) set(away bool) { k.mu.Lock(); defer k.mu.Unlock(); k.away, k.asked = away, 0 }

func (k *kms) count() int { k.mu.Lock(); defer k.mu.Unlock(); return k.asked }

// shortLeases is a platform whose leases live so long, with a KMS that can be away.
func shortLeases(t *testing.T, life time.Duration) (*cordontest.Platform, *kms) {
	t.Helper()
	k := &kms{}
	return cordontest.OwnWith(t, func(o *dev.Options) {
		o.Keys = func(b *platform.Keys) { k.KMS, b.KMS, b.Lease = b.KMS, k, life }
	}), k
}

// untilClosed reads on until the answer is a 503, and wants every answer before to be good; it tells how long that took.
func untilClosed(t *testing.T, n *cordontest.Tenant, path string) time.Duration {
	t.Helper()
	start := time.Now()
	var last cordontest.Response
	cordontest.Eventually(t, "the lease ends", func() bool {
		last = n.Do(t, http.MethodGet, path, nil)
		return last.Status != http.StatusOK
	})
	wantAway(t, last)
	return time.Since(start)
}

// wantAway wants a 503 that says when to come again, with nothing of a chart.
func wantAway(t *testing.T, r cordontest.Response) {
	t.Helper()
	if r.Status != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" || r.JSON(t)["resourceType"] != "OperationOutcome" || strings.Contains(string(r.Body), "Lovelace") {
		t.Errorf("without keys: %d %v %.300s", r.Status, r.Header, r.Body)
	}
}

// TestTheKMSIsAway takes the KMS away: who has a lease works on until it ends, then all get a clear 503, without a storm of calls; when
// it is back, so are they.
func TestTheKMSIsAway(t *testing.T) {
	t.Parallel()
	p, k := shortLeases(t, 4*time.Second)
	held, fresh := p.Tenant(t), p.Tenant(t)
	id := held.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated).ID(t)
	k.set(true)
	wantAway(t, fresh.Do(t, http.MethodGet, "/Patient", nil))
	untilClosed(t, held, "/Patient/"+id)
	k.set(true)
	start := time.Now()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				wantAway(t, held.Do(t, http.MethodGet, "/Patient/"+id, nil))
				wantAway(t, held.Do(t, http.MethodPost, "/Patient", ada))
			}
		})
	}
	wg.Wait()
	if most := 3 + int(time.Since(start)/(250*time.Millisecond)); k.count() > most {
		t.Errorf("400 requests asked the KMS %d times in %s", k.count(), time.Since(start))
	}
	k.set(false)
	for _, n := range []*cordontest.Tenant{held, fresh} {
		cordontest.Eventually(t, "keys come again", func() bool { return n.Do(t, http.MethodGet, "/Patient", nil).Status == http.StatusOK })
	}
	held.Do(t, http.MethodGet, "/Patient/"+id, nil).Want(t, http.StatusOK)
}

// TestTheKeyringDatabaseIsAway takes the broker's database away: the same.
func TestTheKeyringDatabaseIsAway(t *testing.T) {
	t.Parallel()
	p, _ := shortLeases(t, 4*time.Second)
	n := p.Tenant(t)
	id := n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated).ID(t)
	su := p.Superuser(t)
	for _, sql := range []string{`ALTER DATABASE cordon_keyring ALLOW_CONNECTIONS false`, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'cordon_keyring'`} {
		if _, err := su.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	untilClosed(t, n, "/Patient/"+id)
	if r := askToken(t, n.Client, n.Secret); r.Status != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
		t.Errorf("a token: %d %s", r.Status, r.Body)
	}
	for _, verb := range []string{"/disable", "/enable", "/rotate", ""} {
		if r := keyOp(t, p, n.Slug, verb, nil); r.Status != http.StatusServiceUnavailable {
			t.Errorf("keys%s: %d %s", verb, r.Status, r.Body)
		}
	}
	if _, err := su.Exec(t.Context(), `ALTER DATABASE cordon_keyring ALLOW_CONNECTIONS true`); err != nil {
		t.Fatal(err)
	}
	cordontest.Eventually(t, "keys come again", func() bool { return n.Do(t, http.MethodGet, "/Patient/"+id, nil).Status == http.StatusOK })
	keyOp(t, p, n.Slug, "/disable", nil).Want(t, http.StatusOK)
	wantLocked(t, "a read", n.Do(t, http.MethodGet, "/Patient/"+id, nil))
}

// TestNoAuditNoKeyOperation takes one audit table after the other away: the command fails, and the tenant is as it was.
func TestNoAuditNoKeyOperation(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	open, shut := p.Tenant(t), p.Tenant(t)
	id := open.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated).ID(t)
	keyOp(t, p, shut.Slug, "/disable", nil).Want(t, http.StatusOK)
	before := keyOp(t, p, open.Slug, "", nil).Want(t, http.StatusOK)
	for _, database := range []string{"cordon_control", "cordon_keyring"} {
		su := p.SuperuserOn(t, database)
		without(t, p, su, "audit", func() {
			for _, verb := range []string{"/disable", "/rotate"} {
				closed(t, "keys"+verb, keyOp(t, p, open.Slug, verb, nil))
				open.Do(t, http.MethodGet, "/Patient/"+id, nil).Want(t, http.StatusOK)
			}
			closed(t, "keys enable", keyOp(t, p, shut.Slug, "/enable", nil))
			if r := shut.Do(t, http.MethodGet, "/Patient", nil); r.Status == http.StatusOK {
				t.Errorf("enabled without an audit in %s", database)
			}
		})
		if after := keyOp(t, p, open.Slug, "", nil).Want(t, http.StatusOK); string(after.Body) != string(before.Body) {
			t.Errorf("without an audit in %s keys changed: %s, were %s", database, after.Body, before.Body)
		}
	}
	wantLocked(t, "a read", shut.Do(t, http.MethodGet, "/Patient", nil))
	keyOp(t, p, shut.Slug, "/enable", nil).Want(t, http.StatusOK)
	shut.Do(t, http.MethodGet, "/Patient", nil).Want(t, http.StatusOK)
}

// TestAStoppedCellIsResumed stops the one cell of a platform by its own requests, at a low limit, and resumes it by command.
func TestAStoppedCellIsResumed(t *testing.T) {
	t.Parallel()
	p := cordontest.OwnWith(t, func(o *dev.Options) { o.Keys = func(b *platform.Keys) { b.Limits = broker.Limits{Granted: 2} } })
	var last *cordontest.Tenant
	for i := range 3 {
		last = p.Tenant(t)
		r := last.Do(t, http.MethodGet, "/Patient", nil)
		if i < 2 {
			r.Want(t, http.StatusOK)
		} else {
			wantAway(t, r)
		}
	}
	metrics := p.Send(t, http.MethodGet, p.Info.Management+"/metrics", nil, nil)
	for _, line := range []string{"cordon_identities_stopped_total 1", `cordon_leases_total{outcome="granted"} 2`} {
		if !strings.Contains(string(metrics.Body), line) {
			t.Errorf("no metric %s", line)
		}
	}
	if !strings.Contains(p.Logs.String(), `"identity":"cell/cell1"`) {
		t.Error("no log line names the identity")
	}
	if r := cordontest.Cordon(t, nil, "keys", "identities", "--dir", p.Dir, "--json"); r.Code != 0 || !strings.Contains(r.Out, `"identity":"cell/cell1"`) {
		t.Errorf("identities: %d %s %s", r.Code, r.Out, r.Err)
	}
	if r := cordontest.Cordon(t, nil, "keys", "resume-identity", "cell/nobody", "--dir", p.Dir); r.Code != 1 || r.Err == "" {
		t.Errorf("resume of one that is not stopped: %d %s %s", r.Code, r.Out, r.Err)
	}
	if r := cordontest.Cordon(t, nil, "keys", "resume-identity", "cell/cell1", "--dir", p.Dir); r.Code != 0 {
		t.Errorf("resume: %d %s %s", r.Code, r.Out, r.Err)
	}
	cordontest.Eventually(t, "the cell has leases again", func() bool { return last.Do(t, http.MethodGet, "/Patient", nil).Status == http.StatusOK })
}
