package control

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"
	"unicode/utf16"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/ocsf"
	"github.com/cordon-ehr/cordon/internal/registry"
	"github.com/cordon-ehr/cordon/internal/rpc"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// streamAudit sends events to a SIEM as lines of JSON: one tenant's, or with no tenant named all tenants' and the platform's own. Without
// what could be of a patient: that stays in the cell. Between the events stand lines with a checkpoint; who goes on from the
// last one gets every event at least once, each tenant's events of each role in the order in which they were committed. With
// follow the stream does not end: it looks again every second, and says so every few seconds when there is nothing.
func (c *Control) streamAudit(w http.ResponseWriter, r *http.Request) {
	s, err := c.newStream(w, r)
	if err == nil {
		err = s.known(r.Context())
	}
	if err == nil {
		err = c.registry.Record(r.Context(), audit.New(audit.Event{Tenant: s.only, Type: "audit", Subtype: "stream", Action: audit.Read, Outcome: audit.Success,
			Agent: s.by.Agent, Source: audit.Source{Role: "control"}, Request: s.by.Request, Decision: audit.Decision{Allow: true, Policy: "operator/1"}}))
	}
	if err != nil {
		c.refuse(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // where there is one: a stream that follows outlives it
	if err := s.run(r.Context()); err != nil && r.Context().Err() == nil {
		c.log.ErrorContext(r.Context(), "audit stream failed", slog.String("error", err.Error()))
		panic(http.ErrAbortHandler) // its reader goes on from the last checkpoint
	}
}

// stream is one reader's stream.
type stream struct {
	c      *Control
	w      http.ResponseWriter
	by     audit.By
	only   tenant.ID // zero = all
	ocsf   bool
	follow bool
	from   checkpoint
	ticket map[tenant.ID]ticketed
	told   map[tenant.ID]bool // tenants whose own trail says that it is streamed
	last   time.Time          // of the last checkpoint that was sent
}

type ticketed struct {
	text string
	till time.Time
}

// checkpoint is how far each role's database was read to its end: by transaction, for all tenants alike, but for those whose chart
// events cannot be opened (keys disabled, or keys that do not unwrap). They come when they can be read again, and hold up nobody.
type checkpoint struct {
	Cell    uint64                       `json:"cell"`
	Control uint64                       `json:"control"`
	Keys    uint64                       `json:"keys"`
	Behind  map[tenant.ID]audit.Position `json:"behind,omitempty"` // the last of their chart events that was sent
}

func (p checkpoint) String() string {
	b, _ := json.Marshal(p)
	return base64.RawURLEncoding.EncodeToString(b)
}

func (c *Control) newStream(w http.ResponseWriter, r *http.Request) (*stream, error) {
	q := r.URL.Query()
	s := &stream{c: c, w: w, by: operator(r.Context()), follow: q.Get("follow") == "true", ticket: map[tenant.ID]ticketed{}, told: map[tenant.ID]bool{}}
	switch q.Get("format") {
	case "", "ndjson":
	case "ocsf":
		s.ocsf = true
	default:
		return nil, fault.New(fault.Invalid, "the format is ndjson or ocsf")
	}
	if since := q.Get("since"); since != "" {
		b, err := base64.RawURLEncoding.DecodeString(since)
		if err != nil || json.Unmarshal(b, &s.from) != nil {
			return nil, fault.New(fault.Invalid, "since is not a checkpoint of this stream")
		}
	}
	if name := q.Get("tenant"); name != "" {
		slug, err := tenant.ParseSlug(name)
		if err != nil {
			return nil, err
		}
		e, err := c.registry.BySlug(r.Context(), slug)
		if err != nil {
			return nil, err
		}
		s.only = e.ID
	}
	return s, nil
}

// Timing of a stream that follows.
const (
	streamPoll = time.Second
	streamBeat = 10 * time.Second
)

func (s *stream) run(ctx context.Context) error {
	for {
		sent, err := s.round(ctx)
		if err != nil {
			return err
		}
		if sent || !s.follow || time.Since(s.last) >= streamBeat {
			s.last = time.Now()
			line, _ := json.Marshal(map[string]any{"checkpoint": mark{s.from.String(), s.last.UTC().Format(time.RFC3339), len(s.from.Behind)}})
			if err := s.line(line); err != nil {
				return err
			}
		}
		if !s.follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(streamPoll):
		}
	}
}

// mark is what a line with a checkpoint says.
type mark struct {
	Cursor string `json:"cursor"`
	At     string `json:"at"`
	Behind int    `json:"behind,omitempty"` // tenants whose chart events cannot be opened now
}

// horizons tells how far each role's database can be read: below, nothing older can still be committed.
func (s *stream) horizons(ctx context.Context) (to checkpoint, err error) {
	if to.Control, err = s.c.registry.Horizon(ctx); err != nil {
		return to, err
	}
	keys, err := s.c.broker.Feed(ctx, audit.FeedAsk{By: s.by})
	if err != nil {
		return to, err
	}
	cell, err := s.c.cell.Feed(ctx, audit.FeedAsk{By: s.by})
	to.Keys, to.Cell = keys.Until, cell.Until
	return to, err
}

// known refuses a cursor of what the databases have not come to yet: one made up, or one of before a database was set back. Who went on
// from it would miss events without a word.
func (s *stream) known(ctx context.Context) error {
	to, err := s.horizons(ctx)
	if err != nil {
		return err
	}
	beyond := s.from.Cell > to.Cell || s.from.Control > to.Control || s.from.Keys > to.Keys
	for _, at := range s.from.Behind {
		beyond = beyond || at.XID > to.Cell
	}
	if beyond {
		return fault.New(fault.Invalid, "since is beyond all events that there are: it is not a checkpoint of these databases, or they were set back; begin without it")
	}
	return nil
}

// round sends what came since the last one. How far it goes is asked first, and which tenants there are after that: whoever has an
// event below is among them.
func (s *stream) round(ctx context.Context) (sent bool, err error) {
	to, err := s.horizons(ctx)
	if err != nil {
		return false, err
	}
	to.Behind = map[tenant.ID]audit.Position{}
	ids, err := s.tenants(ctx)
	if err != nil {
		return false, err
	}
	for _, e := range ids {
		sources := []rpc.Events{
			s.list(e.ID, audit.Position{XID: s.from.Control}, to.Control, func(a audit.FeedAsk) (audit.FeedPage, error) { return s.c.registry.Feed(ctx, a) }),
		}
		if !e.ID.IsZero() { // the platform's own events are control's
			sources = append(sources,
				s.list(e.ID, audit.Position{XID: s.from.Keys}, to.Keys, func(a audit.FeedAsk) (audit.FeedPage, error) { return s.c.broker.Feed(ctx, a) }),
				s.charts(ctx, e, to))
		}
		for ev, err := range merge(sources) {
			if err != nil {
				return sent, err
			}
			if err := s.event(ctx, e.ID, ev); err != nil {
				return sent, err
			}
			sent = true
		}
	}
	s.from = checkpoint{max(s.from.Cell, to.Cell), max(s.from.Control, to.Control), max(s.from.Keys, to.Keys), to.Behind}
	return sent, nil
}

// charts lists a tenant's chart events, if there is a keyring that opens them. In a stream of all tenants one whose keys are not to be
// had, or whom the cell does not know yet, is left behind where it is.
func (s *stream) charts(ctx context.Context, e registry.Entry, to checkpoint) rpc.Events {
	if e.State == tenant.Requested || e.State == tenant.Provisioning || e.State == tenant.Destroyed {
		return func(func(rpc.Event, error) bool) {}
	}
	from, behind := s.from.Behind[e.ID]
	if !behind {
		from.XID = s.from.Cell
	}
	return s.list(e.ID, from, to.Cell, func(a audit.FeedAsk) (page audit.FeedPage, err error) {
		if a.Ticket, err = s.permission(e); err != nil {
			return page, err
		}
		page, err = s.c.cell.Feed(ctx, a)
		if s.only.IsZero() && (fault.Is(err, fault.Locked) || fault.Is(err, fault.Internal) || fault.Is(err, fault.NotFound)) {
			to.Behind[e.ID] = a.After
			return audit.FeedPage{}, nil
		}
		return page, err
	})
}

// tenants are those whose events are asked for, of whatever state: control and keys have events of one that is not provisioned yet, or
// that is destroyed. And the platform itself.
func (s *stream) tenants(ctx context.Context) (out []registry.Entry, err error) {
	_, entries, err := s.c.registry.Directory(ctx)
	if err != nil {
		return nil, err
	}
	if s.only.IsZero() {
		out = append(out, registry.Entry{})
	}
	for _, e := range entries {
		if s.only.IsZero() || e.ID == s.only {
			out = append(out, e)
		}
	}
	return out, nil
}

// list is one role's events of one tenant in this round, after a position and below until.
func (s *stream) list(t tenant.ID, after audit.Position, until uint64, page func(audit.FeedAsk) (audit.FeedPage, error)) rpc.Events {
	return func(yield func(rpc.Event, error) bool) {
		a := audit.FeedAsk{Tenant: t, By: s.by, From: after.XID, Until: until, After: after, Limit: audit.PageLimit}
		for {
			p, err := page(a)
			if err != nil {
				yield(rpc.Event{}, err)
				return
			}
			a.After = p.Last
			for _, ev := range p.Events {
				if !yield(ev, nil) {
					return
				}
			}
			if len(p.Events) < a.Limit {
				return
			}
		}
	}
}

// permission is a ticket for a tenant's events, used for as long as it safely lives.
func (s *stream) permission(e registry.Entry) (string, error) {
	if t, ok := s.ticket[e.ID]; ok && time.Now().Before(t.till) {
		return t.text, nil
	}
	text, err := s.c.ticket(e, s.by.Agent.ID)
	s.ticket[e.ID] = ticketed{text, time.Now().Add(80 * time.Second)}
	return text, err
}

// event sends one event, in the form that the platform gives it, whatever bytes stood in a database. A tenant of a stream over all has
// that it is read in its own trail before its first event leaves; that a stream was read is no news, or each reading would
// make the next.
func (s *stream) event(ctx context.Context, t tenant.ID, ev rpc.Event) error {
	e, err := audit.Parse(ev.JSON)
	if err != nil {
		return err
	}
	if s.only.IsZero() && !t.IsZero() && !s.told[t] && !e.Streamed() {
		e := audit.New(audit.Event{Tenant: t, Type: "audit", Subtype: "stream", Action: audit.Read, Outcome: audit.Success, Agent: s.by.Agent,
			Source: audit.Source{Role: "control"}, Request: s.by.Request, Decision: audit.Decision{Allow: true, Policy: "operator/1"}})
		if err := s.c.registry.Record(ctx, e); err != nil {
			return err
		}
		s.told[t] = true
	}
	if s.ocsf {
		return s.line(ocsf.Render(e))
	}
	return s.line(e.Marshal())
}

// line sends one line and lets it go out. It is one line and plain text whatever a caller once sent: control characters are escaped by
// the encoder, and all that is not ASCII (bidirectional marks, separators) here.
func (s *stream) line(b []byte) error {
	if _, err := s.w.Write(append(ascii(b), '\n')); err != nil {
		return err
	}
	if err := http.NewResponseController(s.w).Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// ascii escapes what of a JSON text is not ASCII. Such characters stand only inside of its strings.
func ascii(b []byte) []byte {
	if !bytes.ContainsFunc(b, func(r rune) bool { return r >= 0x7f }) {
		return b
	}
	const hex = "0123456789abcdef"
	out := make([]byte, 0, len(b)+32)
	unit := func(u uint16) { out = append(out, '\\', 'u', hex[u>>12], hex[u>>8&15], hex[u>>4&15], hex[u&15]) }
	for _, r := range string(b) {
		switch {
		case r < 0x7f:
			out = append(out, byte(r))
		case r < 0x10000:
			unit(uint16(r))
		default:
			hi, lo := utf16.EncodeRune(r)
			unit(uint16(hi))
			unit(uint16(lo))
		}
	}
	return out
}
