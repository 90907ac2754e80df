package prove

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// foreignID asks with A's token for B's ids: each answer is the one to an id that nobody has.
func foreignID(ctx context.Context, a, b *canary) (string, error) {
	if err := filled(a, b); err != nil {
		return "", err
	}
	const nobody = "00000000-0000-4000-8000-000000000000"
	n := 0
	for _, x := range []struct{ kind, id string }{{"Patient", b.patient}, {"Observation", b.pulse}} {
		for _, ask := range []string{"", "/_history", "/_history/1", "/$everything"} {
			if ask == "/$everything" && x.kind != "Patient" {
				continue
			}
			theirs, err := a.do(ctx, http.MethodGet, "/"+x.kind+"/"+x.id+ask, "")
			if err != nil {
				return "", err
			}
			none, err := a.do(ctx, http.MethodGet, "/"+x.kind+"/"+nobody+ask, "")
			if err != nil {
				return "", err
			}
			if theirs.status != http.StatusNotFound || theirs.status != none.status || strings.ReplaceAll(theirs.body, x.id, nobody) != none.body {
				return "", fmt.Errorf("%s%s of the neighbour answers %d, of nobody %d", x.kind, ask, theirs.status, none.status)
			}
			n++
		}
	}
	return fmt.Sprintf("%d interactions answer the neighbour's ids like ids of nobody", n), nil
}

// foreignSearch looks for B from A with every kind of parameter.
func foreignSearch(ctx context.Context, a, b *canary) (string, error) {
	if err := filled(a, b); err != nil {
		return "", err
	}
	asks := []string{"/Patient?family=" + b.word, "/Patient?identifier=urn:cordon:canary%7C" + b.word, "/Patient?_id=" + b.patient, "/Patient?_id=" + a.patient + "," + b.patient,
		"/Observation?subject=Patient/" + b.patient, "/Observation?patient=" + b.patient, "/Observation?subject.family=" + b.word, "/Observation?_count=50&_include=Observation:subject",
		"/Patient?_id=" + b.patient + "&_revinclude=Observation:subject", "/Patient?_total=accurate&_count=0&family=" + b.word}
	for _, path := range asks {
		r, err := a.do(ctx, http.MethodGet, path, "")
		if err != nil {
			return "", err
		}
		if r.status != http.StatusOK {
			return "", fmt.Errorf("a search with %s answers %d", parameter(path), r.status)
		}
		var found struct {
			Total *int `json:"total"`
			Entry []struct {
				Resource json.RawMessage `json:"resource"`
			} `json:"entry"`
		}
		if err := json.Unmarshal([]byte(r.body), &found); err != nil {
			return "", errors.New("a search does not answer with a Bundle")
		}
		for _, e := range found.Entry {
			if s := string(e.Resource); strings.Contains(s, b.word) || strings.Contains(s, b.patient) || strings.Contains(s, b.pulse) {
				return "", fmt.Errorf("a search with %s finds the neighbour", parameter(path))
			}
		}
		if strings.Contains(path, "_total") && (found.Total == nil || *found.Total != 0) {
			return "", errors.New("a count counts the neighbour")
		}
	}
	return fmt.Sprintf("%d searches find nothing of the neighbour", len(asks)), nil
}

// parameter names a query's parameters without their values.
func parameter(path string) string {
	_, q, _ := strings.Cut(path, "?")
	v, err := url.ParseQuery(q)
	if err != nil {
		return "parameters"
	}
	var names []string
	for k := range v {
		names = append(names, k)
	}
	return strings.Join(names, ", ")
}

// foreignBundle reads B's ids inside of a batch.
func foreignBundle(ctx context.Context, a, b *canary) (string, error) {
	if err := filled(a, b); err != nil {
		return "", err
	}
	r, err := a.do(ctx, http.MethodPost, "", `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Patient/`+b.patient+
		`"}},{"request":{"method":"GET","url":"Observation?subject=Patient/`+b.patient+`"}},{"request":{"method":"GET","url":"Patient/`+a.patient+`"}}]}`)
	if err != nil {
		return "", err
	}
	if r.status != http.StatusOK || !strings.Contains(r.body, a.word) {
		return "", fmt.Errorf("a batch answers %d, or not with the canary's own", r.status)
	}
	if strings.Contains(r.body, b.word) {
		return "", errors.New("a batch reads the neighbour")
	}
	return "a batch gives the canary's own and nothing of the neighbour", nil
}

