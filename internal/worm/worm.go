// Package worm is write-once storage: an object, once put, is never changed and not removed before its retention ends. In
// production it is an S3 bucket with Object Lock in compliance mode, which refuses removal to everybody, its owner too; for
// development a folder, which keeps honest programs honest.
package worm

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// Store is write-once storage. It is safe for concurrent use, by several processes, too.
type Store interface {
	// Put stores an object durably under a key that has none. Faults: Conflict (the key has one: nothing was changed), Unavailable.
	Put(ctx context.Context, key string, data []byte) error
	// Get reads an object. Faults: NotFound, Unavailable.
	Get(ctx context.Context, key string) ([]byte, error)
	// List gives the keys that begin with prefix and sort after the key after, in order.
	List(ctx context.Context, prefix, after string) ([]string, error)
}

// Floor is the shortest retention of audit evidence: six years (45 CFR 164.316(b)(2)(i)), leap days included.
const Floor = 2192 * 24 * time.Hour

// Open opens storage by its address:
//
//	file:///var/lib/cordon/worm
//	s3://bucket/prefix?region=us-east-1&retain_days=2192[&endpoint=https://…&path_style=true]
//
// Credentials of S3 come from where AWS programs look for them. It fails when the bucket does not lock objects, and when the
// retention is below Floor.
func Open(ctx context.Context, address string) (Store, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the address of write-once storage is not a URL")
	}
	switch u.Scheme {
	case "file":
		return NewFolder(u.Path)
	case "s3":
		q := u.Query()
		o := S3{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/"), Region: q.Get("region"), Endpoint: q.Get("endpoint"), PathStyle: q.Get("path_style") == "true", Retain: Floor}
		if d := q.Get("retain_days"); d != "" {
			n, err := strconv.Atoi(d)
			if err != nil || n > 36500 {
				return nil, fault.New(fault.Invalid, "retain_days is a number of days")
			}
			o.Retain = time.Duration(n) * 24 * time.Hour
		}
		return OpenS3(ctx, o)
	}
	return nil, fault.New(fault.Invalid, "write-once storage is file:///… or s3://…")
}

func taken(key string) error {
	return fault.New(fault.Conflict, "write-once storage has an object %s already", key)
}

func absent(key string) error {
	return fault.New(fault.NotFound, "write-once storage has no object %s", key)
}
