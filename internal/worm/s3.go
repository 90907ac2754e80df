package worm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// S3 names a bucket. Each object is locked in compliance mode until its retention ends.
type S3 struct {
	Bucket, Prefix, Region string
	Endpoint               string // of a store that is not AWS's
	PathStyle              bool   // the bucket is named in the path, not in the host
	Retain                 time.Duration
}

// Bucket is an opened S3 bucket. It is safe for concurrent use.
type Bucket struct {
	o      S3
	client *s3.Client
}

// OpenS3 checks that the bucket locks objects. Faults: Invalid (a retention below Floor, a bucket without Object Lock), Unavailable.
func OpenS3(ctx context.Context, o S3) (*Bucket, error) {
	if o.Retain < Floor {
		return nil, fault.New(fault.Invalid, "audit evidence is kept for six years at least: retain_days is %d or more", int(Floor.Hours()/24))
	}
	cfg, err := config.LoadDefaultConfig(ctx, func(l *config.LoadOptions) error {
		if o.Region != "" {
			l.Region = o.Region
		}
		return nil
	})
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the settings of S3 cannot be read")
	}
	b := &Bucket{o, s3.NewFromConfig(cfg, func(s *s3.Options) {
		s.UsePathStyle = o.PathStyle
		if o.Endpoint != "" {
			s.BaseEndpoint = &o.Endpoint
		}
	})}
	lock, err := b.client.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: &o.Bucket})
	if is(err, "ObjectLockConfigurationNotFoundError") {
		return nil, fault.New(fault.Invalid, "the bucket %s does not lock objects: it is not write-once", o.Bucket)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	if lock.ObjectLockConfiguration == nil || lock.ObjectLockConfiguration.ObjectLockEnabled != types.ObjectLockEnabledEnabled {
		return nil, fault.New(fault.Invalid, "the bucket %s does not lock objects: it is not write-once", o.Bucket)
	}
	return b, nil
}

// is reports whether S3 refused with one of the codes.
func is(err error, codes ...string) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return false
	}
	for _, c := range codes {
		if api.ErrorCode() == c {
			return true
		}
	}
	return false
}

func (b *Bucket) key(key string) *string {
	if b.o.Prefix != "" {
		key = b.o.Prefix + "/" + key
	}
	return &key
}

// Put implements Store.
func (b *Bucket) Put(ctx context.Context, key string, data []byte) error {
	_, err := b.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &b.o.Bucket, Key: b.key(key), Body: bytes.NewReader(data), IfNoneMatch: aws.String("*"),
		ChecksumAlgorithm: types.ChecksumAlgorithmSha256, ObjectLockMode: types.ObjectLockModeCompliance, ObjectLockRetainUntilDate: aws.Time(time.Now().Add(b.o.Retain))})
	if is(err, "PreconditionFailed") { // a conflict of two writers (409) tells nothing of who has won: it is tried again
		return taken(key)
	}
	return unavailable(err)
}

// Get implements Store. An object that somebody hid under a delete marker is absent here, and so a problem of verification; its
// locked version is still in the bucket.
func (b *Bucket) Get(ctx context.Context, key string) ([]byte, error) {
	out, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.o.Bucket, Key: b.key(key)})
	if is(err, "NoSuchKey") {
		return nil, absent(key)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	defer func() { _ = out.Body.Close() }()
	data, err := io.ReadAll(out.Body)
	return data, unavailable(err)
}

// List implements Store.
func (b *Bucket) List(ctx context.Context, prefix, after string) ([]string, error) {
	in := &s3.ListObjectsV2Input{Bucket: &b.o.Bucket, Prefix: b.key(prefix)}
	if after != "" {
		in.StartAfter = b.key(after)
	}
	var out []string
	for pages := s3.NewListObjectsV2Paginator(b.client, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, unavailable(err)
		}
		for _, o := range page.Contents {
			k := aws.ToString(o.Key)
			if b.o.Prefix != "" {
				k = strings.TrimPrefix(k, b.o.Prefix+"/")
			}
			out = append(out, k)
		}
	}
	return out, nil
}
