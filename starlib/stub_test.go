package starlib

import (
	"slices"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"orrery/starlib/stub"
)

// This file holds the stubs equal to the real members.

func TestStubsAreTheRealMembers(t *testing.T) {
	for name, v := range surfaceValues(t) {
		page := stub.Get(name)
		if page == nil {
			t.Errorf("%s has no stub; write starlib/stub/%s.star", name, name)
			continue
		}
		want, got := slices.Sorted(slices.Values(v.AttrNames())), slices.Sorted(slices.Values(page.Names()))
		if !slices.Equal(got, want) {
			t.Errorf("the stub of %s has\n%s\nthe value has\n%s", name, got, want)
		}
		for _, m := range page.Members {
			attr, err := v.Attr(m.Name)
			if err != nil || attr == nil {
				continue // needs more than an empty value; its name was compared
			}
			checkCall(t, m, attr)
		}
	}
	want, got := slices.Sorted(slices.Values(Predeclared().Keys())), slices.Sorted(slices.Values(stub.Get(stub.Predeclared).Names()))
	for name, v := range Predeclared() {
		if _, module := v.(starlark.HasAttrs); module {
			want = slices.DeleteFunc(want, func(n string) bool { return n == name })
			continue
		}
		if m := stub.Get(stub.Predeclared).Member(name); m != nil {
			checkCall(t, m, v)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the stubs of the predeclared names are\n%s\nthere are\n%s", got, want)
	}
}

// checkCall calls a function with each keyword of its stub alone: it may fail for any reason
// but one, that it does not know the keyword.
func checkCall(t *testing.T, m *stub.Member, v starlark.Value) {
	t.Helper()
	fn, ok := v.(*starlark.Builtin)
	if ok != m.Function {
		t.Errorf("%s is a %s, its stub a function: %v", m.Full(), v.Type(), m.Function)
	}
	if !ok {
		return
	}
	for _, name := range append(m.Keywords(), "no_such_keyword") {
		_, err := callSafely(fn, starlark.Tuple{starlark.String(name), starlark.None})
		unknown := err != nil && strings.Contains(err.Error(), "unexpected keyword argument")
		positional := err != nil && strings.Contains(err.Error(), "unexpected keyword arguments")
		if name != "no_such_keyword" && unknown && !positional {
			t.Errorf("%s does not know its keyword %s: %v", m.Full(), name, err)
		}
	}
}

// callSafely calls a builtin that was made without a job: what panics has read its arguments.
func callSafely(fn *starlark.Builtin, kwargs starlark.Tuple) (v starlark.Value, err error) {
	defer func() { _ = recover() }()
	return starlark.Call(new(starlark.Thread), fn, nil, []starlark.Tuple{kwargs})
}
