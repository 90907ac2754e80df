package prove

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// Door is the front door as an outsider meets it.
type Door struct {
	HTTP       *http.Client
	Canaries   Canaries
	Management string                                                 // of a development platform; "" = not to be seen from here
	Events     func(ctx context.Context, slug string) (string, error) // exports a canary's events, as the operator who runs this
}

// answer is a response, read to a bound.
type answer struct {
	status  int
	body    string
	request string
}

// Run tries the front door. The canaries' charts are made first; they are the same after each run.
func (d *Door) Run(ctx context.Context) []Result {
	a, b := canary{Canary: d.Canaries.A, door: d}, canary{Canary: d.Canaries.B, door: d}
	probes := []struct {
		id  string
		try func(context.Context) (string, error)
	}{
		{"front.own", func(ctx context.Context) (string, error) { return ready(ctx, &a, &b) }},
		{"front.foreign-id", func(ctx context.Context) (string, error) { return foreignID(ctx, &a, &b) }},
		{"front.search", func(ctx context.Context) (string, error) { return foreignSearch(ctx, &a, &b) }},
		{"front.bundle", func(ctx context.Context) (string, error) { return foreignBundle(ctx, &a, &b) }},
		{"front.write", func(ctx context.Context) (string, error) { return foreignWrite(ctx, &a, &b) }},
		{"front.cursor", func(ctx context.Context) (string, error) { return foreignCursor(ctx, &a, &b) }},
		{"front.token", func(ctx context.Context) (string, error) { return foreignToken(ctx, &a, &b) }},
		{"front.forged", func(ctx context.Context) (string, error) { return forged(ctx, &a) }},
		{"front.expired", func(ctx context.Context) (string, error) { return expired(ctx, &a) }},
		{"front.host", func(ctx context.Context) (string, error) { return foreignHost(ctx, &a, &b) }},
		{"front.spoofed", func(ctx context.Context) (string, error) { return spoofed(ctx, &a, &b) }},
		{"front.tls", d.tls},
		{"front.management", d.management},
		{"front.audit", func(ctx context.Context) (string, error) { return d.audit(ctx, &a) }},
	}
	var out []Result
	for _, p := range probes {
		out = append(out, Try(ctx, p.id, p.try))
	}
	if d.Management != "" {
		out = append(out, Try(ctx, "front.metrics", func(ctx context.Context) (string, error) { return d.metrics(ctx, &a, &b) }))
	}
	if d.Canaries.Target != "" {
		out = append(out, Try(ctx, "front.target", func(ctx context.Context) (string, error) { return d.target(ctx, &a) }))
	}
	return out
}

