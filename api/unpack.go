package api

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/klauspost/compress/zstd"
)

// This file unpacks request bodies, once, before a handler sees them: the framework's own
// unpacking knows no limit, and a few bytes may become gigabytes. What comes out is bounded
// and counted like a body that came as it is.

// unpack replaces a packed body by what is in it. held are the bytes that were counted.
func (s *Server) unpack(c *fiber.Ctx, need access, who *Client) (held int64, err error) {
	raw := c.Request().Body()
	coding := strings.ToLower(strings.TrimSpace(c.Get(fiber.HeaderContentEncoding)))
	if len(raw) == 0 || coding == "" || coding == "identity" {
		return 0, nil
	}
	in := s.intake(c, -1, need, who)
	from, err := unpacker(coding, raw, in.most)
	if err != nil {
		return 0, err
	}
	defer from.Close()
	buf, err := in.read(from, freeBody)
	var p *Problem
	switch {
	case errors.Is(err, errTooMuch):
		return in.held, broken(codeTooLarge, in.limit, int64(in.most), 0, "the body has more bytes than it may when it is unpacked", "send less, or put large data into files")
	case errors.As(err, &p):
		return in.held, err
	case err != nil:
		return in.held, problem(codeBadRequest, "the packed body is damaged or cut off")
	}
	c.Request().Header.Del(fiber.HeaderContentEncoding)
	c.Request().SetBodyRaw(buf)
	return in.held, nil
}

// unpacker knows the codings.
func unpacker(coding string, raw []byte, most int) (io.ReadCloser, error) {
	switch coding {
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			return nil, problem(codeBadRequest, "the body is not gzip, though Content-Encoding says so")
		}
		return z, nil
	case "zstd":
		// The window is bounded too: a few bytes may ask for gigabytes of it.
		z, err := zstd.NewReader(bytes.NewReader(raw), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window(most)))
		if err != nil {
			return nil, problem(codeBadRequest, "the body is not zstd, though Content-Encoding says so")
		}
		return z.IOReadCloser(), nil
	}
	return nil, problem(codeEncoding, fmt.Sprintf("Content-Encoding %q is not known; send gzip, zstd or no coding", shortened(coding)))
}

// window is the memory that unpacking may take beside its output: what the format asks for at least.
func window(most int) uint64 { return uint64(max(most, zstd.MinWindowSize)) }
