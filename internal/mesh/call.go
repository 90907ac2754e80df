package mesh

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/rpc"
	"github.com/cordon-ehr/cordon/internal/telemetry"
)

const (
	maxRequest  = 4 << 20          // bytes of a call's parameters
	maxAnswer   = 256 << 20        // bytes of its result: a directory of all tenants is the largest
	callTimeout = 30 * time.Second // of a call whose context says nothing
)

// Handle adds a method. peer is who calls, proven; a method that is about one cell compares it.
func Handle[In, Out any](s *Server, name string, fn func(ctx context.Context, peer Identity, in In) (Out, error)) {
	s.add(name, fn, func(w http.ResponseWriter, r *http.Request, peer Identity) {
		ctx, cancel := deadline(r)
		defer cancel()
		in, err := decode[In](http.MaxBytesReader(w, r.Body, maxRequest))
		var out Out
		if err == nil {
			out, err = fn(ctx, peer, in)
		}
		var b []byte
		if err == nil {
			b, err = encode(out)
		}
		if err != nil {
			s.refuse(w, r, err, false)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(b)))
		_, _ = w.Write(b)
	})
}

// Call calls a method of the role at the other end. Faults come through with kind, text, issues and time to wait; when the role
// cannot be reached or does not answer in time, Unavailable.
func Call[In, Out any](ctx context.Context, l *Link, name string, in In) (out Out, err error) {
	if l.server != nil {
		m, err := l.server.admit(l.self, name, "")
		if err != nil {
			return out, err
		}
		fn, ok := m.local.(func(context.Context, Identity, In) (Out, error))
		if !ok {
			return out, fault.New(fault.Internal, "the two ends of %s differ", name)
		}
		return fn(rpc.WithPeer(ctx, l.self.Site()), l.self, in)
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, callTimeout)
		defer cancel()
	}
	resp, err := l.remote.post(ctx, name, in)
	if err != nil {
		return out, err
	}
	defer func() { _ = resp.Body.Close() }()
	if out, err = decode[Out](io.LimitReader(resp.Body, maxAnswer)); err != nil {
		return out, l.remote.unreachable(err)
	}
	return out, nil
}

const timeoutHeader = "Cordon-Timeout" // milliseconds that the caller will wait

func deadline(r *http.Request) (context.Context, context.CancelFunc) {
	ms, err := strconv.ParseInt(r.Header.Get(timeoutHeader), 10, 64)
	if err != nil || ms <= 0 || ms > time.Hour.Milliseconds() {
		return context.WithCancel(r.Context())
	}
	return context.WithTimeout(r.Context(), time.Duration(ms)*time.Millisecond)
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // events keep their bytes
	if err := e.Encode(v); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "a value between roles is not JSON")
	}
	return b.Bytes(), nil
}

// decode reads exactly one value of exactly the fields that both ends know.
func decode[T any](r io.Reader) (v T, err error) {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return v, fault.New(fault.TooLarge, "the call is too large")
		}
		return v, fault.Wrap(fault.Invalid, err, "not the JSON of this call")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return v, fault.New(fault.Invalid, "more than the JSON of this call")
	}
	return v, nil
}

// wireFault is what of a fault crosses: never its cause.
type wireFault struct {
	Kind       string        `json:"kind"`
	Text       string        `json:"text"`
	Issues     []fault.Issue `json:"issues,omitempty"`
	RetryAfter int64         `json:"retry_after_ms,omitempty"`
}

func toWire(err error) wireFault {
	f := fault.Of(err)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		f = fault.New(fault.Unavailable, "the call was not finished in time")
	}
	return wireFault{f.Kind.String(), f.Text, f.Issues, f.RetryAfter.Milliseconds()}
}

func (f wireFault) fault() *fault.Fault {
	out := fault.New(fault.KindNamed(f.Kind), "%s", f.Text)
	out.Issues, out.RetryAfter = f.Issues, time.Duration(f.RetryAfter)*time.Millisecond
	return out
}

func sendFault(w http.ResponseWriter, err error) {
	f := toWire(err)
	b, merr := json.Marshal(f)
	if merr != nil {
		panic("mesh: internal error: a fault is always JSON: " + merr.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(fault.KindNamed(f.Kind).Status())
	_, _ = w.Write(b)
}

// post sends a call and gives an answer that is not a fault.
func (r *remote) post(ctx context.Context, name string, in any) (*http.Response, error) {
	body, err := encode(in)
	if err != nil {
		return nil, err
	}
	//phi:allow the address of a role, from the configuration
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.base.String()+callPath+name, bytes.NewReader(body))
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "a call could not be made")
	}
	req.Header.Set("Content-Type", "application/json")
	if id := telemetry.RequestID(ctx); id != "" {
		req.Header.Set("X-Request-Id", id)
	}
	if at, ok := ctx.Deadline(); ok {
		req.Header.Set(timeoutHeader, strconv.FormatInt(max(1, time.Until(at).Milliseconds()), 10))
	}
	if policy()[name].again {
		req.Header["Idempotency-Key"] = nil // net/http's sign for a request that may be sent again; it is not sent itself
	}
	resp, err := r.RoundTrip(req)
	if err != nil {
		return nil, r.unreachable(err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	f, err := decode[wireFault](io.LimitReader(resp.Body, maxRequest))
	if err != nil {
		return nil, r.unreachable(err)
	}
	return nil, f.fault()
}

// unreachable wraps what went wrong on the way.
func (r *remote) unreachable(err error) error {
	return fault.Wrap(fault.Unavailable, err, "the %s role does not answer now", r.target.Role)
}
