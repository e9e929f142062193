package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"orrery/workers/protocol"
)

// This file reads request bodies, which receive and unpack have brought into memory of their
// own, so that they may be kept: valid JSON, not too deep; or a form.

// jsonBody gives the body as one checked JSON value; empty is allowed and gives nil.
func (s *Server) jsonBody(c *fiber.Ctx) ([]byte, error) {
	raw := c.Request().Body()
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil, nil
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

// form reads the fields of a page's form. The framework's own reading would take other kinds of
// forms as well, unpack them without a limit, and take fields from the address.
func form(c *fiber.Ctx) (url.Values, error) {
	body := c.Request().Body()
	if len(body) > 0 && !strings.HasPrefix(c.Get(fiber.HeaderContentType), fiber.MIMEApplicationForm) {
		return nil, problem(codeBadRequest, "a form must come as "+fiber.MIMEApplicationForm)
	}
	fields, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, problem(codeBadRequest, "the form is not well formed")
	}
	return fields, nil
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
	raw := c.Request().Body()
	if protocol.Deeper(raw, s.cfg.Limits.Depth) {
		return nil, tooDeep(s.cfg.Limits.Depth)
	}
	return raw, nil
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
