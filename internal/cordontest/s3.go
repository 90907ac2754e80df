package cordontest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// S3 is a real S3 server (tools/versitygw) with versions and Object Lock, and a client with every right on it.
type S3 struct {
	Endpoint, AccessKey, SecretKey string
	Client                         *s3.Client
}

// StartS3 starts one for one test.
func StartS3(t testing.TB) *S3 {
	t.Helper()
	g := &S3{AccessKey: "test-access", SecretKey: "test-secret-key"}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	_ = l.Close()
	cmd := exec.Command(s3Binary(t), "--port", at, "--iam-dir", t.TempDir(), "--quiet", "posix", "--versioning-dir", t.TempDir(), t.TempDir())
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+g.AccessKey, "ROOT_SECRET_KEY="+g.SecretKey)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	Eventually(t, "the S3 server listens", func() bool {
		c, err := net.Dial("tcp", at)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	g.Endpoint = "http://" + at
	g.Client = s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: &g.Endpoint, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(g.AccessKey, g.SecretKey, "")})
	return g
}

// Bucket makes a bucket that locks objects.
func (g *S3) Bucket(t testing.TB, name string) {
	t.Helper()
	if _, err := g.Client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name, ObjectLockEnabledForBucket: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
}

// s3Binary finds the server that make test has built, or builds it.
func s3Binary(t testing.TB) string {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	tools := filepath.Join(filepath.Dir(here), "..", "..", "tools")
	bin := filepath.Join(tools, "bin", "versitygw")
	if _, err := os.Stat(bin); err == nil {
		return bin
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "github.com/versity/versitygw/cmd/versitygw")
	cmd.Dir = filepath.Join(tools, "versitygw")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build versitygw: %v: %s", err, out)
	}
	return bin
}
