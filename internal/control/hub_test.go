package control

import (
	"context"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/routes"
)

// TestARestoredDirectoryIsTaken has pullers that know a later version than the directory has, as after its database was put back: they
// are given what there is, and count as behind until they have it.
func TestARestoredDirectoryIsTaken(t *testing.T) {
	t.Parallel()
	h := newHub(nil, nil)
	h.snap = routes.Snapshot{Version: 50}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if s, err := h.pull(ctx, "cell/c1", 100); err != nil || s.Version != 50 {
		t.Errorf("a puller that knows 100 gets %d, %v", s.Version, err)
	}
}
