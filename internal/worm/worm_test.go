package worm_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/cordon-ehr/cordon/internal/cordontest"
	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/worm"
)

// behaves is what every store promises.
func behaves(t *testing.T, s worm.Store) {
	t.Helper()
	ctx := t.Context()
	if _, err := s.Get(ctx, "log/a/1"); !fault.Is(err, fault.NotFound) {
		t.Errorf("get of nothing: %v", err)
	}
	for _, key := range []string{"log/a/2", "log/a/1", "log/ab/1", "log/a/10"} {
		if err := s.Put(ctx, key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Put(ctx, "log/a/1", []byte("other")); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second put: %v", err)
	}
	if b, err := s.Get(ctx, "log/a/1"); err != nil || string(b) != "log/a/1" {
		t.Errorf("get: %q %v", b, err)
	}
	for _, c := range []struct{ prefix, after, want string }{{"log/a/", "", "log/a/1 log/a/10 log/a/2"}, {"log/a/", "log/a/1", "log/a/10 log/a/2"},
		{"log/", "log/a/2", "log/ab/1"}, {"none/", "", ""}} {
		if got, err := s.List(ctx, c.prefix, c.after); err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("list of %s after %q: %v %v", c.prefix, c.after, got, err)
		}
	}
	var won atomic.Int32
	var wait sync.WaitGroup
	for i := range 16 {
		wait.Go(func() {
			if s.Put(ctx, "log/race", fmt.Append(nil, i)) == nil {
				won.Add(1)
			}
		})
	}
	wait.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 16 puts of one key won", won.Load())
	}
}

func TestFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "worm")
	s, err := worm.Open(t.Context(), "file://"+dir)
	if err != nil {
		t.Fatal(err)
	}
	behaves(t, s)
	info, err := os.Stat(filepath.Join(dir, "log/a/1"))
	if err != nil || info.Mode().Perm() != 0o444 {
		t.Errorf("%v %v", info, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".put-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	for _, key := range []string{"../x", "/x", "a/../../x", ""} {
		if err := s.Put(t.Context(), key, nil); err == nil {
			t.Errorf("key %q leads out of the folder", key)
		}
	}
	if _, err := worm.Open(t.Context(), "file:relative"); err == nil {
		t.Error("a relative folder was taken")
	}
	if _, err := worm.Open(t.Context(), "ftp://x"); err == nil {
		t.Error("an unknown kind of storage was taken")
	}
}

// TestS3 runs against a real S3 server with Object Lock. It cannot be parallel: credentials come from the environment.
func TestS3(t *testing.T) {
	g := cordontest.StartS3(t)
	t.Setenv("AWS_ACCESS_KEY_ID", g.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", g.SecretKey)
	at, c := g.Endpoint, g.Client
	ctx := t.Context()
	for name, lock := range map[string]bool{"locked": true, "open": false} {
		if _, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &name, ObjectLockEnabledForBucket: &lock}); err != nil {
			t.Fatal(err)
		}
	}
	address := func(bucket, more string) string {
		return "s3://" + bucket + "/led?region=us-east-1&path_style=true&endpoint=" + at + more
	}
	if _, err := worm.Open(ctx, address("open", "")); !fault.Is(err, fault.Invalid) {
		t.Errorf("a bucket without Object Lock was taken: %v", err)
	}
	if _, err := worm.Open(ctx, address("locked", "&retain_days=2191")); !fault.Is(err, fault.Invalid) {
		t.Errorf("a retention below six years was taken: %v", err)
	}
	s, err := worm.Open(ctx, address("locked", ""))
	if err != nil {
		t.Fatal(err)
	}
	behaves(t, s)
	locked(ctx, t, c, "locked", "led/log/a/1")
	if b, err := s.Get(ctx, "log/a/1"); err != nil || string(b) != "log/a/1" {
		t.Errorf("after all attempts: %q %v", b, err)
	}
}

// locked tries to remove a version, to shorten its retention and to lift its lock, with every right that there is.
func locked(ctx context.Context, t *testing.T, c *s3.Client, bucket, key string) {
	t.Helper()
	v, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(v.Body)
	kept, err := c.GetObjectRetention(ctx, &s3.GetObjectRetentionInput{Bucket: &bucket, Key: &key, VersionId: v.VersionId})
	if err != nil {
		t.Fatal(err)
	}
	r := kept.Retention
	if r.Mode != types.ObjectLockRetentionModeCompliance || r.RetainUntilDate.Before(time.Now().Add(worm.Floor-time.Hour)) || !bytes.Equal(b, []byte("log/a/1")) {
		t.Errorf("mode %s until %v: %s", r.Mode, r.RetainUntilDate, b)
	}
	soon := aws.Time(time.Now().Add(time.Hour))
	for what, try := range map[string]func() error{
		"remove": func() error {
			_, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &key, VersionId: v.VersionId})
			return err
		},
		"remove with bypass": func() error {
			_, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &key, VersionId: v.VersionId, BypassGovernanceRetention: aws.Bool(true)})
			return err
		},
		"shorten": func() error {
			_, err := c.PutObjectRetention(ctx, &s3.PutObjectRetentionInput{Bucket: &bucket, Key: &key, VersionId: v.VersionId, BypassGovernanceRetention: aws.Bool(true),
				Retention: &types.ObjectLockRetention{Mode: types.ObjectLockRetentionModeCompliance, RetainUntilDate: soon}})
			return err
		},
		"soften": func() error {
			_, err := c.PutObjectRetention(ctx, &s3.PutObjectRetentionInput{Bucket: &bucket, Key: &key, VersionId: v.VersionId, BypassGovernanceRetention: aws.Bool(true),
				Retention: &types.ObjectLockRetention{Mode: types.ObjectLockRetentionModeGovernance, RetainUntilDate: soon}})
			return err
		},
		"remove the bucket": func() error {
			_, err := c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &bucket})
			return err
		},
	} {
		if err := try(); err == nil || !slices.ContainsFunc([]string{"AccessDenied", "ObjectLocked", "InvalidRequest", "BucketNotEmpty", "403", "409"}, func(s string) bool { return strings.Contains(err.Error(), s) }) {
			t.Errorf("%s: not refused: %v", what, err)
		}
	}
}
