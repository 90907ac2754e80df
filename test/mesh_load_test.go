package test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// traffic is a few clients that create patients and read them again without pause.
type traffic struct {
	n     *cordontest.Tenant
	stop  chan struct{}
	all   sync.WaitGroup
	mu    sync.Mutex // guards the rest
	acked []string
	codes map[int]int
	texts map[int]string
}

func newTraffic(n *cordontest.Tenant, workers int) *traffic {
	l := &traffic{n: n, stop: make(chan struct{}), codes: map[int]int{}, texts: map[int]string{}}
	for range workers {
		l.all.Go(func() {
			for last := ""; ; {
				select {
				case <-l.stop:
					return
				default:
				}
				if id := l.send(http.MethodPost, "/Patient", ada); id != "" {
					last = id
				}
				if last != "" {
					l.send(http.MethodGet, "/Patient/"+last, "")
				}
			}
		})
	}
	return l
}

// send counts the answer, 0 for a connection that broke, and gives the id of what was created.
func (l *traffic) send(method, path, body string) string {
	r, err := http.NewRequest(method, l.n.Base+path, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Authorization", "Bearer "+l.n.Token())
	r.Header.Set("Content-Type", "application/fhir+json")
	status, id, text := 0, "", []byte{}
	if resp, err := l.n.P.HTTP.Do(r); err == nil {
		text, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		if err == nil {
			status = resp.StatusCode
			_, rest, _ := strings.Cut(resp.Header.Get("Location"), "/Patient/")
			id, _, _ = strings.Cut(rest, "/")
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.codes[status]++
	l.texts[status] = string(text)
	if status == http.StatusCreated {
		l.acked = append(l.acked, id)
		return id
	}
	return ""
}

func (l *traffic) count() (good, bad int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s, n := range l.codes {
		if s/100 == 2 {
			good += n
		} else {
			bad += n
		}
	}
	return good, bad
}

func (l *traffic) end() { close(l.stop); l.all.Wait() }

// TestCertificatesRotateUnderLoad gives the processes certificates of three seconds and writes and reads all the while: nothing is
// refused, nothing is lost.
func TestCertificatesRotateUnderLoad(t *testing.T) {
	t.Parallel()
	p := cordontest.OwnApart(t, "--cert-life", "3s")
	n := p.Tenant(t)
	first := stolen(t, p, "cell").Certificates[0].Certificate[0]
	l := newTraffic(n, 4)
	<-time.After(8 * time.Second) // not to wait for something: the time that is tested
	l.end()
	good, bad := l.count()
	if bad > 0 || good < 100 {
		t.Errorf("%d requests, %d failed: %v %v", good, bad, l.codes, l.texts)
	}
	if now := stolen(t, p, "cell").Certificates[0].Certificate[0]; bytes.Equal(first, now) {
		t.Error("the test rotates nothing")
	}
	for role, database := range map[string]string{"keys": "cordon_keyring", "control": "cordon_control", "cell": "cordon_control"} {
		db := p.SuperuserOn(t, database)
		if n := meshEvents(t, db, role, "refused", "", "") + meshEvents(t, db, role, "denied", "", ""); n != 0 {
			t.Errorf("%s refused %d connections or calls", role, n)
		}
	}
	t.Logf("%d requests", good)
}

// TestRolesKilled kills each role's process under load. Meanwhile errors are 5xx, or connections that broke; the platform comes back by
// itself, and what was acknowledged is there. At last the parent is killed: its children go with it.
func TestRolesKilled(t *testing.T) {
	t.Parallel()
	p := cordontest.OwnApart(t)
	n := p.Tenant(t)
	l := newTraffic(n, 4)
	for _, role := range []string{"keys", "control", "cell", "edge", "cell"} {
		before, _ := l.count()
		cordontest.Eventually(t, "traffic", func() bool { now, _ := l.count(); return now > before+20 })
		old, _ := p.Process(t, role)
		if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		cordontest.Eventually(t, role+" is there again", func() bool {
			pid, _ := p.Process(t, role)
			return pid != old
		})
		cordontest.Eventually(t, "all are ready", func() bool {
			resp, err := http.Get(p.Info.Management + "/readyz")
			if err != nil {
				return false
			}
			resp.Body.Close()
			return resp.StatusCode == http.StatusOK
		})
		before, _ = l.count()
		cordontest.Eventually(t, "traffic after "+role+" was killed", func() bool { now, _ := l.count(); return now > before+20 })
		p.Tenant(t) // control, keys and cell work together again
	}
	l.end()
	for status, n := range l.codes {
		if status != 0 && status/100 != 2 && status/100 != 5 {
			t.Errorf("%d answers were %d: %s", n, status, l.texts[status])
		}
		if status/100 == 5 && !strings.Contains(l.texts[status], "OperationOutcome") {
			t.Errorf("an error without an outcome: %d %s", status, l.texts[status])
		}
	}
	for _, id := range l.acked {
		n.Do(t, http.MethodGet, "/Patient/"+id, nil).Want(t, http.StatusOK)
	}
	t.Logf("answers %v, %d patients acknowledged", l.codes, len(l.acked))
	pids := []int{}
	for _, role := range []string{"edge", "cell", "control", "keys"} {
		pid, _ := p.Process(t, role)
		pids = append(pids, pid)
	}
	if err := syscall.Kill(p.Info.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	cordontest.Eventually(t, "the children go with their parent", func() bool {
		for _, pid := range pids {
			if syscall.Kill(pid, 0) == nil && !zombie(pid) {
				return false
			}
		}
		return true
	})
}

// zombie reports whether a process has ended, and only its parent does not know yet.
func zombie(pid int) bool { return strings.Contains(procState(pid), ") Z ") }

func procState(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ") Z "
	}
	return string(b)
}

// TestDecisionsAreCalls reads, and then counts the decisions that the cell and the broker recorded: as many as calls.
func TestDecisionsAreCalls(t *testing.T) {
	t.Parallel()
	p := cordontest.OwnApart(t)
	n := p.Tenant(t)
	id := n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated).ID(t)
	const reads = 57
	for range reads {
		n.Do(t, http.MethodGet, "/Patient/"+id, nil).Want(t, http.StatusOK)
	}
	p.Operator(t, http.MethodGet, "/tenants/"+n.Slug+"/audit", nil).Want(t, http.StatusOK)
	old := map[string]int{}
	for _, role := range []string{"cell", "keys", "control"} { // each records when it is asked to end, and is started again
		old[role], _ = p.Process(t, role)
		if err := syscall.Kill(old[role], syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		cordontest.Eventually(t, role+" is there again", func() bool { pid, _ := p.Process(t, role); return pid != old[role] })
	}
	for _, x := range []struct {
		database, role, method string
		want                   int
	}{
		{"cordon_control", "cell", "cell.Forward", reads + 1},
		{"cordon_control", "cell", "cell.Prepare", 1},
		{"cordon_control", "cell", "cell.Probe", 1},
		{"cordon_control", "cell", "cell.Events", 1},
		{"cordon_control", "control", "control.Operator", 3}, // tenant, client, export
		{"cordon_control", "control", "control.Tenant", 1},   // token
		{"cordon_keyring", "keys", "keys.Mint", 1},
		{"cordon_keyring", "keys", "keys.Sign", 1},
		{"cordon_keyring", "keys", "keys.Lease", 2}, // one of charts, one for the export
		{"cordon_keyring", "keys", "keys.Events", 1},
	} {
		if got := meshEvents(t, p.SuperuserOn(t, x.database), x.role, "allowed", x.method, ""); got != x.want {
			t.Errorf("%s: %d decisions on record, want %d", x.method, got, x.want)
		}
	}
}
