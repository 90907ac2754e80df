package fhirhttp

import (
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/limit"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

// TestBodiesKeepToTheBudget reads bodies of one tenant at once: what is over its bytes is refused while it is read, whether its length was
// announced or not, and everything is given back.
func TestBodiesKeepToTheBudget(t *testing.T) {
	t.Parallel()
	budget, id := limit.NewBudget(8<<20), tenant.NewID()
	read := func(n int64, announced bool, most int) (*call, []byte, error) {
		r := httptest.NewRequest("POST", "/", io.LimitReader(endless{}, n))
		if r.ContentLength = -1; announced {
			r.ContentLength = n
		}
		c := &call{Request: r, visit: &visit{hold: budget.Hold(id, 4<<20)}}
		b, err := c.readAll(most)
		return c, b, err
	}
	first, b, err := read(1<<20, true, MaxBody)
	if err != nil || len(b) != 1<<20 || budget.Used() < 1<<20 {
		t.Fatalf("%d bytes, %v, %d held", len(b), err, budget.Used())
	}
	for _, announced := range []bool{true, false} {
		c, _, err := read(100<<20, announced, MaxBody)
		if !fault.Is(err, fault.TooMany) || limit.ReasonOf(err) != limit.TenantBytes {
			t.Errorf("100 MB in a budget of 4 MB: %v", err)
		}
		if budget.Used() > 4<<20 {
			t.Errorf("%d held", budget.Used())
		}
		c.end()
	}
	for n, ok := range map[int64]bool{0: true, 1: true, 511: true, 1000: true, 1001: false} {
		for _, announced := range []bool{true, false} {
			c, b, err := read(n, announced, 1000)
			if (err == nil) != ok || (ok && int64(len(b)) != n) || (!ok && !fault.Is(err, fault.TooLarge)) {
				t.Errorf("%d bytes of at most 1000 (announced: %v): %d, %v", n, announced, len(b), err)
			}
			c.end()
		}
	}
	c := &call{Request: httptest.NewRequest("POST", "/", strings.NewReader("{}")), visit: &visit{}}
	if b, err := c.readAll(10); err != nil || string(b) != "{}" {
		t.Errorf("an entry of a Bundle: %s, %v", b, err)
	}
	first.end()
	if budget.Used() != 0 {
		t.Errorf("%d held at the end", budget.Used())
	}
}