// foreignWrite deletes, and changes by condition, what B has: B's version stays what it was.
func foreignWrite(ctx context.Context, a, b *canary) (string, error) {
	if err := filled(a, b); err != nil {
		return "", err
	}
	before, err := b.do(ctx, http.MethodGet, "/Patient/"+b.patient+"/_history", "")
	if err != nil {
		return "", err
	}
	for _, path := range []string{"/Patient/" + b.patient, "/Observation/" + b.pulse} {
		r, err := a.do(ctx, http.MethodDelete, path, "")
		if err != nil {
			return "", err
		}
		if r.status/100 == 5 {
			return "", fmt.Errorf("a deletion of the neighbour's id answers %d", r.status)
		}
	}
	after, err := b.do(ctx, http.MethodGet, "/Patient/"+b.patient+"/_history", "")
	if err != nil {
		return "", err
	}
	if before.status != http.StatusOK || before.body != after.body {
		return "", errors.New("the neighbour's chart changed")
	}
	return "deleting the neighbour's ids changes nothing of the neighbour", nil
}

// foreignCursor goes on with B's page at A.
func foreignCursor(ctx context.Context, a, b *canary) (string, error) {
	if err := filled(a, b); err != nil {
		return "", err
	}
	// A second resource makes a second page.
	for _, c := range []*canary{a, b} {
		id := `"identifier":[{"system":"urn:cordon:canary","value":"` + c.word + `-2"}]`
		r, err := c.do(ctx, http.MethodPost, "/Patient", `{"resourceType":"Patient",`+id+`}`, "If-None-Exist", "identifier=urn:cordon:canary|"+c.word+"-2")
		if err != nil {
			return "", err
		}
		if r.status/100 != 2 {
			return "", fmt.Errorf("the canary's second patient: %d", r.status)
		}
	}
	theirs, err := cursor(ctx, b)
	if err != nil {
		return "", err
	}
	own, err := cursor(ctx, a)
	if err != nil {
		return "", err
	}
	for _, x := range []struct {
		cursor string
		want   int
	}{{own, http.StatusOK}, {theirs, http.StatusBadRequest}} {
		r, err := a.do(ctx, http.MethodGet, "/Patient?_count=1&_cursor="+x.cursor, "")
		if err != nil {
			return "", err
		}
		if r.status != x.want {
			return "", fmt.Errorf("a page after a cursor answers %d, not %d", r.status, x.want)
		}
	}
	return "a page of the neighbour's cannot be gone on with", nil
}

// cursor gives the cursor of a canary's second page.
func cursor(ctx context.Context, c *canary) (string, error) {
	r, err := c.do(ctx, http.MethodGet, "/Patient?_count=1", "")
	if err != nil {
		return "", err
	}
	var page struct {
		Link []struct{ Relation, URL string } `json:"link"`
	}
	if json.Unmarshal([]byte(r.body), &page) == nil {
		for _, l := range page.Link {
			if u, err := url.Parse(l.URL); err == nil && l.Relation == "next" && u.Query().Get("_cursor") != "" {
				return u.Query().Get("_cursor"), nil
			}
		}
	}
	return "", fmt.Errorf("a canary has no second page (%d)", r.status)
}

// refused asks with a token that must not be taken.
func refused(ctx context.Context, at *canary, what, token string) error {
	for _, path := range []string{"/Patient", "/Patient/" + at.patient, "/Observation"} {
		r, err := at.door.send(ctx, http.MethodGet, at.Base+path, token, "")
		if err != nil {
			return err
		}
		if r.status != http.StatusUnauthorized && r.status != http.StatusForbidden {
			return fmt.Errorf("%s gets %d", what, r.status)
		}
	}
	return nil
}

