package platform

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordon-ehr/cordon/internal/cell"
	"github.com/cordon-ehr/cordon/internal/control"
	"github.com/cordon-ehr/cordon/internal/edge"
	"github.com/cordon-ehr/cordon/internal/keys"
)

// TestRolesEndInTurn ends a process whose outer role has something left to record with the inner one: the inner one is still there,
// and goes after what was decided is recorded.
func TestRolesEndInTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		order, closed := "", false
		failed := errors.New("failed")
		inner := func(ctx context.Context) error {
			<-ctx.Done()
			closed = true
			order += " inner"
			return nil
		}
		outer := func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(2 * time.Second) // its last numbers gather
			if closed {
				t.Error("an outer role ends after the one that it records with")
			}
			order += "outer"
			return failed
		}
		end := inTurn(ctx, []run{outer}, []run{inner})
		cancel() // the process is asked to end: roles go on while listeners are drained
		synctest.Wait()
		if order != "" || closed {
			t.Fatalf("ended before they were asked to: %s", order)
		}
		if err := end(func() { order += " between" }); !errors.Is(err, failed) || order != "outer between inner" {
			t.Errorf("%q: %v", order, err)
		}
	})
	whole := Platform{edge: &edge.Edge{}, cell: &cell.Cell{}, Control: &control.Control{}, broker: &keys.Broker{}}
	if outer, inner := whole.runs(); len(outer) != 2 || len(inner) != 2 {
		t.Errorf("%d outer and %d inner roles", len(outer), len(inner))
	}
	part := Platform{edge: &edge.Edge{}, cell: &cell.Cell{}}
	if outer, inner := part.runs(); len(outer) != 2 || len(inner) != 0 {
		t.Errorf("of edge and cell, %d outer and %d inner roles", len(outer), len(inner))
	}
}
