package edge

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cordon-ehr/cordon/internal/audit"
	"github.com/cordon-ehr/cordon/internal/routes"
	"github.com/cordon-ehr/cordon/internal/rpc"
	"github.com/cordon-ehr/cordon/internal/telemetry"
)

// broken is a control that panics with what a caller sent.
type broken struct{}

func (broken) Operator(_ http.ResponseWriter, r *http.Request, _ rpc.Assertion) {
	panic(r.URL.String())
}
func (broken) Tenant(_ http.ResponseWriter, r *http.Request, _ rpc.Assertion) { panic(r.URL.String()) }
func (broken) Record(context.Context, audit.Event) error                      { return nil }
func (broken) Pull(ctx context.Context, _ string, _ int64) (routes.Snapshot, error) {
	<-ctx.Done()
	return routes.Snapshot{}, ctx.Err()
}

// TestPanicTellsNothing panics behind the edge: the answer is an internal error, the log has the place and not the value.
func TestPanicTellsNothing(t *testing.T) {
	t.Parallel()
	const secret = "QqCanaryXy7"
	var log bytes.Buffer
	e, err := New(Config{PublicURL: "https://cordon.example"}, nil, broken{}, telemetry.NewMetrics(), telemetry.NewLogger(&log, slog.LevelDebug))
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "https://cordon.example/operator/"+secret+"?x="+secret, nil)
	r.Header.Set("User-Agent", secret)
	e.ServeHTTP(w, r)
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), secret) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), `"msg":"panic"`) || strings.Contains(log.String(), secret) {
		t.Errorf("the log says %s", log.String())
	}
}
