package starlib

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.starlark.net/lib/json"
	"go.starlark.net/lib/math"
	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"orrery/starlib/border"
	"orrery/starlib/guard"
)

// This file holds the small modules json, math, time and env, and those that this server
// does not have.

// jsonModule is the language's json with the border's rules, and Python's two functions:
// loads is decode, dumps writes as Python does, with spaces and in ASCII.
func jsonModule() *starlarkstruct.Module {
	m := &starlarkstruct.Module{Name: "json", Members: starlark.StringDict{"indent": starlark.NewBuiltin("indent", jsonIndent)}}
	m.Members["encode"] = starlark.NewBuiltin("encode", jsonEncode)
	m.Members["dumps"] = starlark.NewBuiltin("dumps", jsonDumps)
	for _, name := range []string{"decode", "loads"} {
		m.Members[name] = starlark.NewBuiltin(name, jsonDecode)
	}
	return m
}

func jsonEncode(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var v starlark.Value
	var indent int
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "x", &v, "indent?", &indent); err != nil {
		return nil, err
	}
	text, err := encodeText(thread, b.Name(), v)
	if err != nil {
		return nil, err
	}
	if indent <= 0 {
		return starlark.String(text), nil
	}
	pretty := starlark.NewBuiltin(b.Name(), jsonIndent)
	return starlark.Call(thread, pretty, starlark.Tuple{starlark.String(text)},
		[]starlark.Tuple{{starlark.String("indent"), starlark.String(strings.Repeat(" ", min(indent, 16)))}})
}

// encodeText writes a value as a text of the script, and charges it.
func encodeText(thread *starlark.Thread, call string, v starlark.Value) ([]byte, error) {
	account := guard.Of(thread)
	text, err := encode(v, "x", account.Limits().TextBytes, account.Limits().Depth, CodeText)
	n := len(text)
	var fault *border.Fault
	if errors.As(err, &fault) {
		n = fault.Done
	}
	if late := account.Work(thread, n/3); late != nil {
		return nil, late
	}
	if err == nil {
		err = account.Text(call, n)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", call, err)
	}
	return text, nil
}

// jsonIndent is the language's own. Each line begins with the prefix and as many indents as
// it is deep, so the length is reckoned first.
func jsonIndent(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	text, prefix, indent := "", "", "\t"
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "str", &text, "prefix?", &prefix, "indent?", &indent); err != nil {
		return nil, err
	}
	account := guard.Of(thread)
	total, depth, quoted := len(text), 0, false
	for i := 0; i < len(text) && total <= account.Limits().TextBytes; i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			depth++
			total += 2 + len(prefix) + depth*len(indent)
		case c == ']' || c == '}':
			depth--
			total += 1 + len(prefix) + max(depth, 0)*len(indent)
		case c == ',' || c == ':':
			total += 1 + len(prefix) + max(depth, 0)*len(indent)
		}
	}
	if err := account.Text(b.Name(), total); err != nil {
		return nil, err
	}
	return json.Module.Members["indent"].(*starlark.Builtin).CallInternal(thread, args, kwargs)
}

func jsonDecode(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var text string
	var none starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "x", &text, "default?", &none); err != nil {
		return nil, err
	}
	if err := guard.Of(thread).Work(thread, len(text)/3); err != nil {
		return nil, err
	}
	v, err := decode(thread, []byte(text), "x")
	var limit *LimitError
	if errors.As(err, &limit) {
		return nil, err
	}
	if err != nil { // it names every step to the place
		if late := guard.Of(thread).Work(thread, 500); late != nil {
			return nil, late
		}
	}
	if strings.TrimSpace(text) == "" {
		err = fmt.Errorf("x: not valid JSON: the text is empty")
	}
	if err != nil {
		if none != nil {
			return none, nil
		}
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return v, nil
}

func mathModule() *starlarkstruct.Module { return math.Module }

// timeModule is the language's time, with a now that stands still during a run, and
// Python's time.time() in seconds.
func timeModule() *starlarkstruct.Module {
	m := &starlarkstruct.Module{Name: "time", Members: starlark.StringDict{}}
	for name, v := range startime.Module.Members {
		m.Members[name] = v
	}
	m.Members["is_valid_timezone"] = starlark.NewBuiltin("is_valid_timezone", isZone)
	m.Members["parse_duration"] = starlark.NewBuiltin("parse_duration", parseDuration)
	m.Members["parse_time"] = starlark.NewBuiltin("parse_time", parseTime)
	m.Members["now"] = starlark.NewBuiltin("now", timeNow)
	m.Members["time"] = starlark.NewBuiltin("time", timeSeconds)
	return m
}