// foreignToken is A's token at B, B's at A, and none.
func foreignToken(ctx context.Context, a, b *canary) (string, error) {
	if err := filled(a, b); err != nil {
		return "", err
	}
	err := errors.Join(refused(ctx, b, "the neighbour's token", a.Token), refused(ctx, a, "the neighbour's token", b.Token), refused(ctx, a, "no token", ""))
	return "a token opens nothing at the neighbour, and without one nothing opens", err
}

// forged is A's token without its signature, with another's, and with other claims.
func forged(ctx context.Context, a *canary) (string, error) {
	parts := strings.Split(a.Token, ".")
	other := strings.Split(a.Expired, ".")
	if len(parts) != 3 || len(other) != 3 {
		return "", errors.New("no token to forge")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", errors.New("no token to forge")
	}
	more := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(payload), `"exp":`, `"exp":9`, 1)))
	flipped := []byte(parts[2])
	flipped[len(flipped)/2] ^= 1
	err = errors.Join(refused(ctx, a, "a token with alg none", unsigned(a.Token)), refused(ctx, a, "a token with another's signature", parts[0]+"."+parts[1]+"."+other[2]),
		refused(ctx, a, "a token that was made to live longer", parts[0]+"."+more+"."+parts[2]), refused(ctx, a, "a token with a broken signature", parts[0]+"."+parts[1]+"."+string(flipped)))
	return "alg none, another's signature, a longer life and a broken signature are refused", err
}

// expired is a token that was good.
func expired(ctx context.Context, a *canary) (string, error) {
	return "a token that has expired is refused", refused(ctx, a, "an expired token", a.Expired)
}

// foreignHost asks A's path under hosts that are not its own.
func foreignHost(ctx context.Context, a, b *canary) (string, error) {
	if err := filled(a, b); err != nil {
		return "", err
	}
	u, err := url.Parse(a.Base)
	if err != nil {
		return "", err
	}
	for _, host := range []string{"evil.example", b.Slug + "." + "evil.example", u.Hostname() + ".evil.example", b.Slug + "." + u.Host} {
		r, err := a.do(ctx, http.MethodGet, "/Patient/"+a.patient, "", "Host", host)
		if err != nil {
			return "", err
		}
		if r.status/100 != 4 || strings.Contains(r.body, a.word) {
			return "", fmt.Errorf("under a host that is not the platform's the answer is %d", r.status)
		}
	}
	return "an unknown host, and the neighbour's, are refused", nil
}

// spoofed names B in every header and parameter that some platform takes a tenant from.
func spoofed(ctx context.Context, a, b *canary) (string, error) {
	if err := filled(a, b); err != nil {
		return "", err
	}
	u, err := url.Parse(b.Base)
	if err != nil {
		return "", err
	}
	headers := []string{"X-Tenant-Id", b.Tenant, "X-Tenant", b.Slug, "X-Forwarded-Host", b.Slug + "." + u.Hostname(), "Forwarded", "host=" + b.Slug, "X-Original-Url", u.Path,
		"X-Rewrite-Url", u.Path, "Cordon-Tenant", b.Tenant, "X-Forwarded-Prefix", u.Path}
	r, err := a.do(ctx, http.MethodGet, "/Patient/"+b.patient, "", headers...)
	if err != nil {
		return "", err
	}
	if r.status != http.StatusNotFound || strings.Contains(r.body, b.word) {
		return "", fmt.Errorf("with headers that name the neighbour its id answers %d", r.status)
	}
	r, err = a.do(ctx, http.MethodGet, "/Patient/"+a.patient, "", headers...)
	if err != nil {
		return "", err
	}
	if r.status != http.StatusOK || !strings.Contains(r.body, a.word) {
		return "", fmt.Errorf("with headers that name the neighbour the canary's own answers %d", r.status)
	}
	return "headers that name another tenant change nothing", nil
}
