package starlib

import (
	"fmt"

	"go.starlark.net/starlark"

	"orrery/starlib/guard"
)

// This file holds what re.match and its like give.

// matchValue is one match; at holds pairs of byte offsets, -1 where a group took no part.
type matchValue struct {
	names []string
	text  string
	at    []int
}

var (
	_ starlark.HasAttrs = (*matchValue)(nil)
	_ guard.Wordy       = (*matchValue)(nil)
)

var matchMethods = map[string]*starlark.Builtin{
	"group":     starlark.NewBuiltin("group", matchGroup),
	"groups":    starlark.NewBuiltin("groups", matchGroups),
	"groupdict": starlark.NewBuiltin("groupdict", matchDict),
	"start":     starlark.NewBuiltin("start", matchStart),
	"end":       starlark.NewBuiltin("end", matchEnd),
}

func (m *matchValue) String() string        { return fmt.Sprintf("<match %q>", m.text[m.at[0]:m.at[1]]) }
func (m *matchValue) TextBound() int        { return 4*(m.at[1]-m.at[0]) + 16 }
func (m *matchValue) Type() string          { return "re.match" }
func (m *matchValue) Freeze()               {}
func (m *matchValue) Truth() starlark.Bool  { return starlark.True }
func (m *matchValue) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: re.match") }

// AttrNames lists the methods, sorted.
func (m *matchValue) AttrNames() []string { return builtinNames(matchMethods) }

// Attr gives a method.
func (m *matchValue) Attr(name string) (starlark.Value, error) {
	if b, ok := matchMethods[name]; ok {
		return b.BindReceiver(m), nil
	}
	return nil, nil
}

func (m *matchValue) sub(i int) starlark.Value {
	if m.at[2*i] < 0 {
		return starlark.None
	}
	return starlark.String(m.text[m.at[2*i]:m.at[2*i+1]])
}

// which finds a group by number or name; without an argument it is the whole match.
func (m *matchValue) which(b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (int, error) {
	var group starlark.Value = starlark.MakeInt(0)
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "group?", &group); err != nil {
		return 0, err
	}
	if name, ok := starlark.AsString(group); ok {
		for i, n := range m.names {
			if n == name && name != "" {
				return i, nil
			}
		}
	} else if i, err := starlark.AsInt32(group); err == nil && i >= 0 && i < len(m.at)/2 {
		return i, nil
	}
	return 0, fmt.Errorf("%s: the pattern has no group %s", b.Name(), guard.Show(group, 80))
}

func matchGroup(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	m := b.Receiver().(*matchValue)
	i, err := m.which(b, args, kwargs)
	if err != nil {
		return nil, err
	}
	return m.sub(i), nil
}

func matchGroups(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if err := starlark.UnpackArgs(b.Name(), args, kwargs); err != nil {
		return nil, err
	}
	m := b.Receiver().(*matchValue)
	if err := guard.Of(thread).Elements(b.Name(), len(m.at)/2, 32); err != nil {
		return nil, err
	}
	out := make(starlark.Tuple, 0, len(m.at)/2-1)
	for i := 1; i < len(m.at)/2; i++ {
		out = append(out, m.sub(i))
	}
	return out, nil
}

func matchDict(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if err := starlark.UnpackArgs(b.Name(), args, kwargs); err != nil {
		return nil, err
	}
	m := b.Receiver().(*matchValue)
	if err := guard.Of(thread).Elements(b.Name(), len(m.names)+5, 160); err != nil { // an empty dict is five entries large
		return nil, err
	}
	d := new(starlark.Dict)
	for i, name := range m.names {
		if name == "" {
			continue
		}
		if err := d.SetKey(starlark.String(name), m.sub(i)); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// matchStart and matchEnd count bytes, as the language's indexes and slices of text do.
func matchStart(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	return b.Receiver().(*matchValue).offset(b, args, kwargs, 0)
}

func matchEnd(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	return b.Receiver().(*matchValue).offset(b, args, kwargs, 1)
}

func (m *matchValue) offset(b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple, end int) (starlark.Value, error) {
	i, err := m.which(b, args, kwargs)
	if err != nil {
		return nil, err
	}
	return starlark.MakeInt(m.at[2*i+end]), nil
}
