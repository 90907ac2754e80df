package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
)

type auditCmd struct {
	Export auditExportCmd `cmd:"" help:"Print a tenant's events as JSON, one a line. Reading them is an event itself."`
	Who    auditWhoCmd    `cmd:"" help:"Print who saw a patient: the newest events of the patient first. Asking is an event itself."`
	Stream auditStreamCmd `cmd:"" help:"Stream events to a SIEM, one JSON a line, without what could be of a patient."`
}

type auditExportCmd struct {
	global
	Tenant string `required:"" help:"Slug of the tenant."`
}

// Run streams the events: NDJSON for people and pipes, one JSON array with --json.
func (c *auditExportCmd) Run(ctx context.Context) error {
	con, err := c.connect()
	if err != nil {
		return err
	}
	resp, err := con.send(ctx, http.MethodGet, "/tenants/"+url.PathEscape(c.Tenant)+"/audit", nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	out := bufio.NewWriter(os.Stdout)
	if !c.JSON {
		_, err = io.Copy(out, resp.Body)
	} else {
		err = array(out, resp.Body)
	}
	if err != nil {
		return fmt.Errorf("the export was cut off: %w", err)
	}
	return out.Flush()
}

// array copies lines of JSON into one array.
func array(w *bufio.Writer, r io.Reader) error {
	in := bufio.NewReader(r)
	sep := byte('[')
	for {
		line, err := in.ReadBytes('\n')
		if line = bytes.TrimSpace(line); len(line) > 0 {
			_ = w.WriteByte(sep)
			_, _ = w.Write(line)
			sep = ','
		}
		if err == io.EOF { //nolint:errorlint // bufio returns it bare
			if sep == '[' {
				_ = w.WriteByte('[')
			}
			_, err = w.WriteString("]\n")
			return err
		}
		if err != nil {
			return err
		}
	}
}