// maxTimeText is how long the text of a time may be, or its layout: an error quotes both,
// with up to four bytes for one.
const maxTimeText = 4 << 10

// timeText refuses a text that is too long to be a time.
func timeText(thread *starlark.Thread, call string, texts ...string) error {
	for _, s := range texts {
		if len(s) > maxTimeText {
			return &LimitError{Code: CodeText, Text: fmt.Sprintf("%s: the text of a time, and its format, have at most %d bytes, and this has %d", call, maxTimeText, len(s))}
		}
		if err := guard.Of(thread).Work(thread, len(s)/8); err != nil {
			return err
		}
	}
	return nil
}

// isZone, parseTime and parseDuration are the language's own, with zones read once and texts
// of a bounded length.
func isZone(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &name); err != nil {
		return nil, err
	}
	_, err := guard.Zone(thread, name)
	var limit *LimitError
	if errors.As(err, &limit) {
		return nil, err
	}
	return starlark.Bool(err == nil), nil
}

func parseTime(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	text, format, zone := "", time.RFC3339, "UTC"
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "x", &text, "format?", &format, "location?", &zone); err != nil {
		return nil, err
	}
	if err := timeText(thread, b.Name(), text, format); err != nil {
		return nil, err
	}
	if err := guard.Of(thread).Alloc(256); err != nil { // a zone of its own when the text has one
		return nil, err
	}
	in, err := guard.Zone(thread, zone)
	if err != nil {
		return nil, err
	}
	t, err := time.ParseInLocation(format, text, in)
	if err != nil {
		return nil, err
	}
	return startime.Time(t), nil
}

func parseDuration(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var v starlark.Value
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &v); err != nil {
		return nil, err
	}
	if s, ok := starlark.AsString(v); ok {
		if err := timeText(thread, b.Name(), s); err != nil {
			return nil, err
		}
	}
	var d startime.Duration
	err := d.Unpack(v) // by itself: in one statement with d, Go does not say which comes first
	return d, err
}

func (s *Scope) fixedNow() time.Time {
	if s.now.IsZero() {
		if s.Host.Now != nil {
			s.now = s.Host.Now().UTC()
		} else {
			s.now = time.Now().UTC()
		}
	}
	return s.now
}

func timeNow(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if err := starlark.UnpackArgs(b.Name(), args, kwargs); err != nil {
		return nil, err
	}
	s, err := scopeOf(thread, "time.now")
	if err != nil {
		return nil, err
	}
	return startime.Time(s.fixedNow()), nil
}

func timeSeconds(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if err := starlark.UnpackArgs(b.Name(), args, kwargs); err != nil {
		return nil, err
	}
	s, err := scopeOf(thread, "time.time")
	if err != nil {
		return nil, err
	}
	return starlark.Float(float64(s.fixedNow().UnixMilli()) / 1000), nil
}

func envModule() *starlarkstruct.Module {
	return &starlarkstruct.Module{Name: "env", Members: starlark.StringDict{"get": starlark.NewBuiltin("get", envGet)}}
}

// envGet reads a variable that the operator allowed; any other gives the default.
func envGet(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	none := starlark.Value(starlark.None)
	if err := starlark.UnpackArgs("env.get", args, kwargs, "name", &name, "default?", &none); err != nil {
		return nil, err
	}
	s, err := scopeOf(thread, "env.get")
	if err != nil {
		return nil, err
	}
	if s.Host.Env != nil {
		if v, ok := s.Host.Env(name); ok {
			return starlark.String(v), nil
		}
	}
	return none, nil
}

// absent is a module that this server does not have: its functions exist and say so.
func absent(name, need string, functions ...string) *starlarkstruct.Module {
	m := &starlarkstruct.Module{Name: name, Members: starlark.StringDict{}}
	for _, fn := range functions {
		m.Members[fn] = starlark.NewBuiltin(fn, func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
			return nil, fmt.Errorf("%s.%s: %s", name, fn, need)
		})
	}
	return m
}

func httpModule() *starlarkstruct.Module {
	return absent("http", "this server lets scripts make no HTTP requests; dispatch a task to a worker that makes them",
		"get", "post", "put", "patch", "delete", "head", "request")
}
