package ledger

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// Ask is a log's request for a cosignature.
type Ask struct {
	Log   string      `json:"log"`   // its origin
	Note  []byte      `json:"note"`  // the checkpoint, signed by its log
	From  int64       `json:"from"`  // size that the log believes the witness has seen
	Proof []tlog.Hash `json:"proof"` // that the tree of From is a beginning of this one; empty when From is 0
}

// Cosigned is the witness's answer: its head now, and the note with both signatures when it took the new head. When it has seen
// another size than the log believes, Note is empty and the log asks again from Size.
type Cosigned struct {
	Size int64  `json:"size"`
	Note []byte `json:"note,omitempty"`
}

// Witness is another role that remembers a log's heads and cosigns each that goes on from the one before.
// Faults: Conflict (the head does not go on from what the witness has seen: a fork), Invalid, Unavailable.
type Witness interface {
	Cosign(ctx context.Context, a Ask) (Cosigned, error)
}

// Heads is where a witness remembers.
type Heads interface {
	// Seen gives the newest cosigned note of a log and its size; nothing and 0 before the first.
	Seen(ctx context.Context, origin string) (note []byte, size int64, err error)
	// Remember replaces the head whose size is from, and tells whether it was.
	Remember(ctx context.Context, origin string, from int64, c Checkpoint, note []byte, at time.Time) (bool, error)
}

// Watcher is the witness's side: it cosigns the logs of other roles. It is safe for concurrent use.
type Watcher struct {
	Heads     Heads
	Signing   Signing
	Verifiers Verifiers
	Streams   []string // whose logs it watches
	Alert     Alert    // told of a head that is not consistent with what was seen
	Now       func() time.Time

	mu   sync.Mutex        // guards said
	said map[string]string // by log: the refusal that was told of last
}

// Cosign implements Witness.
func (w *Watcher) Cosign(ctx context.Context, a Ask) (Cosigned, error) {
	n, keys, err := named(a.Log, w.Verifiers)
	if err != nil {
		return Cosigned{}, err
	}
	if !slices.Contains(w.Streams, n.Stream) {
		return Cosigned{}, fault.New(fault.Forbidden, "this witness does not watch logs of %s", n.Stream)
	}
	next, err := keys.open(n, a.Note)
	if err != nil {
		return Cosigned{}, err
	}
	b, size, err := w.Heads.Seen(ctx, n.Origin())
	if err != nil {
		return Cosigned{}, err
	}
	if size != a.From {
		return Cosigned{Size: size}, nil
	}
	if size > 0 {
		old, err := keys.open(n, b)
		if err == nil && !old.witnessd {
			err = fault.New(fault.Invalid, "it lacks the witness's own signature")
		}
		if err != nil {
			return Cosigned{}, w.refuse(n, "the witness's own memory of this log is not good: "+fault.Of(err).Text)
		}
		if next.Size < old.Size {
			return Cosigned{}, w.refuse(n, "the log is shorter than the witness has seen it")
		}
		if next.Size == old.Size && next.Root == old.Root {
			return Cosigned{Size: size, Note: b}, nil
		}
		if next.Size == old.Size || tlog.CheckTree(a.Proof, next.Size, next.Root, old.Size, old.Root) != nil {
			return Cosigned{}, w.refuse(n, "the log does not go on from the head that the witness has seen")
		}
	}
	signed, err := note.Sign(&note.Note{Text: next.text}, w.Signing.Signer)
	if err != nil {
		return Cosigned{}, fault.Wrap(fault.Internal, err, "cosign a checkpoint")
	}
	both, err := join(a.Note, signed, keys)
	if err != nil {
		return Cosigned{}, err
	}
	ok, err := w.Heads.Remember(ctx, n.Origin(), size, next.Checkpoint, both, now(w.Now))
	if err != nil {
		return Cosigned{}, err
	}
	w.mu.Lock()
	delete(w.said, n.Origin())
	w.mu.Unlock()
	if !ok {
		_, size, err = w.Heads.Seen(ctx, n.Origin())
		return Cosigned{Size: size}, err
	}
	return Cosigned{Size: next.Size, Note: both}, nil
}

// refuse makes the refusal, and raises the alert when the reason is another than before: a log asks again and again.
func (w *Watcher) refuse(n Name, why string) error {
	w.mu.Lock()
	news := w.said[n.Origin()] != why
	if w.said == nil {
		w.said = map[string]string{}
	}
	w.said[n.Origin()] = why
	w.mu.Unlock()
	if news && w.Alert != nil {
		w.Alert(n.Tenant, n.Stream, &Broken{Kind: KindWitness, Detail: why})
	}
	return fault.New(fault.Conflict, "%s", why)
}

// join makes one note of two with the same text: signed keeps its signature and gets the log's.
func join(logs, signed []byte, keys Keys) ([]byte, error) {
	msg, err := note.Open(logs, note.VerifierList(keys.Log))
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the signature of a checkpoint is not good")
	}
	own, err := note.Open(signed, note.VerifierList(keys.Witness))
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the witness's own signature is not good")
	}
	msg.Sigs, msg.UnverifiedSigs = append(msg.Sigs, own.Sigs...), nil
	return note.Sign(msg)
}

