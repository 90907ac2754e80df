package fhirhttp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/record"
	"github.com/cordon-ehr/cordon/internal/telemetry"
)

// TestPanicTellsNothing lets handlers panic with what a patient would not want told, in each kind of value that a panic can have, and
// lets every route run into records that are not there: the caller learns that there was an internal error, and the log where.
func TestPanicTellsNothing(t *testing.T) {
	t.Parallel()
	const secret = "QqCanaryXy7"
	panics := map[string]handler{
		"text":    func(*call) error { panic(secret) },
		"error":   func(*call) error { panic(errors.New(secret)) },
		"fault":   func(*call) error { panic(fault.Wrap(fault.Internal, errors.New(secret), "%s", secret)) },
		"value":   func(*call) error { panic(map[string][]byte{secret: []byte(secret)}) },
		"again":   func(*call) error { defer func() { panic(fmt.Sprint(recover(), secret)) }(); panic(secret) },
		"runtime": func(c *call) error { return errors.New(map[string][]string{}[c.URL.Path][len(secret)]) },
		"nil":     func(c *call) error { c.caller = nil; _ = c.caller.Query; return nil },
	}
	serve := func(name string, f *Face, do func(w http.ResponseWriter, r *http.Request), log *bytes.Buffer, r *http.Request) {
		t.Helper()
		log.Reset()
		w := httptest.NewRecorder()
		do(w, r)
		if w.Code != http.StatusInternalServerError || strings.Contains(fmt.Sprint(w.Result().Header, w.Body), secret) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		lines := 0
		for line := range strings.Lines(log.String()) {
			lines++
			if !json.Valid([]byte(line)) || strings.Contains(line, secret) {
				t.Errorf("%s: the log says %s", name, line)
			}
		}
		if lines != 2 || !strings.Contains(log.String(), `"msg":"panic"`) || !strings.Contains(log.String(), "goroutine") {
			t.Errorf("%s: %d lines: %s", name, lines, log)
		}
	}
	ask := func(method, path string) *http.Request {
		r := httptest.NewRequest(method, path, strings.NewReader(`{"resourceType":"Patient","id":"`+secret+`","name":[{"family":"`+secret+`"}]}`))
		r.Header.Set("Content-Type", "application/fhir+json")
		r.Header.Set("X-Note", secret)
		return r
	}
	var log bytes.Buffer
	f := New(nil, Doors{}, telemetry.NewMetrics(), telemetry.NewLogger(&log, slog.LevelDebug))
	for name, h := range panics {
		inner := f.interaction("read", h)
		serve(name, f, func(w http.ResponseWriter, r *http.Request) {
			f.routes = http.NewServeMux()
			f.routes.Handle("/", inner)
			f.routes.ServeHTTP(w, visiting(r, "/Patient/"+secret))
		}, &log, ask("GET", "/?name="+secret))
	}
	f = New(nil, Doors{}, telemetry.NewMetrics(), telemetry.NewLogger(&log, slog.LevelDebug))
	for _, r := range Routes() {
		method, path, _ := strings.Cut(r.Pattern, " ")
		if path == "" || path == "/{$}" || strings.HasSuffix(path, "_search") {
			continue // what they ask of the records is a search
		}
		path = strings.NewReplacer("{type}", "Patient", "{id}", secret, "{version}", "1").Replace(path)
		serve(r.Pattern, f, func(w http.ResponseWriter, r *http.Request) { f.routes.ServeHTTP(w, visiting(r, path)) }, &log, ask(method, "/"))
	}
}

// visiting is a request past the doors.
func visiting(r *http.Request, path string) *http.Request {
	r.URL.Path = path
	return r.WithContext(context.WithValue(r.Context(), visitKey{}, &visit{caller: &record.Caller{}}))
}
