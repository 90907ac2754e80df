package control

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/ledger"
	"github.com/cordon-ehr/cordon/internal/outcome"
	"github.com/cordon-ehr/cordon/internal/registry"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Verdict is the answer of a verification. Size counts the events of all logs; Root is ledger.Overall of them.
type Verdict struct {
	OK       bool             `json:"ok"`
	Size     int64            `json:"size"`
	Root     string           `json:"root"`
	Problems []ledger.Problem `json:"problems"`
	Warnings []ledger.Problem `json:"warnings,omitempty"`
	Logs     []ledger.Report  `json:"logs"`
}

// auditRoutes are the operators' calls about logs. A path without a tenant is about the platform's own.
func (c *Control) auditRoutes(m *pages) {
	for pattern, h := range map[string]func(*http.Request, registry.Entry, audit.By) (any, error){
		"POST %s/audit/verify":       c.verify,
		"GET %s/audit/logs/{stream}": c.progress,
		"GET %s/audit/proof/{event}": c.proveEvent,
		"GET %s/audit/keys":          c.logKeys,
	} {
		for _, at := range []string{"/v1/tenants/{slug}", "/v1"} {
			m.HandleFunc(strings.Replace(pattern, "%s", at, 1), func(w http.ResponseWriter, r *http.Request) {
				e, err := c.logsOf(r)
				var v any
				if err == nil {
					v, err = h(r, e, operator(r.Context()))
				}
				if err != nil {
					c.refuse(w, r, err)
					return
				}
				sendJSON(w, http.StatusOK, v)
			})
		}
	}
	m.HandleFunc("GET /v1/tenants/{slug}/audit/bundle", c.bundle)
	m.HandleFunc("GET /v1/audit/bundle", c.bundle)
}

// logsOf finds whose logs a request is about: the zero entry is the platform.
func (c *Control) logsOf(r *http.Request) (registry.Entry, error) {
	if r.PathValue("slug") == "" {
		return registry.Entry{}, nil
	}
	slug, err := slugOf(r)
	if err != nil {
		return registry.Entry{}, err
	}
	return c.registry.BySlug(r.Context(), slug)
}

// used makes the use of logs an event, before anything of them is told.
func (c *Control) used(ctx context.Context, e registry.Entry, what string, by audit.By) error {
	return c.registry.Record(ctx, audit.LogUse(e.ID, source(), what, by))
}

// verify asks each role for its log, and compares what it says with what its witness remembers.
func (c *Control) verify(r *http.Request, e registry.Entry, by audit.By) (any, error) {
	ctx := r.Context()
	if err := c.used(ctx, e, "verify", by); err != nil {
		return nil, err
	}
	v, err := c.verdict(ctx, e, by)
	return v, err
}

// verdict is what all roles' logs of a tenant, or of the platform, say of themselves and of each other.
func (c *Control) verdict(ctx context.Context, e registry.Entry, by audit.By) (Verdict, error) {
	var ticket string
	var err error
	if !e.ID.IsZero() {
		if ticket, err = c.ticket(e, by.Agent.ID); err != nil {
			return Verdict{}, err
		}
	}
	v := Verdict{Problems: []ledger.Problem{}, Logs: []ledger.Report{}}
	for _, log := range []struct {
		stream string
		verify func() (*ledger.Report, error)
	}{
		{ledger.StreamCell, func() (*ledger.Report, error) { return c.cell.VerifyLog(ctx, e.ID, ticket, by) }},
		{ledger.StreamControl, func() (*ledger.Report, error) { return c.keeper.Verify(ctx, e.ID, c.registry.Opener(e.ID)) }},
		{ledger.StreamKeys, func() (*ledger.Report, error) { return c.broker.VerifyLog(ctx, e.ID, by) }},
	} {
		if log.stream == ledger.StreamCell && e.ID.IsZero() {
			continue // no chart is the platform's
		}
		report, err := log.verify()
		if err != nil {
			return Verdict{}, err
		}
		if err := c.remembered(ctx, log.stream, e.ID, report); err != nil {
			return Verdict{}, err
		}
		v.Logs = append(v.Logs, *report)
		v.Problems = append(v.Problems, report.Problems...)
		v.Warnings = append(v.Warnings, report.Warnings...)
	}
	v.Size, v.Root = ledger.Overall(v.Logs)
	v.OK = len(v.Problems) == 0
	return v, nil
}

// remembered adds what the witness of a log knows better.
func (c *Control) remembered(ctx context.Context, stream string, t tenant.ID, report *ledger.Report) error {
	var note []byte
	var err error
	if stream == ledger.StreamControl {
		note, err = c.broker.Witnessed(ctx, report.Log)
	} else {
		note, _, err = c.registry.Seen(ctx, report.Log)
	}
	if err != nil {
		return err
	}
	p := ledger.Problem{Log: report.Log, Kind: ledger.KindWitness}
	if len(note) == 0 {
		if report.Size > 0 {
			p.Detail = "the witness remembers nothing of this log"
			report.Problems = append(report.Problems, p)
		}
		return nil
	}
	progress, err := c.logs(stream).LogProgress(ctx, t, ledger.SizeOf(note))
	if err == nil {
		_, err = progress.Follow(c.cfg.Ledger.Verifiers, note)
	}
	if f := fault.Of(err); f != nil {
		if f.Kind == fault.Unavailable {
			return err
		}
		p.Kind, p.Detail = ledger.KindRolledBack, "what the witness remembers does not lead to the newest checkpoint: "+f.Text
		report.Problems = append(report.Problems, p)
	}
	return nil
}

