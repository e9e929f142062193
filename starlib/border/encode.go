package border

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"go.starlark.net/starlark"

	"orrery/starlib/guard"
)

// This file writes Starlark values as JSON text.

// Encode writes v. where names it in errors; limit is the most bytes of text, 0 for no limit.
// Errors: *Fault for what JSON cannot hold, *TooLarge.
func Encode(v starlark.Value, where string, limit int) (json.RawMessage, error) {
	return EncodeFlat(v, where, limit, MaxDepth)
}

// EncodeFlat is Encode with a limit of nesting below MaxDepth.
func EncodeFlat(v starlark.Value, where string, limit, depth int) (json.RawMessage, error) {
	e := encoder{limit: limit, depth: min(depth, MaxDepth)}
	if limit <= 0 {
		e.limit = math.MaxInt
	}
	if f := e.value(v, 0); f != nil {
		return nil, &Fault{Path: where + f.Path, Text: f.Text, Deep: f.Deep, Done: len(e.out) + f.Done}
	}
	if e.full() {
		return nil, &TooLarge{Where: where, Limit: limit}
	}
	return e.out, nil
}

type encoder struct {
	out   []byte
	limit int
	depth int
	over  bool
}

func (e *encoder) value(v starlark.Value, depth int) *Fault {
	if depth > e.depth {
		return &Fault{Text: "nested more than " + strconv.Itoa(e.depth) + " deep, or it contains itself", Deep: true}
	}
	switch v := v.(type) {
	case starlark.NoneType:
		e.out = append(e.out, "null"...)
	case starlark.Bool:
		e.out = strconv.AppendBool(e.out, bool(v))
	case starlark.Int:
		n, ok := v.Int64()
		if !ok {
			return &Fault{Text: "the integer does not fit in 64 bits (" + strconv.Itoa(v.BigInt().BitLen()) + " bits)"}
		}
		e.out = strconv.AppendInt(e.out, n, 10)
	case starlark.Float:
		return e.float(float64(v))
	case starlark.String:
		return e.text(string(v))
	case *starlark.List:
		return e.list(v, depth)
	case starlark.Tuple:
		return e.list(v, depth)
	case *starlark.Dict:
		return e.dict(v, depth)
	default:
		return &Fault{Text: fmt.Sprintf("a value of type %s cannot be stored (None, bool, int, float, string, list, tuple and dict can)", v.Type())}
	}
	return nil
}

func (e *encoder) float(f float64) *Fault {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return &Fault{Text: "the float " + starlark.Float(f).String() + " cannot be stored: it is not finite"}
	}
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	start := len(e.out)
	e.out = strconv.AppendFloat(e.out, f, format, -1, 64)
	for _, c := range e.out[start:] {
		if c == '.' || c == 'e' {
			return nil
		}
	}
	e.out = append(e.out, ".0"...) // so that it comes back as a float
	return nil
}

const hexDigits = "0123456789abcdef"

func (e *encoder) text(s string) *Fault {
	if len(s) > e.limit-len(e.out) { // too large for sure: say so before copying it
		e.over = true
		return nil
	}
	e.out = append(e.out, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				return &Fault{Text: "the text is not valid UTF-8 at byte " + strconv.Itoa(i), Done: i}
			}
			i += n
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		e.out = append(e.out, s[start:i]...)
		switch c {
		case '"', '\\':
			e.out = append(e.out, '\\', c)
		case '\n':
			e.out = append(e.out, '\\', 'n')
		case '\r':
			e.out = append(e.out, '\\', 'r')
		case '\t':
			e.out = append(e.out, '\\', 't')
		default:
			e.out = append(e.out, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	e.out = append(e.out, s[start:]...)
	e.out = append(e.out, '"')
	return nil
}

// full tells that the rest need not be written: the text is over its limit already.
func (e *encoder) full() bool { return e.over || len(e.out) > e.limit }

func (e *encoder) list(list starlark.Indexable, depth int) *Fault {
	e.out = append(e.out, '[')
	for i := 0; i < list.Len() && !e.full(); i++ {
		if i > 0 {
			e.out = append(e.out, ',')
		}
		if f := e.value(list.Index(i), depth+1); f != nil {
			f.Path = indexStep(i) + f.Path
			return f
		}
	}
	e.out = append(e.out, ']')
	return nil
}

func (e *encoder) dict(dict *starlark.Dict, depth int) *Fault {
	e.out = append(e.out, '{')
	first := true
	for k, v := range dict.Entries() {
		key, ok := k.(starlark.String)
		if !ok {
			return &Fault{Text: fmt.Sprintf("the key %s is of type %s; keys must be text", guard.Show(k, 40), k.Type())}
		}
		if !first {
			e.out = append(e.out, ',')
		}
		first = false
		if f := e.text(string(key)); f != nil {
			f.Path = keyStep(string(key)) + f.Path
			return f
		}
		e.out = append(e.out, ':')
		if e.full() {
			return nil
		}
		if f := e.value(v, depth+1); f != nil {
			f.Path = keyStep(string(key)) + f.Path
			return f
		}
	}
	e.out = append(e.out, '}')
	return nil
}

// keyStep is one step of a path: .name, or ["any text"].
func keyStep(key string) string {
	if len(key) > 256 {
		return "[" + strconv.Quote(shorten(key)) + "]"
	}
	for i, c := range []byte(key) {
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return "[" + strconv.Quote(shorten(key)) + "]"
		}
	}
	if key == "" {
		return `[""]`
	}
	return "." + key
}

func indexStep(i int) string { return "[" + strconv.Itoa(i) + "]" }

func bytesText(n int) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return strconv.Itoa(n>>20) + " MiB"
	case n >= 1<<10 && n%(1<<10) == 0:
		return strconv.Itoa(n>>10) + " KiB"
	}
	return strconv.Itoa(n) + " bytes"
}
