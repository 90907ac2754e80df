package test

import (
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// TestLedgerInS3 keeps the logs of a platform in a bucket with Object Lock: an object that is hidden by a delete marker is missed,
// and its locked version cannot be removed.
func TestLedgerInS3(t *testing.T) {
	t.Parallel()
	g := cordontest.StartS3(t)
	g.Bucket(t, "audit")
	address := "s3://audit/dev?region=us-east-1&path_style=true&endpoint=" + g.Endpoint
	dir := cordontest.DevDir(t)
	env := []string{"AWS_ACCESS_KEY_ID=" + g.AccessKey, "AWS_SECRET_ACCESS_KEY=" + g.SecretKey, "CORDON_WORM=" + address}
	d := cordontest.StartDev(t, dir, env...)
	n := d.Tenant(t)
	id := n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated).ID(t)
	n.Do(t, http.MethodGet, "/Patient/"+id, nil).Want(t, http.StatusOK)
	if v := verifyLogs(t, d.Platform, n.Slug); !v.OK {
		t.Fatalf("%+v", v)
	}
	bucket, prefix := "audit", "dev/log/"+n.ID+"/cell/checkpoint/"
	all, err := g.Client.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: &bucket, Prefix: &prefix})
	if err != nil || len(all.Versions) == 0 {
		t.Fatalf("no checkpoints in the bucket: %v", err)
	}
	key, version := all.Versions[0].Key, all.Versions[0].VersionId
	if _, err := g.Client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: key, VersionId: version}); err == nil {
		t.Error("a checkpoint was removed")
	}
	if _, err := g.Client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: key}); err != nil {
		t.Fatal(err)
	}
	if v := verifyLogs(t, d.Platform, n.Slug); v.OK {
		t.Error("a checkpoint under a delete marker is not missed")
	}
	if out, err := g.Client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: key, VersionId: version}); err != nil {
		t.Errorf("the locked version is gone: %v", err)
	} else {
		_ = out.Body.Close()
	}
}
