package test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/cordontest"
	"github.com/cordon-ehr/cordon/internal/pgserver"
)

// known is what the loaded chart holds and nothing at rest may show. None of it can be found by chance.
var known = []string{
	"Quillfeather-Östberg", "Wilhelmina", "Quillfeather-Nieuwenhuizen", // names, old and new
	"MRN-7Q4X9Z2K81", "900-41-7733", "900417733", // record number, SSN
	"17 Marzipan Crescent", "Lower Thistleford", // address
	"wilhelmina.q@thistleford.example", "+1-555-0142-887", // telecom
	"reports hearing sea shanties at night", "allergic to quinoline yellow", // note, allergy
	"intraduodenal", "1931-02-27T04:05:06", // a word of a deleted observation, a time
}

// TestNothingReadableAtRest loads a chart, uses it in all ways, and then looks for its contents in a dump of every database, in the
// raw bytes of the whole folder (tables, indexes, the write-ahead log, settings, logs), in what the process logged and in its
// metrics. A canary that the superuser stores in clear is found by the same search.
func TestNothingReadableAtRest(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	ids := useChart(t, p.Tenant(t))
	needles := forms(known...)
	for _, id := range ids {
		u := uuid.MustParse(id)
		needles["id "+id] = []byte(id)
		needles["bytes of id "+id] = u[:]
	}
	if found := search(needles, []byte(p.Logs.String())); len(found) > 0 {
		t.Errorf("the process logged %v", found)
	}
	if r := p.Send(t, http.MethodGet, p.Info.Management+"/metrics", nil, nil); len(search(needles, r.Body)) > 0 || r.Status != http.StatusOK {
		t.Errorf("the metrics (%d) show %v", r.Status, search(needles, r.Body))
	}
	su := p.Superuser(t)
	if _, err := su.Exec(t.Context(), "CHECKPOINT"); err != nil {
		t.Fatal(err)
	}
	for place, found := range atRest(t, p, needles) {
		t.Errorf("%s shows %v", place, found)
	}
	if _, err := su.Exec(t.Context(), "CREATE TABLE canary (t text, b bytea, u bytea)"); err != nil {
		t.Fatal(err)
	}
	canary := forms("Canary-Kåre-in-the-coal-mine")
	if _, err := su.Exec(t.Context(), "INSERT INTO canary VALUES ($1, $2, $3)", "the Canary-Kåre-in-the-coal-mine sings", []byte("..Canary-Kåre-in-the-coal-mine"),
		wide("Canary-Kåre-in-the-coal-mine")); err != nil {
		t.Fatal(err)
	}
	if _, err := su.Exec(t.Context(), "CHECKPOINT"); err != nil {
		t.Fatal(err)
	}
	where := atRest(t, p, canary)
	for _, place := range []string{"dump of cordon_cell1", "pg_wal", "base"} {
		seen := false
		for at := range where {
			seen = seen || strings.Contains(at, place)
		}
		if !seen {
			t.Errorf("the search is blind: the canary is not found in %s, only in %v", place, where)
		}
	}
	if got := len(where["dump of cordon_cell1"]); got != 3 {
		t.Errorf("the dump shows the canary in %d of 3 forms: %v", got, where["dump of cordon_cell1"])
	}
}

