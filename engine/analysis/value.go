// This file defines values: what an expression may be as far as the text tells, and how two of them are joined where paths meet.

package analysis

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"go.starlark.net/syntax"
)

// A value is one of the types below. nil is never a value.
type value any

type (
	// unknown may be anything that the text does not tell, but holds no actions and no blueprint.
	unknown struct{}
	// constant is text, int64, float64, bool or nil (None).
	constant struct{ v any }
	// union is one of several, none of them a union, at most maxAlternatives.
	union struct{ of []value }
	// contextValue stands for a handler's context.
	contextValue struct{}
	// actionsValue stands for a handler's actions.
	actionsValue struct{}
	// historyValue stands for state_history.
	historyValue struct{}
	// builtin is a predeclared or universal function, or a member of a predeclared module ("json.encode").
	builtin struct{ name string }
	// moduleValue is a predeclared module.
	moduleValue struct{ name string }
	// method is a method of a known value.
	method struct {
		recv value
		name string
	}
)

// listValue is a list, tuple or set. Pointers make aliases share their changes.
type listValue struct {
	elems []value
	exact bool // elems are all its elements, in order; else elems are some of those it may have
	rest  bool // it may have elements that are not known
	set   bool // it was made by set()
	depth int  // how many uncertain branches were open where it was made
}

// dictValue is a dict with constant keys.
type dictValue struct {
	keys  []constant
	vals  map[constant]value
	maybe bool                     // some keys may be missing
	rest  value                    // joined values of keys that are not known; nil when there are none
	depth int                      // how many uncertain branches were open where it was made
	at    map[constant]syntax.Node // where the text gives the value of a key
}

// structValue is what struct() makes.
type structValue struct{ fields map[string]value }

// function is a def or a lambda with the names that it sees.
type function struct {
	name     string // "lambda" for a lambda
	node     syntax.Node
	params   []syntax.Expr
	body     []syntax.Stmt // of a def
	expr     syntax.Expr   // of a lambda
	closure  *frame
	defaults map[string]value
}

const (
	maxAlternatives = 64
	maxText         = 1 << 16
	maxElements     = 4096
)

var none = constant{nil}

// alternatives lists what v may be; one entry for anything but a union.
func alternatives(v value) []value {
	if u, ok := v.(*union); ok {
		return u.of
	}
	return []value{v}
}

// join gives a value that may be either. Equal constants and identical pointers are merged.
func join(a, b value) value {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case same(a, b):
		return a
	}
	was := alternatives(a) // different from each other already
	of := was[:len(was):len(was)]
	for _, v := range alternatives(b) {
		if !slices.ContainsFunc(of, func(w value) bool { return same(v, w) }) {
			of = append(of, v)
		}
	}
	if len(of) == 1 {
		return of[0]
	}
	if len(of) > maxAlternatives {
		return unknown{}
	}
	return &union{of}
}

// same tells whether two values are certainly one, by identity for mutable ones.
func same(a, b value) bool {
	switch x := a.(type) {
	case *union:
		y, ok := b.(*union)
		if !ok || len(x.of) != len(y.of) {
			return false
		}
		for i := range x.of {
			if !same(x.of[i], y.of[i]) {
				return false
			}
		}
		return true
	case *method:
		y, ok := b.(*method)
		return ok && x.name == y.name && same(x.recv, y.recv)
	}
	return a == b
}

// text gives the text of a constant string.
func text(v value) (string, bool) {
	c, ok := v.(constant)
	if !ok {
		return "", false
	}
	s, ok := c.v.(string)
	return s, ok
}

// truth tells whether v is certainly true or certainly false in a condition.
func truth(v value) (result, known bool) {
	switch x := v.(type) {
	case constant:
		switch c := x.v.(type) {
		case nil:
			return false, true
		case bool:
			return c, true
		case string:
			return c != "", true
		case int64:
			return c != 0, true
		case float64:
			return c != 0, true
		}
	case *listValue:
		if x.exact {
			return len(x.elems) > 0, true
		}
	case *dictValue:
		if x.rest == nil && !x.maybe {
			return len(x.keys) > 0, true
		}
	case *function, *blueprintInfo, *structValue, *registration, contextValue, actionsValue, *method, builtin, moduleValue:
		return true, true
	case *union:
		first, known := truth(x.of[0])
		for _, v := range x.of[1:] {
			t, k := truth(v)
			if !k || t != first {
				return false, false
			}
		}
		return first, known
	}
	return false, false
}

