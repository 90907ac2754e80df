package ledger

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// Exported is one log of an export, read.
type Exported struct {
	LogLine
	Entries []byte
	Events  []EventLine
}

// VerifyExported checks one log of an export with public keys alone, and names the first bad event.
func VerifyExported(x Exported, v Verifiers) (*Report, error) {
	n, keys, err := named(x.Log, v)
	if err != nil {
		return nil, err
	}
	r := &Report{Log: x.Log, Problems: []Problem{}}
	points := signedPoints(r, n, keys, x.Checkpoints)
	if len(points) == 0 {
		if len(x.Events) > 0 || len(x.Entries) > 0 || x.Size > 0 {
			r.add(Problem{Kind: KindSignature, Detail: "no signed checkpoint covers these events"})
		}
		return r, nil
	}
	latest := points[len(points)-1]
	r.Size, r.Root, r.Made = latest.Size, latest.Root.String(), latest.Made.Format(time.RFC3339Nano)
	if !latest.witnessd {
		r.add(Problem{Kind: KindWitness, Detail: "the newest checkpoint has no cosignature of the witness"})
	}
	if x.Size != latest.Size || x.Root != r.Root {
		r.add(Problem{Kind: KindSignature, Detail: fmt.Sprintf("the export says %d events, its newest checkpoint %d", x.Size, latest.Size)})
	}
	lines := x.lines(r, n)
	log, err := decodeAll(x.Entries)
	if err != nil {
		r.add(Problem{Kind: KindStorage, Detail: fault.Of(err).Text})
	}
	if int64(len(log)) != latest.Size || rootOf(n, log) != latest.Root {
		if int64(len(lines)) == latest.Size && rootOf(n, lines) == latest.Root {
			r.add(Problem{Kind: KindStorage, Detail: "the list of entries was altered; the events give the signed root"})
			log = lines
		} else {
			narrow(r, n, points, log, lines)
		}
	}
	history(r, n, points, log)
	for _, i := range diff(r, log, lines) {
		r.add(at(int64(i), lines[i], KindInserted, "the event follows the log's last one"))
	}
	if extra := int64(len(lines)) - latest.Size; extra > 0 && !r.tells(KindInserted, "") {
		r.add(Problem{Kind: KindInserted, Detail: fmt.Sprintf("the export has %d events more than the log", extra)})
	}
	return r, nil
}

// signedPoints opens the checkpoints; they are in the order of their sizes, and each says which one it follows.
func signedPoints(r *Report, n Name, keys Keys, notes [][]byte) []opened {
	var out []opened
	for i, b := range notes {
		o, err := keys.open(n, b)
		if err != nil {
			r.add(Problem{Kind: KindSignature, Detail: fmt.Sprintf("checkpoint %d of the export: %s", i, fault.Of(err).Text)})
			continue
		}
		if len(out) > 0 && o.Size <= out[len(out)-1].Size {
			r.add(Problem{Kind: KindReordered, Detail: fmt.Sprintf("checkpoint %d of the export is out of order", i)})
			continue
		}
		out = append(out, o)
	}
	return out
}

// lines makes entries of events, and checks each event against its digest.
func (x Exported) lines(r *Report, n Name) []Entry {
	out := make([]Entry, 0, len(x.Events))
	for i, l := range x.Events {
		e, err := l.entry()
		switch {
		case err != nil:
			r.add(at(int64(i), e, KindEdited, fault.Of(err).Text))
		case l.Unopened != "":
			r.add(at(int64(i), e, KindForged, l.Unopened))
		default:
			if why := (Opened{l.Salt, l.Event}).agrees(n, e); why != "" {
				r.add(at(int64(i), e, KindEdited, why))
			}
		}
		out = append(out, e)
	}
	return out
}

