package test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// lastRid is the blind id of the resource that the tenant wrote last.
func lastRid(t *testing.T, su *pgx.Conn, number int32) (rid int64) {
	t.Helper()
	if err := su.QueryRow(t.Context(), `SELECT rid FROM version WHERE tenant = $1 ORDER BY xid DESC LIMIT 1`, number).Scan(&rid); err != nil {
		t.Fatal(err)
	}
	return rid
}

// person makes a Patient whose name is the secret, and gives its id and blind id.
func person(t *testing.T, su *pgx.Conn, n *cordontest.Tenant, secret string) (id string, rid int64) {
	t.Helper()
	id = n.Do(t, http.MethodPost, "/Patient", `{"resourceType":"Patient","name":[{"family":"`+secret+`"}]}`).Want(t, http.StatusCreated).ID(t)
	return id, lastRid(t, su, number(t, n))
}

// TestMovedCiphertextDoesNotOpen moves sealed bodies about as a superuser could: to another resource, version, type and tenant.
// The keys, not the database, are the second wall: none of them opens, and the answer is an outcome without contents.
func TestMovedCiphertextDoesNotOpen(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	su := p.Superuser(t)
	a, b := p.Tenant(t), p.Tenant(t)
	na, nb := number(t, a), number(t, b)
	const secret = "Movable-Feast"
	_, from := person(t, su, a, secret)
	closed := func(what string, n *cordontest.Tenant, path string) {
		t.Helper()
		r := n.Do(t, http.MethodGet, path, nil)
		if r.Status < http.StatusInternalServerError || strings.Contains(string(r.Body), secret) || r.JSON(t)["resourceType"] != "OperationOutcome" {
			t.Errorf("moved to %s: %d %s", what, r.Status, r.Body)
		}
	}
	move := func(sql string, args ...any) {
		t.Helper()
		if tag, err := su.Exec(t.Context(), sql, args...); err != nil || tag.RowsAffected() != 1 {
			t.Fatalf("%s: %v %v", sql, tag, err)
		}
	}
	const copyBody = `UPDATE version SET body = (SELECT body FROM version WHERE tenant = $1 AND rid = $2 AND ver = $3) WHERE tenant = $4 AND rid = $5 AND ver = $6`

	id, to := person(t, su, a, "Plain")
	move(copyBody, na, from, 1, na, to, 1)
	closed("another resource", a, "/Patient/"+id)
	closed("another resource", a, "/Patient/"+id+"/_history/1")
	closed("another resource", a, "/Patient/"+id+"/_history")
	closed("another resource", a, "/Patient/"+id+"/$everything")
	closed("another resource", a, "/Patient?name=Plain")
	for _, method := range []string{http.MethodPut, http.MethodDelete} { // what cannot be opened cannot be replaced: its postings are not known
		body := any(nil)
		if method == http.MethodPut {
			body = `{"resourceType":"Patient","id":"` + id + `"}`
		}
		if r := a.Do(t, method, "/Patient/"+id, body); r.Status < http.StatusInternalServerError {
			t.Errorf("%s over a body that does not open: %d %s", method, r.Status, r.Body)
		}
	}

	id, to = person(t, su, b, "Plain")
	move(copyBody, na, from, 1, nb, to, 1)
	closed("another tenant", b, "/Patient/"+id)

	// Under a blind id that is of none of the neighbour's ids, nobody can ask for it.
	move(`UPDATE version SET (rid, body) = (SELECT rid + 1, body FROM version WHERE tenant = $1 AND rid = $2) WHERE tenant = $3 AND rid = $4`, na, from, nb, to)
	b.Do(t, http.MethodGet, "/Patient/"+id, nil).Want(t, http.StatusNotFound)

	id, to = person(t, su, a, secret)
	a.Do(t, http.MethodPut, "/Patient/"+id, `{"resourceType":"Patient","id":"`+id+`","name":[{"family":"Plain"}]}`).Want(t, http.StatusOK)
	move(copyBody, na, to, 1, na, to, 2)
	closed("a later version", a, "/Patient/"+id)
	closed("a later version", a, "/Patient/"+id+"/_history/2")
	if r := a.Do(t, http.MethodGet, "/Patient/"+id+"/_history/1", nil).Want(t, http.StatusOK); !strings.Contains(string(r.Body), secret) {
		t.Error("the version that nobody touched is not what it was")
	}

	id, to = person(t, su, a, secret)
	move(`UPDATE version SET type = type + 1 WHERE tenant = $1 AND rid = $2`, na, to)
	closed("another type", a, "/Patient/"+id)

	id, to = person(t, su, a, secret)
	move(`UPDATE version SET body = set_byte(body, length(body) / 2, get_byte(body, length(body) / 2) # 1) WHERE tenant = $1 AND rid = $2`, na, to)
	closed("a flipped bit", a, "/Patient/"+id)
	move(`UPDATE version SET body = '' WHERE tenant = $1 AND rid = $2`, na, to)
	closed("an empty body", a, "/Patient/"+id)
}

// TestMovedEventDoesNotOpen moves a sealed audit event: an export that meets it is no export.
func TestMovedEventDoesNotOpen(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	su := p.Superuser(t)
	a, b := p.Tenant(t), p.Tenant(t)
	a.Do(t, http.MethodGet, "/Patient?name=Whispered", nil).Want(t, http.StatusOK)
	b.Do(t, http.MethodGet, "/Patient?name=Other", nil).Want(t, http.StatusOK)
	b.Events(t)
	tag, err := su.Exec(t.Context(), `UPDATE audit SET body = (SELECT body FROM audit WHERE tenant = $1 LIMIT 1) WHERE tenant = $2 AND id = (SELECT id FROM audit WHERE tenant = $2 ORDER BY id LIMIT 1)`,
		number(t, a), number(t, b))
	if err != nil || tag.RowsAffected() != 1 {
		t.Fatal(tag, err)
	}
	r, err := p.HTTP.Do(request(t, p, "/tenants/"+b.Slug+"/audit"))
	if err == nil {
		defer r.Body.Close()
	}
	if body, whole := slurp(r, err); !whole || strings.Contains(body, "Whispered") || strings.Count(body, `"subtype":"seal-broken","action":"E","outcome":"8","outcome_desc":"the stored event does not open`) != 1 {
		t.Errorf("of a foreign event an export shows no placeholder, or more: %v %.2000s", whole, body)
	}
	a.Events(t)
}

// request asks the operators' API as alice.
func request(t *testing.T, p *cordontest.Platform, path string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.Info.URL+"/operator/v1"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+p.Info.Operators["alice"])
	return r
}

// slurp reads an answer that may be cut off; whole tells that it was a success to its end.
func slurp(r *http.Response, err error) (body string, whole bool) {
	if err != nil {
		return "", false
	}
	b, err := io.ReadAll(r.Body)
	return string(b), err == nil && r.StatusCode == http.StatusOK
}
