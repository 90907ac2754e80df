package pg_test

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/cordon-ehr/cordon/internal/pg"
)

// TestNothingInClear: an address that may be reached without TLS is refused before anything is sent to it.
func TestNothingInClear(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for dsn, refused := range map[string]bool{
		"postgres://u:p@127.0.0.1:1/d?sslmode=disable":               true,
		"postgres://u:p@db.example/d?sslmode=allow":                  true,
		"postgres://u:p@db.example/d?sslmode=prefer":                 true,
		"postgres://u:p@db.example/d":                                true, // prefer is the default
		"host=/nowhere,127.0.0.1 port=1,1 user=u sslmode=disable":    true,
		"postgres://u:p@127.0.0.1:1/d?sslmode=require":               false,
		"postgres://u:p@127.0.0.1:1/d?sslmode=verify-full":           false,
		"host=/nowhere user=u password=p dbname=d sslmode=disable":   false,
		"host=/nowhere user=u password=p dbname=d connect_timeout=1": false,
	} {
		_, err := pg.Open(ctx, dsn, 1, nil)
		if err == nil || strings.Contains(err.Error(), "in clear") != refused {
			t.Errorf("%s: %v", dsn, err)
		}
		if err := pg.Migrate(ctx, dsn, "o", fstest.MapFS{}); err == nil || strings.Contains(err.Error(), "in clear") != refused {
			t.Errorf("migrate %s: %v", dsn, err)
		}
	}
}