// useChart stores, changes, searches and mistreats a chart of known contents, and gives the ids that were made.
func useChart(t *testing.T, n *cordontest.Tenant) (ids []string) {
	t.Helper()
	made := n.Do(t, http.MethodPost, "/Patient", fmt.Sprintf(`{"resourceType":"Patient","identifier":[{"system":"urn:mrn","value":%q},
		{"system":"http://hl7.org/fhir/sid/us-ssn","value":%q},{"system":"urn:bare-ssn","value":%q}],"name":[{"family":%q,"given":[%q]}],
		"address":[{"line":[%q],"city":%q}],"telecom":[{"system":"email","value":%q},{"system":"phone","value":%q}],"birthDate":"1931-02-27"}`,
		known[3], known[4], known[5], known[0], known[1], known[6], known[7], known[8], known[9])).Want(t, http.StatusCreated)
	id := made.ID(t)
	bundle := fmt.Sprintf(`{"resourceType":"Bundle","type":"transaction","entry":[
		{"fullUrl":"urn:uuid:1d1f1f5e-0b1c-4c1d-8a49-0d6e0b6f1c11","request":{"method":"POST","url":"DocumentReference"},"resource":{"resourceType":"DocumentReference","status":"current",
		 "subject":{"reference":"Patient/%[1]s"},"description":%[2]q,"content":[{"attachment":{"contentType":"text/plain","data":%[3]q}}]}},
		{"request":{"method":"POST","url":"AllergyIntolerance"},"resource":{"resourceType":"AllergyIntolerance","patient":{"reference":"Patient/%[1]s"},"code":{"text":%[4]q},
		 "note":[{"text":%[2]q}]}}]}`, id, known[10], base64.StdEncoding.EncodeToString([]byte(known[10])), known[11])
	n.Do(t, http.MethodPost, "", bundle).Want(t, http.StatusOK)
	gone := n.Do(t, http.MethodPost, "/Observation", fmt.Sprintf(`{"resourceType":"Observation","status":"final","subject":{"reference":"Patient/%s"},
		"code":{"text":%q,"coding":[{"system":"urn:c","code":%q}]},"effectiveDateTime":"%sZ"}`, id, known[12], known[12], known[13])).Want(t, http.StatusCreated).ID(t)
	n.Do(t, http.MethodDelete, "/Observation/"+gone, nil).Want(t, http.StatusNoContent)
	n.Do(t, http.MethodPut, "/Patient/"+id, strings.Replace(string(made.Body), known[0], known[2], 1)).Want(t, http.StatusOK)
	q := url.QueryEscape
	for _, path := range []string{"/Patient?family=" + q(known[2]), "/Patient?identifier=urn:mrn|" + known[3], "/Patient?address=" + q(known[6]), "/Patient/" + id,
		"/Observation?code:text=" + known[12] + "&date=" + known[13] + "Z&patient=" + id, "/Patient/" + id + "/$everything", "/Patient/" + id + "/_history", "/Patient/" + id + "/_history/1"} {
		if r := n.Do(t, http.MethodGet, path, nil); r.Status >= http.StatusInternalServerError {
			t.Errorf("%s: %d", path, r.Status)
		}
	}
	// Refusals, whose texts and log lines tempt to quote.
	n.Do(t, http.MethodGet, "/Patient?"+known[1]+"="+q(known[0]), nil).Want(t, http.StatusBadRequest)
	n.Do(t, http.MethodGet, "/Patient/"+known[3], nil).Want(t, http.StatusNotFound)
	n.Do(t, http.MethodGet, "/"+known[1]+"/"+known[3], nil)
	n.Do(t, http.MethodPost, "/Patient", `{"resourceType":"Patient","birthDate":"`+known[13]+`","`+known[1]+`":"`+known[0]+`"}`).Want(t, http.StatusBadRequest)
	n.Do(t, http.MethodPost, "/Patient", `{"resourceType":"Patient","name":"`+known[0]).Want(t, http.StatusBadRequest)
	n.Do(t, http.MethodGet, "/Patient?name="+q(known[0]), nil, "Authorization", "Bearer "+known[3]).Want(t, http.StatusUnauthorized)
	n.Do(t, http.MethodGet, "/Patient/"+id+"/$"+known[1], nil, "X-Request-Id", known[1], "User-Agent", known[0])
	if len(n.Events(t)) < 20 {
		t.Error("too few events for what was done")
	}
	return []string{id, gone}
}

