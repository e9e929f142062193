// Canonical JSON: the one spelling of a message that signatures are made over.

package protocol

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Canonical rewrites a JSON object as the SDKs spell it for signing: keys
// sorted by bytes, no spaces, UTF-8 as it is, members that are null left out,
// whole floats as integers. Members named in leaveOut are dropped at the top.
func Canonical(body []byte, leaveOut ...string) ([]byte, error) {
	o, err := decodeObject(body)
	if err != nil {
		return nil, err
	}
	members := o.byName()
	for _, name := range leaveOut {
		delete(members, name)
	}
	out, err := appendMembers(make([]byte, 0, len(body)), members)
	if err != nil {
		return nil, &Error{Code: CodeBadJSON, What: "holds a number or text that has no canonical form"}
	}
	return out, nil
}

func appendValue(out []byte, raw json.RawMessage) ([]byte, error) {
	switch raw[0] {
	case '{':
		var members map[string]json.RawMessage
		if err := json.Unmarshal(raw, &members); err != nil {
			return nil, err
		}
		return appendMembers(out, members)
	case '[':
		var items []json.RawMessage
		if err := json.Unmarshal(raw, &items); err != nil {
			return nil, err
		}
		out = append(out, '[')
		for i, item := range items {
			if i > 0 {
				out = append(out, ',')
			}
			var err error
			if out, err = appendValue(out, item); err != nil {
				return nil, err
			}
		}
		return append(out, ']'), nil
	case '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, err
		}
		return appendText(out, s), nil
	case 't', 'f', 'n': // null stays where it is in a list
		return append(out, raw...), nil
	}
	return appendNumber(out, string(raw))
}

func appendMembers(out []byte, members map[string]json.RawMessage) ([]byte, error) {
	names := make([]string, 0, len(members))
	for name, raw := range members {
		if present(raw) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	out = append(out, '{')
	for i, name := range names {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendText(out, name), ':')
		var err error
		if out, err = appendValue(out, members[name]); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

// appendNumber keeps integers as they are written and spells floats the
// shortest way, with an exponent only below 1e-5 and from 1e21 on.
func appendNumber(out []byte, text string) ([]byte, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return strconv.AppendInt(out, n, 10), nil
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return strconv.AppendUint(out, n, 10), nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, err
	}
	switch size := math.Abs(f); {
	case f == 0:
		return append(out, '0'), nil
	case f == math.Trunc(f) && size < 1e21, size >= 1e-5 && size < 1e21:
		return strconv.AppendFloat(out, f, 'f', -1, 64), nil
	}
	start := len(out)
	out = strconv.AppendFloat(out, f, 'e', -1, 64)
	// Go writes at least two digits of exponent; one is enough: e-07 -> e-7.
	if n := len(out); n-start >= 4 && out[n-4] == 'e' && out[n-2] == '0' {
		out[n-2] = out[n-1]
		out = out[:n-1]
	}
	return out, nil
}

const hexDigits = "0123456789abcdef"

// appendText escapes only what JSON demands, unlike encoding/json, which also
// escapes two separators that are harmless here.
func appendText(out []byte, s string) []byte {
	out = append(out, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			out = append(out, '\\', byte(r))
		case r >= 0x20:
			out = utf8.AppendRune(out, r)
		case r == '\n':
			out = append(out, '\\', 'n')
		case r == '\r':
			out = append(out, '\\', 'r')
		case r == '\t':
			out = append(out, '\\', 't')
		case r == '\b':
			out = append(out, '\\', 'b')
		case r == '\f':
			out = append(out, '\\', 'f')
		default:
			out = append(out, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&15])
		}
	}
	return append(out, '"')
}
