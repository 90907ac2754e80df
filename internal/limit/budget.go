package limit

import (
	"sync"
	"time"

	"github.com/cordon-ehr/cordon/internal/tenant"
)

// Budget bounds the bytes that requests hold at once, over all and of each tenant. A tenant holds no more than are free, so that few
// cannot take what all share. Nobody waits for bytes while he holds some: who is over is refused. It is safe for concurrent use.
type Budget struct {
	most    int64
	mu      sync.Mutex // guards the rest
	used    int64
	tenants map[tenant.ID]int64
}

// NewBudget makes a budget of most bytes.
func NewBudget(most int64) *Budget { return &Budget{most: most, tenants: map[tenant.ID]int64{}} }

// Used is how many bytes are held.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// Hold is what one request holds. It is of one goroutine.
type Hold struct {
	from *Budget
	id   tenant.ID
	most int64
	n    int64
}

// Hold begins with nothing; most bounds all Holds of the tenant together.
func (b *Budget) Hold(id tenant.ID, most int64) Hold { return Hold{from: b, id: id, most: most} }

// Grow takes n more bytes, or refuses and takes none. A Hold of no budget refuses nothing.
func (h *Hold) Grow(n int64) error {
	b := h.from
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.tenants[h.id]+n > h.most:
		return refused(TenantBytes, time.Second)
	case b.tenants[h.id]+n > b.most-b.used:
		return refused(AllBytes, time.Second)
	}
	b.used += n
	b.tenants[h.id] += n
	h.n += n
	return nil
}

// Release gives all back.
func (h *Hold) Release() {
	if h.n == 0 {
		return
	}
	b := h.from
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= h.n
	if b.tenants[h.id] -= h.n; b.tenants[h.id] == 0 {
		delete(b.tenants, h.id)
	}
	h.n = 0
}
