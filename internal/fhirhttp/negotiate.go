package fhirhttp

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/limit"
)

// MaxBody bounds a request body after decompression.
const MaxBody = 128 << 20

// maxRatio bounds what a compressed body may grow to beyond the first mebibyte: FHIR JSON compresses to a tenth, a bomb to a
// thousandth.
const maxRatio = 100

// acceptable refuses a request that wants another format than JSON (FHIR R4 http.html#mime-type).
func acceptable(r *http.Request) error {
	refuse := fault.New(fault.NotAcceptable, "only application/fhir+json is served")
	if format := r.URL.Query().Get("_format"); format != "" {
		if !isJSON(format) && format != "json" {
			return refuse
		}
		return nil
	}
	accept := r.Header.Values("Accept")
	if len(accept) == 0 {
		return nil
	}
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		mt, params, err := mime.ParseMediaType(strings.TrimSpace(part))
		if err != nil || params["q"] == "0" {
			continue
		}
		if mt == "*/*" || mt == "application/*" || isJSON(mt) {
			return nil
		}
	}
	return refuse
}

func isJSON(mt string) bool {
	mt, _, _ = strings.Cut(mt, ";")
	return mt == "application/fhir+json" || mt == "application/json" || mt == "application/fhir json" // a + in a URL that was not escaped
}

// body reads a request's JSON body.
func (c *call) body() ([]byte, error) {
	mt, _, err := mime.ParseMediaType(c.Header.Get("Content-Type"))
	if err != nil || !isJSON(mt) {
		return nil, fault.New(fault.UnsupportedMedia, "the Content-Type of a resource is application/fhir+json")
	}
	return c.readAll(MaxBody)
}

// readAll reads a body of at most most bytes, after decompression, and then takes the slot to work on it.
func (c *call) readAll(most int) ([]byte, error) {
	if c.ContentLength > int64(most) {
		return nil, fault.New(fault.TooLarge, "the body has more than %d bytes", most)
	}
	limited := http.MaxBytesReader(nil, c.Body, int64(most))
	var b []byte
	var err error
	switch enc := strings.ToLower(c.Header.Get("Content-Encoding")); enc {
	case "", "identity":
		b, err = c.gather(limited, most, func(int) bool { return true })
		err = readFault(err)
	case "gzip":
		b, err = c.inflate(limited, most)
	default:
		err = fault.New(fault.UnsupportedMedia, "the Content-Encoding is identity or gzip")
	}
	if err != nil {
		return nil, err
	}
	if len(b) > largeBody {
		c.class = limit.Heavy
	}
	return b, c.enter()
}

// inflate reads a gzip body, and stops at most bytes or at the ratio of a bomb.
func (c *call) inflate(r io.Reader, most int) ([]byte, error) {
	count := &counter{r: r}
	z, err := gzip.NewReader(count)
	if err != nil {
		if f := readFault(err); !fault.Is(f, fault.Invalid) {
			return nil, f
		}
		return nil, fault.New(fault.Invalid, "the body is not gzip")
	}
	out, err := c.gather(z, most, func(n int) bool { return n <= 1<<20 || n <= maxRatio*count.n })
	if err != nil {
		if f := readFault(err); !fault.Is(f, fault.Invalid) {
			return nil, f
		}
		return nil, fault.New(fault.Invalid, "the body is not whole gzip")
	}
	return out, nil
}

// errGrown stops a body that is larger than it may be.
var errGrown = fault.New(fault.TooLarge, "the body is too large, or grows too much when decompressed")

// gather reads r to its end. Memory is taken from the tenant's budget before it is used, and as it is: who announces much and sends little
// holds little.
func (c *call) gather(r io.Reader, most int, fair func(n int) bool) ([]byte, error) {
	size := int64(32 << 10)
	if c.ContentLength >= 0 {
		size = min(c.ContentLength, 256<<10)
	}
	size += bytes.MinRead // the end of what was announced is found without growing
	if err := c.hold.Grow(size); err != nil {
		return nil, err
	}
	b := make([]byte, 0, size)
	for {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case len(b) > most || !fair(len(b)):
			return nil, errGrown
		case errors.Is(err, io.EOF):
			return b, nil
		case err != nil:
			return nil, err
		case len(b) == cap(b):
			if err := c.hold.Grow(int64(cap(b))); err != nil {
				return nil, err
			}
			b = append(make([]byte, 0, 2*cap(b)), b...)
		}
	}
}

type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

func readFault(err error) error {
	if err == nil {
		return nil
	}
	if f, ok := errors.AsType[*fault.Fault](err); ok {
		return f
	}
	if e, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return fault.New(fault.TooLarge, "the body has more than %d bytes", e.Limit)
	}
	return fault.Wrap(fault.Invalid, err, "the body could not be read to its end")
}

// parse reads and parses the body, which must be of the type; the caller releases the Doc.
func (c *call) parse(t *fhir.Type) (*fhir.Doc, error) {
	b, err := c.body()
	if err != nil {
		return nil, err
	}
	doc, err := fhir.Parse(b, fhir.DefaultLimits())
	if err != nil {
		return nil, err
	}
	if err := sameType(doc.Root(), t); err != nil {
		doc.Release()
		return nil, err
	}
	return doc, nil
}

// prefers reports whether the Prefer header holds a token, such as return=minimal (RFC 7240).
func (c *call) prefers(token string) bool {
	for _, v := range c.Header.Values("Prefer") {
		for p := range strings.FieldsFuncSeq(v, func(r rune) bool { return r == ',' || r == ';' || r == ' ' }) {
			if strings.EqualFold(p, token) {
				return true
			}
		}
	}
	return false
}
