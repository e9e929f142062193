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
)

// This file reads request bodies: unpacked within a limit, valid JSON, not too deep.

const (
	maxBody  = 8 << 20 // bytes, packed and unpacked
	maxDepth = 100     // of objects and lists
)

// body gives the unpacked body. receive read it into memory of its own, so it may be kept.
// The framework's own unpacking knows no limit.
func body(c *fiber.Ctx) ([]byte, error) {
	raw := c.Request().Body()
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
		z, err := zstd.NewReader(bytes.NewReader(raw), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxBody))
		if err != nil {
			return nil, problem(codeBadRequest, "the body is not zstd, though Content-Encoding says so")
		}
		defer z.Close()
		from = z
	default:
		return nil, problem(codeEncoding, fmt.Sprintf("Content-Encoding %q is not known; send gzip, zstd or no coding", coding))
	}
	out, err := io.ReadAll(io.LimitReader(from, maxBody+1))
	if err != nil {
		return nil, problem(codeBadRequest, "the packed body is damaged or cut off")
	}
	if len(out) > maxBody {
		return nil, problem(codeTooLarge, "the unpacked body is larger than "+strconv.Itoa(maxBody)+" bytes; send less, or put large data into files")
	}
	return out, nil
}

// jsonBody gives the body as one checked JSON value; empty is allowed and gives nil.
func jsonBody(c *fiber.Ctx) ([]byte, error) {
	raw, err := body(c)
	if err != nil || len(bytes.TrimSpace(raw)) == 0 {
		return nil, err
	}
	return raw, checkJSON(raw)
}

// decode reads an optional JSON object into v and refuses members it does not know.
func decode(c *fiber.Ctx, v any) error {
	raw, err := jsonBody(c)
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
func checkJSON(raw []byte) error {
	if !utf8.Valid(raw) {
		return problem(codeBadJSON, "the body is not valid UTF-8")
	}
	depth, inText := 0, false
	for i := 0; i < len(raw); i++ {
		switch b := raw[i]; {
		case inText && b == '\\':
			i++
		case b == '"':
			inText = !inText
		case inText:
		case b == '{' || b == '[':
			if depth++; depth > maxDepth {
				return problem(codeBadJSON, "objects and lists nest deeper than "+strconv.Itoa(maxDepth)+"; send flatter data")
			}
		case b == '}' || b == ']':
			depth--
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
	if !json.Valid(raw) {
		return problem(codeBadJSON, "the body is not valid JSON: "+syntaxFault(raw))
	}
	return checkNames(raw)
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
