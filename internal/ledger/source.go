package ledger

import (
	"context"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Position orders rows: by transaction, then by id. Once every transaction below a boundary has ended, nothing can come in
// below it.
type Position struct {
	Tx uint64 // the transaction's 64-bit id
	ID uuid.UUID
}

// Row is one stored event.
type Row struct {
	Position
	Entry
	Body []byte
	MAC  []byte // of a row in clear
}

// Head is how far a log's database says that it is sequenced. It is a bookmark: what it claims is checked against storage.
type Head struct {
	Size     int64
	Root     tlog.Hash
	Last     Position // of the newest row in the log
	Cosigned int64    // size up to which the witness has signed
}

// Source is a role's table of events, and the bookmark beside it.
type Source interface {
	// Logs gives the tenants that may have events.
	Logs(ctx context.Context) ([]tenant.ID, error)
	// Boundary gives two transaction ids: all below settled have ended, and all that were seen committed until now are below newest.
	Boundary(ctx context.Context, t tenant.ID) (settled, newest uint64, err error)
	// Rows gives at most n rows after a position (the first row included when including is true), in order.
	Rows(ctx context.Context, t tenant.ID, after Position, including bool, n int) ([]Row, error)
	// Head gives the bookmark; the zero Head when there is none.
	Head(ctx context.Context, t tenant.ID) (Head, error)
	// Advance moves the bookmark if its size is from still, and tells whether it was.
	Advance(ctx context.Context, t tenant.ID, from int64, to Head) (bool, error)
}

// BoundarySQL asks a Postgres for Source.Boundary.
const BoundarySQL = `SELECT pg_snapshot_xmin(s), pg_snapshot_xmax(s) FROM pg_current_snapshot() AS s`
