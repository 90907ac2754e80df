package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cordon-ehr/cordon/internal/ledger"
)

// manifest is DIR/manifest.json of an export.
type manifest struct {
	Tenant    string           `json:"tenant,omitempty"` // slug
	Exported  time.Time        `json:"exported"`
	Logs      []ledger.LogLine `json:"logs"` // with every checkpoint
	Statement []byte           `json:"statement"`
}

// stem names the files of a log: DIR/cell.ndjson are its events, DIR/cell.entries the log's entries.
func stem(log string) string { return log[strings.LastIndexByte(log, '/')+1:] }

// bundle writes an export that is verified offline into a new folder.
func (c *auditExportCmd) bundle(ctx context.Context, con *connection) error {
	if err := os.MkdirAll(filepath.Dir(c.Out), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(c.Out, 0o700); err != nil {
		return fmt.Errorf("an export goes into a new folder: %w", err)
	}
	keys, err := con.logKeys(ctx)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(c.Out, "keys.txt"), []byte(strings.Join(keys, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	resp, err := con.send(ctx, http.MethodGet, logsPath(c.Tenant)+"/bundle", nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	m := manifest{Tenant: c.Tenant, Exported: time.Now().UTC(), Logs: []ledger.LogLine{}}
	w := &bundleWriter{dir: c.Out, m: &m}
	err = errors.Join(w.all(json.NewDecoder(bufio.NewReaderSize(resp.Body, 1<<20))), w.end())
	if err != nil {
		return fmt.Errorf("the export was cut off: %w", err)
	}
	if len(m.Statement) == 0 {
		return errors.New("the export was cut off")
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(c.Out, "manifest.json"), append(b, '\n'), 0o600); err != nil {
		return err
	}
	return c.show(map[string]any{"dir": c.Out, "events": w.events}, func() {
		fmt.Printf("%d events in %s; verify them anywhere: cordon audit verify --export %s\n", w.events, c.Out, c.Out)
	})
}

// bundleWriter sorts the lines of an export into files.
type bundleWriter struct {
	dir     string
	m       *manifest
	files   []*os.File
	lines   *bufio.Writer
	entries *bufio.Writer
	events  int
}

func (w *bundleWriter) all(in *json.Decoder) error {
	for {
		var l ledger.Line
		if err := in.Decode(&l); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := w.one(l); err != nil {
			return err
		}
	}
}

func (w *bundleWriter) one(l ledger.Line) error {
	switch {
	case l.Log != nil:
		w.m.Logs = append(w.m.Logs, *l.Log)
		return w.begin(stem(l.Log.Log))
	case l.Statement != nil:
		w.m.Statement = l.Statement
	case w.lines == nil:
		return errors.New("an export begins with a log")
	case l.Event != nil:
		b, err := json.Marshal(l.Event)
		if err != nil {
			return err
		}
		w.events++
		_, err = w.lines.Write(append(b, '\n'))
		return err
	default:
		_, err := w.entries.Write(l.Entries)
		return err
	}
	return nil
}

func (w *bundleWriter) begin(name string) error {
	if err := w.end(); err != nil {
		return err
	}
	for suffix, to := range map[string]**bufio.Writer{".ndjson": &w.lines, ".entries": &w.entries} {
		f, err := os.OpenFile(filepath.Join(w.dir, filepath.Base(name)+suffix), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		w.files = append(w.files, f)
		*to = bufio.NewWriter(f)
	}
	return nil
}

// end closes the files of a log.
func (w *bundleWriter) end() (err error) {
	if w.lines != nil {
		err = errors.Join(w.lines.Flush(), w.entries.Flush())
	}
	for _, f := range w.files {
		err = errors.Join(err, f.Close())
	}
	w.files, w.lines, w.entries = nil, nil, nil
	return err
}

func keysIn(file string) (ledger.Verifiers, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return ledger.ParseVerifiers(strings.Fields(string(b))...)
}

// verifyExport checks an export with public keys alone. tenant is whose it must be: a slug or an id; "" = anybody's.
func verifyExport(dir, keyFile, tenant string) (v verdict, err error) {
	own := keyFile == ""
	if own {
		keyFile = filepath.Join(dir, "keys.txt")
	}
	keys, err := keysIn(keyFile)
	if err != nil {
		return v, err
	}
	b, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		return v, err
	}
	var m manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return v, fmt.Errorf("manifest.json is damaged: %w", err)
	}
	v = verdict{Problems: []ledger.Problem{}, Logs: []ledger.Report{}, OwnKeys: own}
	whose, at := ledger.Stated(m.Statement)
	v.Exported = at
	if tenant != "" && tenant != m.Tenant && tenant != whose {
		return v, fmt.Errorf("the export is of the tenant %q (%s)", m.Tenant, whose)
	}
	var logs []ledger.Exported
	for _, l := range m.Logs {
		x, bad := readExported(dir, l)
		v.Problems = append(v.Problems, bad...)
		r, err := ledger.VerifyExported(x, keys)
		if err != nil {
			return v, err
		}
		logs = append(logs, x)
		v.Logs = append(v.Logs, *r)
		v.Problems = append(v.Problems, r.Problems...)
		v.Warnings = append(v.Warnings, r.Warnings...)
	}
	v.Problems = append(v.Problems, ledger.VerifyStatement(m.Statement, keys, logs)...)
	v.Size, v.Root = ledger.Overall(v.Logs)
	v.OK = len(v.Problems) == 0
	return v, nil
}

// readExported reads the files of a log; what cannot be read is a problem of the export.
func readExported(dir string, l ledger.LogLine) (x ledger.Exported, bad []ledger.Problem) {
	x.LogLine = l
	name := filepath.Join(dir, filepath.Base(stem(l.Log)))
	note := func(object, detail string, seq *int64) {
		bad = append(bad, ledger.Problem{Log: l.Log, Seq: seq, Kind: ledger.KindEdited, Detail: detail, Object: filepath.Base(object)})
	}
	var err error
	if x.Entries, err = os.ReadFile(name + ".entries"); err != nil {
		note(name+".entries", "the list of entries cannot be read", nil)
	}
	b, err := os.ReadFile(name + ".ndjson")
	if err != nil {
		note(name+".ndjson", "the events cannot be read", nil)
	}
	seq := int64(0)
	for line := range bytes.Lines(b) {
		var e ledger.EventLine
		if json.Unmarshal(line, &e) != nil {
			note(name+".ndjson", "a line is not an event", new(seq))
		} else if e.Seq != seq {
			note(name+".ndjson", fmt.Sprintf("line %d says that it is event %d", seq, e.Seq), new(seq))
		}
		x.Events = append(x.Events, e)
		seq++
	}
	return x, bad
}
