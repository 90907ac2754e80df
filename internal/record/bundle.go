package record

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir"
)

// MaxEntries bounds a Bundle.
const MaxEntries = 20_000

// Entry is one request of a batch or transaction Bundle.
type Entry struct {
	Index       int
	Method      string // GET, HEAD, POST, PUT, DELETE
	URL         string // relative to the FHIR base
	FullURL     string
	Type        *fhir.Type // of POST, PUT and DELETE
	ID          string     // of PUT and DELETE
	IfMatch     int64
	IfNoneExist string
	Resource    fhir.Value
}

// place names the entry in an issue.
func (e *Entry) place(rest string) string {
	return "Bundle.entry[" + strconv.Itoa(e.Index) + "]" + rest
}

// wrong is an issue about the entry, as a fault.
func (e *Entry) wrong(k fault.Kind, code, rest, format string, args ...any) *fault.Fault {
	text := fmt.Sprintf(format, args...)
	return &fault.Fault{Kind: k, Text: text, Issues: []fault.Issue{{Severity: "error", Code: code, Diagnostics: text, Expression: e.place(rest)}}}
}

// ReadEntries reads the requests of a Bundle whose type was found to be batch or transaction.
func ReadEntries(bundle fhir.Value) ([]Entry, error) {
	list := bundle.Get("entry")
	if list.Valid() && list.Kind() != fhir.Array {
		text := "must be an array"
		return nil, &fault.Fault{Kind: fault.Invalid, Text: text, Issues: []fault.Issue{{Severity: "error", Code: "structure", Diagnostics: text, Expression: "Bundle.entry"}}}
	}
	if list.Len() > MaxEntries {
		return nil, fault.New(fault.TooLarge, "a Bundle has at most %d entries", MaxEntries)
	}
	out := make([]Entry, 0, list.Len())
	for v := range list.Elems() {
		e := Entry{Index: len(out), FullURL: v.Get("fullUrl").Str(), Resource: v.Get("resource")}
		req := v.Get("request")
		if req.Kind() != fhir.Object {
			return nil, e.wrong(fault.Invalid, "required", ".request", "every entry of a batch or transaction has a request")
		}
		e.Method, e.URL, e.IfNoneExist = req.Get("method").Str(), req.Get("url").Str(), req.Get("ifNoneExist").Str()
		if m := req.Get("ifMatch").Str(); m != "" {
			n, ok := ParseETag(m)
			if !ok {
				return nil, e.wrong(fault.Invalid, "value", ".request.ifMatch", "ifMatch reads W/\"version\"")
			}
			e.IfMatch = n
		}
		out = append(out, e)
	}
	return out, nil
}

// ParseETag reads W/"3", the form of a version in If-Match (FHIR R4 http.html#versioning).
func ParseETag(s string) (int64, bool) {
	s = strings.TrimPrefix(strings.TrimSpace(s), "W/")
	if len(s) > 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n > 0
}

// target checks method, URL and resource of an entry that writes.
func (e *Entry) target() error {
	path, query, hasQuery := strings.Cut(e.URL, "?")
	typ, id, hasID := strings.Cut(strings.Trim(path, "/"), "/")
	if e.Type = fhir.ResourceType(typ); e.Type == nil {
		return e.wrong(fault.Invalid, "not-supported", ".request.url", "the URL names no resource type")
	}
	if hasQuery && query != "" {
		return e.wrong(fault.NotSupported, "not-supported", ".request.url", "conditional update and delete are not served")
	}
	switch e.Method {
	case "POST":
		if hasID {
			return e.wrong(fault.Invalid, "value", ".request.url", "a POST goes to a resource type")
		}
	case "PUT", "DELETE":
		if !hasID || !fhir.ValidID(id) {
			return e.wrong(fault.Invalid, "value", ".request.url", "a %s goes to Type/id", e.Method)
		}
		e.ID = id
	default:
		return e.wrong(fault.NotSupported, "not-supported", ".request.method", "this method is not served in a Bundle")
	}
	if e.Method == "DELETE" {
		return nil
	}
	if e.Resource.Kind() != fhir.Object {
		return e.wrong(fault.Invalid, "required", ".resource", "a %s has a resource", e.Method)
	}
	if e.Resource.Get("resourceType").Str() != e.Type.Name {
		return e.wrong(fault.Invalid, "value", ".resource.resourceType", "the resource is of another type than the URL")
	}
	if e.Method == "PUT" && e.Resource.Get("id").Str() != e.ID {
		return e.wrong(fault.Invalid, "value", ".resource.id", "the id of the resource must be that of the URL")
	}
	return nil
}

// isURN reports whether s names something by urn:uuid or urn:oid; the words are the same in capitals (RFC 8141 §3.1).
func isURN(s string) bool {
	for _, prefix := range []string{"urn:uuid:", "urn:oid:"} {
		if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
			return true
		}
	}
	return false
}

// conditional reports whether a reference is a query: Practitioner?identifier=…
func conditional(s string) bool {
	typ, _, ok := strings.Cut(s, "?")
	return ok && fhir.ResourceType(typ) != nil
}
