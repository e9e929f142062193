package api

import (
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// This file holds the one rule for what may stand in a path: ids, names, endpoints, files.

const maxPath = 2048 // bytes, as it was sent

// checkPath refuses paths that mean something else after decoding: parents, other
// separators, control characters, what only looks like a dot. Handlers and look-ups behind it
// get names that stay names, also as a file's or in a log.
func checkPath(path string) error {
	if len(path) > maxPath {
		return problem(codeBadRequest, "the path is longer than "+strconv.Itoa(maxPath)+" bytes")
	}
	if plainPath(path) {
		return nil
	}
	decoded, err := url.PathUnescape(path)
	if err != nil || !utf8.ValidString(decoded) {
		return problem(codeBadRequest, "the path is not well formed: % must begin two hexadecimal digits, and what they spell must be UTF-8")
	}
	for segment := range strings.SplitSeq(decoded, "/") {
		if segment == "." || segment == ".." {
			return problem(codeBadRequest, `the path holds a segment "." or ".."; name the thing itself`)
		}
	}
	// A slash that was hidden, or a percent sign that would be decoded once more by another.
	if strings.Count(decoded, "/") != strings.Count(path, "/") || strings.ContainsFunc(decoded, badInPath) {
		return problem(codeBadRequest, "the path holds characters that no name here has: control characters, \\, %, an encoded /, or look-alikes of dots and slashes")
	}
	return nil
}

// plainPath spares nearly all requests the closer look.
func plainPath(path string) bool {
	for i := range len(path) {
		b := path[i]
		if b <= ' ' || b > '~' || b == '%' || b == '\\' || b == '.' && i > 0 && path[i-1] == '/' {
			return false
		}
	}
	return true
}

// lookalikes of dots and slashes, which some systems turn into the real ones.
const lookalikes = "\u2024\u2025\u2026\uFE52\uFF0E\u3002\uFF61\u2044\u2215\uFF0F\uFF3C\u29F8"

func badInPath(r rune) bool {
	return r == '\\' || r == '%' || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || strings.ContainsRune(lookalikes, r)
}
