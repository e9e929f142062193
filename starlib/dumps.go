package starlib

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf16"

	"go.starlark.net/starlark"

	"orrery/starlib/guard"
)

// This file holds json.dumps, which writes JSON as Python does: a space after each comma and
// colon, and everything beyond ASCII escaped, unless ensure_ascii is false.

// jsonDumps is dumps(x, indent=None, sort_keys=False, ensure_ascii=True).
func jsonDumps(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var v starlark.Value
	var indent starlark.Value = starlark.None
	sorted, ascii := false, true
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "x", &v, "indent?", &indent, "sort_keys?", &sorted, "ensure_ascii?", &ascii); err != nil {
		return nil, err
	}
	account := guard.Of(thread)
	text, err := encode(v, "x", account.Limits().TextBytes, account.Limits().Depth, CodeText)
	if err == nil {
		err = account.Text(b.Name(), 4*len(text)) // a character of two bytes becomes six
	}
	if err == nil && sorted {
		if err = account.Alloc(16 * len(text)); err == nil {
			text, err = sortKeys(text)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	out := spaced(string(text), indent == starlark.None, ascii)
	if indent == starlark.None {
		return starlark.String(out), nil
	}
	width, err := starlark.AsInt32(indent)
	if err != nil {
		return nil, fmt.Errorf("%s: indent is %s; it must be a small whole number", b.Name(), guard.Show(indent, 80))
	}
	pretty := starlark.NewBuiltin(b.Name(), jsonIndent)
	return starlark.Call(thread, pretty, starlark.Tuple{starlark.String(out)},
		[]starlark.Tuple{{starlark.String("indent"), starlark.String(strings.Repeat(" ", max(0, min(width, 16))))}})
}

// sortKeys writes objects with their keys in order; numbers keep their text.
func sortKeys(text json.RawMessage) (json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out) // which sorts the keys of maps
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

// spaced writes compact JSON with Python's spaces and escapes.
func spaced(text string, spaces, ascii bool) string {
	var b strings.Builder
	quoted := false
	for i, r := range text {
		switch {
		case quoted && r == '"' && !escaped(text, i):
			quoted = false
		case !quoted && r == '"':
			quoted = true
		}
		switch {
		case ascii && r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, hi, lo)
		case ascii && r > 0x7e:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		if spaces && !quoted && (r == ',' || r == ':') {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// escaped reports whether an odd number of backslashes stands before a place.
func escaped(text string, at int) bool {
	n := 0
	for at > n && text[at-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}
