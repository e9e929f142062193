package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"orrery/engine/job"
)

// This file appends JSON values to a buffer, in the form that encoding/json gives them
// without escaping HTML.

// text is a JSON text in the making. Methods that end in If leave empty values out.
type text struct {
	b     []byte
	err   error    // the first one
	names []string // of the map that is being written, in order
}

// sorted gives a map's keys in order, in memory that the next map uses again.
func sorted[V any](t *text, m map[string]V) []string {
	names := t.names[:0]
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	t.names = names
	return names
}

func (t *text) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

func (t *text) open()  { t.b = append(t.b, '{') }
func (t *text) close() { t.b = append(t.b, '}') }

// key begins a field; names need no escaping.
func (t *text) key(name string) {
	if t.b[len(t.b)-1] != '{' {
		t.b = append(t.b, ',', '"')
	} else {
		t.b = append(t.b, '"')
	}
	t.b = append(append(t.b, name...), '"', ':')
}

func (t *text) str(key, s string) {
	t.key(key)
	t.quote(s)
}

func (t *text) strIf(key, s string) {
	if s != "" {
		t.str(key, s)
	}
}

func (t *text) int(key string, n int64) {
	t.key(key)
	t.b = strconv.AppendInt(t.b, n, 10)
}

func (t *text) intIf(key string, n int64) {
	if n != 0 {
		t.int(key, n)
	}
}

func (t *text) flagIf(key string, yes bool) {
	if yes {
		t.key(key)
		t.b = append(t.b, "true"...)
	}
}

// float writes numbers as ECMAScript does: exponents only for the very small and large.
func (t *text) float(key string, f float64) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		t.fail(fmt.Errorf("%s is %v, which JSON can not hold", key, f))
		return
	}
	t.key(key)
	form := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		form = 'e'
	}
	t.b = strconv.AppendFloat(t.b, f, form, -1, 64)
	if n := len(t.b); form == 'e' && n >= 4 && t.b[n-4] == 'e' && t.b[n-3] == '-' && t.b[n-2] == '0' {
		t.b[n-2] = t.b[n-1] // e-09 becomes e-9
		t.b = t.b[:n-1]
	}
}

func (t *text) floatIf(key string, f float64) {
	if f != 0 {
		t.float(key, f)
	}
}

func (t *text) date(key string, at time.Time) {
	t.key(key)
	t.b = append(t.b, '"')
	var err error
	if t.b, err = at.AppendText(t.b); err != nil {
		t.fail(fmt.Errorf("%s: %w", key, err))
	}
	t.b = append(t.b, '"')
}

func (t *text) dateIf(key string, at *time.Time) {
	if at != nil {
		t.date(key, *at)
	}
}

func (t *text) stamp(key string, at job.Time) {
	t.key(key)
	t.b = append(at.Append(append(t.b, '"')), '"')
}

// raw takes over a value that is JSON text.
func (t *text) raw(key string, v json.RawMessage) {
	t.key(key)
	switch {
	case v == nil:
		t.b = append(t.b, "null"...)
	case isTight(v):
		t.b = append(t.b, v...)
	default:
		t.any(v)
	}
}

func (t *text) rawIf(key string, v json.RawMessage) {
	if len(v) > 0 {
		t.raw(key, v)
	}
}

// isTight says that a text is JSON without white space between its parts, as nearly all are.
func isTight(v []byte) bool {
	if !json.Valid(v) {
		return false // any says what is wrong
	}
	quoted := false
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && c <= ' ', c >= utf8.RuneSelf:
			return false // or something that encoding/json may write in another way
		}
	}
	return true
}

func (t *text) wordsIf(key string, words map[string]string) {
	if len(words) == 0 {
		return
	}
	t.key(key)
	t.open()
	for i, name := range sorted(t, words) {
		t.member(i, name)
		t.quote(words[name])
	}
	t.close()
}

func (t *text) valuesIf(key string, values map[string]json.RawMessage) {
	if len(values) == 0 {
		return
	}
	t.key(key)
	t.open()
	for i, name := range sorted(t, values) {
		t.member(i, name)
		if v := values[name]; v != nil && isTight(v) {
			t.b = append(t.b, v...)
		} else {
			t.any(v)
		}
	}
	t.close()
}

// member begins a field whose name is data.
func (t *text) member(i int, name string) {
	if i > 0 {
		t.b = append(t.b, ',')
	}
	t.quote(name)
	t.b = append(t.b, ':')
}

func (t *text) listIf(key string, words []string) {
	if len(words) > 0 {
		t.list(key, len(words), func(i int) { t.quote(words[i]) })
	}
}

func (t *text) list(key string, n int, put func(i int)) {
	t.key(key)
	t.array(n, put)
}

func (t *text) array(n int, put func(i int)) {
	t.b = append(t.b, '[')
	for i := range n {
		if i > 0 {
			t.b = append(t.b, ',')
		}
		put(i)
	}
	t.b = append(t.b, ']')
}

// quote writes a string; those with anything but plain ASCII are left to encoding/json.
func (t *text) quote(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf-1 {
			t.any(s)
			return
		}
	}
	t.b = append(append(append(t.b, '"'), s...), '"')
}

// any leaves a value to encoding/json.
func (t *text) any(v any) {
	b := bytes.NewBuffer(t.b)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.fail(err)
		return
	}
	t.b = b.Bytes()[:b.Len()-1] // without the newline that an Encoder adds
}
