package guard

import (
	"math"
	"strings"
	"unicode/utf8"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// This file reckons how long a value's text is before it is made, and makes it: str, repr,
// print, fail, % and format.

// Text is what str gives, within the thread's account; call is named in errors.
func Text(thread *starlark.Thread, call string, v starlark.Value) (string, error) {
	if s, ok := v.(starlark.String); ok {
		return string(s), nil
	}
	a := Of(thread)
	n, err := a.textLen(thread, v)
	if err == nil {
		err = a.Text(call, n)
	}
	if err != nil {
		return "", err
	}
	return v.String(), nil
}

// Show gives a value's text cut to about so many bytes, for messages. It never fails.
func Show(v starlark.Value, limit int) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case starlark.String:
		if len(v) > limit {
			return starlark.String(strings.ToValidUTF8(string(v[:limit]), "")).String() + "…"
		}
	case starlark.Bytes:
		if len(v) > limit {
			return v[:limit].String() + "…"
		}
	}
	a := NewAccount(Limits{TextBytes: 1 << 20})
	m := measure{a: a, left: 1 << 16}
	if m.add(v, nil, 1); m.err != nil || m.left < 0 {
		return "a large " + v.Type()
	}
	text := v.String()
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}

// textLen gives at least as many bytes as the text of v has. It stops at the limit.
func (a *Account) textLen(thread *starlark.Thread, v starlark.Value) (int, error) {
	switch v := v.(type) {
	case starlark.Bool, starlark.NoneType, starlark.Float:
		return 64, nil
	case starlark.Int:
		n := bitLen(v)/3 + 4
		return n, a.digits(thread, n)
	}
	m := measure{a: a, left: a.limits.TextBytes + 1}
	m.add(v, nil, 1)
	if m.err != nil {
		return 0, m.err
	}
	return m.n, a.Work(thread, m.steps+m.long+m.n/64)
}

// measure adds up a text; left counts down to where it does not matter any more.
type measure struct {
	a              *Account
	n, left, steps int
	long           int // work of integers with many digits
	err            error
}

func (m *measure) plus(n int) {
	m.n += n
	m.left -= n
	if m.steps++; m.steps%4096 == 0 && m.err == nil {
		m.err = m.a.Stopped()
	}
}

// add goes the way that printing goes: lists and dicts on the path are not entered again,
// and a struct forgets the path.
func (m *measure) add(v starlark.Value, path []starlark.Value, depth int) {
	if m.err != nil || m.left < 0 {
		return
	}
	if depth > m.a.limits.Depth {
		m.err = tooDeep(m.a.limits.Depth)
		return
	}
	switch v := v.(type) {
	case starlark.String:
		m.plus(quotedLen(string(v)))
	case starlark.Bytes:
		m.plus(quotedLen(string(v)) + 1)
	case starlark.Int:
		n := bitLen(v)/3 + 4
		m.long += n * n >> 14
		m.plus(n)
	case *starlark.List:
		m.plus(5)
		if !on(path, v) {
			path = append(path, v)
			m.each(v.Elements(), path, depth)
		}
	case starlark.Tuple:
		m.plus(3)
		m.each(v.Elements(), path, depth)
	case *starlark.Set:
		m.plus(7)
		m.each(v.Elements(), path, depth)
	case *growing:
		m.add(v.Dict, path, depth)
	case *starlark.Dict:
		m.plus(5)
		if on(path, v) {
			return
		}
		path = append(path, v)
		for k, x := range v.Entries() {
			m.plus(4)
			m.add(k, path, depth+1)
			m.add(x, path, depth+1)
			if m.err != nil || m.left < 0 {
				return
			}
		}
	case *starlarkstruct.Struct:
		m.plus(16)
		m.add(v.Constructor(), nil, depth+1)
		for name, x := range v.Entries() {
			m.plus(len(name) + 5)
			m.add(x, nil, depth+1)
		}
	case *starlark.Function:
		m.plus(64 + len(v.Name()))
	case starlark.Bool, starlark.NoneType, starlark.Float:
		m.plus(64)
	case Wordy:
		m.plus(v.TextBound())
	default:
		if partial(v) {
			m.parts(v)
			return
		}
		m.plus(len(v.String())) // a few words and at most a name
	}
}

// Wordy is a value of another package whose text may be as long as a text of the script.
type Wordy interface {
	starlark.Value
	// TextBound gives at least as many bytes as String will give, without making it.
	TextBound() int
}

// partial tells whether a value is what the methods elems, elem_ords, codepoints and
// codepoint_ords give: the interpreter has no names for their types, and they hold their
// text or bytes whole.
func partial(v starlark.Value) bool {
	switch v.(type) {
	case starlark.Iterable: // the types of a script's values are not the script's to name
		switch v.Type() {
		case "string.elems", "string.codepoints", "bytes.elems":
			return true
		}
	}
	return false
}

// parts adds the text of such a value, whose every byte may be written as four.
func (m *measure) parts(v starlark.Value) {
	m.plus(64)
	if n := starlark.Len(v); n >= 0 {
		m.plus(4 * n)
		return
	}
	iter := starlark.Iterate(v) // it does not know its length
	defer iter.Done()
	for x := starlark.Value(nil); m.err == nil && m.left >= 0 && iter.Next(&x); {
		n := 1
		switch x := x.(type) {
		case starlark.String:
			n = len(x)
		case starlark.Int:
			if code, ok := x.Int64(); ok {
				n = max(utf8.RuneLen(rune(code)), 1)
			}
		}
		m.plus(4 * n)
	}
}

