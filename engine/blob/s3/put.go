package s3

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"orrery/engine/blob"
)

// This file writes: small files in one request, larger ones in parts.

// partBytes is the length of a part: with at most 10,000 parts, files of 78 GiB fit.
const partBytes = 8 << 20

// Put writes a file. The first part tells whether there are more.
func (s *Store) Put(ctx context.Context, key string, from io.Reader, size int64) (blob.Info, error) {
	if size > blob.MaxBytes {
		return blob.Info{}, tooLarge()
	}
	first, last, err := readPart(from, size)
	if err == nil && last && size >= 0 && int64(len(first)) != size {
		err = &blob.WrongSize{Want: size, Got: int64(len(first))}
	}
	if err == nil && last {
		err = s.place(ctx)
	}
	if err != nil {
		return blob.Info{}, err
	}
	if last {
		defer s.leave()
		out, err := s.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &s.bucket, Key: &key, Body: bytes.NewReader(first), ContentLength: aws.Int64(int64(len(first)))})
		if err != nil {
			return blob.Info{}, s.fault("write", key, err)
		}
		return blob.Info{Key: key, Size: int64(len(first)), ETag: etag(out.ETag), Modified: time.Now().UTC()}, nil
	}
	return s.putParts(ctx, key, first, from, size)
}

func tooLarge() error {
	return fmt.Errorf("the file is larger than %d bytes, the most that a file may have", int64(blob.MaxBytes))
}

// place waits until one more part may go up. A part that is still being read has none: a slow
// sender must not keep others from sending.
func (s *Store) place(ctx context.Context) error {
	select {
	case s.places <- struct{}{}:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) leave() { <-s.places }

// buffers holds those of parts that are done.
var buffers = sync.Pool{New: func() any { return new([partBytes]byte) }}

// readPart reads up to a part; last says that the file ends with it. A part that is not the
// last has a buffer of the pool. size is that of the whole file, -1 when it is not known.
func readPart(from io.Reader, size int64) (part []byte, last bool, err error) {
	if size >= 0 && size < partBytes { // one byte more tells a sender who sends more
		part, err = io.ReadAll(io.LimitReader(from, size+1))
		return part, true, err
	}
	buf := buffers.Get().(*[partBytes]byte)
	n, err := io.ReadFull(from, buf[:])
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		part = bytes.Clone(buf[:n])
		buffers.Put(buf)
		return part, true, nil
	case err != nil:
		buffers.Put(buf)
		return nil, false, err
	}
	return buf[:], false, nil
}

// upload is one file on its way in parts.
type upload struct {
	s       *Store
	key, id string
	size    int64
	ctx     context.Context
	cancel  context.CancelCauseFunc
	busy    sync.WaitGroup
	mu      sync.Mutex
	done    []types.CompletedPart
}

func (s *Store) putParts(ctx context.Context, key string, first []byte, from io.Reader, size int64) (blob.Info, error) {
	begun, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &s.bucket, Key: &key})
	if err != nil {
		return blob.Info{}, s.fault("begin to write", key, err)
	}
	u := &upload{s: s, key: key, id: aws.ToString(begun.UploadId)}
	u.ctx, u.cancel = context.WithCancelCause(ctx)
	defer u.cancel(nil)
	err = u.sendAll(first, from)
	u.busy.Wait()
	if cause := context.Cause(u.ctx); cause != nil { // of a part; what followed from it says less
		err = cause
	}
	if err == nil && size >= 0 && u.size != size {
		err = &blob.WrongSize{Want: size, Got: u.size}
	}
	if err != nil {
		return blob.Info{}, errors.Join(err, u.abort(ctx))
	}
	slices.SortFunc(u.done, func(a, b types.CompletedPart) int { return cmp.Compare(*a.PartNumber, *b.PartNumber) })
	out, err := s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: &s.bucket, Key: &key, UploadId: &u.id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.done}})
	if err != nil {
		return blob.Info{}, errors.Join(s.fault("finish writing", key, err), u.abort(ctx))
	}
	return blob.Info{Key: key, Size: u.size, ETag: etag(out.ETag), Modified: time.Now().UTC()}, nil
}

// sendAll reads on while parts go up.
func (u *upload) sendAll(part []byte, from io.Reader) error {
	for number, last := int32(1), false; ; number++ {
		u.size += int64(len(part))
		if u.size > blob.MaxBytes {
			return tooLarge()
		}
		if len(part) > 0 {
			if err := u.s.place(u.ctx); err != nil {
				return err
			}
			sent := part // the loop goes on with another
			u.busy.Go(func() { u.send(sent, number) })
		}
		if last {
			return nil
		}
		var err error
		if part, last, err = readPart(from, -1); err != nil {
			return err
		}
	}
}

// send brings one part up; its failure ends the whole upload.
func (u *upload) send(part []byte, number int32) {
	defer u.s.leave()
	out, err := u.s.client.UploadPart(u.ctx, &s3.UploadPartInput{Bucket: &u.s.bucket, Key: &u.key, UploadId: &u.id, PartNumber: &number,
		Body: bytes.NewReader(part), ContentLength: aws.Int64(int64(len(part)))})
	if err != nil {
		u.cancel(u.s.fault("write", u.key, err))
		return
	}
	if len(part) == partBytes {
		buffers.Put((*[partBytes]byte)(part))
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.done = append(u.done, types.CompletedPart{ETag: out.ETag, PartNumber: &number})
}

// abortPatience is how long the server may take to throw parts away.
const abortPatience = 10 * time.Second

// abort throws away what has come, also when the caller is gone: parts cost money.
func (u *upload) abort(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortPatience)
	defer cancel()
	_, err := u.s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &u.s.bucket, Key: &u.key, UploadId: &u.id})
	if err != nil {
		return u.s.fault("throw away the parts of", u.key, err)
	}
	return nil
}
