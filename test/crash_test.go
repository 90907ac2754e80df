package test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/cordontest"
	"github.com/cordon-ehr/cordon/internal/synth"
)

// TestKilledUnderLoad kills Cordon, its Postgres, or one process of its Postgres while clients write. What was acknowledged is
// there afterwards with its version and its event; what was not is there whole, with its event, or not at all.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	dir := cordontest.DevDir(t)
	d := cordontest.StartDev(t, dir)
	l := &load{n: d.Tenant(t)}
	l.n.Do(t, http.MethodPost, "", synth.Directory(7)).Want(t, http.StatusOK)
	for round, victim := range []string{"cordon", "postgres", "backend", "cordon", "postgres"} {
		after := int64(25 + 17*round)
		d = l.crash(t, d, dir, round, victim, after)
		for _, b := range l.bundles {
			if b.round == round {
				l.checkBundle(t, b)
			}
		}
		for _, s := range l.singles {
			if s.round == round {
				l.checkSingle(t, s)
			}
		}
		if t.Failed() {
			t.Fatalf("in round %d, killing %s", round, victim)
		}
	}
	l.n.Move(t, d.Platform)
	// What earlier rounds stored has not changed by later crashes.
	for _, b := range l.bundles {
		l.checkBundle(t, b)
	}
	l.checkEvents(t)
	checkRows(t, d.Platform)
	acked := 0
	for _, b := range l.bundles {
		if b.refs != nil {
			acked++
		}
	}
	t.Logf("%d Bundles (%d acknowledged), %d single Patients", len(l.bundles), acked, len(l.singles))
	if acked == 0 || len(l.singles) == 0 {
		t.Error("nothing was loaded")
	}
}

