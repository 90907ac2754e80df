package wire

import (
	"context"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/ledger"
	"github.com/cordon-ehr/cordon/internal/mesh"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

type cellLogs interface {
	ledger.Logs
	VerifyLog(ctx context.Context, t tenant.ID, ticket string, by audit.By) (*ledger.Report, error)
	ExportLog(ctx context.Context, t tenant.ID, ticket string, by audit.By) ledger.Lines
}

type keysLogs interface {
	ledger.Logs
	ledger.Witness
	Witnessed(ctx context.Context, origin string) ([]byte, error)
	VerifyLog(ctx context.Context, t tenant.ID, by audit.By) (*ledger.Report, error)
	ExportLog(ctx context.Context, t tenant.ID, by audit.By) ledger.Lines
}

type (
	// logOwner is a tenant, or the platform itself, which a tenant.ID on the wire is never.
	logOwner tenant.ID
	progress struct {
		Tenant logOwner `json:"tenant"`
		From   int64    `json:"from"`
	}
	inclusion struct {
		Tenant logOwner  `json:"tenant"`
		Event  uuid.UUID `json:"event"`
	}
	logUse struct {
		Tenant logOwner `json:"tenant"`
		By     audit.By `json:"by"`
	}
	witnessed struct {
		Origin string `json:"origin"`
	}
)

// MarshalText implements encoding.TextMarshaler.
func (o logOwner) MarshalText() ([]byte, error) { return []byte(tenant.ID(o).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (o *logOwner) UnmarshalText(b []byte) error {
	id, err := uuid.ParseBytes(b)
	*o = logOwner(tenant.IDFromBytes(id))
	return err
}

func serveLogs(s *mesh.Server, role string, l ledger.Logs) {
	mesh.Handle(s, role+".LogProgress", func(ctx context.Context, _ mesh.Identity, in progress) (ledger.Progress, error) {
		return l.LogProgress(ctx, tenant.ID(in.Tenant), in.From)
	})
	mesh.Handle(s, role+".ProveEvent", func(ctx context.Context, _ mesh.Identity, in inclusion) (ledger.Inclusion, error) {
		return l.ProveEvent(ctx, tenant.ID(in.Tenant), in.Event)
	})
}

func serveCellLogs(s *mesh.Server, c cellLogs) {
	serveLogs(s, mesh.Cell, c)
	mesh.Handle(s, "cell.VerifyLog", func(ctx context.Context, _ mesh.Identity, in events) (*ledger.Report, error) {
		return c.VerifyLog(ctx, in.Tenant, in.Ticket, in.By)
	})
	mesh.HandleStream(s, "cell.ExportLog", func(ctx context.Context, _ mesh.Identity, in events) ledger.Lines {
		return c.ExportLog(ctx, in.Tenant, in.Ticket, in.By)
	})
}

func serveKeysLogs(s *mesh.Server, k keysLogs) {
	serveLogs(s, mesh.Keys, k)
	mesh.Handle(s, "keys.Cosign", func(ctx context.Context, _ mesh.Identity, in ledger.Ask) (ledger.Cosigned, error) {
		return k.Cosign(ctx, in)
	})
	mesh.Handle(s, "keys.Witnessed", func(ctx context.Context, _ mesh.Identity, in witnessed) ([]byte, error) {
		return k.Witnessed(ctx, in.Origin)
	})
	mesh.Handle(s, "keys.VerifyLog", func(ctx context.Context, _ mesh.Identity, in logUse) (*ledger.Report, error) {
		return k.VerifyLog(ctx, tenant.ID(in.Tenant), in.By)
	})
	mesh.HandleStream(s, "keys.ExportLog", func(ctx context.Context, _ mesh.Identity, in logUse) ledger.Lines {
		return k.ExportLog(ctx, tenant.ID(in.Tenant), in.By)
	})
}

// Cosign implements ledger.Witness.
func (c *Control) Cosign(ctx context.Context, a ledger.Ask) (ledger.Cosigned, error) {
	return mesh.Call[ledger.Ask, ledger.Cosigned](ctx, c.link, "control.Cosign", a)
}

// VerifyLog implements control.Cell.
func (c *Cell) VerifyLog(ctx context.Context, t tenant.ID, ticket string, by audit.By) (*ledger.Report, error) {
	return mesh.Call[events, *ledger.Report](ctx, c.link, "cell.VerifyLog", events{t, ticket, by})
}

// ExportLog implements control.Cell.
func (c *Cell) ExportLog(ctx context.Context, t tenant.ID, ticket string, by audit.By) ledger.Lines {
	return mesh.Stream[events, ledger.Line](ctx, c.link, "cell.ExportLog", events{t, ticket, by})
}

// LogProgress implements ledger.Logs.
func (c *Cell) LogProgress(ctx context.Context, t tenant.ID, from int64) (ledger.Progress, error) {
	return mesh.Call[progress, ledger.Progress](ctx, c.link, "cell.LogProgress", progress{logOwner(t), from})
}

// ProveEvent implements ledger.Logs.
func (c *Cell) ProveEvent(ctx context.Context, t tenant.ID, event uuid.UUID) (ledger.Inclusion, error) {
	return mesh.Call[inclusion, ledger.Inclusion](ctx, c.link, "cell.ProveEvent", inclusion{logOwner(t), event})
}

// Cosign implements ledger.Witness.
func (k *Keys) Cosign(ctx context.Context, a ledger.Ask) (ledger.Cosigned, error) {
	return mesh.Call[ledger.Ask, ledger.Cosigned](ctx, k.link, "keys.Cosign", a)
}

// Witnessed implements control.Broker.
func (k *Keys) Witnessed(ctx context.Context, origin string) ([]byte, error) {
	return mesh.Call[witnessed, []byte](ctx, k.link, "keys.Witnessed", witnessed{origin})
}

// VerifyLog implements control.Broker.
func (k *Keys) VerifyLog(ctx context.Context, t tenant.ID, by audit.By) (*ledger.Report, error) {
	return mesh.Call[logUse, *ledger.Report](ctx, k.link, "keys.VerifyLog", logUse{logOwner(t), by})
}

// ExportLog implements control.Broker.
func (k *Keys) ExportLog(ctx context.Context, t tenant.ID, by audit.By) ledger.Lines {
	return mesh.Stream[logUse, ledger.Line](ctx, k.link, "keys.ExportLog", logUse{logOwner(t), by})
}

// LogProgress implements ledger.Logs.
func (k *Keys) LogProgress(ctx context.Context, t tenant.ID, from int64) (ledger.Progress, error) {
	return mesh.Call[progress, ledger.Progress](ctx, k.link, "keys.LogProgress", progress{logOwner(t), from})
}

// ProveEvent implements ledger.Logs.
func (k *Keys) ProveEvent(ctx context.Context, t tenant.ID, event uuid.UUID) (ledger.Inclusion, error) {
	return mesh.Call[inclusion, ledger.Inclusion](ctx, k.link, "keys.ProveEvent", inclusion{logOwner(t), event})
}