// forms are the ways in which a text may lie somewhere: as it is, JSON-escaped, URL-encoded, base64 at each offset, UTF-16, and as hex
// digits.
func forms(texts ...string) map[string][]byte {
	out := map[string][]byte{}
	for _, s := range texts {
		out["plain "+s] = []byte(s)
		out["hex "+s] = []byte(hex.EncodeToString([]byte(s)))
		out["UTF-16 LE "+s] = wide(s)
		out["hex of UTF-16 LE "+s] = []byte(hex.EncodeToString(wide(s)))
		be := wide(s)
		for i := 0; i+1 < len(be); i += 2 {
			be[i], be[i+1] = be[i+1], be[i]
		}
		out["UTF-16 BE "+s] = be
		if escaped := fmt.Sprintf("%+q", s); escaped[1:len(escaped)-1] != s {
			out["escaped "+s] = []byte(escaped[1 : len(escaped)-1])
		}
		for name, encoded := range map[string]string{"query ": url.QueryEscape(s), "path ": url.PathEscape(s)} {
			if encoded != s {
				out[name+s] = []byte(encoded)
			}
		}
		for shift := range 3 {
			b := base64.StdEncoding.EncodeToString(append(make([]byte, shift), s...))
			// The ends mix with what stands around the text.
			out[fmt.Sprintf("base64+%d %s", shift, s)] = []byte(strings.TrimRight(b, "=")[4:])[:len(s)*4/3-5]
		}
	}
	return out
}

func wide(s string) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(s)) {
		out = append(out, byte(u), byte(u>>8))
	}
	return out
}

// search names the needles in hay. It folds the case of ASCII: an index may keep a folded form. What is gzip is looked into.
func search(needles map[string][]byte, hay []byte) (found []string) {
	if z, err := gzip.NewReader(bytes.NewReader(hay)); err == nil {
		inside, _ := io.ReadAll(io.LimitReader(z, 64<<20)) // what is there before it breaks is looked at
		hay = append(inside, hay...)
	}
	low := lower(bytes.Clone(hay))
	for name, n := range needles {
		in, what := low, lower(bytes.Clone(n))
		if strings.HasPrefix(name, "base64") || strings.HasPrefix(name, "bytes") {
			in, what = hay, n
		}
		if bytes.Contains(in, what) {
			found = append(found, name)
		}
	}
	return found
}

func lower(b []byte) []byte {
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return b
}

// atRest searches dumps of all databases and every file of the platform's folder; it gives what was found by place.
func atRest(t *testing.T, p *cordontest.Platform, needles map[string][]byte) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	note := func(place string, b []byte) {
		if found := search(needles, b); len(found) > 0 {
			out[place] = found
		}
	}
	bin, _, err := pgserver.Find("")
	if err != nil {
		t.Fatal(err)
	}
	for _, database := range []string{"cordon_cell1", "cordon_control", "cordon_keyring", "postgres"} {
		note("dump of "+database, dump(t, bin, p.SuperuserDSN(database)))
	}
	total := 0
	data, err := filepath.EvalSymlinks(filepath.Join(p.Dir, "pg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{p.Dir, data} {
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // a temporary of Postgres that vanished while we look
			}
			if err != nil || !e.Type().IsRegular() || (root == p.Dir && strings.HasPrefix(path, data+"/")) {
				return err
			}
			b, err := os.ReadFile(path)
			total += len(b)
			note(strings.TrimPrefix(path, root), b)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if total < 30<<20 {
		t.Errorf("only %d bytes were looked at: that is no database", total)
	}
	return out
}

func dump(t *testing.T, bin, dsn string) []byte {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(context.Background(), filepath.Join(bin, "pg_dump"), "--dbname="+dsn)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("pg_dump: %v: %s", err, errs.String())
	}
	if !strings.Contains(out.String(), "PostgreSQL database dump complete") {
		t.Fatal("pg_dump gave no whole dump")
	}
	return out.Bytes()
}
