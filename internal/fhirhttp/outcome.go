package fhirhttp

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// contentType is what every answer of the FHIR API has.
const contentType = "application/fhir+json; charset=utf-8"

type outcome struct {
	ResourceType string         `json:"resourceType"`
	Issue        []outcomeIssue `json:"issue"`
}

type outcomeIssue struct {
	Severity    string   `json:"severity"`
	Code        string   `json:"code"`
	Diagnostics string   `json:"diagnostics,omitempty"`
	Expression  []string `json:"expression,omitempty"`
}

// Outcome gives the OperationOutcome of a fault. It holds nothing that differs between one unknown id and another.
func Outcome(f *fault.Fault) []byte {
	o := outcome{ResourceType: "OperationOutcome"}
	for _, i := range f.Issues {
		oi := outcomeIssue{Severity: i.Severity, Code: i.Code, Diagnostics: i.Diagnostics}
		if i.Expression != "" {
			oi.Expression = []string{i.Expression}
		}
		o.Issue = append(o.Issue, oi)
	}
	if len(o.Issue) == 0 {
		o.Issue = []outcomeIssue{{Severity: "error", Code: f.Kind.Code(), Diagnostics: f.Text}}
	}
	b, err := json.Marshal(o)
	if err != nil {
		panic("fhirhttp: internal error: an outcome is always JSON: " + err.Error())
	}
	return b
}

// Error renders any error as an OperationOutcome. It is the one place where errors of the FHIR API become answers.
func Error(w http.ResponseWriter, err error) {
	f := fault.Of(err)
	h := w.Header()
	header(h)
	switch {
	case f.Kind == fault.Unauthenticated:
		h.Set("WWW-Authenticate", `Bearer error="invalid_token"`) // RFC 6750 §3
	case f.RetryAfter > 0:
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds()))))
	case f.Kind == fault.Unavailable:
		h.Set("Retry-After", "1")
	}
	b := Outcome(f)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(f.Kind.Status())
	_, _ = w.Write(b)
}

// header sets what every answer has: charts are not kept by caches, and browsers do not guess.
func header(h http.Header) {
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
}
