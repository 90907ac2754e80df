package test

import (
	"encoding/base64"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// sealAlerts are the events of control, which stand outside of the chart database, about broken seals of a tenant.
func sealAlerts(t *testing.T, control *pgx.Conn, id string) []string {
	t.Helper()
	rows, err := control.Query(t.Context(), `SELECT convert_from(body, 'UTF8') FROM audit WHERE tenant = $1 AND position('"seal-broken"'::bytea IN body) > 0 ORDER BY id`, id)
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var sealMetric = regexp.MustCompile(`(?m)^cordon_seal_failures_total\{table="(\w+)"\} (\d+)$`)

func sealFailures(t *testing.T, p *cordontest.Platform, table string) (n int) {
	t.Helper()
	for _, m := range sealMetric.FindAllStringSubmatch(p.Metrics(t), -1) {
		if m[1] == table {
			n, _ = strconv.Atoi(m[2])
		}
	}
	return n
}

// TestEveryTamperingRaisesTheAlarm changes stored rows as a superuser could, each on a tenant of its own: the caller gets a clear
// error with nothing of the chart in it, not even of what is whole beside it; and an event of type security is durable, outside of
// the database that was tampered with, before the caller has its answer.
func TestEveryTamperingRaisesTheAlarm(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	su, control := p.Superuser(t), p.SuperuserOn(t, "cordon_control")
	other := p.Tenant(t)
	const secret, plain = "Tampered-Canary", "Whole-Canary"
	_, foreign := person(t, su, other, secret)
	no := number(t, other)
	for what, sql := range map[string]string{ // $1, $2: the victim's tenant and blind id; $3, $4: the other's
		"another tenant's body":  `UPDATE version SET body = (SELECT body FROM version WHERE tenant = $3 AND rid = $4) WHERE tenant = $1 AND rid = $2 AND $3 <> 0`,
		"another tenant's row":   `UPDATE version x SET (body, lu, type, op, keyver) = (SELECT body, lu, type, op, keyver FROM version WHERE tenant = $3 AND rid = $4) WHERE tenant = $1 AND rid = $2`,
		"another resource's":     `UPDATE version SET body = (SELECT body FROM version y WHERE y.tenant = $1 AND y.rid <> $2 LIMIT 1) WHERE tenant = $1 AND rid = $2 AND $3::int8 <> $4::int8`,
		"another type":           `UPDATE version SET type = type + 1 WHERE tenant = $1 AND rid = $2 AND $3::int8 <> $4::int8`,
		"another version":        `UPDATE version SET ver = ver + 1 WHERE tenant = $1 AND rid = $2 AND $3::int8 <> $4::int8`,
		"another time":           `UPDATE version SET lu = lu + 1 WHERE tenant = $1 AND rid = $2 AND $3::int8 <> $4::int8`,
		"another operation":      `UPDATE version SET op = 3 WHERE tenant = $1 AND rid = $2 AND $3::int8 <> $4::int8`,
		"another key version":    `UPDATE version SET keyver = keyver + 1 WHERE tenant = $1 AND rid = $2 AND $3::int8 <> $4::int8`,
		"another table's value":  `UPDATE version SET body = (SELECT body FROM audit WHERE tenant = $1 LIMIT 1) WHERE tenant = $1 AND rid = $2 AND $3::int8 <> $4::int8`,
		"a flipped bit":          `UPDATE version SET body = set_byte(body, 40, get_byte(body, 40) # 1) WHERE tenant = $1 AND rid = $2 AND $3::int8 <> $4::int8`,
		"a byte less":            `UPDATE version SET body = substr(body, 1, length(body) - 1) WHERE tenant = $1 AND rid = $2 AND $3::int8 <> $4::int8`,
		"nothing":                `UPDATE version SET body = '' WHERE tenant = $1 AND rid = $2 AND $3::int8 <> $4::int8`,
		"swapped with its equal": `UPDATE version x SET body = y.body FROM version y WHERE x.tenant = $1 AND y.tenant = $1 AND x.rid <> y.rid AND x.rid IN ($2, y.rid) AND $3::int8 <> $4::int8`,
	} {
		n := p.Tenant(t)
		n.Do(t, http.MethodPost, "/Patient", `{"resourceType":"Patient","name":[{"family":"`+plain+`"}]}`).Want(t, http.StatusCreated)
		id := n.Do(t, http.MethodPost, "/Patient", `{"resourceType":"Patient","name":[{"family":"`+secret+`"}]}`).Want(t, http.StatusCreated).ID(t)
		var victim int32
		if err := control.QueryRow(t.Context(), `SELECT number FROM tenant WHERE slug = $1`, n.Slug).Scan(&victim); err != nil {
			t.Fatal(err)
		}
		rid := lastRid(t, su, victim)
		before := sealFailures(t, p, "version")
		if tag, err := su.Exec(t.Context(), sql, victim, rid, no, foreign); err != nil || tag.RowsAffected() == 0 {
			t.Fatalf("%s: %v %v", what, tag, err)
		}
		for i, path := range []string{"/Patient/" + id, "/Patient?name=" + secret, "/Patient?_count=10", "/Patient/" + id + "/_history"} {
			r := n.Do(t, http.MethodGet, path, nil)
			if body := string(r.Body); r.Status != http.StatusInternalServerError || strings.Contains(body, secret) || strings.Contains(body, plain) || r.JSON(t)["resourceType"] != "OperationOutcome" {
				t.Errorf("%s, %s: %d %s", what, path, r.Status, r.Body)
			}
			alerts := sealAlerts(t, control, n.ID)
			if len(alerts) <= i {
				t.Errorf("%s, %s: no event of its own", what, path)
				continue
			}
			last := alerts[len(alerts)-1]
			for _, want := range []string{`"type":"security"`, `"outcome":"8"`, `"reason":"table version"`, `"request_id":"` + r.Header.Get("X-Request-Id") + `"`} {
				if !strings.Contains(last, want) {
					t.Errorf("%s: the event lacks %s: %s", what, want, last)
				}
			}
			if strings.Contains(last, id) || strings.Contains(last, secret) {
				t.Errorf("%s: the event names what it must not: %s", what, last)
			}
		}
		if got := sealFailures(t, p, "version"); !cordontest.Apart() && got < before+4 { // apart, the cell counts on a listener of its own
			t.Errorf("%s: the metric went from %d to %d", what, before, got)
		}
	}
}

// TestMovedSecretsRaiseTheAlarm moves what others seal: an audit event, and a wrapped key.
func TestMovedSecretsRaiseTheAlarm(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	su, kr := p.Superuser(t), p.SuperuserOn(t, "cordon_keyring")
	a, b := p.Tenant(t), p.Tenant(t)
	for _, n := range []*cordontest.Tenant{a, b} {
		n.Do(t, http.MethodGet, "/Patient?name=Whispered", nil).Want(t, http.StatusOK)
	}
	if _, err := su.Exec(t.Context(), `UPDATE audit SET body = (SELECT body FROM audit WHERE tenant = $1 LIMIT 1) WHERE tenant = $2`, number(t, a), number(t, b)); err != nil {
		t.Fatal(err)
	}
	r, err := p.HTTP.Do(request(t, p, "/tenants/"+b.Slug+"/audit"))
	if err == nil {
		defer func() { _ = r.Body.Close() }()
	}
	body, whole := slurp(r, err)
	if !whole || strings.Contains(body, "Whispered") || strings.Contains(body, base64.StdEncoding.EncodeToString([]byte("name=Whispered"))) || strings.Contains(body, a.ID) {
		t.Errorf("an export with a foreign event: whole %v: %s", whole, body)
	}
	if !strings.Contains(body, `"subtype":"seal-broken"`) || !strings.Contains(body, `"reason":"table audit"`) {
		t.Errorf("nothing stands in the place of a foreign event: %s", body)
	}
	if alerts := sealAlerts(t, p.SuperuserOn(t, "cordon_control"), b.ID); len(alerts) == 0 || !strings.Contains(alerts[0], `"reason":"table audit"`) {
		t.Errorf("no event of a moved audit body: %v", alerts)
	}
	// A fresh tenant, of whose keys nobody holds a lease: its secrets are another's.
	c := p.Tenant(t)
	if tag, err := kr.Exec(t.Context(), `UPDATE secret x SET wrapped = set_byte(x.wrapped, 20, get_byte(x.wrapped, 20) # 1) WHERE x.tenant = $1 AND x.kind <> 'sign'`, c.ID); err != nil || tag.RowsAffected() == 0 {
		t.Fatal(tag, err)
	}
	if r := c.Do(t, http.MethodGet, "/Patient", nil); r.Status != http.StatusInternalServerError {
		t.Errorf("keys that do not unwrap: %d %s", r.Status, r.Body)
	}
	if said := securityEvents(t, kr); !strings.Contains(said, `"seal-broken"`) || !strings.Contains(said, c.ID) {
		t.Errorf("no event of a wrapped secret that does not open: %s", said)
	}
	if sealFailures(t, p, "secret") == 0 || sealFailures(t, p, "audit") == 0 {
		t.Error("the metric did not move")
	}
}

// TestForeignPostingsFindNothing copies a neighbour's postings and references into a tenant's index: under another tenant's key
// they are of no value that anybody can ask for, and what they point at is not there.
func TestForeignPostingsFindNothing(t *testing.T) {
	t.Parallel()
	p := cordontest.Shared(t)
	su := p.Superuser(t)
	a, b := p.Tenant(t), p.Tenant(t)
	na, nb := number(t, a), number(t, b)
	id, rid := person(t, su, b, "Posted-Canary")
	b.Do(t, http.MethodPost, "/Observation", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/`+id+`"}}`).Want(t, http.StatusCreated)
	mine, own := person(t, su, a, "Own-Canary")
	for _, sql := range []string{
		`INSERT INTO idx (token, sort, rid, tenant) SELECT token, sort, rid, $1 FROM idx WHERE tenant = $2`,
		`INSERT INTO ref (dst, sort, rid, tenant, param) SELECT dst, sort, rid, $1, param FROM ref WHERE tenant = $2`,
		`INSERT INTO head (rid, pat, sort, tenant, ver, type, live) SELECT rid, pat, sort, $1, ver, type, live FROM head WHERE tenant = $2`,
	} {
		if _, err := su.Exec(t.Context(), sql, na, nb); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"/Patient?name=Posted-Canary", "/Patient?_count=50", "/Observation?subject=Patient/" + id, "/Patient?_has:Observation:subject:code=x"} {
		r := a.Do(t, http.MethodGet, path, nil)
		if body := string(r.Body); r.Status == http.StatusOK && len(r.Matches(t)) > 1 || strings.Contains(body, `"Posted-Canary"`) || strings.Contains(body, `"id":"`+id) {
			t.Errorf("%s: %d %s", path, r.Status, r.Body)
		}
	}
	// A token of A's own that points at B's row: no version of A has that blind id.
	if _, err := su.Exec(t.Context(), `INSERT INTO idx (token, sort, rid, tenant) SELECT token, sort, $3, tenant FROM idx WHERE tenant = $1 AND rid = $2`, na, own, rid); err != nil {
		t.Fatal(err)
	}
	if got := a.Do(t, http.MethodGet, "/Patient?name=Own-Canary", nil).Want(t, http.StatusOK).Matches(t); len(got) != 1 || got[0] != "Patient/"+mine {
		t.Errorf("found %v", got)
	}
}
