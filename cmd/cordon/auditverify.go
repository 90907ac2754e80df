package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"

	"github.com/cordon-ehr/cordon/internal/ledger"
)

// logsPath is where the logs of a tenant, or with no slug those of the platform, are asked about.
func logsPath(tenant string) string {
	if tenant == "" {
		return "/audit"
	}
	return "/tenants/" + url.PathEscape(tenant) + "/audit"
}

type auditVerifyCmd struct {
	global
	Tenant string `help:"Slug of the tenant, or with --export its id, too; without it, the platform's own logs are verified, or whatever the export holds."`
	Export string `help:"Verify an export in this folder instead, offline." type:"existingdir"`
	Key    string `help:"File with the public keys to trust (cordon audit keys), for --export; else those in the export." type:"existingfile"`
}

type verdict struct {
	OK       bool             `json:"ok"`
	Size     int64            `json:"size"`
	Root     string           `json:"root"`
	Problems []ledger.Problem `json:"problems"`
	Warnings []ledger.Problem `json:"warnings,omitempty"`
	Logs     []ledger.Report  `json:"logs"`
	Exported string           `json:"exported,omitempty"` // when, as the export's statement says
	OwnKeys  bool             `json:"own_keys,omitempty"` // of the export, not of whoever verifies it
}

var errProblems = errors.New("the audit trail is not what was recorded")

// Run verifies, and fails when there is any problem.
func (c *auditVerifyCmd) Run(ctx context.Context) error {
	v, err := c.verify(ctx)
	if err != nil {
		return err
	}
	if err := c.show(v, v.print); err != nil {
		return err
	}
	if !v.OK {
		return errProblems
	}
	return nil
}

func (c *auditVerifyCmd) verify(ctx context.Context) (v verdict, err error) {
	if c.Export != "" {
		return verifyExport(c.Export, c.Key, c.Tenant)
	}
	con, err := c.connect()
	if err != nil {
		return v, err
	}
	return v, con.call(ctx, http.MethodPost, logsPath(c.Tenant)+"/verify", nil, &v)
}

func (v verdict) print() {
	for _, l := range v.Logs {
		fmt.Printf("%s  %d events  root %s\n", l.Log, l.Size, l.Root)
		for kind, more := range l.Omitted {
			fmt.Printf("%s  %d further problems: %s\n", l.Log, more, kind)
		}
	}
	for _, p := range v.Warnings {
		fmt.Println("warning:", line(p))
	}
	for _, p := range v.Problems {
		fmt.Println("PROBLEM:", line(p))
	}
	if v.Exported != "" {
		fmt.Println("exported:", v.Exported)
	}
	if v.OwnKeys {
		fmt.Println("warning: the keys are the export's own; whoever made it may have made them (--key names yours)")
	}
	if v.OK {
		fmt.Printf("ok: %d events, root %s\n", v.Size, v.Root)
	}
}

func line(p ledger.Problem) string {
	s := p.Kind + ": " + p.Detail
	if p.Log != "" {
		s += "; log " + p.Log
	}
	if p.Seq != nil {
		s += fmt.Sprintf("; number %d", *p.Seq)
	}
	if p.Event != "" {
		s += "; event " + p.Event
	}
	if p.Object != "" {
		s += "; object " + p.Object
	}
	return s
}

type auditKeysCmd struct{ global }

// Run prints the public keys that verify logs, one a line.
func (c *auditKeysCmd) Run(ctx context.Context) error {
	con, err := c.connect()
	if err != nil {
		return err
	}
	keys, err := con.logKeys(ctx)
	if err != nil {
		return err
	}
	return c.show(keys, func() {
		for _, k := range keys {
			fmt.Println(k)
		}
	})
}

func (c *connection) logKeys(ctx context.Context) ([]string, error) {
	var out struct {
		Keys []string `json:"keys"`
	}
	err := c.call(ctx, http.MethodGet, "/audit/keys", nil, &out)
	return out.Keys, err
}

type auditKeygenCmd struct {
	Name string `required:"" help:"Name of the key: your host and the role, ehr.example.org/cell, …/control or …/keys."`
	Out  string `required:"" help:"File for the signing key."`
}

// Run makes a signing key for a role's logs, and prints its public key.
func (c *auditKeygenCmd) Run() error {
	private, public, err := ledger.NewKey(c.Name)
	if err != nil {
		return err
	}
	if _, err := ledger.ParseVerifiers(public); err != nil {
		return err
	}
	f, err := os.OpenFile(c.Out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, private)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	fmt.Println(public)
	return nil
}

