package border

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"go.starlark.net/starlark"

	"orrery/starlib/guard"
)

// This file reads JSON text into fresh, unfrozen Starlark values.

// Meter is charged for what is read. *guard.Account implements it.
type Meter interface {
	// Alloc charges bytes; its error ends the reading and is given as it is.
	Alloc(bytes int) error
}

var _ Meter = (*guard.Account)(nil)

// Decode reads one JSON value. where names it in errors ("initial_data"). Empty text is None.
func Decode(text []byte, where string) (starlark.Value, error) {
	return DecodeWithin(nil, text, where)
}

// What values take, in bytes: an empty dict holds its first eight entries.
const (
	dictBytes  = 560
	entryBytes = 160
	slotBytes  = 40
)

// DecodeWithin is Decode that charges a meter, which may be nil.
func DecodeWithin(meter Meter, text []byte, where string) (starlark.Value, error) {
	if len(text) == 0 {
		return starlark.None, nil
	}
	d := decoder{b: text, meter: meter}
	d.space()
	v, err := d.value(0)
	if err == nil {
		d.space()
		if d.i < len(d.b) {
			err = d.bad("text follows the end of the JSON value")
		}
	}
	if d.broke != nil {
		return nil, d.broke
	}
	if err != nil {
		return nil, &Fault{Path: where + err.Path, Text: err.Text, Deep: err.Deep}
	}
	return v, nil
}

type decoder struct {
	b     []byte
	i     int
	meter Meter
	broke error // what the meter said
}

// charge ends the reading when the meter does.
func (d *decoder) charge(bytes int) *Fault {
	if d.meter == nil {
		return nil
	}
	if d.broke = d.meter.Alloc(bytes); d.broke != nil {
		return &Fault{Text: d.broke.Error()}
	}
	return nil
}

func (d *decoder) space() {
	for d.i < len(d.b) {
		switch d.b[d.i] {
		case ' ', '\t', '\n', '\r':
			d.i++
		default:
			return
		}
	}
}

func (d *decoder) bad(text string) *Fault {
	return &Fault{Text: "not valid JSON at byte " + strconv.Itoa(d.i) + ": " + text}
}

func (d *decoder) value(depth int) (starlark.Value, *Fault) {
	if depth > MaxDepth {
		return nil, &Fault{Text: "nested more than " + strconv.Itoa(MaxDepth) + " deep", Deep: true}
	}
	if d.i >= len(d.b) {
		return nil, d.bad("the text ends early")
	}
	switch c := d.b[d.i]; {
	case c == '{':
		return d.object(depth)
	case c == '[':
		return d.array(depth)
	case c == '"':
		start := d.i
		s, err := d.text()
		if err == nil {
			err = d.charge(d.i - start)
		}
		return starlark.String(s), err
	case c == '-' || c >= '0' && c <= '9':
		return d.number()
	case d.word("null"):
		return starlark.None, nil
	case d.word("true"):
		return starlark.True, nil
	case d.word("false"):
		return starlark.False, nil
	}
	return nil, d.bad("a value was expected")
}

func (d *decoder) word(w string) bool {
	if len(d.b)-d.i >= len(w) && string(d.b[d.i:d.i+len(w)]) == w {
		d.i += len(w)
		return true
	}
	return false
}

func (d *decoder) object(depth int) (starlark.Value, *Fault) {
	d.i++
	if err := d.charge(dictBytes); err != nil {
		return nil, err
	}
	dict := starlark.NewDict(0)
	var crowd guard.Crowd
	for first := true; ; first = false {
		d.space()
		if d.i >= len(d.b) {
			return nil, d.bad("an object does not end")
		}
		if d.b[d.i] == '}' && first {
			d.i++
			return dict, nil
		}
		if d.b[d.i] != '"' {
			return nil, d.bad("a key in quotes was expected")
		}
		key, err := d.text()
		if err != nil {
			return nil, err
		}
		d.space()
		if d.i >= len(d.b) || d.b[d.i] != ':' {
			return nil, d.bad("a colon was expected")
		}
		d.i++
		d.space()
		v, err := d.value(depth + 1)
		if err != nil {
			err.Path = keyStep(key) + err.Path
			return nil, err
		}
		// A fresh dict takes every text key, so there is no error to meet.
		_ = dict.SetKey(starlark.String(key), v)
		if err := d.entry(dict, &crowd, key); err != nil {
			return nil, err
		}
		if done, err := d.next('}'); err != nil {
			return nil, err
		} else if done {
			return dict, nil
		}
	}
}

// entry charges a dict's latest entry. The hash of short texts is known, so an author of
// JSON can choose keys that crowd: that is refused.
func (d *decoder) entry(dict *starlark.Dict, crowd *guard.Crowd, key string) *Fault {
	if dict.Len() <= 8 {
		return d.charge(len(key))
	}
	if err := d.charge(entryBytes + len(key)); err != nil {
		return err
	}
	if crowd.Add(starlark.String(key)) > 1000 {
		return &Fault{Text: "the keys of an object have the same hash, as if chosen to slow it down"}
	}
	return nil
}

