package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/cordontest"
	"github.com/cordon-ehr/cordon/internal/synth"
)

// load is a few clients that write to one tenant until they are cut off, and what each of them may rely on afterwards.
type load struct {
	n       *cordontest.Tenant
	next    atomic.Int64 // index of the next synthetic patient
	acked   atomic.Int64 // writes acknowledged in this round
	mu      sync.Mutex   // guards the rest
	bundles []*sentBundle
	singles []*single
}

// sentBundle is a patient's Bundle that was sent; refs are Type/id/_history/version of the answer, nil when none came.
type sentBundle struct {
	request string
	mrn     string
	entries map[string]int // resources by type
	refs    []string
	round   int
}

// single is one Patient that one worker creates and updates. Its family name says which of its versions it is.
type single struct {
	base    string // the family name without the version
	id      string // "" while the create is not acknowledged
	round   int
	version int      // acknowledged
	flying  bool     // a write was sent that nobody answered
	request []string // of each acknowledged version
	lost    string   // request of the write in flight
	body    []byte   // the acknowledged version as answered
}

func (s *single) family(version int) string { return fmt.Sprintf("%s%04dz", s.base, version) }

// send makes one request and reads the whole answer; a connection that broke is status 0.
func (l *load) send(method, path, request string, body []byte) (int, http.Header, []byte) {
	r, err := http.NewRequest(method, l.n.Base+path, bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Authorization", "Bearer "+l.n.Token())
	r.Header.Set("Content-Type", "application/fhir+json")
	r.Header.Set("X-Request-Id", request)
	resp, err := l.n.P.HTTP.Do(r)
	if err != nil {
		return 0, nil, nil
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil, nil // the answer did not come whole: not acknowledged
	}
	return resp.StatusCode, resp.Header, b
}

// run loads until cut says so, or until nothing can be reached any more.
func (l *load) run(t *testing.T, round int, cut <-chan struct{}) {
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for more(cut) && l.sendBundle(t, round) {
			}
		})
	}
	for w := range 3 {
		workers.Go(func() {
			for i := 0; more(cut) && l.sendSingle(t, round, w, i); i++ {
			}
		})
	}
	workers.Wait()
}

func more(cut <-chan struct{}) bool {
	select {
	case <-cut:
		return false
	default:
		return true
	}
}

func (l *load) sendBundle(t *testing.T, round int) bool {
	b := &sentBundle{request: uuid.NewString(), round: round}
	var body []byte
	for p := range synth.Patients(synth.Options{Seed: 7, Start: int(l.next.Add(1)), Count: 1}) {
		body = p.Bundle
	}
	b.mrn, b.entries = describe(t, body)
	l.mu.Lock()
	l.bundles = append(l.bundles, b)
	l.mu.Unlock()
	status, _, answer := l.send(http.MethodPost, "", b.request, body)
	if status != http.StatusOK {
		return notRefused(t, status, answer)
	}
	var out struct {
		Entry []struct {
			Response struct{ Location, Status string }
		}
	}
	if err := json.Unmarshal(answer, &out); err != nil {
		t.Errorf("an answer to a Bundle is not JSON: %v", err)
		return false
	}
	refs := make([]string, 0, len(out.Entry))
	for _, e := range out.Entry {
		refs = append(refs, strings.TrimPrefix(e.Response.Location, l.n.Base+"/"))
	}
	l.mu.Lock()
	b.refs = refs
	l.mu.Unlock()
	l.acked.Add(1)
	return true
}

// notRefused goes on after an answer that the database was away, and stops when no answer came: the process is gone.
func notRefused(t *testing.T, status int, answer []byte) bool {
	if status != 0 && status != http.StatusServiceUnavailable {
		t.Errorf("a write under load was refused: %d %.300s", status, answer)
	}
	return status == http.StatusServiceUnavailable
}

// describe reads a Bundle's medical record number, and counts its resources by type.
func describe(t *testing.T, body []byte) (mrn string, types map[string]int) {
	var b struct {
		Entry []struct {
			Resource struct {
				ResourceType string
				Identifier   json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(body, &b); err != nil {
		t.Fatal(err)
	}
	types = map[string]int{}
	for _, e := range b.Entry {
		types[e.Resource.ResourceType]++
		if e.Resource.ResourceType == "Patient" {
			var ids []struct{ System, Value string }
			if err := json.Unmarshal(e.Resource.Identifier, &ids); err != nil {
				t.Fatal(err)
			}
			mrn = ids[0].System + "|" + ids[0].Value
		}
	}
	return mrn, types
}

// sendSingle creates a Patient, or updates the one that this worker created last: seven versions each.
func (l *load) sendSingle(t *testing.T, round, worker, i int) bool {
	const versions = 7
	l.mu.Lock()
	if i%versions == 0 {
		l.singles = append(l.singles, &single{base: fmt.Sprintf("Zq%c%02dx%04d", 'a'+worker, round, i), round: round})
	}
	var s *single
	for _, each := range l.singles {
		if each.round == round && each.base[2] == byte('a'+worker) {
			s = each
		}
	}
	s.flying, s.lost = true, uuid.NewString()
	method, path, id := http.MethodPost, "/Patient", ""
	if s.id != "" {
		method, path, id = http.MethodPut, "/Patient/"+s.id, `"id":"`+s.id+`",`
	}
	version := s.version + 1
	l.mu.Unlock()
	body := fmt.Sprintf(`{"resourceType":"Patient",%s"name":[{"family":%q}],"birthDate":"1970-01-%02d"}`, id, s.family(version), version)
	status, h, answer := l.send(method, path, s.lost, []byte(body))
	if status == http.StatusServiceUnavailable {
		// Whether it was stored is not known, so nothing more may be built on this Patient: the next round makes another.
		return false
	}
	if status != http.StatusOK && status != http.StatusCreated {
		return notRefused(t, status, answer)
	}
	if want := fmt.Sprintf(`W/"%d"`, version); h.Get("ETag") != want {
		t.Errorf("acknowledged with %s, want %s", h.Get("ETag"), want)
	}
	var res struct{ ID string }
	if err := json.Unmarshal(answer, &res); err != nil || res.ID == "" {
		t.Errorf("an answer to a write is no resource: %.200s", answer)
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.id, s.version, s.body, s.flying = res.ID, version, answer, false
	s.request = append(s.request, s.lost)
	l.acked.Add(1)
	return true
}
