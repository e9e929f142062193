// Package s3 keeps files in a bucket of an S3 server.
//
// Words: the endpoint is the server's URL; keys are those of package blob, unchanged. Large
// files go up in parts, several at a time, so that the memory of an upload is the parts under
// way and never the file. Buckets are addressed by path, which every server understands.
//
// Who is authoritative: the bucket.
package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"orrery/engine/blob"
)

// This file opens a bucket, and reads, lists and removes.

// Options are the S3_* settings.
type Options struct {
	Endpoint    string // S3_ENDPOINT_URL
	AccessKey   string
	SecretKey   string
	Bucket      string // must exist
	Region      string // "" is us-east-1
	Concurrency int    // parts of all uploads under way at once; 0 is 8
}

// defaultConcurrency bounds the memory of uploads to 64 MiB.
const defaultConcurrency = 8

// Store is a bucket. Make it with New.
type Store struct {
	client *s3.Client
	sign   *s3.PresignClient
	bucket string
	places chan struct{} // one for each part that goes up
}

var (
	_ blob.Store  = (*Store)(nil)
	_ blob.Signer = (*Store)(nil)
)

// New checks the options; it does not go to the server, which may start later.
func New(o Options) (*Store, error) {
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("the endpoint %q is no URL such as http://127.0.0.1:9000", o.Endpoint)
	}
	if o.AccessKey == "" || o.SecretKey == "" || len(o.Bucket) < 3 {
		return nil, errors.New("an S3 server needs an access key, a secret key and a bucket whose name has at least 3 letters")
	}
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	if o.Concurrency <= 0 {
		o.Concurrency = defaultConcurrency
	}
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String(o.Endpoint), Region: o.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(o.AccessKey, o.SecretKey, ""),
		HTTPClient: awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
			t.ResponseHeaderTimeout = time.Minute // a server that takes a connection and says nothing
			t.MaxIdleConnsPerHost = o.Concurrency
		}),
		// Not every server knows the newer checksums; the signature covers the parts anyway.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	})
	return &Store{client, s3.NewPresignClient(client), o.Bucket, make(chan struct{}, o.Concurrency)}, nil
}

// Check looks whether the bucket is there and may be used.
func (s *Store) Check(ctx context.Context) error {
	_, err := s.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &s.bucket})
	if err != nil {
		return s.fault("look at the bucket", "", err)
	}
	return nil
}

// MakeBucket makes the bucket when it is not there; servers do not do it by themselves.
func (s *Store) MakeBucket(ctx context.Context) error {
	_, err := s.client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &s.bucket})
	var owned *types.BucketAlreadyOwnedByYou
	var exists *types.BucketAlreadyExists
	if err == nil || errors.As(err, &owned) || errors.As(err, &exists) {
		return nil
	}
	return s.fault("make the bucket", "", err)
}

// fault puts an error of the server into a sentence; absent files are blob.ErrNotFound.
func (s *Store) fault(what, key string, err error) error {
	var api smithy.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode() {
		case "NoSuchKey", "NotFound", "NotDirectory", "ParentIsDirectory", "ObjectParentIsFile", "KeyTooLongError":
			if key != "" {
				return blob.ErrNotFound
			}
		}
	}
	return &Fault{fmt.Sprintf("%s s3://%s/%s", what, s.bucket, key), err}
}

// Fault is an error of the server, or of the way to it.
type Fault struct {
	What  string
	Cause error
}

// Error says what was tried and what the server said, without its request ids.
func (f *Fault) Error() string {
	var api smithy.APIError
	if errors.As(f.Cause, &api) {
		return fmt.Sprintf("%s: %s: %s", f.What, api.ErrorCode(), api.ErrorMessage())
	}
	cause := f.Cause
	for { // the innermost names the network's fault
		inner := errors.Unwrap(cause)
		if inner == nil {
			return f.What + ": " + cause.Error()
		}
		cause = inner
	}
}

// Unwrap gives the cause.
func (f *Fault) Unwrap() error { return f.Cause }

// Passing reports whether the same may work later: all but what the server refuses.
func (f *Fault) Passing() bool {
	var response *awshttp.ResponseError
	if errors.As(f.Cause, &response) {
		status := response.HTTPStatusCode()
		return status == 0 || status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout
	}
	return true
}