// send asks as token at base+path. An answer that did not come is an error, and so no proof of anything.
func (d *Door) send(ctx context.Context, method, at, token, body string, headers ...string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/fhir+json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := d.HTTP.Do(r)
	if err != nil {
		return answer{}, errors.New("the platform did not answer")
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	return answer{resp.StatusCode, string(b), resp.Header.Get("X-Request-Id")}, err
}

// canary is a tenant of the proof with its chart.
type canary struct {
	Canary
	door    *Door
	word    string // stands in its chart, and nowhere else
	patient string
	pulse   string // an Observation of the patient
	read    string // id of a request that read it
}

func (c *canary) do(ctx context.Context, method, path, body string, headers ...string) (answer, error) {
	return c.door.send(ctx, method, c.Base+path, c.Token, body, headers...)
}

// fill makes the canary's chart, or finds it.
func (c *canary) fill(ctx context.Context) error {
	c.word = "Canary" + strings.ReplaceAll(c.Tenant, "-", "")
	store := func(kind, body string) (string, error) {
		a, err := c.do(ctx, http.MethodPost, "/"+kind, body, "If-None-Exist", "identifier=urn:cordon:canary|"+c.word)
		if err != nil {
			return "", err
		}
		var v struct {
			ID string `json:"id"`
		}
		if a.status/100 != 2 || json.Unmarshal([]byte(a.body), &v) != nil || v.ID == "" {
			return "", fmt.Errorf("the canary's own %s: %d", kind, a.status)
		}
		return v.ID, nil
	}
	identifier := `"identifier":[{"system":"urn:cordon:canary","value":"` + c.word + `"}]`
	var err error
	if c.patient, err = store("Patient", `{"resourceType":"Patient",`+identifier+`,"name":[{"family":"`+c.word+`"}],"birthDate":"1970-01-01"}`); err != nil {
		return err
	}
	c.pulse, err = store("Observation", `{"resourceType":"Observation",`+identifier+`,"status":"final","code":{"text":"`+c.word+`"},"subject":{"reference":"Patient/`+c.patient+`"}}`)
	return err
}

// ready proves that the probes can see what they look for: each canary reads its own.
func ready(ctx context.Context, a, b *canary) (string, error) {
	for _, c := range []*canary{a, b} {
		if err := c.fill(ctx); err != nil {
			return "", err
		}
		r, err := c.do(ctx, http.MethodGet, "/Patient/"+c.patient, "")
		if err != nil {
			return "", err
		}
		if r.status != http.StatusOK || !strings.Contains(r.body, c.word) {
			return "", fmt.Errorf("a canary does not read its own chart: %d", r.status)
		}
		c.read = r.request
	}
	return "each canary writes and reads its own chart", nil
}

// filled refuses to prove anything with no chart to look for.
func filled(a, b *canary) error {
	if a.patient == "" || b.pulse == "" {
		return errors.New("the canaries have no charts, so nothing can be looked for")
	}
	return nil
}

// tls wants the public listener to speak nothing older than TLS 1.2, and nothing in clear.
func (d *Door) tls(ctx context.Context) (string, error) {
	u, err := url.Parse(d.Canaries.A.Base)
	if err != nil {
		return "", err
	}
	at := u.Host
	if u.Port() == "" {
		at = net.JoinHostPort(u.Hostname(), "443")
	}
	t, ok := d.HTTP.Transport.(*http.Transport)
	if !ok || t.TLSClientConfig == nil {
		return "", errors.New("no TLS settings to begin with")
	}
	for _, try := range []struct {
		version uint16
		refused bool
	}{{tls.VersionTLS11, true}, {tls.VersionTLS12, false}} {
		c := t.TLSClientConfig.Clone()
		c.MinVersion, c.MaxVersion, c.ServerName = tls.VersionTLS10, try.version, u.Hostname()
		conn, err := (&tls.Dialer{Config: c}).DialContext(ctx, "tcp", at)
		if err == nil {
			_ = conn.Close()
		}
		if (err != nil) != try.refused {
			return "", fmt.Errorf("TLS up to %s: refused %v", tls.VersionName(try.version), err != nil)
		}
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", at)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if end, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(end)
	}
	_, _ = fmt.Fprintf(conn, "GET /t/%s/fhir/metadata HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", d.Canaries.A.Slug, u.Host)
	said, _ := io.ReadAll(io.LimitReader(conn, 64<<10))
	if bytes.Contains(said, []byte("CapabilityStatement")) || bytes.HasPrefix(said, []byte("HTTP/1.1 2")) {
		return "", errors.New("the public listener answers in clear")
	}
	return "TLS 1.1 and plain HTTP are refused, TLS 1.2 is spoken", nil
}

// management wants health and metrics to be elsewhere.
func (d *Door) management(ctx context.Context) (string, error) {
	root, _, _ := strings.Cut(d.Canaries.A.Base, "/t/")
	for _, path := range []string{"/metrics", "/readyz", "/healthz", "/debug/pprof/", "/t/" + d.Canaries.A.Slug + "/metrics"} {
		r, err := d.send(ctx, http.MethodGet, root+path, "", "")
		if err != nil {
			return "", err
		}
		if r.status != http.StatusNotFound && r.status != http.StatusServiceUnavailable { // a role that stopped serves nothing
			return "", fmt.Errorf("%s answers %d on the public listener", path, r.status)
		}
	}
	return "health, readiness, metrics and profiles are not served in public", nil
}

// audit wants the canary's own read to be on record.
func (d *Door) audit(ctx context.Context, a *canary) (string, error) {
	if a.read == "" {
		return "", errors.New("nothing was read that could be on record")
	}
	all, err := d.Events(ctx, a.Slug)
	if err != nil {
		return "", fmt.Errorf("the canary's events cannot be read: %w", err)
	}
	for line := range strings.Lines(all) {
		if strings.Contains(line, a.read) && strings.Contains(line, `"subtype":"read"`) && strings.Contains(line, a.patient) {
			return "the canary's read is on record with who, what, when and the request", nil
		}
	}
	return "", errors.New("a read that was answered is not on record")
}

// metrics looks for what stands in charts.
func (d *Door) metrics(ctx context.Context, a, b *canary) (string, error) {
	if err := filled(a, b); err != nil {
		return "", err
	}
	r, err := d.send(ctx, http.MethodGet, d.Management+"/metrics", "", "")
	if err != nil {
		return "", err
	}
	if r.status != http.StatusOK {
		return "", fmt.Errorf("the metrics answer %d", r.status)
	}
	for _, c := range []*canary{a, b} {
		for _, s := range []string{c.word, c.patient, c.pulse} {
			if strings.Contains(r.body, s) {
				return "", errors.New("a canary's word or id is in the metrics")
			}
		}
	}
	return "no word and no id of a chart is in the metrics", nil
}

// target tries the canary's token at a customer's door.
func (d *Door) target(ctx context.Context, a *canary) (string, error) {
	for _, path := range []string{"/Patient", "/Patient/" + a.patient, "/Observation?_count=1"} {
		r, err := d.send(ctx, http.MethodGet, d.Canaries.Target+path, a.Token, "")
		if err != nil {
			return "", err
		}
		if r.status != http.StatusUnauthorized && r.status != http.StatusForbidden {
			return "", fmt.Errorf("a canary's token gets %d at the tenant", r.status)
		}
	}
	return "a canary's token opens nothing of the tenant", nil
}

// unsigned makes a token with the claims of another and no signature.
func unsigned(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt"}`)) + "." + parts[1] + "."
}
