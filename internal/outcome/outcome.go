// Package outcome renders a fault as a FHIR OperationOutcome (FHIR R4 operationoutcome.html): the one place where errors become
// answers, for the edge and for the FHIR face.
package outcome

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// ContentType is what every answer of the FHIR API has.
const ContentType = "application/fhir+json; charset=utf-8"

type resource struct {
	ResourceType string  `json:"resourceType"`
	Issue        []issue `json:"issue"`
}

type issue struct {
	Severity    string   `json:"severity"`
	Code        string   `json:"code"`
	Diagnostics string   `json:"diagnostics,omitempty"`
	Expression  []string `json:"expression,omitempty"`
}

// Bytes gives the OperationOutcome of a fault. It holds nothing that differs between one unknown id and another.
func Bytes(f *fault.Fault) []byte {
	o := resource{ResourceType: "OperationOutcome"}
	for _, i := range f.Issues {
		oi := issue{Severity: i.Severity, Code: i.Code, Diagnostics: i.Diagnostics}
		if i.Expression != "" {
			oi.Expression = []string{i.Expression}
		}
		o.Issue = append(o.Issue, oi)
	}
	if len(o.Issue) == 0 {
		o.Issue = []issue{{Severity: "error", Code: f.Kind.Code(), Diagnostics: f.Text}}
	}
	b, err := json.Marshal(o)
	if err != nil {
		panic("outcome: internal error: an outcome is always JSON: " + err.Error())
	}
	return b
}

// Error renders any error as an OperationOutcome. It is the one place where errors of the FHIR API become answers.
func Error(w http.ResponseWriter, err error) {
	f := fault.Of(err)
	h := w.Header()
	Header(h)
	switch {
	case f.Kind == fault.Unauthenticated:
		h.Set("WWW-Authenticate", `Bearer error="invalid_token"`) // RFC 6750 §3
	case f.RetryAfter > 0:
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds()))))
	case f.Kind == fault.Unavailable:
		h.Set("Retry-After", "1")
	}
	b := Bytes(f)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(f.Kind.Status())
	_, _ = w.Write(b)
}

// Header sets what every answer has: charts are not kept by caches, and browsers do not guess.
func Header(h http.Header) {
	h.Set("Content-Type", ContentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
}