// LogProgress implements ledger.Logs for control's own.
func (c *Control) LogProgress(ctx context.Context, t tenant.ID, from int64) (ledger.Progress, error) {
	return c.keeper.Progress(ctx, t, from)
}

// ProveEvent implements ledger.Logs for control's own.
func (c *Control) ProveEvent(ctx context.Context, t tenant.ID, event uuid.UUID) (ledger.Inclusion, error) {
	return c.keeper.Prove(ctx, t, event)
}

func (c *Control) logs(stream string) ledger.Logs {
	switch stream {
	case ledger.StreamCell:
		return c.cell
	case ledger.StreamKeys:
		return c.broker
	}
	return c
}

// progress answers a witness from outside: the newest checkpoint, and the proof from a size that it remembers.
func (c *Control) progress(r *http.Request, e registry.Entry, by audit.By) (any, error) {
	from := int64(0)
	if s := r.URL.Query().Get("from"); s != "" {
		var err error
		if from, err = strconv.ParseInt(s, 10, 64); err != nil || from < 0 {
			return nil, fault.New(fault.Invalid, "from is a size")
		}
	}
	stream := r.PathValue("stream")
	if stream != ledger.StreamCell && stream != ledger.StreamControl && stream != ledger.StreamKeys {
		return nil, fault.New(fault.NotFound, "the logs are cell, control and keys")
	}
	if err := c.used(r.Context(), e, "witness", by); err != nil {
		return nil, err
	}
	return c.logs(stream).LogProgress(r.Context(), e.ID, from)
}

// proveEvent finds an event in one of the logs.
func (c *Control) proveEvent(r *http.Request, e registry.Entry, by audit.By) (any, error) {
	id, err := uuid.Parse(r.PathValue("event"))
	if err != nil {
		return nil, fault.New(fault.Invalid, "not the id of an event")
	}
	if err := c.used(r.Context(), e, "prove", by); err != nil {
		return nil, err
	}
	for _, stream := range []string{ledger.StreamCell, ledger.StreamControl, ledger.StreamKeys} {
		p, err := c.logs(stream).ProveEvent(r.Context(), e.ID, id)
		if !fault.Is(err, fault.NotFound) {
			return p, err
		}
	}
	return nil, fault.New(fault.NotFound, "no log has this event")
}

// logKeys publishes the keys that verify logs. Whoever verifies gets them once, over a way that is trusted.
func (c *Control) logKeys(*http.Request, registry.Entry, audit.By) (any, error) {
	return map[string][]string{"keys": c.cfg.Ledger.Verifiers.Public()}, nil
}

// bundle streams an export that is verified offline: the logs one after the other, and control's statement of what they are.
func (c *Control) bundle(w http.ResponseWriter, r *http.Request) {
	ctx, by := r.Context(), operator(r.Context())
	e, err := c.logsOf(r)
	var ticket string
	if err == nil && !e.ID.IsZero() {
		ticket, err = c.ticket(e, by.Agent.ID)
	}
	if err == nil {
		err = c.used(ctx, e, "export", by)
	}
	if err != nil {
		c.refuse(w, r, err)
		return
	}
	sources := []ledger.Lines{c.exportLog(ctx, e.ID), c.broker.ExportLog(ctx, e.ID, by)}
	if !e.ID.IsZero() {
		sources = append(sources, c.cell.ExportLog(ctx, e.ID, ticket, by))
	}
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	started := false
	send := func(l ledger.Line, err error) bool {
		if err != nil {
			c.log.ErrorContext(ctx, "audit export failed", slog.String("error", err.Error()))
			if started {
				panic(http.ErrAbortHandler) // half an export must not look like a whole one
			}
			outcome.Error(w, err)
			return false
		}
		if !started {
			w.Header().Set("Content-Type", "application/x-ndjson")
			w.Header().Set("Cache-Control", "no-store")
			started = true
		}
		return out.Encode(l) == nil
	}
	var heads []ledger.LogLine
	for _, lines := range sources {
		for l, err := range lines {
			if !send(l, err) {
				return
			}
			if l.Log != nil {
				heads = append(heads, *l.Log)
			}
		}
	}
	statement, err := c.cfg.Ledger.Signing.Statement(e.ID, heads, time.Now())
	send(ledger.Line{Statement: statement}, err)
}

var errEnough = errors.New("nobody listens any more")

// exportLog is control's own log.
func (c *Control) exportLog(ctx context.Context, t tenant.ID) ledger.Lines {
	return func(yield func(ledger.Line, error) bool) {
		err := c.keeper.Export(ctx, t, c.registry.Opener(t), func(l ledger.Line) error {
			if !yield(l, nil) {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(ledger.Line{}, err)
		}
	}
}
