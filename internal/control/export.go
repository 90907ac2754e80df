package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/lease"
	"github.com/cordon-ehr/cordon/internal/outcome"
	"github.com/cordon-ehr/cordon/internal/registry"
	"github.com/cordon-ehr/cordon/internal/rpc"
)

// exportAudit streams a tenant's events of all roles as NDJSON, merged by their time-ordered ids. That it was read is an event,
// recorded before the first line leaves.
func (c *Control) exportAudit(w http.ResponseWriter, r *http.Request) {
	ctx, who := r.Context(), operator(r.Context())
	slug, err := slugOf(r)
	var e registry.Entry
	if err == nil {
		e, err = c.registry.BySlug(ctx, slug)
	}
	var ticket string
	if err == nil {
		ticket, err = c.ticket(e, who.Agent.ID)
	}
	if err == nil {
		err = c.registry.Record(ctx, who.Event("control", e.ID, "audit", "export", audit.Read))
	}
	if err != nil {
		c.refuse(w, r, err)
		return
	}
	sources := []rpc.Events{
		pushed(func(each func([]byte) error) error { return c.registry.Events(ctx, e.ID, each) }),
		pushed(func(each func([]byte) error) error { return c.broker.Events(ctx, e.ID, each) }),
		c.cell.Events(ctx, e.ID, ticket, who),
	}
	started := false
	for ev, err := range merge(sources) {
		if err != nil {
			c.log.ErrorContext(ctx, "audit export failed", slog.String("error", err.Error()))
			if started {
				panic(http.ErrAbortHandler) // half an export must not look like a whole one
			}
			outcome.Error(w, err)
			return
		}
		if !started {
			w.Header().Set("Content-Type", "application/x-ndjson")
			w.Header().Set("Cache-Control", "no-store")
			started = true
		}
		if _, err := w.Write(append(ev.JSON, '\n')); err != nil {
			return
		}
	}
}

// ticket signs the permission to read one tenant's events.
func (c *Control) ticket(e registry.Entry, who string) (string, error) {
	sg, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: c.cfg.TicketKey}, (&jose.SignerOptions{}).WithType(lease.TicketType))
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(lease.Ticket{Tenant: e.ID.String(), Purpose: lease.Audit, Operator: who, ID: uuid.NewString(), Expires: time.Now().Add(2 * time.Minute).Unix()})
	if err != nil {
		return "", err
	}
	sig, err := sg.Sign(b)
	if err != nil {
		return "", err
	}
	return sig.CompactSerialize()
}

// pushed makes a stream of a function that calls back with each event's JSON.
func pushed(run func(each func([]byte) error) error) rpc.Events {
	return func(yield func(rpc.Event, error) bool) {
		err := run(func(b []byte) error {
			var head struct {
				ID uuid.UUID `json:"event_id"`
			}
			if err := json.Unmarshal(b, &head); err != nil {
				return fault.Wrap(fault.Internal, err, "a stored event is not JSON")
			}
			if !yield(rpc.Event{ID: head.ID, JSON: b}, nil) {
				return context.Canceled
			}
			return nil
		})
		if err != nil && !errors.Is(err, context.Canceled) { // who stopped listening is told nothing
			yield(rpc.Event{}, err)
		}
	}
}

// merge gives the events of several ordered streams in one order.
func merge(sources []rpc.Events) rpc.Events {
	return func(yield func(rpc.Event, error) bool) {
		type head struct {
			next func() (rpc.Event, error, bool)
			ev   rpc.Event
			ok   bool
		}
		heads := make([]head, len(sources))
		for i, s := range sources {
			next, stop := iter.Pull2(s)
			defer stop()
			heads[i].next = next
		}
		advance := func(h *head) bool {
			var err error
			if h.ev, err, h.ok = h.next(); h.ok && err != nil {
				yield(rpc.Event{}, err)
				return false
			}
			return true
		}
		for i := range heads {
			if !advance(&heads[i]) {
				return
			}
		}
		for {
			least := -1
			for i := range heads {
				if heads[i].ok && (least < 0 || bytes.Compare(heads[i].ev.ID[:], heads[least].ev.ID[:]) < 0) {
					least = i
				}
			}
			if least < 0 || !yield(heads[least].ev, nil) || !advance(&heads[least]) {
				return
			}
		}
	}
}
