package wire

import (
	"context"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/mesh"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// The trail is read in pages: an auditor's view in the cell asks control, and control the broker; a stream to a SIEM is control's, and
// asks the cell and the broker.

type (
	feeder interface {
		Feed(ctx context.Context, a audit.FeedAsk) (audit.FeedPage, error)
	}
	keysTrail interface {
		feeder
		EventPage(ctx context.Context, t tenant.ID, r audit.Range) ([]audit.Plain, error)
	}
	cellTrail interface {
		feeder
		Who(ctx context.Context, a audit.WhoAsk) ([]audit.Plain, error)
	}
	// feedAsk is audit.FeedAsk, whose tenant may be none: to learn how far a database can be read.
	feedAsk struct {
		audit.FeedAsk
		Tenant logOwner
	}
	eventPage struct {
		Tenant tenant.ID   `json:"tenant"`
		Range  audit.Range `json:"range"`
	}
)

func (f feedAsk) ask() audit.FeedAsk {
	f.FeedAsk.Tenant = tenant.ID(f.Tenant)
	return f.FeedAsk
}

func serveKeysTrail(s *mesh.Server, k keysTrail) {
	mesh.Handle(s, "keys.EventPage", func(ctx context.Context, _ mesh.Identity, in eventPage) ([]audit.Plain, error) {
		return k.EventPage(ctx, in.Tenant, in.Range)
	})
	mesh.Handle(s, "keys.Feed", func(ctx context.Context, _ mesh.Identity, in feedAsk) (audit.FeedPage, error) {
		return k.Feed(ctx, in.ask())
	})
}

func serveCellTrail(s *mesh.Server, c cellTrail) {
	mesh.Handle(s, "cell.Feed", func(ctx context.Context, _ mesh.Identity, in feedAsk) (audit.FeedPage, error) {
		return c.Feed(ctx, in.ask())
	})
	mesh.Handle(s, "cell.Who", func(ctx context.Context, _ mesh.Identity, in audit.WhoAsk) ([]audit.Plain, error) {
		return c.Who(ctx, in)
	})
}

// EventPage implements control.Broker.
func (k *Keys) EventPage(ctx context.Context, t tenant.ID, r audit.Range) ([]audit.Plain, error) {
	return mesh.Call[eventPage, []audit.Plain](ctx, k.link, "keys.EventPage", eventPage{t, r})
}

// Feed implements control.Broker.
func (k *Keys) Feed(ctx context.Context, a audit.FeedAsk) (audit.FeedPage, error) {
	return mesh.Call[feedAsk, audit.FeedPage](ctx, k.link, "keys.Feed", feedAsk{a, logOwner(a.Tenant)})
}

// Feed implements control.Cell.
func (c *Cell) Feed(ctx context.Context, a audit.FeedAsk) (audit.FeedPage, error) {
	return mesh.Call[feedAsk, audit.FeedPage](ctx, c.link, "cell.Feed", feedAsk{a, logOwner(a.Tenant)})
}

// Who implements control.Cell.
func (c *Cell) Who(ctx context.Context, a audit.WhoAsk) ([]audit.Plain, error) {
	return mesh.Call[audit.WhoAsk, []audit.Plain](ctx, c.link, "cell.Who", a)
}

// AuditPage implements record.Elsewhere.
func (c *Control) AuditPage(ctx context.Context, a audit.Ask) ([]audit.Plain, error) {
	return mesh.Call[audit.Ask, []audit.Plain](ctx, c.link, "control.AuditPage", a)
}