// Get opens a file.
func (s *Store) Get(ctx context.Context, key string) (io.ReadCloser, blob.Info, error) {
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
	if err != nil {
		return nil, blob.Info{}, s.fault("read", key, err)
	}
	return out.Body, blob.Info{Key: key, Size: aws.ToInt64(out.ContentLength), ETag: etag(out.ETag), Modified: aws.ToTime(out.LastModified)}, nil
}

// Stat looks at a file.
func (s *Store) Stat(ctx context.Context, key string) (blob.Info, error) {
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: &key})
	if err != nil {
		return blob.Info{}, s.fault("look at", key, err)
	}
	return blob.Info{Key: key, Size: aws.ToInt64(out.ContentLength), ETag: etag(out.ETag), Modified: aws.ToTime(out.LastModified)}, nil
}

// etag takes the quotes off, as the SDKs of workers do.
func etag(quoted *string) string { return strings.Trim(aws.ToString(quoted), `"`) }

// List asks page by page.
func (s *Store) List(ctx context.Context, prefix string, most int) ([]blob.Info, error) {
	var out []blob.Info
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, s.fault("list", prefix, err)
		}
		for _, o := range page.Contents {
			if key := aws.ToString(o.Key); !strings.HasSuffix(key, "/") { // some tools mark folders so
				out = append(out, blob.Info{Key: key, Size: aws.ToInt64(o.Size), ETag: etag(o.ETag), Modified: aws.ToTime(o.LastModified)})
			}
		}
		if len(out) > most {
			return nil, &blob.TooMany{Prefix: prefix, Most: most}
		}
	}
	return out, nil
}

// deleteBatch is the most keys that one request removes, by the protocol.
const deleteBatch = 1000

// Delete removes files.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	for len(keys) > 0 {
		batch := keys[:min(len(keys), deleteBatch)]
		keys = keys[len(batch):]
		ids := make([]types.ObjectIdentifier, len(batch))
		for i := range batch {
			ids[i].Key = &batch[i]
		}
		out, err := s.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &s.bucket, Delete: &types.Delete{Objects: ids, Quiet: aws.Bool(true)}})
		if err != nil {
			return s.fault("remove", batch[0], err)
		}
		for _, e := range out.Errors {
			if code := aws.ToString(e.Code); code != "NoSuchKey" && code != "NotFound" {
				return fmt.Errorf("remove s3://%s/%s: %s: %s", s.bucket, aws.ToString(e.Key), code, aws.ToString(e.Message))
			}
		}
	}
	return nil
}

// Jobs lists the folders below jobs/.
func (s *Store) Jobs(ctx context.Context, after string, limit int) ([]string, error) {
	const root = "jobs/"
	in := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: aws.String(root), Delimiter: aws.String("/")}
	if after != "" {
		// The folder itself is passed over: its keys go on with a slash, and 0 comes after it.
		in.StartAfter = aws.String(root + after + "0")
	}
	var out []string
	pages := s3.NewListObjectsV2Paginator(s.client, in)
	for pages.HasMorePages() && len(out) < limit {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, s.fault("list", root, err)
		}
		for _, p := range page.CommonPrefixes {
			id := strings.TrimSuffix(strings.TrimPrefix(aws.ToString(p.Prefix), root), "/")
			if id > after && len(out) < limit {
				out = append(out, id)
			}
		}
	}
	return out, nil
}

// URI is what workers of every age take.
func (s *Store) URI(key string) string { return "s3://" + s.bucket + "/" + key }

// Sign makes a presigned URL.
func (s *Store) Sign(ctx context.Context, key string, put bool, expires time.Duration) (string, error) {
	until := s3.WithPresignExpires(expires)
	if put {
		out, err := s.sign.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: &s.bucket, Key: &key}, until)
		if err != nil {
			return "", s.fault("sign an upload to", key, err)
		}
		return out.URL, nil
	}
	// The file's type is whatever its sender said: a browser must not show it as a page.
	out, err := s.sign.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key,
		ResponseContentDisposition: aws.String("attachment"), ResponseContentType: aws.String("application/octet-stream")}, until)
	if err != nil {
		return "", s.fault("sign a download of", key, err)
	}
	return out.URL, nil
}
