package api

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"
	"github.com/klauspost/compress/zstd"

	"orrery/workers/protocol"
)

// This file reads request bodies: unpacked within a limit, valid JSON, not too deep.

// body gives the unpacked body. receive read it into memory of its own, so it may be kept.
// The framework's own unpacking knows no limit.
func (s *Server) body(c *fiber.Ctx) ([]byte, error) {
	raw, most := c.Request().Body(), s.cfg.Limits.Body
	var from io.Reader
	switch coding := strings.ToLower(strings.TrimSpace(c.Get(fiber.HeaderContentEncoding))); coding {
	case "", "identity":
		return raw, nil
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			return nil, problem(codeBadRequest, "the body is not gzip, though Content-Encoding says so")
		}
		from = z
	case "zstd":
		// The window is bounded too: a few bytes may ask for gigabytes of it.
		z, err := zstd.NewReader(bytes.NewReader(raw), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window(most)))
		if err != nil {
			return nil, problem(codeBadRequest, "the body is not zstd, though Content-Encoding says so")
		}
		defer z.Close()
		from = z
	default:
		return nil, problem(codeEncoding, fmt.Sprintf("Content-Encoding %q is not known; send gzip, zstd or no coding", coding))
	}
	out, err := io.ReadAll(io.LimitReader(from, int64(most)+1))
	if err != nil {
		return nil, problem(codeBadRequest, "the packed body is damaged or cut off")
	}
	if len(out) > most {
		return nil, broken(codeTooLarge, LimitBody, int64(most), 0, "the body has more bytes than it may when it is unpacked", "send less, or put large data into files")
	}
	return out, nil
}

// window is the memory that unpacking may take beside its output: what the format asks for at least.
func window(most int) uint64 { return uint64(max(most, zstd.MinWindowSize)) }

// jsonBody gives the body as one checked JSON value; empty is allowed and gives nil.
func (s *Server) jsonBody(c *fiber.Ctx) ([]byte, error) {
	raw, err := s.body(c)
	if err != nil || len(bytes.TrimSpace(raw)) == 0 {
		return nil, err
	}
	return raw, checkJSON(raw, s.cfg.Limits.Depth)
}

// decode reads an optional JSON object into v and refuses members it does not know.
func (s *Server) decode(c *fiber.Ctx, v any) error {
	raw, err := s.jsonBody(c)
	if err != nil || raw == nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return problem(codeBadRequest, "the body does not fit: "+strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// checkJSON refuses what would fail later and less clearly: bytes that are no UTF-8, deep
// nesting, names that stand twice, and numbers beyond what a script can hold.
func checkJSON(raw []byte, most int) error {
	if !utf8.Valid(raw) {
		return problem(codeBadJSON, "the body is not valid UTF-8")
	}
	if protocol.Deeper(raw, most) {
		return tooDeep(most)
	}
	if err := checkNumbers(raw); err != nil {
		return err
	}
	if !json.Valid(raw) {
		return problem(codeBadJSON, "the body is not valid JSON: "+syntaxFault(raw))
	}
	return checkNames(raw)
}

// message gives the body of a worker, which is read with more tolerance than a client's.
func (s *Server) message(c *fiber.Ctx) ([]byte, error) {
	raw, err := s.body(c)
	if err == nil && protocol.Deeper(raw, s.cfg.Limits.Depth) {
		return nil, tooDeep(s.cfg.Limits.Depth)
	}
	return raw, err
}

// checkNumbers looks at every number outside of texts.
func checkNumbers(raw []byte) error {
	inText := false
	for i := 0; i < len(raw); i++ {
		switch b := raw[i]; {
		case inText && b == '\\':
			i++
		case b == '"':
			inText = !inText
		case inText:
		case b == '-' || b >= '0' && b <= '9':
			end := i + 1
			for end < len(raw) && strings.IndexByte("0123456789+-.eE", raw[end]) >= 0 {
				end++
			}
			if err := checkNumber(string(raw[i:end])); err != nil {
				return err
			}
			i = end - 1
		}
	}
	return nil
}

// checkNumber is the JSON border of scripts: integers of 64 bits, finite floats. What is no
// number at all is left to the syntax check.
func checkNumber(text string) error {
	if len(text) < 19 && !strings.ContainsAny(text, "eE") {
		return nil
	}
	var err error
	if strings.ContainsAny(text, ".eE") {
		_, err = strconv.ParseFloat(text, 64)
	} else {
		_, err = strconv.ParseInt(text, 10, 64)
	}
	if ne, ok := err.(*strconv.NumError); ok && ne.Err == strconv.ErrRange {
		if len(text) > 40 {
			text = text[:40] + "..."
		}
		return problem(codeBadJSON, "the number "+text+" does not fit: integers have 64 bits, floats are finite; send it as a text")
	}
	return nil
}

func syntaxFault(raw []byte) string {
	var v json.RawMessage
	err := json.Unmarshal(raw, &v)
	if se, ok := err.(*json.SyntaxError); ok {
		line := 1 + bytes.Count(raw[:min(int(se.Offset), len(raw))], []byte("\n"))
		return fmt.Sprintf("%v at byte %d, line %d", se, se.Offset, line)
	}
	return fmt.Sprint(err)
}
