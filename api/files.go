package api

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"orrery/engine/blob"
)

// This file lets clients bring and fetch the files of their jobs: by URLs that are signed for
// one file and a while, or through this server, in bounded memory either way.

// Files is where jobs' files are; with a nil Store the routes answer that there is none.
type Files struct {
	Store  blob.Store
	Secret []byte // signs URLs to this server, where Store is no blob.Signer
}

const (
	defaultExpiry = time.Hour
	maxExpiry     = 7 * 24 * time.Hour // what S3 servers allow
	listedFiles   = 10_000
)

// fileOf gives the place of the file that a request is about, checked: the job's own, for
// somebody who may see the job.
func (s *Server) fileOf(c *fiber.Ctx, who *Client, name string) (key string, err error) {
	if s.files.Store == nil {
		return "", problem(codeNoFiles, "this server keeps no files: its operator sets TASK_FILES_DIR, or S3_ENDPOINT_URL with S3_DEFAULT_BUCKET")
	}
	if who == nil { // the signature was given to somebody who may
		who = &Client{role: roleOperator}
	}
	j, err := s.visibleJob(c.UserContext(), c.Params("id"), who)
	if err != nil {
		return "", err
	}
	if err := blob.CheckName(name); err != nil {
		return "", problem(codeBadRequest, err.Error())
	}
	return blob.Key(j.ID, name), nil
}

// pathName gives the name at the end of a path, which was sent escaped.
func pathName(c *fiber.Ctx) string {
	name, err := url.PathUnescape(c.Params("*"))
	if err != nil { // checkPath has looked at it; an empty name is refused
		return ""
	}
	return name
}

// fileFault names errors of the files' store for callers.
func (s *Server) fileFault(c *fiber.Ctx, err error) error {
	var size *blob.WrongSize
	var many *blob.TooMany
	var p *Problem
	switch {
	case err == nil || errors.As(err, &p):
		return err
	case errors.Is(err, blob.ErrNotFound):
		return problem(codeNotFound, "the job has no such file")
	case errors.As(err, &size), errors.As(err, &many):
		return problem(codeBadRequest, err.Error())
	}
	s.log.Error("a job's file could not be reached", "path", c.Path(), "request_id", s.requestID(c), "error", err)
	return problem(codeFilesAway, "the place of the files can not be used just now; the same request may work later")
}

// listFiles answers [{"name", "size", "modified"}] in order of name.
func (s *Server) listFiles(c *fiber.Ctx, who *Client) error {
	key, err := s.fileOf(c, who, "x")
	if err != nil {
		return err
	}
	folder := strings.TrimSuffix(key, "x")
	infos, err := s.files.Store.List(c.UserContext(), folder, listedFiles)
	if err != nil {
		return s.fileFault(c, err)
	}
	type file struct {
		Name     string `json:"name"`
		Size     int64  `json:"size"`
		Modified string `json:"modified"`
		URI      string `json:"s3_uri"`
	}
	out := make([]file, len(infos))
	for i, info := range infos {
		out[i] = file{strings.TrimPrefix(info.Key, folder), info.Size, info.Modified.UTC().Format("2006-01-02T15:04:05.000Z"), s.files.Store.URI(info.Key)}
	}
	return c.JSON(out)
}

// fileUploadURL gives a URL to which the file may be PUT.
func (s *Server) fileUploadURL(c *fiber.Ctx, who *Client) error {
	name := c.Query("filename")
	key, err := s.fileOf(c, who, name)
	if err != nil {
		return err
	}
	expires := defaultExpiry
	if text := c.Query("expires_in"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > int(maxExpiry/time.Second) {
			return problem(codeBadRequest, "expires_in must be a whole number of seconds from 1 to "+strconv.Itoa(int(maxExpiry/time.Second)))
		}
		expires = time.Duration(n) * time.Second
	}
	link, err := s.signedURL(c, key, name, fiber.MethodPut, expires)
	if err != nil {
		return err
	}
	return c.JSON(struct {
		URL       string `json:"url"`
		ExpiresIn int    `json:"expires_in"`
		Method    string `json:"method"`
	}{link, int(expires / time.Second), fiber.MethodPut})
}

// fileDownload leads to the file.
func (s *Server) fileDownload(c *fiber.Ctx, who *Client) error {
	name := pathName(c)
	key, err := s.fileOf(c, who, name)
	if err != nil {
		return err
	}
	if _, err := s.files.Store.Stat(c.UserContext(), key); err != nil {
		return s.fileFault(c, err)
	}
	link, err := s.signedURL(c, key, name, fiber.MethodGet, defaultExpiry)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.Redirect(link, fiber.StatusFound)
}

// signedURL signs for one method, one file and a while: at the store where it can, else here.
func (s *Server) signedURL(c *fiber.Ctx, key, name, method string, expires time.Duration) (string, error) {
	if signer, ok := s.files.Store.(blob.Signer); ok {
		link, err := signer.Sign(c.UserContext(), key, method == fiber.MethodPut, expires)
		return link, s.fileFault(c, err)
	}
	until := strconv.FormatInt(s.clock.Now().Add(expires).Unix(), 10)
	id := c.Params("id")
	u := url.URL{Path: "/api/v1/jobs/" + id + "/files/content/" + name,
		RawQuery: url.Values{"expires": {until}, "signature": {s.fileSignature(method, id, name, until)}}.Encode()}
	return c.BaseURL() + u.String(), nil
}