func (m *measure) each(parts func(func(starlark.Value) bool), path []starlark.Value, depth int) {
	parts(func(x starlark.Value) bool {
		m.plus(2)
		m.add(x, path, depth+1)
		return m.err == nil && m.left >= 0
	})
}

func on(path []starlark.Value, v starlark.Value) bool {
	for _, p := range path {
		if p == v {
			return true
		}
	}
	return false
}

// quotedLen is at least the length of a quoted text: bytes that may be escaped count four.
func quotedLen(s string) int {
	n := len(s) + 2
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			n += 3
		}
	}
	return n
}

// argument gives the length of a value in a format; quoted as by %r. Other conversions than
// %s write a number in full: 2**1023 has 342 octal digits.
func (a *Account) argument(thread *starlark.Thread, v starlark.Value, quoted bool) (int, error) {
	switch v := v.(type) {
	case starlark.String:
		if !quoted {
			return len(v), nil
		}
	case starlark.Float:
		return 352, a.Work(thread, FloatWork(v))
	case starlark.Int: // %e writes a point, six digits and an exponent
		n := bitLen(v)/3 + 16
		return n, a.digits(thread, n)
	}
	return a.textLen(thread, v)
}

// FloatWork is the work of writing a float with a given number of digits: %f writes a large
// one in full.
func FloatWork(f starlark.Float) int {
	if math.Abs(float64(f)) > 1e21 {
		return 200
	}
	return 16
}

// interpolated gives the length of format % x. What is wrong with a format is left to the
// operator itself to say.
func interpolated(thread *starlark.Thread, a *Account, format string, x starlark.Value) (int, error) {
	args, several := x.(starlark.Tuple)
	if !several {
		args = starlark.Tuple{x}
	}
	total, next, parts := len(format), 0, 0
	for ; total <= a.limits.TextBytes; parts++ {
		i := strings.IndexByte(format, '%')
		if i < 0 || i+1 >= len(format) {
			break
		}
		format = format[i+1:]
		var arg starlark.Value
		switch {
		case format[0] == '%':
			format = format[1:]
			continue
		case format[0] == '(':
			key, rest, ok := strings.Cut(format[1:], ")")
			if m, mapping := x.(starlark.Mapping); ok && mapping {
				arg, _, _ = m.Get(starlark.String(key)) // an error shows in the operator
			}
			format = rest
		case next < len(args):
			arg = args[next]
			next++
		}
		if arg == nil || format == "" {
			break
		}
		n, err := a.argument(thread, arg, format[0] == 'r')
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, a.Work(thread, 4*parts+len(format)/64)
}

// formatted gives the length of format.format(*args, **kwargs).
func formatted(thread *starlark.Thread, a *Account, format string, args starlark.Tuple, kwargs []starlark.Tuple) (int, error) {
	total, next, parts := len(format), 0, 0
	for ; total <= a.limits.TextBytes; parts++ {
		_, rest, ok := strings.Cut(format, "{")
		if !ok || rest == "" {
			break
		}
		if rest[0] == '{' {
			format = rest[1:]
			continue
		}
		field, after, ok := strings.Cut(rest, "}")
		if !ok {
			break
		}
		format = after
		name, conv, _ := strings.Cut(field, "!")
		name, _, _ = strings.Cut(name, ":")
		if name != "" && len(kwargs) > 0 { // it is looked for here, and again by the method
			if err := a.Work(thread, len(kwargs)/4*(1+len(name)/64)); err != nil {
				return 0, err
			}
		}
		arg := formatArg(name, &next, args, kwargs)
		if arg == nil {
			break
		}
		n, err := a.argument(thread, arg, strings.HasPrefix(conv, "r"))
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, a.Work(thread, 4*parts+len(format)/64)
}

func formatArg(name string, next *int, args starlark.Tuple, kwargs []starlark.Tuple) starlark.Value {
	if name == "" {
		*next++
		if *next <= len(args) {
			return args[*next-1]
		}
		return nil
	}
	at := 0
	for _, c := range []byte(name) {
		if c < '0' || c > '9' || at > len(args) {
			at = -1
			break
		}
		at = at*10 + int(c-'0')
	}
	if at >= 0 && at < len(args) {
		return args[at]
	}
	for _, kv := range kwargs {
		if k, _ := starlark.AsString(kv[0]); k == name {
			return kv[1]
		}
	}
	return nil
}

// textOf is str and repr; printed is print and fail: the text is reckoned, then the
// language's own builtin makes it.
func textOf(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	a := Of(thread)
	if len(args) == 1 {
		n := 0
		var err error
		switch v := args[0].(type) {
		case starlark.String:
			if b.Name() == "repr" {
				n = quotedLen(string(v))
			}
		case starlark.Bytes:
			n = 3 * len(v)
			if b.Name() == "str" && utf8.ValidString(string(v)) {
				n = len(v)
			}
		default:
			n, err = a.textLen(thread, v)
		}
		if err == nil && n > 0 {
			err = a.Text(b.Name(), n)
		}
		if err != nil {
			return nil, err
		}
	}
	return universe(thread, b, args, kwargs)
}

func printed(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	a, total := Of(thread), 0
	sep := 1
	for _, kv := range kwargs {
		if s, ok := starlark.AsString(kv[1]); ok {
			sep = len(s)
		}
	}
	for _, v := range args {
		n, err := a.argument(thread, v, false)
		if err != nil {
			return nil, err
		}
		if total += n + sep; total > a.limits.TextBytes {
			break
		}
	}
	if err := a.Text(b.Name(), total); err != nil {
		return nil, err
	}
	return universe(thread, b, args, kwargs)
}

// universe calls the language's own builtin of the same name.
func universe(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	return starlark.Universe[b.Name()].(*starlark.Builtin).CallInternal(thread, args, kwargs)
}
