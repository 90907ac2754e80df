package test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// without renames a table away while fn runs: an audit that cannot be written. After it the walls stand, also where the self-check saw
// the table with its wrong name.
func without(t *testing.T, p *cordontest.Platform, su *pgx.Conn, table string, fn func()) {
	t.Helper()
	if _, err := su.Exec(t.Context(), "ALTER TABLE "+table+" RENAME TO away"); err != nil {
		t.Fatal(err)
	}
	fn()
	if _, err := su.Exec(t.Context(), "ALTER TABLE away RENAME TO "+table); err != nil {
		t.Fatal(err)
	}
}

// closed wants a 503 with an OperationOutcome that holds nothing of what was asked for.
func closed(t *testing.T, what string, r cordontest.Response, secrets ...string) {
	t.Helper()
	if r.Status != http.StatusServiceUnavailable || r.JSON(t)["resourceType"] != "OperationOutcome" {
		t.Errorf("%s without an audit: %d %.300s", what, r.Status, r.Body)
	}
	for _, s := range secrets {
		if strings.Contains(string(r.Body), s) {
			t.Errorf("%s without an audit discloses %s", what, s)
		}
		for name, values := range r.Header {
			if strings.Contains(strings.Join(values, " "), s) {
				t.Errorf("%s without an audit discloses %s in %s", what, s, name)
			}
		}
	}
}

// rows counts what is stored, in all tables of a database but audit.
func rows(t *testing.T, su *pgx.Conn, tables ...string) (n int) {
	t.Helper()
	for _, table := range tables {
		var one int
		if err := su.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&one); err != nil {
			t.Fatal(err)
		}
		n += one
	}
	return n
}

// oneOfEach gives one interaction of each kind on a patient. ok is the answer when all is well, in an order in which each can follow the
// one before.
func oneOfEach(n *cordontest.Tenant, id string) []struct {
	what, method, path, body string
	ok                       int
} {
	observation := `{"resourceType":"Observation","status":"final","code":{"text":"pulse"},"subject":{"reference":"Patient/` + id + `"}}`
	return []struct {
		what, method, path, body string
		ok                       int
	}{
		{"read", "GET", "/Patient/" + id, "", 200},
		{"vread", "GET", "/Patient/" + id + "/_history/1", "", 200},
		{"search-type", "GET", "/Patient?family=Lovelace", "", 200},
		{"search that finds nothing", "GET", "/Patient?family=Babbage", "", 200},
		{"history-instance", "GET", "/Patient/" + id + "/_history", "", 200},
		{"everything", "GET", "/Patient/" + id + "/$everything", "", 200},
		{"read of nothing", "GET", "/Patient/no-such-id", "", 404},
		{"create", "POST", "/Observation", observation, 201},
		{"update", "PUT", "/Patient/" + id, strings.Replace(ada, `"Patient",`, `"Patient","id":"`+id+`",`, 1), 200},
		{"transaction", "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"POST","url":"Observation"},"resource":` + observation + `}]}`, 200},
		{"delete", "DELETE", "/Patient/" + id, "", 204},
		{"read of what is gone", "GET", "/Patient/" + id, "", 410},
	}
}

func TestNoAuditNoAnswer(t *testing.T) {
	t.Parallel()
	p := cordontest.Unwatched(t) // or the self-check, which sees a table with a wrong name, would stop all in the end
	n := p.Tenant(t)
	id := n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated).ID(t)
	su := p.Superuser(t)
	all := oneOfEach(n, id)
	do := func(method, path, body string) cordontest.Response {
		if body == "" {
			return n.Do(t, method, path, nil)
		}
		return n.Do(t, method, path, body)
	}
	for _, i := range all[:6] { // with all statements prepared on some connections
		do(i.method, i.path, i.body).Want(t, i.ok)
	}
	before := rows(t, su, "head", "version", "idx", "ref", "range")
	without(t, p, su, "audit", func() {
		for _, i := range all[:len(all)-1] {
			closed(t, i.what, do(i.method, i.path, i.body), "Lovelace", "MRN-77")
		}
		closed(t, "export", p.Operator(t, http.MethodGet, "/tenants/"+n.Slug+"/audit", nil), "Lovelace")
		batch := n.Do(t, http.MethodPost, "", `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Patient/`+id+`"}}]}`).Want(t, http.StatusOK)
		if s := string(batch.Body); strings.Contains(s, "Lovelace") || !strings.Contains(s, `"status":"503`) {
			t.Errorf("a batch without an audit: %s", s)
		}
		n.Do(t, http.MethodGet, "/metadata", nil).Want(t, http.StatusOK) // open, and about nobody
	})
	if after := rows(t, su, "head", "version", "idx", "ref", "range"); after != before {
		t.Errorf("without an audit something was written: %d rows, were %d", after, before)
	}
	for _, i := range all { // no restart
		do(i.method, i.path, i.body).Want(t, i.ok)
	}
}