func newDict() *dictValue {
	return &dictValue{vals: map[constant]value{}, at: map[constant]syntax.Node{}}
}

// put stores under a constant key. When it is not sure to happen, the old value remains possible.
func (d *dictValue) put(k constant, v value, sure bool) {
	old, had := d.vals[k]
	if !had && len(d.keys) >= maxElements {
		d.rest = join(d.rest, v)
		return
	}
	if !had {
		d.keys = append(d.keys, k)
		d.maybe = d.maybe || !sure
	} else if !sure {
		v = join(old, v)
	}
	d.vals[k] = v
}

// set stores under any key.
func (d *dictValue) set(key, v value, sure bool) {
	for _, alt := range alternatives(key) {
		if c, ok := alt.(constant); ok {
			d.put(c, v, sure && len(alternatives(key)) == 1)
		} else {
			d.rest = join(d.rest, v)
		}
	}
}

func (d *dictValue) clone() *dictValue {
	c := newDict()
	c.merge(d, true)
	return c
}

// merge takes over all entries of other.
func (d *dictValue) merge(other *dictValue, sure bool) {
	for _, k := range other.keys {
		d.put(k, other.vals[k], sure && !other.maybe)
		if n, ok := other.at[k]; ok {
			d.at[k] = n
		}
	}
	if other.rest != nil {
		d.rest = join(d.rest, other.rest)
	}
}

// any joins everything the dict may hold; nil when it is empty.
func (d *dictValue) any() value {
	v := d.rest
	for _, k := range d.keys {
		v = join(v, d.vals[k])
	}
	return v
}

// element joins everything the list may hold; nil when it is certainly empty.
func (l *listValue) element() value {
	var v value
	for _, e := range l.elems {
		v = join(v, e)
	}
	if l.rest {
		v = join(v, unknown{})
	}
	return v
}

func list(elems ...value) *listValue { return &listValue{elems: elems, exact: true} }

// add appends; when it is not sure to happen, the list is no longer exact.
func (l *listValue) add(v value, sure bool) {
	if !sure || !l.exact {
		l.exact = false
		for _, e := range l.elems {
			if same(e, v) {
				return
			}
		}
	}
	if len(l.elems) >= maxElements {
		l.exact, l.rest = false, true
		return
	}
	l.elems = append(l.elems, v)
}

// native turns a value into plain data for JSON; what is not known becomes nil, as does what lies deeper than initial values of a store would.
func native(v value) any {
	left := maxElements
	return nativeWithin(v, &left)
}

func nativeWithin(v value, left *int) any {
	if *left--; *left < 0 {
		return nil
	}
	switch x := v.(type) {
	case constant:
		return x.v
	case *listValue:
		if !x.exact {
			return nil
		}
		out := make([]any, 0, len(x.elems))
		for _, e := range x.elems {
			out = append(out, nativeWithin(e, left))
		}
		return out
	case *dictValue:
		out := map[string]any{}
		for _, k := range x.keys {
			out[fmt.Sprint(k.v)] = nativeWithin(x.vals[k], left)
		}
		return out
	}
	return nil
}

// describe names a value for a message.
func describe(v value) string {
	switch x := v.(type) {
	case constant:
		return showConstant(x)
	case *function:
		return "the function " + x.name
	case *listValue:
		return "a list"
	case *dictValue:
		return "a dict"
	case *blueprintInfo:
		return "a blueprint"
	case contextValue:
		return "context"
	case actionsValue:
		return "actions"
	case *union:
		var parts []string
		for _, alt := range x.of {
			parts = append(parts, describe(alt))
		}
		sort.Strings(parts)
		return strings.Join(parts, " or ")
	}
	return "a value"
}

func showConstant(c constant) string {
	switch v := c.v.(type) {
	case nil:
		return "None"
	case string:
		return quote(v)
	case bool:
		if v {
			return "True"
		}
		return "False"
	}
	return fmt.Sprint(c.v)
}