type auditProveCmd struct {
	global
	Tenant string `help:"Slug of the tenant; without it, the platform's own logs."`
	Event  string `required:"" help:"Id of the event."`
	Key    string `help:"File with the public keys to trust; else those that the platform names." type:"existingfile"`
}

// Run prints the proof that an event is in a log, after checking it.
func (c *auditProveCmd) Run(ctx context.Context) error {
	con, err := c.connect()
	if err != nil {
		return err
	}
	keys, err := con.trusted(ctx, c.Key)
	if err != nil {
		return err
	}
	var p ledger.Inclusion
	if err := con.call(ctx, http.MethodGet, logsPath(c.Tenant)+"/proof/"+url.PathEscape(c.Event), nil, &p); err != nil {
		return err
	}
	if err := p.Check(keys); err != nil {
		return err
	}
	return c.show(p, func() { fmt.Printf("event %s is number %d of %s\n", p.Event, p.Seq, p.Log) })
}

// trusted reads keys from a file, or asks the platform.
func (c *connection) trusted(ctx context.Context, file string) (ledger.Verifiers, error) {
	if file != "" {
		return keysIn(file)
	}
	keys, err := c.logKeys(ctx)
	if err != nil {
		return nil, err
	}
	return ledger.ParseVerifiers(keys...)
}

type auditWitnessCmd struct {
	global
	Tenant string `help:"Slug of the tenant; without it, the platform's own logs."`
	State  string `required:"" help:"File that remembers what was seen; made when missing. Keep it where the platform cannot write."`
}

// seen is the file of an outside witness.
type seen struct {
	Keys  []string          `json:"keys"`  // trusted since the first look
	Notes map[string][]byte `json:"notes"` // newest checkpoint by log
	Logs  map[string]string `json:"logs"`  // name of the log by what was asked for: another log in its place does not pass
}

// follow checks one log's answer against what was seen of it.
func (s *seen) follow(keys ledger.Verifiers, asked string, p ledger.Progress) error {
	if log, ok := s.Logs[asked]; ok && log != p.Log {
		return fmt.Errorf("%s was %s before, and is %s now", asked, log, p.Log)
	}
	note, err := p.Follow(keys, s.Notes[p.Log])
	if err != nil {
		return err
	}
	if len(note) > 0 {
		s.Notes[p.Log], s.Logs[asked] = note, p.Log
	}
	return nil
}

// Run looks at a tenant's logs from outside: each must go on from what was seen before.
func (c *auditWitnessCmd) Run(ctx context.Context) error {
	con, err := c.connect()
	if err != nil {
		return err
	}
	s := seen{Notes: map[string][]byte{}}
	b, err := os.ReadFile(c.State)
	if err == nil {
		err = json.Unmarshal(b, &s)
	} else if errors.Is(err, os.ErrNotExist) {
		s.Keys, err = con.logKeys(ctx)
	}
	if err != nil {
		return fmt.Errorf("read what was seen before: %w", err)
	}
	if s.Logs == nil {
		s.Logs = map[string]string{}
	}
	keys, err := ledger.ParseVerifiers(s.Keys...)
	if err != nil {
		return err
	}
	sizes := map[string]int64{}
	for _, stream := range []string{ledger.StreamCell, ledger.StreamControl, ledger.StreamKeys} {
		if stream == ledger.StreamCell && c.Tenant == "" {
			continue
		}
		var p ledger.Progress
		at := logsPath(c.Tenant) + "/logs/" + stream
		if err := con.call(ctx, http.MethodGet, at, nil, &p); err != nil {
			return err
		}
		if old := s.Notes[s.Logs[at]]; len(old) > 0 {
			if err := con.call(ctx, http.MethodGet, fmt.Sprintf("%s?from=%d", at, ledger.SizeOf(old)), nil, &p); err != nil {
				return err
			}
		}
		if err := s.follow(keys, at, p); err != nil {
			return err
		}
		if len(p.Note) > 0 {
			sizes[p.Log] = p.Size
		}
	}
	if b, err = json.MarshalIndent(s, "", "  "); err != nil {
		return err
	}
	if err := os.WriteFile(c.State+".new", append(b, '\n'), 0o600); err != nil {
		return err
	}
	if err := os.Rename(c.State+".new", c.State); err != nil {
		return err
	}
	return c.show(sizes, func() {
		for log, size := range sizes {
			fmt.Printf("%s goes on: %d events\n", log, size)
		}
	})
}
