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
	"net/url"
	"os"
	"path/filepath"
	"time"
)

type auditStreamCmd struct {
	global
	Tenant     string `help:"Slug of the tenant." xor:"whose" required:""`
	All        bool   `help:"All tenants, and the platform itself." xor:"whose" required:""`
	Format     string `help:"ndjson or ocsf." default:"ndjson" enum:"ndjson,ocsf"`
	Since      string `help:"Cursor to go on from: every event after it comes at least once."`
	CursorFile string `help:"File that keeps the cursor: read at the start, written after the events before it are on stdout." type:"path"`
	Follow     bool   `help:"Do not end: wait for more, and connect again when the connection is lost."`
}

// Run prints events, one a line. Cursors go to the file, or else the last one to stderr.
func (c *auditStreamCmd) Run(ctx context.Context) error {
	con, err := c.connect()
	if err != nil {
		return err
	}
	if c.CursorFile != "" && c.Since == "" {
		b, err := os.ReadFile(c.CursorFile)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("read the cursor: %w", err)
		}
		c.Since = string(bytes.TrimSpace(b))
	}
	said := ""
	for {
		begun, err := c.once(ctx, con)
		if err == nil && c.Follow {
			err = errors.New("the platform ended the stream")
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // asked to stop: whatever ended the connection
		}
		if !c.Follow || (!begun && c.Since == "") {
			if c.CursorFile == "" && c.Since != "" {
				fmt.Fprintln(os.Stderr, "cursor:", c.Since)
			}
			return err
		}
		if text := err.Error(); text != said { // once for each reason: it may be one that does not pass
			said = text
			fmt.Fprintln(os.Stderr, "connecting again:", text)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// once reads one connection to its end, and remembers the last cursor. begun tells that the platform answered.
func (c *auditStreamCmd) once(ctx context.Context, con *connection) (begun bool, err error) {
	q := url.Values{"format": {c.Format}}
	for k, v := range map[string]string{"tenant": c.Tenant, "since": c.Since} {
		if v != "" {
			q.Set(k, v)
		}
	}
	if c.Follow {
		q.Set("follow", "true")
	}
	resp, err := con.send(ctx, http.MethodGet, "/audit/stream?"+q.Encode(), nil)
	if err != nil {
		return false, err
	}
	defer func() { _ = resp.Body.Close() }()
	in, out := bufio.NewReaderSize(resp.Body, 64<<10), bufio.NewWriter(os.Stdout)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			if len(line) == 0 && errors.Is(err, io.EOF) {
				return true, out.Flush()
			}
			return true, fmt.Errorf("the stream was cut off: %w", err)
		}
		var mark struct {
			Checkpoint *struct {
				Cursor string `json:"cursor"`
			} `json:"checkpoint"`
		}
		if bytes.HasPrefix(line, []byte(`{"checkpoint"`)) && json.Unmarshal(line, &mark) == nil && mark.Checkpoint != nil {
			if err := out.Flush(); err != nil { // what is before the cursor is out before the cursor is kept
				return true, err
			}
			if err := c.keep(mark.Checkpoint.Cursor); err != nil {
				return true, err
			}
			continue
		}
		if _, err := out.Write(line); err != nil {
			return true, err
		}
	}
}

// keep remembers a cursor, in the file as a whole or not at all.
func (c *auditStreamCmd) keep(cursor string) error {
	c.Since = cursor
	if c.CursorFile == "" {
		return nil
	}
	tmp, err := os.CreateTemp(filepath.Dir(c.CursorFile), ".cursor")
	if err != nil {
		return fmt.Errorf("keep the cursor: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	if _, err := tmp.WriteString(cursor + "\n"); err != nil {
		return fmt.Errorf("keep the cursor: %w", err)
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("keep the cursor: %w", err)
	}
	return os.Rename(tmp.Name(), c.CursorFile)
}
