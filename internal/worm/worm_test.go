package worm_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

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

const accessKey, secretKey = "test-access", "test-secret-key"

// gateway starts a real S3 server, and gives its address and a client.
func gateway(t *testing.T) (string, *s3.Client) {
	t.Helper()
	bin, err := filepath.Abs("../../tools/bin/versitygw")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(bin); err != nil { // make test builds it before
		cmd := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "github.com/versity/versitygw/cmd/versitygw")
		cmd.Dir = "../../tools/versitygw"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build versitygw: %v: %s", err, out)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	_ = l.Close()
	root, versions, iam := t.TempDir(), t.TempDir(), t.TempDir()
	cmd := exec.Command(bin, "--port", at, "--iam-dir", iam, "--quiet", "posix", "--versioning-dir", versions, root)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+accessKey, "ROOT_SECRET_KEY="+secretKey)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	end := time.Now().Add(30 * time.Second)
	for range time.Tick(5 * time.Millisecond) {
		c, err := net.Dial("tcp", at)
		if err == nil {
			_ = c.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the S3 server does not start: %v", err)
		}
	}
	return "http://" + at, s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: aws.String("http://" + at), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, "")})
}

// TestS3 runs against a real S3 server with Object Lock. It cannot be parallel: credentials come from the environment.
func TestS3(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", accessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secretKey)
	at, c := gateway(t)
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
