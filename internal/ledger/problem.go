package ledger

import (
	"errors"
	"slices"

	"github.com/cordon-ehr/cordon/internal/tenant"
)

// The kinds of problems.
const (
	KindEdited     = "edited"        // a row is not what the log says of it
	KindDeleted    = "deleted"       // an event of the log has no row
	KindTail       = "tail cut"      // the newest events of the log have no rows
	KindInserted   = "inserted"      // a row stands among logged rows and is not in the log
	KindDuplicate  = "duplicated"    // one event has two rows
	KindReordered  = "reordered"     // rows have changed places
	KindForged     = "forged"        // a row that no role of the platform wrote
	KindRolledBack = "rolled back"   // the database is older than the log
	KindFork       = "fork"          // two histories of one log
	KindStorage    = "storage"       // an object of write-once storage is missing or altered
	KindSignature  = "signature"     // a checkpoint's signature is not good
	KindWitness    = "witness"       // the witness has not seen this history
	KindPending    = "not sequenced" // rows committed before are not in the log
)

// Problem is one finding of a verification. Seq and Event name the first bad event where there is one.
type Problem struct {
	Log    string `json:"log"`
	Seq    *int64 `json:"seq,omitempty"` // place in the log, from 0
	Event  string `json:"event,omitempty"`
	Kind   string `json:"kind"`
	Detail string `json:"detail"`
	Object string `json:"object,omitempty"` // of write-once storage
}

// Report is what verifying one log found. It is good when it has no problems.
type Report struct {
	Log      string    `json:"log"`
	Size     int64     `json:"size"`
	Root     string    `json:"root,omitempty"` // base64
	Made     string    `json:"made,omitempty"` // time of the newest checkpoint
	Problems []Problem `json:"problems"`
	Warnings []Problem `json:"warnings,omitempty"`

	Omitted map[string]int `json:"omitted,omitempty"` // how many more there are of a kind
	kinds   map[string]int // how many are told of each
}

// maxProblems bounds what a report tells of each kind; the rest is counted. Many of one kind do not hide another.
const maxProblems = 50

func (r *Report) add(p Problem) {
	p.Log = r.Log
	if r.kinds == nil {
		r.kinds = map[string]int{}
	}
	if r.kinds[p.Kind] < maxProblems {
		r.kinds[p.Kind]++
		r.Problems = append(r.Problems, p)
		return
	}
	if r.Omitted == nil {
		r.Omitted = map[string]int{}
	}
	r.Omitted[p.Kind]++
}

// tells whether a problem of the kind or about the event is in the report.
func (r *Report) tells(kind, event string) bool {
	return slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Kind == kind || event != "" && p.Event == event })
}

func (r *Report) warn(p Problem) {
	p.Log = r.Log
	if len(r.Warnings) < maxProblems {
		r.Warnings = append(r.Warnings, p)
	}
}

// at makes a problem about an event.
func at(seq int64, e Entry, kind, detail string) Problem {
	return Problem{Seq: &seq, Event: e.ID.String(), Kind: kind, Detail: detail}
}

// Broken says why a log cannot go on: the sequencer signs nothing over it.
type Broken struct {
	Kind, Detail, Object string
	Seq                  *int64
	Event                string
}

func (b *Broken) Error() string { return b.Kind + ": " + b.Detail }

func (b *Broken) problem() Problem {
	return Problem{Seq: b.Seq, Event: b.Event, Kind: b.Kind, Detail: b.Detail, Object: b.Object}
}

// brokenAt names an event.
func brokenAt(seq int64, e Entry, kind, detail string) *Broken {
	return &Broken{Kind: kind, Detail: detail, Seq: &seq, Event: e.ID.String()}
}

func asBroken(err error) (*Broken, bool) { return errors.AsType[*Broken](err) }

// Alert is told when a log stops, once for each cause.
type Alert func(t tenant.ID, stream string, b *Broken)