func (d *decoder) array(depth int) (starlark.Value, *Fault) {
	d.i++
	var elems []starlark.Value
	d.space()
	if d.i < len(d.b) && d.b[d.i] == ']' {
		d.i++
		return starlark.NewList(nil), nil
	}
	for {
		d.space()
		v, err := d.value(depth + 1)
		if err != nil {
			err.Path = indexStep(len(elems)) + err.Path
			return nil, err
		}
		elems = append(elems, v)
		if err := d.charge(slotBytes); err != nil {
			return nil, err
		}
		if done, err := d.next(']'); err != nil {
			return nil, err
		} else if done {
			return starlark.NewList(elems), nil
		}
	}
}

// next steps over a comma or the closing bracket.
func (d *decoder) next(end byte) (done bool, err *Fault) {
	d.space()
	if d.i < len(d.b) {
		switch d.b[d.i] {
		case ',':
			d.i++
			return false, nil
		case end:
			d.i++
			return true, nil
		}
	}
	return false, d.bad("a comma or " + string(end) + " was expected")
}

func (d *decoder) number() (starlark.Value, *Fault) {
	start, float := d.i, false
	for d.i < len(d.b) {
		switch c := d.b[d.i]; {
		case c >= '0' && c <= '9' || c == '-' || c == '+':
		case c == '.' || c == 'e' || c == 'E':
			float = true
		default:
			goto end
		}
		d.i++
	}
end:
	s := string(d.b[start:d.i])
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || digits[0] == '.' || len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		return nil, d.bad("the number " + shorten(s) + " is not JSON")
	}
	if float {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return nil, &Fault{Text: "the number " + shorten(s) + " does not fit in a 64-bit float"}
		}
		return starlark.Float(f), nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err == nil {
		return starlark.MakeInt64(n), nil
	}
	if strings.Trim(digits, "0123456789") == "" {
		return nil, &Fault{Text: "the integer " + shorten(s) + " does not fit in 64 bits"}
	}
	return nil, d.bad("the number " + shorten(s) + " is not JSON")
}

// text reads a quoted string; d.i stands on the opening quote.
func (d *decoder) text() (string, *Fault) {
	d.i++
	start := d.i
	ascii := true
	for d.i < len(d.b) {
		switch c := d.b[d.i]; {
		case c == '"':
			s := d.b[start:d.i]
			d.i++
			if !ascii && !utf8.Valid(s) {
				return "", &Fault{Text: "the text is not valid UTF-8"}
			}
			return string(s), nil
		case c == '\\':
			return d.escaped(start)
		case c < ' ':
			return "", d.bad("a control character stands unescaped in a text")
		case c >= utf8.RuneSelf:
			ascii = false
		}
		d.i++
	}
	return "", d.bad("a text does not end")
}

// escaped goes on where text met the first backslash.
func (d *decoder) escaped(start int) (string, *Fault) {
	out := append(make([]byte, 0, d.i-start+32), d.b[start:d.i]...)
	for d.i < len(d.b) {
		c := d.b[d.i]
		d.i++
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				return "", &Fault{Text: "the text is not valid UTF-8"}
			}
			return string(out), nil
		case c < ' ':
			return "", d.bad("a control character stands unescaped in a text")
		case c != '\\':
			out = append(out, c)
			continue
		}
		if d.i >= len(d.b) {
			break
		}
		e := d.b[d.i]
		d.i++
		if e == 'u' {
			r, ok := d.unicode()
			if !ok {
				return "", d.bad("\\u needs four hexadecimal digits")
			}
			out = utf8.AppendRune(out, r)
			continue
		}
		at := strings.IndexByte(`"\/bfnrt`, e)
		if at < 0 {
			return "", d.bad("unknown escape \\" + string(e))
		}
		out = append(out, "\"\\/\b\f\n\r\t"[at])
	}
	return "", d.bad("a text does not end")
}

// unicode reads the four digits after \u, and the second half of a surrogate pair. A half
// alone becomes the replacement character, as in encoding/json.
func (d *decoder) unicode() (rune, bool) {
	r, ok := d.hex4()
	if !ok || !utf16.IsSurrogate(r) {
		return r, ok
	}
	if d.i+1 < len(d.b) && d.b[d.i] == '\\' && d.b[d.i+1] == 'u' {
		back := d.i
		d.i += 2
		low, ok := d.hex4()
		if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
			return pair, true
		}
		d.i = back
	}
	return utf8.RuneError, true
}

func (d *decoder) hex4() (rune, bool) {
	if d.i+4 > len(d.b) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(d.b[d.i:d.i+4]), 16, 32)
	if err != nil {
		return 0, false
	}
	d.i += 4
	return rune(n), true
}

func shorten(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
