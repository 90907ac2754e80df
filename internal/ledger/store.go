package ledger

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// Store is write-once storage. What Put accepted is durable when it returns, and is never changed or removed before its
// retention ends, by anyone.
type Store interface {
	// Put stores an object under a key that has none. Faults: Conflict (the key has one: nothing was changed).
	Put(ctx context.Context, key string, data []byte) error
	// Get reads an object. Faults: NotFound.
	Get(ctx context.Context, key string) ([]byte, error)
	// List gives the keys that begin with prefix and sort after the key after, in order.
	List(ctx context.Context, prefix, after string) ([]string, error)
}

// height of tiles: 256 hashes in each.
const height = 8

const perTile = 1 << height

// prefix is where a log's objects stand.
func (n Name) prefix() string { return "log/" + n.Tenant.String() + "/" + n.Stream + "/" }

func (n Name) checkpointKey(size int64) string {
	return fmt.Sprintf("%scheckpoint/%020d", n.prefix(), size)
}

func (n Name) cosignedKey(size int64) string {
	return fmt.Sprintf("%scosigned/%020d", n.prefix(), size)
}

// tileKey is where a tile stands. The lowest tiles hold entries, of which their hashes are made; so there are no tiles of leaf
// hashes.
func (n Name) tileKey(t tlog.Tile) string {
	if t.L == 0 {
		t.L = -1
	}
	return n.prefix() + t.Path()
}

// sizeOf reads the size out of a checkpoint's key.
func sizeOf(key string) (int64, error) {
	return strconv.ParseInt(key[strings.LastIndexByte(key, '/')+1:], 10, 64)
}

// putSame stores an object, or finds it stored with these bytes already. Other bytes under the key are a fork.
func putSame(ctx context.Context, s Store, key string, data []byte) error {
	err := s.Put(ctx, key, data)
	if !fault.Is(err, fault.Conflict) {
		return err
	}
	have, err := s.Get(ctx, key)
	if err != nil {
		return err
	}
	if !bytes.Equal(have, data) {
		return &Broken{Kind: KindFork, Detail: "write-once storage holds other bytes at " + key, Object: key}
	}
	return nil
}