func (s *Server) fileSignature(method, id, name, until string) string {
	mac := hmac.New(sha256.New, s.files.Secret)
	_, _ = io.WriteString(mac, method+"\n"+id+"\n"+until+"\n"+name) // a hash never fails
	return hex.EncodeToString(mac.Sum(nil))
}

// signedFile reports whether the request carries a signature of this server for just this
// method and file that has not expired. A signed GET also answers HEAD.
func (s *Server) signedFile(c *fiber.Ctx) bool {
	method, until := c.Method(), c.Query("expires")
	if method == fiber.MethodHead {
		method = fiber.MethodGet
	}
	at, err := strconv.ParseInt(until, 10, 64)
	if err != nil || len(s.files.Secret) == 0 || s.clock.Now().Unix() >= at {
		return false
	}
	rest := strings.TrimPrefix(c.Path(), "/api/v1/jobs/")
	id, escaped, ok := strings.Cut(rest, "/files/content/")
	name, err := url.PathUnescape(escaped)
	if !ok || err != nil {
		return false
	}
	return hmac.Equal([]byte(c.Query("signature")), []byte(s.fileSignature(method, id, name, until)))
}

// fileWrite takes a file's content from the body, as it comes.
func (s *Server) fileWrite(c *fiber.Ctx, who *Client) error {
	name := pathName(c)
	key, err := s.fileOf(c, who, name)
	size := int64(c.Request().Header.ContentLength()) // -1: in chunks
	switch {
	case err != nil:
	case size < 0 && twoLengths(c):
		err = problem(codeBadRequest, "the request has both Content-Length and Transfer-Encoding; send one of them")
	case size > blob.MaxBytes:
		err = problem(codeTooLarge, "the file is larger than "+strconv.Itoa(blob.MaxBytes)+" bytes, the most that a file may have")
	case c.Get(fiber.HeaderContentEncoding) != "":
		err = problem(codeEncoding, "a file is kept as it comes; send it without Content-Encoding")
	case !s.uploads.enter(1):
		err = overloaded(LimitUploads, "files are being received", s.uploads.most)
	}
	if err != nil {
		s.discard(c)
		return err
	}
	defer s.uploads.leave(1)
	var from io.Reader = strings.NewReader("")
	if stream := c.Context().RequestBodyStream(); stream != nil {
		from = stream
	}
	body := &patientReader{from: from, conn: c.Context().Conn(), patience: s.cfg.Patience.Body}
	info, err := s.files.Store.Put(c.UserContext(), key, body, max(size, -1))
	if err != nil {
		c.Context().SetConnectionClose() // the rest of the body is still on the line
		if body.failed != nil {
			return brokenBody(body.failed)
		}
		return s.fileFault(c, err)
	}
	s.log.Debug("a file came", "key", key, "bytes", info.Size)
	return c.JSON(struct {
		Status string `json:"status"`
		URI    string `json:"s3_uri"`
		Size   int64  `json:"size"`
		ETag   string `json:"etag"`
	}{"uploaded", s.files.Store.URI(key), info.Size, info.ETag})
}

// patientReader gives a sender the time of a body for every piece that it sends.
type patientReader struct {
	from     io.Reader
	conn     net.Conn
	patience time.Duration
	failed   error
}

// Read reads a piece and remembers a failure of the line, to tell it from one of the store.
func (r *patientReader) Read(p []byte) (int, error) {
	if err := r.conn.SetReadDeadline(time.Now().Add(r.patience)); err != nil {
		r.failed = err
		return 0, err
	}
	n, err := r.from.Read(p)
	if err != nil && err != io.EOF {
		r.failed = err
	}
	return n, err
}

// fileRead sends a file's content through this server.
func (s *Server) fileRead(c *fiber.Ctx, who *Client) error {
	key, err := s.fileOf(c, who, pathName(c))
	if err != nil {
		return err
	}
	// The context must live until the last byte is out, which is after this function.
	ctx, cancel := context.WithCancel(s.held)
	body, info, err := s.files.Store.Get(ctx, key)
	if err != nil {
		cancel()
		return s.fileFault(c, err)
	}
	c.Set(fiber.HeaderContentType, fiber.MIMEOctetStream)
	c.Set(fiber.HeaderContentDisposition, "attachment") // a browser must not show it as a page of ours
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set(fiber.HeaderETag, strconv.Quote(info.ETag))
	c.Context().SetBodyStream(&patientBody{body, cancel, c.Context().Conn(), s.cfg.Patience.Answer}, int(info.Size))
	return nil
}

// patientBody gives a receiver the time of an answer for every piece.
type patientBody struct {
	io.ReadCloser
	done     context.CancelFunc
	conn     net.Conn
	patience time.Duration
}

// Read gives a piece; the one before it has been sent.
func (b *patientBody) Read(p []byte) (int, error) {
	_ = b.conn.SetWriteDeadline(time.Now().Add(b.patience)) // a dead connection fails at the next write
	return b.ReadCloser.Read(p)
}

// Close ends the reading.
func (b *patientBody) Close() error {
	defer b.done()
	return b.ReadCloser.Close()
}
