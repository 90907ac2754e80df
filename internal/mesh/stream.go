package mesh

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/rpc"
)

// frame is one line of a stream. The last is End, with the count, or Fault: a stream without either was cut off.
type frame[T any] struct {
	Item  *T         `json:"item,omitempty"`
	End   *int       `json:"end,omitempty"`
	Fault *wireFault `json:"fault,omitempty"`
}

// HandleStream adds a method that gives a stream of items.
func HandleStream[In, Item any](s *Server, name string, fn func(ctx context.Context, peer Identity, in In) iter.Seq2[Item, error]) {
	s.add(name, fn, func(w http.ResponseWriter, r *http.Request, peer Identity) {
		in, err := decode[In](http.MaxBytesReader(w, r.Body, maxRequest))
		if err != nil {
			s.refuse(w, r, err, false)
			return
		}
		out := bufio.NewWriterSize(w, 64<<10)
		n := 0
		for item, err := range fn(r.Context(), peer, in) {
			if err != nil && n == 0 {
				s.refuse(w, r, err, false)
				return
			}
			f := frame[Item]{Item: &item}
			if err != nil {
				fw := toWire(err)
				f = frame[Item]{Fault: &fw}
			}
			if send(out, f) != nil || err != nil {
				_ = out.Flush()
				return
			}
			n++
		}
		if r.Context().Err() == nil && send(out, frame[Item]{End: &n}) == nil {
			_ = out.Flush()
		}
	})
}

func send(w io.Writer, f any) error {
	b, err := encode(f)
	if err == nil {
		_, err = w.Write(b)
	}
	return err
}

// Stream calls a method that gives a stream. It ends with an error when it did not come whole.
func Stream[In, Item any](ctx context.Context, l *Link, name string, in In) iter.Seq2[Item, error] {
	if l.server != nil {
		m, err := l.server.admit(l.self, name, "")
		if err != nil {
			return failed[Item](err)
		}
		fn, ok := m.local.(func(context.Context, Identity, In) iter.Seq2[Item, error])
		if !ok {
			return failed[Item](fault.New(fault.Internal, "the two ends of %s differ", name))
		}
		return fn(rpc.WithPeer(ctx, l.self.String()), l.self, in)
	}
	return func(yield func(Item, error) bool) {
		var none Item
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		resp, err := l.remote.post(ctx, name, in)
		if err != nil {
			yield(none, err)
			return
		}
		defer func() { _ = resp.Body.Close() }()
		d := json.NewDecoder(bufio.NewReaderSize(resp.Body, 64<<10))
		d.DisallowUnknownFields()
		for n := 0; ; n++ {
			var f frame[Item]
			if err := d.Decode(&f); err != nil {
				yield(none, l.remote.unreachable(err))
				return
			}
			switch {
			case f.Item != nil:
				if !yield(*f.Item, nil) {
					return
				}
			case f.Fault != nil:
				yield(none, f.Fault.fault())
				return
			case f.End == nil || *f.End != n:
				yield(none, l.remote.unreachable(errors.New("the stream was cut off")))
				return
			default:
				return
			}
		}
	}
}

func failed[Item any](err error) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		var none Item
		yield(none, err)
	}
}