func TestNoAuditNoToken(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	n, other := p.Tenant(t), p.Tenant(t)
	id := n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated).ID(t)
	su := p.SuperuserOn(t, "cordon_control")
	token := func(secret string) cordontest.Response {
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {n.ClientID}, "client_secret": {secret}}
		return p.Send(t, http.MethodPost, n.TokenURL, []byte(form.Encode()), map[string]string{"Content-Type": "application/x-www-form-urlencoded"})
	}
	operator := func(bearer, method, path, body string) cordontest.Response {
		return p.Send(t, method, p.Info.URL+"/operator/v1"+path, []byte(body), map[string]string{"Authorization": "Bearer " + bearer})
	}
	alice := p.Info.Operators["alice"]
	before := rows(t, su, "tenant", "step", "client")
	without(t, p, su, "audit", func() {
		closed(t, "a token", token(n.Secret), "access_token", "eyJ")
		closed(t, "a token refused", token("wrong"), "invalid_client")
		closed(t, "a request without a token", n.Do(t, http.MethodGet, "/Patient/"+id, nil, "Authorization", ""), "Lovelace")
		closed(t, "a request with another tenant's token", n.Do(t, http.MethodGet, "/Patient/"+id, nil, "Authorization", "Bearer "+other.Token()), "Lovelace")
		closed(t, "a request for an unknown tenant", p.Send(t, http.MethodGet, p.Info.URL+"/t/nobody/fhir/Patient", nil, nil))
		closed(t, "an operator refused", operator("wrong", http.MethodGet, "/tenants", ""), n.Slug)
		closed(t, "a new tenant", operator(alice, http.MethodPost, "/tenants", `{"slug":"fresh","placement":"pooled"}`))
		closed(t, "a new client", operator(alice, http.MethodPost, "/tenants/"+n.Slug+"/clients", `{"name":"x","scope":"system/*.rs"}`), "client_secret")
		closed(t, "a suspension", operator(alice, http.MethodPost, "/tenants/"+n.Slug+"/suspend", ""))
		closed(t, "an export", operator(alice, http.MethodGet, "/tenants/"+n.Slug+"/audit", ""), "event_id")
	})
	if after := rows(t, su, "tenant", "step", "client"); after != before {
		t.Errorf("without an audit something was written: %d rows, were %d", after, before)
	}
	n.Do(t, http.MethodGet, "/Patient/"+id, nil).Want(t, http.StatusOK) // not suspended
	token(n.Secret).Want(t, http.StatusOK)
	token("wrong").Want(t, http.StatusUnauthorized)
	n.Do(t, http.MethodGet, "/Patient/"+id, nil, "Authorization", "").Want(t, http.StatusUnauthorized)
	operator(alice, http.MethodPost, "/tenants", `{"slug":"fresh","placement":"pooled"}`).Want(t, http.StatusOK)
	operator(alice, http.MethodPost, "/tenants/"+n.Slug+"/suspend", "").Want(t, http.StatusOK)
}

// TestNoAuditNoKeys takes the broker's log away: keys that a cell holds go on for their minutes, new ones are not handed out.
func TestNoAuditNoKeys(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	held, fresh := p.Tenant(t), p.Tenant(t)
	id := held.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated).ID(t)
	su := p.SuperuserOn(t, "cordon_keyring")
	before := rows(t, su, "kek", "secret")
	without(t, p, su, "audit", func() {
		held.Do(t, http.MethodGet, "/Patient/"+id, nil).Want(t, http.StatusOK)
		closed(t, "a first request", fresh.Do(t, http.MethodGet, "/Patient", nil))
		closed(t, "a first write", fresh.Do(t, http.MethodPost, "/Patient", ada), "Lovelace")
		closed(t, "an export", p.Operator(t, http.MethodGet, "/tenants/"+held.Slug+"/audit", nil), "event_id")
		closed(t, "a new tenant's keys", p.Operator(t, http.MethodPost, "/tenants", map[string]string{"slug": "keyless", "placement": "pooled"}))
	})
	if after := rows(t, su, "kek", "secret"); after != before {
		t.Errorf("keys were minted without an audit: %d, were %d", after, before)
	}
	cordontest.Eventually(t, "keys come again", func() bool { // a cell does not knock at an absent broker with every request
		return fresh.Do(t, http.MethodPost, "/Patient", ada).Status == http.StatusCreated
	})
	p.Operator(t, http.MethodPost, "/tenants", map[string]string{"slug": "keyless", "placement": "pooled"}).Want(t, http.StatusOK)
}
