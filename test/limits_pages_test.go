package test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// socketFrom is socket of a caller at another address of this machine.
func socketFrom(t testing.TB, p *cordontest.Platform, address string) *tls.Conn {
	t.Helper()
	u, err := url.Parse(p.Info.URL)
	if err != nil {
		t.Fatal(err)
	}
	cfg := p.HTTP.Transport.(*http.Transport).TLSClientConfig.Clone()
	cfg.NextProtos = []string{"http/1.1"}
	d := tls.Dialer{Config: cfg, NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}}
	c, err := d.DialContext(t.Context(), "tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*tls.Conn)
}

// TestPagesBesideStalledForms has one address ask the token endpoints of many tenants and send nothing of its forms, and the operators'
// API as well. Other callers get each tenant's pages meanwhile; operators get theirs, also from that address.
func TestPagesBesideStalledForms(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	quietAfter(t, p)
	var tenants []*cordontest.Tenant
	for range 9 {
		tenants = append(tenants, p.Tenant(t))
	}
	const stranger = "127.0.0.2"
	for i := range 600 {
		at := "/t/" + tenants[i%8].Slug + "/oauth/token"
		if i >= 520 {
			at = "/operator/v1/tenants"
		}
		c := socketFrom(t, p, stranger)
		if _, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 10\r\n\r\n", at); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range tenants {
		p.Send(t, http.MethodGet, p.Info.URL+"/t/"+n.Slug+"/oauth/jwks.json", nil, nil).Want(t, http.StatusOK)
		bad := url.Values{"grant_type": {"client_credentials"}, "client_id": {n.ClientID}, "client_secret": {"wrong"}}
		p.Send(t, http.MethodPost, n.TokenURL, []byte(bad.Encode()), map[string]string{"Content-Type": "application/x-www-form-urlencoded"}).Want(t, http.StatusUnauthorized)
	}
	p.Operator(t, http.MethodGet, "/tenants", nil).Want(t, http.StatusOK)
	if cordontest.Apart() {
		return // there the forms that stall hold places of their own address (docs/adr/0011)
	}
	c := socketFrom(t, p, stranger)
	if _, err := fmt.Fprintf(c, "GET /operator/v1/tenants HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer %s\r\n\r\n", p.Info.Operators["alice"]); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 200 ") {
		t.Errorf("an operator at the stranger's address: %v after %.200q", err, b)
	}
}

// TestFormOfManyBytes goes to the bound of a form and over it, and ends one before its end.
func TestFormOfManyBytes(t *testing.T) {
	t.Parallel()
	n := cordontest.Shared(t).Tenant(t)
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	good := url.Values{"grant_type": {"client_credentials"}, "client_id": {n.ClientID}, "client_secret": {n.Secret}}.Encode() + "&x="
	n.P.Send(t, http.MethodPost, n.TokenURL, []byte(good+strings.Repeat("x", 64<<10-len(good))), form).Want(t, http.StatusOK)
	if r := n.P.Send(t, http.MethodPost, n.TokenURL, []byte(good+strings.Repeat("x", 64<<10-len(good)+1)), form); r.Status != http.StatusBadRequest || !strings.Contains(string(r.Body), "64 kB") {
		t.Errorf("a byte more: %d %.200s", r.Status, r.Body)
	}
	if r := rawWire(t, n.P, "POST /t/"+n.Slug+"/oauth/token HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n"); r.Status != http.StatusBadRequest {
		t.Errorf("a form that is not what HTTP says: %d %.200s", r.Status, r.Body)
	}
}

// TestFloodOfPagesIsCounted has callers guess a client's secret and an operator's token: the record grows by few rows, with the number of all
// guesses.
func TestFloodOfPagesIsCounted(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	n := p.Tenant(t)
	at := &cordontest.Tenant{Client: &cordontest.Client{P: p, Base: p.Info.URL}}
	f := startFlood(t, at, 48, func(i int) (string, string, []byte) {
		if i%2 == 0 {
			return http.MethodGet, "/operator/v1/tenants", nil
		}
		return http.MethodPost, "/t/" + n.Slug + "/oauth/token", []byte("grant_type=client_credentials")
	})
	cordontest.Eventually(t, "guesses are refused", func() bool { return f.seen[401].Load() > 200 && f.seen[400].Load() > 200 })
	seen := f.stop()
	su := p.SuperuserOn(t, "cordon_control")
	for status, what := range map[int][2]string{401: {"operator", "refused"}, 400: {"token", "refuse"}} {
		rows, refusals := 0, 0
		cordontest.Eventually(t, "all are on record", func() bool {
			if err := su.QueryRow(t.Context(), `SELECT count(*), coalesce(sum(greatest(coalesce((e->'entity'->>'count')::int, 1), 1)), 0) FROM
				(SELECT convert_from(body, 'UTF8')::jsonb AS e FROM audit) x WHERE e->>'type' = $1 AND e->>'subtype' = $2`, what[0], what[1]).Scan(&rows, &refusals); err != nil {
				t.Fatal(err)
			}
			return int64(refusals) >= seen[status]
		})
		t.Logf("%v: %d answers, %d rows", what, seen[status], rows)
		if int64(refusals) != seen[status] || rows > refusals/2 {
			t.Errorf("%v: %d rows for %d refusals, of %d answers", what, rows, refusals, seen[status])
		}
	}
}
