package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/note"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Line is one piece of an export on its way: exactly one field is set. An export of a log is a Log, then Entries, then Events;
// the last line of an export is its Statement.
type Line struct {
	Log       *LogLine   `json:"log,omitempty"`
	Entries   []byte     `json:"entries,omitempty"` // encoded entries of the log, as write-once storage has them
	Event     *EventLine `json:"event,omitempty"`
	Statement []byte     `json:"statement,omitempty"`
}

// LogLine begins a log.
type LogLine struct {
	Log         string   `json:"log"`
	Size        int64    `json:"size"`
	Root        string   `json:"root"`
	Checkpoints [][]byte `json:"checkpoints"` // every signed note, oldest first; cosigned where the witness signed
}

// EventLine is an event with what its leaf is made of.
type EventLine struct {
	Seq      int64           `json:"seq"`
	ID       uuid.UUID       `json:"id"`
	Recorded int64           `json:"recorded"`          // Unix nanoseconds
	Patient  int64           `json:"patient,omitempty"` // blind id
	Key      int32           `json:"key,omitempty"`     // version of the sealing key, 0 = stored in clear
	Body     []byte          `json:"body"`              // SHA-256 of the stored body
	Digest   []byte          `json:"digest,omitempty"`  // of salt and event
	Salt     []byte          `json:"salt,omitempty"`
	Event    json.RawMessage `json:"event,omitempty"`    // byte for byte what was recorded
	Unopened string          `json:"unopened,omitempty"` // why the row could not be opened: nobody of the platform wrote it
}

func (l EventLine) entry() (Entry, error) {
	e := Entry{ID: l.ID, Recorded: l.Recorded, Label: l.Patient, Key: l.Key}
	if len(l.Body) != len(e.Body) || len(l.Digest) != 0 && len(l.Digest) != len(e.Digest) {
		return e, fault.New(fault.Invalid, "a hash has another length")
	}
	copy(e.Body[:], l.Body)
	copy(e.Digest[:], l.Digest)
	return e, nil
}

// Export gives a log with everything that verifies it offline. Rows are given as the database has them, whatever the log says:
// who verifies the export finds what verifying the platform finds.
func (k *Keeper) Export(ctx context.Context, t tenant.ID, open Opener, yield func(Line) error) error {
	n := k.name(t)
	if err := k.Catch(ctx, t); err != nil {
		if _, broken := asBroken(err); !broken {
			return err
		}
	}
	c, _, err := k.newest(ctx, n)
	if err != nil {
		return err
	}
	head := &LogLine{Log: n.Origin(), Size: c.Size, Checkpoints: [][]byte{}}
	if c.Size > 0 {
		head.Root = c.Root.String()
		if head.Checkpoints, err = k.notes(ctx, n, c.Size); err != nil {
			return err
		}
	}
	if err := yield(Line{Log: head}); err != nil {
		return err
	}
	for from := int64(0); from < c.Size; from += perTile {
		b, err := k.object(ctx, n.tileKey(entryTile(from/perTile, c.Size)))
		if err != nil {
			return err
		}
		if err := yield(Line{Entries: b}); err != nil {
			return err
		}
	}
	return k.events(ctx, n, c.Size, open, yield)
}

// notes reads every checkpoint up to a size.
func (k *Keeper) notes(ctx context.Context, n Name, size int64) ([][]byte, error) {
	keys, err := k.store.List(ctx, n.prefix()+"checkpoint/", "")
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for _, key := range keys {
		s, err := sizeOf(key)
		if err != nil || s > size {
			continue
		}
		b, err := k.object(ctx, n.cosignedKey(s))
		if err == nil && b == nil {
			b, err = k.object(ctx, key)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

func (k *Keeper) events(ctx context.Context, n Name, size int64, open Opener, yield func(Line) error) error {
	if size == 0 {
		return nil
	}
	seq := int64(0)
	for r, err := range k.all(ctx, n) {
		if err != nil {
			return err
		}
		l := &EventLine{Seq: seq, ID: r.Entry.ID, Recorded: r.Recorded, Patient: r.Label, Key: r.Key, Body: r.Entry.Body[:]}
		if r.Digest != ([32]byte{}) {
			l.Digest = r.Digest[:]
		}
		o, err := open(r)
		switch {
		case err != nil:
			l.Unopened = fault.Of(err).Text
		case !json.Valid(o.JSON): // a row in clear that was edited, or emptied
			l.Unopened = "the event is not JSON"
		default:
			l.Salt, l.Event = o.Salt, o.JSON
		}
		if err := yield(Line{Event: l}); err != nil {
			return err
		}
		if seq++; seq == size {
			return nil
		}
	}
	return nil
}

// Statement signs what an export holds: whose it is, and each log's size and root, so that no log can be left out.
func (s Signing) Statement(t tenant.ID, logs []LogLine, at time.Time) ([]byte, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "cordon/export/%s\n%s\n", t, at.UTC().Format(time.RFC3339Nano))
	for _, l := range logs {
		fmt.Fprintf(&b, "%s %d %s\n", l.Log, l.Size, l.Root)
	}
	out, err := note.Sign(&note.Note{Text: b.String()}, s.Signer)
	return out, err
}

// textOf is the text of a note, unverified.
func textOf(b []byte) string {
	text, _, _ := strings.Cut(string(b), "\n\n")
	return text + "\n"
}

// named reads an origin, and finds the keys of its log.
func named(origin string, v Verifiers) (Name, Keys, error) {
	parts := strings.Split(origin, "/")
	if len(parts) != 3 || parts[0] != "cordon" {
		return Name{}, Keys{}, fault.New(fault.Invalid, "not the name of a log")
	}
	id, err := uuid.Parse(parts[1])
	if err != nil {
		return Name{}, Keys{}, fault.New(fault.Invalid, "not the name of a log")
	}
	n := Name{tenant.IDFromBytes(id), parts[2]}
	keys := v.Of(n.Stream)
	if keys.Log == nil || keys.Witness == nil {
		return n, keys, fault.New(fault.Invalid, "there is no public key for logs of %s", n.Stream)
	}
	return n, keys, nil
}