// history checks that the log, whose newest root is good, had every other signed root, too, and that no checkpoint was left out.
func history(r *Report, n Name, points []opened, log []Entry) {
	var f frontier
	have := map[int64]bool{0: true}
	for _, p := range points {
		if !have[p.Prev] {
			r.add(Problem{Kind: KindSignature, Detail: fmt.Sprintf("the checkpoint at %d follows one at %d, which the export does not have", p.Size, p.Prev)})
		}
		have[p.Size] = true
		for f.size < p.Size && f.size < int64(len(log)) {
			f.add(log[f.size].Leaf(n.Tenant))
		}
		if f.size == p.Size && f.root() != p.Root && p.Size != r.Size {
			r.add(Problem{Kind: KindFork, Detail: fmt.Sprintf("the checkpoint at %d has a root that the log never had", p.Size)})
		}
	}
}

// narrow says between which two checkpoints a list of entries first departs from what was signed.
func narrow(r *Report, n Name, points []opened, log, lines []Entry) {
	var f frontier
	from := int64(0)
	for _, p := range points {
		for f.size < p.Size && f.size < int64(len(log)) {
			f.add(log[f.size].Leaf(n.Tenant))
		}
		if f.size != p.Size || f.root() != p.Root {
			break
		}
		from = p.Size
	}
	p := Problem{Kind: KindEdited, Seq: &from, Detail: "from here on, the list of entries does not give the signed roots"}
	for _, es := range [][]Entry{lines, log} {
		if from < int64(len(es)) {
			p.Event = es[from].ID.String()
		}
	}
	r.add(p)
}

// VerifyStatement checks that an export holds the logs that it was made with, all of them, and each of the tenant that it was made for.
func VerifyStatement(statement []byte, v Verifiers, logs []Exported) []Problem {
	bad := func(detail string) []Problem { return []Problem{{Kind: KindSignature, Detail: detail}} }
	control, ok := v[StreamControl]
	if !ok {
		return bad("there is no public key of control")
	}
	msg, err := note.Open(statement, note.VerifierList(control))
	if err != nil {
		return bad("the statement of the export is not signed by control")
	}
	lines := strings.Split(strings.TrimSuffix(msg.Text, "\n"), "\n")
	if len(lines) < 2 || !strings.HasPrefix(lines[0], "cordon/export/") {
		return bad("the statement is of something else")
	}
	var out []Problem
	have := map[string]string{}
	for _, l := range logs {
		have[l.Log] = fmt.Sprintf("%s %d %s", l.Log, l.Size, l.Root)
	}
	for _, line := range lines[2:] {
		name, _, _ := strings.Cut(line, " ")
		if have[name] != line {
			out = append(out, Problem{Log: name, Kind: KindTail, Detail: "the export was made with another length or root of this log, or the log was left out"})
		}
		delete(have, name)
	}
	whose := strings.TrimPrefix(lines[0], "cordon/export/")
	for _, l := range logs {
		if !strings.HasPrefix(l.Log, "cordon/"+whose+"/") {
			out = append(out, Problem{Log: l.Log, Kind: KindInserted, Detail: "the export was made for another tenant than this log's"})
		}
	}
	for name := range have {
		out = append(out, Problem{Log: name, Kind: KindInserted, Detail: "the export was made without this log"})
	}
	return out
}

// Stated is whose export a statement is about, and when it was made. It is as good as the statement (see VerifyStatement).
func Stated(statement []byte) (tenant, at string) {
	tenant, rest, _ := strings.Cut(strings.TrimPrefix(string(statement), "cordon/export/"), "\n")
	at, _, _ = strings.Cut(rest, "\n")
	return tenant, at
}

// Overall is one hash over logs: of the lines "origin size root", in the order given.
func Overall(reports []Report) (size int64, root string) {
	var b strings.Builder
	for _, r := range reports {
		size += r.Size
		fmt.Fprintf(&b, "%s %d %s\n", r.Log, r.Size, r.Root)
	}
	return size, tlog.RecordHash([]byte(b.String())).String()
}
