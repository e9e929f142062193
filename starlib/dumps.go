package starlib

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
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
	var text json.RawMessage
	text, err := encodeText(thread, b.Name(), v)
	if err != nil {
		return nil, err
	}
	err = account.Text(b.Name(), 4*len(text)) // a character of two bytes becomes six
	if err == nil && sorted {                 // a member takes 48 bytes, and at least five of the text
		if err = account.Alloc(12 * len(text)); err == nil {
			err = account.Work(thread, len(text)) // what stands deep is moved once a level
		}
		if err == nil {
			text = sortKeys(text)
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

// sortKeys writes objects with their keys in order. The text is the border's: compact, right,
// and not deep.
func sortKeys(text json.RawMessage) json.RawMessage {
	w := sorter{in: text, out: make([]byte, 0, len(text))}
	w.value()
	return w.out
}

// sorter copies JSON. The members of an object are copied as they come, and put in order
// when its end is there: nothing is kept of values but their places.
type sorter struct {
	in, out []byte
	at      int
}

// part is one of an object: its key, and where it stands in the output.
type part struct {
	key      string
	from, to int
}

func (w *sorter) copy(n int) {
	w.out = append(w.out, w.in[w.at:w.at+n]...)
	w.at += n
}

func (w *sorter) value() {
	switch w.in[w.at] {
	case '{':
		w.object()
	case '[':
		for w.copy(1); w.in[w.at] != ']'; {
			if w.in[w.at] == ',' {
				w.copy(1)
			}
			w.value()
		}
		w.copy(1)
	case '"':
		w.copy(w.quoted())
	default:
		n := 1
		for w.at+n < len(w.in) && strings.IndexByte(",]}", w.in[w.at+n]) < 0 {
			n++
		}
		w.copy(n)
	}
}

// quoted gives the length of the text that begins here, with its quotes.
func (w *sorter) quoted() int {
	for i := w.at + 1; ; i++ {
		switch w.in[i] {
		case '\\':
			i++
		case '"':
			return i + 1 - w.at
		}
	}
}

func (w *sorter) object() {
	w.copy(1)
	var members []part
	first := len(w.out)
	for w.in[w.at] != '}' {
		if w.in[w.at] == ',' {
			w.at++
		}
		n := w.quoted()
		raw := w.in[w.at : w.at+n]
		key := string(raw[1 : n-1])
		if bytes.IndexByte(raw, '\\') >= 0 {
			_ = json.Unmarshal(raw, &key) // the border wrote it
		}
		from := len(w.out)
		w.copy(n + 1) // the colon too
		w.value()
		members = append(members, part{key, from, len(w.out)})
	}
	byKey := func(a, b part) int { return strings.Compare(a.key, b.key) }
	if !slices.IsSortedFunc(members, byKey) {
		slices.SortFunc(members, byKey)
	}
	body := bytes.Clone(w.out[first:])
	w.out = w.out[:first]
	for i, m := range members {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		w.out = append(w.out, body[m.from-first:m.to-first]...)
	}
	w.copy(1)
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
			escape(&b, hi)
			escape(&b, lo)
		case ascii && r > 0x7e:
			escape(&b, r)
		default:
			b.WriteRune(r)
		}
		if spaces && !quoted && (r == ',' || r == ':') {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

func escape(b *strings.Builder, r rune) {
	const digits = "0123456789abcdef"
	b.WriteString(`\u`)
	for shift := 12; shift >= 0; shift -= 4 {
		b.WriteByte(digits[r>>shift&15])
	}
}

// escaped reports whether an odd number of backslashes stands before a place.
func escaped(text string, at int) bool {
	n := 0
	for at > n && text[at-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}