// crash loads, kills the victim once so many writes were acknowledged, and brings the platform up again.
func (l *load) crash(t *testing.T, d *cordontest.Dev, dir string, round int, victim string, after int64) *cordontest.Dev {
	t.Helper()
	cut, done := make(chan struct{}), make(chan struct{})
	l.acked.Store(0)
	go func() { defer close(done); l.run(t, round, cut) }()
	cordontest.Eventually(t, "writes are acknowledged", func() bool { return l.acked.Load() >= after })
	began := time.Now()
	switch victim {
	case "cordon":
		d.Kill()
	case "postgres", "backend":
		// Postgres drops all sessions and replays its log, started again by itself or by Cordon, which lives through it. From the
		// first answer on, each is one.
		su := d.Superuser(t)
		pid := cordontest.Postmaster(t, dir)
		if victim == "backend" {
			if err := su.QueryRow(t.Context(), `SELECT pid FROM pg_stat_activity WHERE usename = 'cordon_cell' LIMIT 1`).Scan(&pid); err != nil {
				t.Fatal(err)
			}
		}
		kill(t, pid)
		cordontest.Eventually(t, "all sessions are dropped", func() bool { return su.Ping(t.Context()) != nil })
		read := func() bool {
			status, _, _ := l.send(http.MethodGet, "/Patient?_count=1", "", nil)
			return status == http.StatusOK
		}
		cordontest.Eventually(t, "an answer comes again", read)
		for range 30 {
			if !read() {
				t.Error("after the first answer came another refusal")
			}
		}
		close(cut)
	}
	<-done
	t.Logf("round %d: %d writes acknowledged; %s killed, gone after %v", round, l.acked.Load(), victim, time.Since(began).Round(time.Millisecond))
	if victim != "cordon" {
		return d
	}
	began = time.Now()
	d = cordontest.StartDev(t, dir)
	t.Logf("serves again after %v", time.Since(began).Round(time.Millisecond))
	l.n.Move(t, d.Platform)
	return d
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// follows are what $everything gives besides the patient's own resources.
var follows = map[string]bool{"Organization": true, "Practitioner": true, "PractitionerRole": true, "Location": true, "Medication": true}

// checkBundle wants all of a Bundle, or nothing of it if it was not acknowledged.
func (l *load) checkBundle(t *testing.T, b *sentBundle) {
	t.Helper()
	found := l.n.Do(t, http.MethodGet, "/Patient?identifier="+b.mrn, nil).Want(t, http.StatusOK).Matches(t)
	if len(found) == 0 && b.refs == nil {
		return
	}
	if len(found) != 1 {
		t.Errorf("the patient of a Bundle (acknowledged: %v) is found as %v", b.refs != nil, found)
		return
	}
	got, types := map[string]bool{}, map[string]int{}
	for _, e := range l.n.Do(t, http.MethodGet, "/"+found[0]+"/$everything", nil).Want(t, http.StatusOK).JSON(t)["entry"].([]any) {
		r := e.(map[string]any)["resource"].(map[string]any)
		types[r["resourceType"].(string)]++
		got[fmt.Sprintf("%s/%s/_history/%s", r["resourceType"], r["id"], r["meta"].(map[string]any)["versionId"])] = true
	}
	want := maps.Clone(b.entries)
	maps.DeleteFunc(types, func(k string, _ int) bool { return follows[k] })
	maps.DeleteFunc(want, func(k string, _ int) bool { return follows[k] })
	if !maps.Equal(types, want) {
		t.Errorf("a Bundle (acknowledged: %v) is there in part: %v of %v", b.refs != nil, types, want)
	}
	for _, ref := range b.refs {
		if typ, _, _ := strings.Cut(ref, "/"); !follows[typ] && !got[ref] {
			t.Errorf("acknowledged, but not there: %s", ref)
		}
	}
}

// checkSingle wants the acknowledged version, and the current one to be that or the one in flight; and the search to agree.
func (l *load) checkSingle(t *testing.T, s *single) {
	t.Helper()
	if s.id == "" {
		found := l.n.Do(t, http.MethodGet, "/Patient?family="+s.family(1), nil).Want(t, http.StatusOK).Matches(t)
		if len(found) > 1 {
			t.Errorf("a create in flight made %v", found)
		}
		return
	}
	now := l.n.Do(t, http.MethodGet, "/Patient/"+s.id, nil).Want(t, http.StatusOK)
	version := s.version
	if s.flying && strings.Contains(string(now.Body), s.family(s.version+1)) {
		version++
	}
	if !strings.Contains(string(now.Body), s.family(version)) || now.Header.Get("ETag") != fmt.Sprintf(`W/"%d"`, version) {
		t.Errorf("acknowledged version %d (in flight: %v), current is %s: %s", s.version, s.flying, now.Header.Get("ETag"), now.Body)
	}
	kept := l.n.Do(t, http.MethodGet, fmt.Sprintf("/Patient/%s/_history/%d", s.id, s.version), nil).Want(t, http.StatusOK)
	if string(kept.Body) != string(s.body) {
		t.Errorf("acknowledged %s, kept %s", s.body, kept.Body)
	}
	if n := len(l.n.Do(t, http.MethodGet, "/Patient/"+s.id+"/_history", nil).Want(t, http.StatusOK).JSON(t)["entry"].([]any)); n != version {
		t.Errorf("%d versions in the history of version %d", n, version)
	}
	for v := 1; v <= s.version+1; v++ {
		found := l.n.Do(t, http.MethodGet, "/Patient?family="+s.family(v), nil).Want(t, http.StatusOK).Matches(t)
		if is := len(found) == 1 && found[0] == "Patient/"+s.id; is != (v == version) || len(found) > 1 {
			t.Errorf("current is version %d, but a search by the name of version %d finds %v", version, v, found)
		}
	}
}

// checkEvents wants an event for each acknowledged write, under its request and with its version.
func (l *load) checkEvents(t *testing.T) {
	t.Helper()
	events := map[string][]map[string]any{}
	for _, e := range l.n.Events(t) {
		if r, _ := e["request_id"].(string); e["outcome"] == "0" && e["type"] == "rest" {
			events[r] = append(events[r], e)
		}
	}
	for _, b := range l.bundles {
		told := map[string]bool{}
		for _, e := range events[b.request] {
			refs, _ := e["resources"].([]any)
			for _, r := range refs {
				told[r.(string)] = true
			}
		}
		for _, ref := range b.refs {
			if !told[ref] {
				t.Errorf("stored by a Bundle without an event: %s", ref)
			}
		}
		stored := len(l.n.Do(t, http.MethodGet, "/Patient?identifier="+b.mrn, nil).Matches(t)) == 1
		if stored != (len(events[b.request]) > 0) {
			t.Errorf("a Bundle is stored: %v, its events: %d", stored, len(events[b.request]))
		}
	}
	for _, s := range l.singles {
		for i, request := range s.request {
			ok := false
			for _, e := range events[request] {
				entity := e["entity"].(map[string]any)
				ok = ok || entity["reference"] == "Patient/"+s.id && entity["version"] == float64(i+1)
			}
			if !ok {
				t.Errorf("acknowledged without an event: Patient/%s version %d", s.id, i+1)
			}
		}
	}
}

// checkRows looks at the tables themselves: no head without its newest version, no version missing, no posting of nothing.
func checkRows(t *testing.T, p *cordontest.Platform) {
	t.Helper()
	c := p.Superuser(t)
	for what, sql := range map[string]string{
		"heads that are not at the newest version": `SELECT count(*) FROM head h FULL JOIN
			(SELECT DISTINCT ON (tenant, rid) tenant, rid, ver, op FROM version ORDER BY tenant, rid, ver DESC) v USING (tenant, rid)
			WHERE h.ver IS DISTINCT FROM v.ver OR h.live IS DISTINCT FROM (v.op <> 3)`,
		"histories with a gap":    `SELECT count(*) FROM (SELECT 1 FROM version GROUP BY tenant, rid HAVING count(*) <> max(ver) OR min(ver) <> 1) x`,
		"postings of nothing":     `SELECT count(*) FROM idx i WHERE NOT EXISTS (SELECT 1 FROM head h WHERE h.tenant = i.tenant AND h.rid = i.rid AND h.live)`,
		"references of nothing":   `SELECT count(*) FROM ref i WHERE NOT EXISTS (SELECT 1 FROM head h WHERE h.tenant = i.tenant AND h.rid = i.rid AND h.live)`,
		"ranges of nothing":       `SELECT count(*) FROM range i WHERE NOT EXISTS (SELECT 1 FROM head h WHERE h.tenant = i.tenant AND h.rid = i.rid AND h.live)`,
		"postings that are twice": `SELECT count(*) FROM (SELECT 1 FROM idx GROUP BY tenant, token, sort, rid HAVING count(*) > 1) x`,
	} {
		var n int
		if err := c.QueryRow(context.Background(), sql).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n != 0 {
			t.Errorf("%s: %d", what, n)
		}
	}
}

// TestSessionsDropped ends every session of the platform's roles, as a restart of a database or a failover does. Reads do not
// notice; of writes, about which nothing is known then, at most one is refused.
func TestSessionsDropped(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	n := p.Tenant(t)
	id := n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated).ID(t)
	su := p.Superuser(t)
	drop := func() {
		t.Helper()
		var crowd sync.WaitGroup // so that there are many sessions to lose
		for range 12 {
			crowd.Go(func() { n.Do(t, http.MethodGet, "/Patient/"+id, nil) })
		}
		crowd.Wait()
		var dropped int
		if err := su.QueryRow(t.Context(), `SELECT count(*) FROM (SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename LIKE 'cordon\_c%') x`).Scan(&dropped); err != nil || dropped < 2 {
			t.Fatalf("%d sessions dropped: %v", dropped, err)
		}
	}
	drop()
	for range 10 {
		n.Do(t, http.MethodGet, "/Patient/"+id, nil).Want(t, http.StatusOK)
	}
	drop()
	refused := 0
	for range 10 {
		if r := n.Do(t, http.MethodPost, "/Patient", ada); r.Status == http.StatusServiceUnavailable {
			refused++
		} else {
			r.Want(t, http.StatusCreated)
		}
	}
	if refused > 1 {
		t.Errorf("%d writes were refused", refused)
	}
}
