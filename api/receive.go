package api

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"orrery/workers"
	"orrery/workers/protocol"
)

// This file lets requests in as far as the server can bear them: bodies grow with what has come and not with what was announced, and only those with a token may send much.

const (
	firstBody  = 8 << 10   // bytes that the framework reads with the headers
	freeBody   = 64 << 10  // bytes of a body that are not counted
	maxDiscard = 256 << 10 // bytes of a refused body that are read so that the answer arrives
)

// bodyPatience gives a request with a body the time for it, once its headers are there. Of a
// body that is announced too long the framework need not see more than its first bytes.
func (s *Server) bodyPatience(h *fasthttp.RequestHeader) (conf fasthttp.RequestConfig) {
	if h.ContentLength() != 0 {
		conf.ReadTimeout = s.cfg.Patience.Body
	}
	if h.ContentLength() > s.cfg.Limits.Body {
		conf.MaxRequestBodySize = 1
	}
	return conf
}

// receive reads the body into the request, where handlers find it. held are the counted
// bytes, to be given back when the request has been answered.
func (s *Server) receive(c *fiber.Ctx, need access, who *Client) (held int64, err error) {
	from := c.Context().RequestBodyStream()
	if from == nil {
		return 0, nil
	}
	length := c.Request().Header.ContentLength() // -1: in chunks
	if err := s.mayBring(c, length, need, who); err != nil {
		s.discard(c)
		return 0, err
	}
	in := s.intake(c, length, need, who)
	buf, err := in.read(from, firstRoom(length))
	var p *Problem
	switch {
	case err == nil:
		c.Request().SetBodyRaw(buf)
		return in.held, nil
	case errors.Is(err, errTooMuch):
		s.discard(c)
		return in.held, tooLarge(in.limit, in.most, 0)
	case errors.As(err, &p):
		s.discard(c)
		return in.held, err
	}
	c.Context().SetConnectionClose() // where the next request begins is not known
	return in.held, brokenBody(err)
}

// intake is how much of a body may come in.
type intake struct {
	bodies  *gate
	counted bool   // by the gate
	limit   string // its name
	most    int    // bytes
	held    int64  // bytes that were counted
}

// errTooMuch says that a body has more bytes than it may.
var errTooMuch = errors.New("more bytes than a body may have")

// intake gives what a request may bring; length -1: that is not known.
func (s *Server) intake(c *fiber.Ctx, length int, need access, who *Client) *intake {
	in := &intake{bodies: &s.bodies, counted: who != nil, limit: LimitBody, most: s.cfg.Limits.Body} // a result is never refused for load, and strangers bring little
	if !s.proved(c, length, need, who) {
		in.limit, in.most = LimitStrange, s.cfg.Limits.Strange
	}
	return in
}

// read reads to the end into memory that grows with what has come.
func (in *intake) read(from io.Reader, first int) ([]byte, error) {
	buf := make([]byte, 0, first)
	for {
		n, err := from.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > in.most:
			return nil, errTooMuch
		case err == io.EOF:
			return buf, nil
		case err != nil:
			return nil, err
		case len(buf) < cap(buf):
			continue
		}
		room := int64(min(2*cap(buf), in.most+1))
		if in.counted && room > freeBody {
			more := room - in.held
			if !in.bodies.enter(more) {
				return nil, overloaded(LimitBodies, "large bodies are being read", in.bodies.most)
			}
			in.held += more
		}
		buf = append(make([]byte, 0, room), buf...)
	}
}

// firstRoom is how much is made ready for a body before more of it has come.
func firstRoom(length int) int {
	if length < 0 || length > freeBody {
		return freeBody
	}
	return max(length, 1)
}

// mayBring refuses a body by its head: two lengths, too long, or too long for a stranger.
func (s *Server) mayBring(c *fiber.Ctx, length int, need access, who *Client) error {
	switch {
	case length < 0 && twoLengths(c):
		// What stands in front of this server may have believed the other one.
		return problem(codeBadRequest, "the request has both Content-Length and Transfer-Encoding; send one of them")
	case length > s.cfg.Limits.Body:
		return tooLarge(LimitBody, s.cfg.Limits.Body, length)
	case length <= s.cfg.Limits.Strange || s.proved(c, length, need, who):
		return nil
	case need&worker != 0:
		return workers.ErrUnauthorized
	}
	return tooLarge(LimitStrange, s.cfg.Limits.Strange, length)
}

// twoLengths looks for a Content-Length beside chunks: the framework keeps the latter only,
// so the header is looked through as it came.
func twoLengths(c *fiber.Ctx) bool {
	for line := range bytes.SplitSeq(c.Request().Header.RawHeaders(), []byte("\n")) {
		if name, _, ok := bytes.Cut(line, []byte(":")); ok && strings.EqualFold(string(name), fiber.HeaderContentLength) {
			return true
		}
	}
	return false
}

// proved reports whether somebody known sends the request. It is asked for long bodies only.
func (s *Server) proved(c *fiber.Ctx, length int, need access, who *Client) bool {
	switch {
	case who != nil || sealed(c) != nil || length >= 0 && length <= s.cfg.Limits.Strange:
		return true
	case need&worker != 0:
		_, ok := s.hub.WebSocketAuth(c.Get(protocol.HeaderToken))
		return ok
	case need&page != 0:
		return s.visitor(c) != nil
	}
	return false
}

// discard deals with a body that nobody reads. Left on the connection it would be taken for
// the next request, so what is too long to be read away closes it.
func (s *Server) discard(c *fiber.Ctx) {
	from := c.Context().RequestBodyStream()
	length := c.Request().Header.ContentLength()
	if from == nil || length >= 0 && length <= firstBody {
		return // it came with the headers
	}
	c.Context().SetConnectionClose()
	if length <= maxDiscard {
		_, _ = io.CopyN(io.Discard, from, maxDiscard) // the connection ends either way
	}
}

// brokenBody says why a body did not come to its end.
func brokenBody(err error) *Problem {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return problem(codeSlow, "the request's body did not come in time")
	}
	return problem(codeBadRequest, "the request's body is damaged or cut off")
}
