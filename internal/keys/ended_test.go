package keys_test

import (
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/cordontest"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/keys"
	"github.com/cordon-ehr/cordon/internal/lease"
	"github.com/cordon-ehr/cordon/internal/rpc"
	"github.com/cordon-ehr/cordon/internal/tenant"

	"github.com/google/uuid"
)

// TestTokensThatJustEndedStopNobody brings tokens that ended a moment ago, as two clocks that differ make them: none opens anything, and
// the identity is not stopped for them. Those that ended long ago, which an honest cell never brings, stop it.
func TestTokensThatJustEndedStopNobody(t *testing.T) {
	t.Parallel()
	h := newHouse(t, cordontest.Shared(t), keys.Limits{Refused: 2})
	var ids []tenant.ID
	for range 5 {
		ids = append(ids, h.tenant(t))
	}
	ask := func(as string, id tenant.ID, left time.Duration) error {
		_, err := h.Lease(rpc.WithPeer(t.Context(), as), lease.Request{Tenant: id, Purpose: lease.Chart, Proof: h.token(t, id, left)})
		return err
	}
	honest, odd := "cell/"+uuid.NewString(), "cell/"+uuid.NewString()
	for _, id := range ids {
		if err := ask(honest, id, -30*time.Second); !fault.Is(err, fault.Unauthenticated) {
			t.Fatalf("a token that ended half a minute ago: %v", err)
		}
	}
	if err := ask(honest, ids[0], time.Minute); err != nil {
		t.Errorf("the identity is stopped: %v", err)
	}
	for _, id := range ids {
		_ = ask(odd, id, -time.Hour)
	}
	if err := ask(odd, ids[0], time.Minute); !fault.Is(err, fault.Unavailable) {
		t.Errorf("tokens of an hour ago stop nobody: %v", err)
	}
}