// cosign gets the witness's signature for a head that still lacks it, and moves the bookmark.
func (k *Keeper) cosign(ctx context.Context, n Name, latest Checkpoint, head Head) (Head, error) {
	if latest.Size == 0 || head.Cosigned >= latest.Size || k.cfg.Witness == nil {
		return head, nil
	}
	to, err := k.witnessed(ctx, n, latest, head)
	if err != nil {
		if _, broken := asBroken(err); broken {
			return head, err
		}
		k.later(ctx, n, err)
		return head, nil
	}
	return k.advance(ctx, n, head.Size, to)
}

// later says that the witness could not be asked: the log goes on, and asks again at its next step or sweep.
func (k *Keeper) later(ctx context.Context, n Name, err error) {
	k.cfg.Log.WarnContext(ctx, "the witness does not cosign now", slog.String("log", n.Origin()), slog.String("error", err.Error()))
}

// witnessed asks the witness to take a checkpoint, and stores the cosigned note. A refusal is Broken: there are two histories.
func (k *Keeper) witnessed(ctx context.Context, n Name, c Checkpoint, head Head) (Head, error) {
	if k.cfg.Witness == nil {
		return head, nil
	}
	signed, err := k.store.Get(ctx, n.checkpointKey(c.Size))
	if err != nil {
		return head, err
	}
	from := head.Cosigned
	if from > c.Size {
		from = 0 // the bookmark is not believed: the witness says what it has seen
	}
	for range 4 {
		a := Ask{Log: n.Origin(), Note: signed, From: from}
		if from > 0 && from < c.Size {
			if a.Proof, err = tlog.ProveTree(c.Size, from, k.hashes(ctx, n, c, k.cache)); err != nil {
				return head, k.treeFault(ctx, n, err)
			}
		}
		got, err := k.cfg.Witness.Cosign(ctx, a)
		if fault.Is(err, fault.Conflict) {
			return head, &Broken{Kind: KindFork, Detail: "the witness refuses the new head: " + fault.Of(err).Text}
		}
		if err != nil {
			return head, err
		}
		if len(got.Note) == 0 {
			if got.Size > c.Size {
				return k.overtaken(ctx, n, c, got.Size, head)
			}
			if got.Size < from {
				k.forgotten(ctx, n, from)
			}
			from = got.Size
			continue
		}
		if err := k.keep(ctx, n, c, got.Note); err != nil {
			return head, err
		}
		head.Cosigned = c.Size
		return head, nil
	}
	return head, fault.New(fault.Unavailable, "the witness moved on again and again")
}

// forgotten raises an alert when a witness has forgotten what it signed: its memory was taken back. It learns again, from what it
// remembers still; storage shows what it had signed.
func (k *Keeper) forgotten(ctx context.Context, n Name, size int64) {
	if _, err := k.store.Get(ctx, n.cosignedKey(size)); err == nil && k.cfg.Alert != nil {
		k.cfg.Alert(n.Tenant, n.Stream, &Broken{Kind: KindWitness, Detail: "the witness has forgotten a head that it signed", Object: n.cosignedKey(size)})
	}
}

// overtaken tells a process that was slower than another one from a log that was cut, and from one that has two histories.
func (k *Keeper) overtaken(ctx context.Context, n Name, c Checkpoint, size int64, head Head) (Head, error) {
	b, err := k.store.Get(ctx, n.checkpointKey(size))
	if fault.Is(err, fault.NotFound) {
		return head, &Broken{Kind: KindRolledBack, Detail: "the witness has seen a longer log than storage holds", Object: n.checkpointKey(size)}
	}
	if err != nil {
		return head, err
	}
	longer, err := k.keys.open(n, b)
	if err != nil {
		return head, &Broken{Kind: KindSignature, Detail: fault.Of(err).Text, Object: n.checkpointKey(size)}
	}
	proof, err := tlog.ProveTree(longer.Size, c.Size, k.hashes(ctx, n, longer.Checkpoint, k.cache))
	if err != nil {
		return head, k.treeFault(ctx, n, err)
	}
	if tlog.CheckTree(proof, longer.Size, longer.Root, c.Size, c.Root) != nil {
		return head, &Broken{Kind: KindFork, Detail: "the longer log that the witness has seen does not go on from this one", Object: n.checkpointKey(c.Size)}
	}
	return head, fault.Wrap(fault.Unavailable, errOvertaken, "the witness has seen a longer log")
}

// keep stores a cosigned note of a checkpoint; that of another process with the same signatures is as good.
func (k *Keeper) keep(ctx context.Context, n Name, c Checkpoint, b []byte) error {
	o, err := k.keys.open(n, b)
	if err != nil {
		return err
	}
	if !o.witnessd {
		return fault.New(fault.Invalid, "the witness's signature is missing")
	}
	if o.Size != c.Size || o.Root != c.Root {
		return fault.New(fault.Invalid, "the witness has signed another checkpoint than it was asked for")
	}
	if err = k.store.Put(ctx, n.cosignedKey(o.Size), b); fault.Is(err, fault.Conflict) {
		return nil
	}
	return err
}
