package pg

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// Fault translates an error of the driver. Only SQLSTATE, message and constraint name of a server error are kept: its
// detail may quote the row. An error that is a fault already, and nil, pass unchanged.
//
// What the database cannot do at this moment (down, restarting, a table gone, a right missing) is Unavailable: the request
// failed closed and may be tried again. A broken unique key is Conflict. What is left is Internal.
func Fault(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*fault.Fault](err); ok {
		return err
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return fault.New(fault.NotFound, "not found")
	}
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		return serverFault(pe)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fault.Wrap(fault.Unavailable, err, "the request was ended before the database answered")
	}
	var ne net.Error
	if errors.As(err, &ne) || pgconn.SafeToRetry(err) || errors.Is(err, net.ErrClosed) {
		return fault.Wrap(fault.Unavailable, err, "the database does not answer")
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return fault.Wrap(fault.Unavailable, err, "the database does not answer")
	}
	if err.Error() == "conn closed" || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fault.Wrap(fault.Unavailable, err, "the database connection was lost")
	}
	return fault.Wrap(fault.Internal, err, "internal error")
}

// State is a server error reduced to what may be logged.
type State struct{ Code, Message, Constraint string }

func (s State) Error() string {
	if s.Constraint != "" {
		return "SQLSTATE " + s.Code + ": constraint " + s.Constraint
	}
	return "SQLSTATE " + s.Code + ": " + s.Message
}

func serverFault(pe *pgconn.PgError) error {
	s := State{Code: pe.Code, Message: pe.Message, Constraint: pe.ConstraintName}
	if len(pe.Code) < 2 {
		return fault.Wrap(fault.Internal, s, "internal error")
	}
	if pe.Code == "23505" {
		return fault.Wrap(fault.Conflict, s, "another write came first")
	}
	if pe.Code == "57014" {
		return fault.Wrap(fault.Unavailable, s, "the database took too long; ask for less")
	}
	switch pe.Code[:2] {
	case "22":
		s.Message = "data exception" // its message may quote the value
	case "40":
		return fault.Wrap(fault.Conflict, s, "the transaction could not be serialized; try again")
	case "08", "25", "42", "53", "55", "57", "58", "XX":
		return fault.Wrap(fault.Unavailable, s, "the database cannot do this now")
	}
	return fault.Wrap(fault.Internal, s, "internal error")
}

// Constraint gives the name of the unique key or check that err broke, or "".
func Constraint(err error) string {
	if s, ok := errors.AsType[State](err); ok {
		return s.Constraint
	}
	return ""
}

// Lost reports whether err means that the connection died: nothing is known of what it was doing. A server that stops, or
// throws everyone out because one of its processes crashed, says so first (57P01, 57P02).
func Lost(err error) bool {
	if s, ok := errors.AsType[State](err); ok {
		return s.Code == "57P01" || s.Code == "57P02"
	}
	var ne net.Error
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.As(err, &ne) ||
		pgconn.SafeToRetry(err)
}
