package wire

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/authn"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/mesh"
	"github.com/cordon-ehr/cordon/internal/routes"
	"github.com/cordon-ehr/cordon/internal/rpc"
)

// ControlRole is the control role.
type ControlRole interface {
	routes.Source
	rpc.Denials
	Tenant(w http.ResponseWriter, r *http.Request, a rpc.Assertion)
	Operator(w http.ResponseWriter, r *http.Request, a rpc.Assertion)
}

// raw is one audit event as JSON.
type raw = json.RawMessage

type pull struct {
	Puller string        `json:"puller"`
	Known  int64         `json:"known"`
	Wait   time.Duration `json:"wait,omitempty"` // 0 = as long as the call lives
}

type record struct {
	Event raw `json:"event"`
}

// ServeControl puts the control role behind the mesh.
func ServeControl(s *mesh.Server, c ControlRole) {
	mesh.Handle(s, "control.Pull", func(ctx context.Context, peer mesh.Identity, in pull) (snapshot, error) {
		if in.Puller != peer.Site() && (in.Puller != mesh.Edge || peer.Role != mesh.Edge) {
			return snapshot{}, fault.New(fault.Forbidden, "a puller goes by the name in its certificate")
		}
		ctx, cancel := s.Until(ctx)
		defer cancel()
		if in.Wait > 0 {
			ctx, cancel = context.WithTimeout(ctx, in.Wait)
			defer cancel()
		}
		got, err := c.Pull(ctx, peer.Site(), in.Known)
		if err != nil && ctx.Err() != nil && in.Wait > 0 {
			return snapshot{Same: true}, nil // nothing happened meanwhile
		}
		return toSnapshot(got), err
	})
	mesh.Handle(s, "control.Record", func(ctx context.Context, peer mesh.Identity, in record) (none, error) {
		e, err := audit.Parse(in.Event)
		if err != nil {
			return none{}, err
		}
		if e.Source.Role != peer.Role || (e.Source.Site != peer.Name && (e.Source.Site != "" || peer.Role != mesh.Edge)) {
			return none{}, fault.New(fault.Forbidden, "a role records its own events only")
		}
		if e.Clinical() {
			return none{}, fault.New(fault.Forbidden, "control keeps no event about a chart")
		}
		return none{}, c.Record(ctx, e)
	})
	mesh.HandleForward(s, "control.Tenant", c.Tenant)
	mesh.HandleForward(s, "control.Operator", c.Operator)
}

// Control is the control role as its callers hold it.
type Control struct{ link *mesh.Link }

// NewControl makes the stub.
func NewControl(l *mesh.Link) *Control { return &Control{l} }

// Pull implements routes.Source.
func (c *Control) Pull(ctx context.Context, puller string, known int64) (routes.Snapshot, error) {
	for {
		wait := c.link.Poll()
		in := pull{puller, known, wait}
		call, cancel := ctx, context.CancelFunc(func() {})
		if wait > 0 {
			call, cancel = context.WithTimeout(ctx, wait+10*time.Second)
		}
		got, err := mesh.Call[pull, snapshot](call, c.link, "control.Pull", in)
		cancel()
		if err != nil {
			return routes.Snapshot{}, err
		}
		if !got.Same {
			return got.snapshot(), nil
		}
	}
}

// Record implements rpc.Denials.
func (c *Control) Record(ctx context.Context, e audit.Event) error {
	_, err := mesh.Call[record, none](ctx, c.link, "control.Record", record{e.Marshal()})
	return err
}

// Tenant implements edge.Control.
func (c *Control) Tenant(w http.ResponseWriter, r *http.Request, a rpc.Assertion) {
	c.link.Forward(w, r, "control.Tenant", a)
}

// Operator implements edge.Control.
func (c *Control) Operator(w http.ResponseWriter, r *http.Request, a rpc.Assertion) {
	c.link.Forward(w, r, "control.Operator", a)
}

// snapshot is routes.Snapshot on the wire, or the word that it is still the same.
type snapshot struct {
	Same    bool    `json:"same,omitempty"`
	Version int64   `json:"version"`
	Routes  []route `json:"routes,omitempty"`
	local   *routes.Snapshot
}

// route is routes.Route with its keys as a JWK set.
type route struct {
	routes.Route
	Keys jose.JSONWebKeySet
}

// toSnapshot keeps the directory itself beside what a wire needs, which is made when it is encoded.
func toSnapshot(s routes.Snapshot) snapshot { return snapshot{Version: s.Version, local: &s} }

// MarshalJSON implements json.Marshaler.
func (s snapshot) MarshalJSON() ([]byte, error) {
	type bare snapshot
	out := bare{Same: s.Same, Version: s.Version}
	if s.local != nil {
		for _, r := range s.local.Routes {
			x := route{Route: r}
			for kid, k := range r.Keys {
				x.Keys.Keys = append(x.Keys.Keys, jose.JSONWebKey{Key: k, KeyID: kid, Algorithm: string(jose.ES256), Use: "sig"})
			}
			slices.SortFunc(x.Keys.Keys, func(a, b jose.JSONWebKey) int { return len(a.KeyID) - len(b.KeyID) })
			out.Routes = append(out.Routes, x)
		}
	}
	return json.Marshal(out)
}

func (s snapshot) snapshot() routes.Snapshot {
	if s.local != nil {
		return *s.local
	}
	out := routes.Snapshot{Version: s.Version, Routes: make([]routes.Route, len(s.Routes))}
	for i, r := range s.Routes {
		out.Routes[i] = r.Route
		out.Routes[i].Keys = authn.PublicKeys(r.Keys)
	}
	return out
}

// pulled makes a stream of a function that calls back with each event.
func pulled(run func(each func([]byte) error) error) iter.Seq2[raw, error] {
	return func(yield func(raw, error) bool) {
		stopped := fault.New(fault.Unavailable, "the reader of the stream has gone")
		err := run(func(b []byte) error {
			if !yield(b, nil) {
				return stopped
			}
			return nil
		})
		if err != nil && fault.Of(err) != stopped {
			yield(nil, err)
		}
	}
}
