package guard

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"
)

// This file holds the methods that make or grow values, in their checked form.

// A check charges what a method is about to make; the language's own method follows.
type check func(thread *starlark.Thread, a *Account, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) error

// checks are the methods that stay the language's own but for the charge.
var checks = map[string]map[string]check{
	"string": {
		"join": joinText, "replace": replaceText, "format": formatText, "split": splitText, "rsplit": splitText,
		"splitlines": splitText, "upper": changeText, "lower": changeText, "title": changeText, "capitalize": changeText,
		"count": searchText, "find": searchText, "rfind": searchText, "index": searchText, "rindex": searchText,
		"partition": partText, "rpartition": partText, "startswith": beginText, "endswith": beginText,
		"strip": stripText, "lstrip": stripText, "rstrip": stripText,
		"isalnum": tellText, "isalpha": tellText, "isdigit": tellText, "islower": tellText, "isspace": tellText, "istitle": tellText, "isupper": tellText,
	},
	"list": {"append": appendList, "extend": extendList, "insert": insertList, "index": searchList, "remove": searchList, "pop": popList},
	"dict": {"items": copyDict, "keys": copyDict, "values": copyDict, "pop": findKey},
	"set":  {"discard": findKey, "remove": findKey},
}

// methods replace the language's own.
var methods = map[string]map[string]builtin{
	"dict": {"update": updateMethod, "setdefault": setDefault, "popitem": popItem, "get": getDict, "clear": clearDict},
	"set": {
		"add": addSet, "clear": clearSet, "update": updateSet, "union": combineSets, "difference": combineSets,
		"intersection": combineSets, "symmetric_difference": combineSets, "issubset": updateSet, "issuperset": updateSet,
	},
}

// guarded holds the checked builtins by type and name; guardedMethod all the names.
var (
	guarded       = map[string]map[string]*starlark.Builtin{}
	guardedMethod = map[string]bool{}

	guardedText, guardedList, guardedDict, guardedSet map[string]*starlark.Builtin // of guarded
)

func init() {
	own := map[string]starlark.HasAttrs{"string": starlark.String(""), "list": new(starlark.List), "dict": new(starlark.Dict), "set": new(starlark.Set)}
	for kind, list := range checks {
		guarded[kind] = map[string]*starlark.Builtin{}
		for name, do := range list {
			v, err := own[kind].Attr(name)
			if err != nil || v == nil {
				panic("the language has no method " + name)
			}
			guarded[kind][name] = starlark.NewBuiltin(name, charged(v.(*starlark.Builtin), do))
		}
		for name, fn := range methods[kind] {
			guarded[kind][name] = starlark.NewBuiltin(name, fn)
		}
		for name := range guarded[kind] {
			guardedMethod[name] = true
		}
	}
	guarded["list"]["append"] = starlark.NewBuiltin("append", appendOne)
	guardedMethod["in_location"] = true // of a time: see method
	guardedText, guardedList, guardedDict, guardedSet = guarded["string"], guarded["list"], guarded["dict"], guarded["set"]
}

// charged calls the check, then the language's own method on the same receiver.
func charged(plain *starlark.Builtin, do check) builtin {
	return func(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		a := Of(thread)
		if err := do(thread, a, b, args, kwargs); err != nil {
			return nil, err
		}
		v, err := plain.BindReceiver(b.Receiver()).CallInternal(thread, args, kwargs)
		if b.Name() == "items" && err == nil {
			err = a.tuplesOf(thread, v)
		}
		return v, err
	}
}

// guardedOf gives the checked methods of a value.
func guardedOf(x starlark.Value) map[string]*starlark.Builtin {
	switch x.(type) {
	case starlark.String:
		return guardedText
	case *starlark.List:
		return guardedList
	case *starlark.Dict:
		return guardedDict
	case *starlark.Set:
		return guardedSet
	}
	return nil
}

// method gives the checked form of a bound method, and anything else as it is.
func method(v starlark.Value) starlark.Value {
	b, ok := v.(*starlark.Builtin)
	if !ok || b.Receiver() == nil {
		return v
	}
	if t, ok := b.Receiver().(startime.Time); ok {
		switch b.Name() {
		case "format":
			return starlark.NewBuiltin(b.Name(), formatTime).BindReceiver(b)
		case "in_location":
			return starlark.NewBuiltin(b.Name(), inLocation).BindReceiver(t)
		}
	}
	if g := guardedOf(b.Receiver())[b.Name()]; g != nil {
		return g.BindReceiver(b.Receiver())
	}
	return v
}

// bound is x.name where name is a guarded method.
func bound(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	return method(args[0]), nil
}

// Lazy is a value with methods that can do less when nobody uses their result.
type Lazy interface {
	starlark.Value
	// Unused gives the other form of such a method, or nil when there is none.
	Unused(method string) *starlark.Builtin
}

// lazyMethod names the methods that may have another form.
var lazyMethod = map[string]bool{"incr": true}

// unused is x.name in a statement that is nothing but the call.
func unused(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	if b, ok := args[0].(*starlark.Builtin); ok {
		if lazy, ok := b.Receiver().(Lazy); ok {
			if other := lazy.Unused(b.Name()); other != nil {
				return other, nil
			}
		}
	}
	return args[0], nil
}

func self(b *starlark.Builtin) string { return string(b.Receiver().(starlark.String)) }

func joinText(thread *starlark.Thread, a *Account, b *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) error {
	if len(args) != 1 {
		return nil
	}
	total, n := 0, 0
	var late error
	add := func(x starlark.Value) bool {
		if n%1024 == 1023 { // views of a text have as many as it has bytes
			if late = a.Work(thread, 1024); late != nil {
				return false
			}
		}
		if n++; n > 1 {
			total += len(self(b))
		}
		s, ok := x.(starlark.String)
		total += len(s)
		return ok && total <= a.limits.TextBytes
	}
	switch list := args[0].(type) {
	case *starlark.List:
		for i := 0; i < list.Len() && add(list.Index(i)); i++ {
		}
	case starlark.Iterable:
		for x := range starlark.Elements(list) {
			if !add(x) {
				break
			}
		}
	default:
		return nil
	}
	if late != nil {
		return late
	}
	if err := a.Text(b.Name(), total); err != nil {
		return err
	}
	return a.Work(thread, n/4+total/64)
}

func replaceText(thread *starlark.Thread, a *Account, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) error {
	var from, to string
	count := -1
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 2, &from, &to, &count); err != nil {
		return nil // the method says so
	}
	s := self(b)
	n := strings.Count(s, from)
	if count >= 0 {
		n = min(n, count)
	}
	if err := a.Text(b.Name(), len(s)+n*(len(to)-len(from))); err != nil {
		return err
	}
	return a.Work(thread, n/4+len(s)/32)
}

func formatText(thread *starlark.Thread, a *Account, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) error {
	n, err := formatted(thread, a, self(b), args, kwargs)
	if err != nil {
		return err
	}
	return a.Text(b.Name(), n)
}

func splitText(thread *starlark.Thread, a *Account, b *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) error {
	s, n, each := self(b), 1, 32
	sep, given := "", false
	if len(args) > 0 {
		sep, given = starlark.AsString(args[0])
	}
	switch {
	case b.Name() == "splitlines":
		n += strings.Count(s, "\n") + strings.Count(s, "\r")
	case given && sep != "":
		n += strings.Count(s, sep)
	default:
		each = 8 // every character is looked at, twice
		space := true
		for _, c := range s {
			now := unicode.IsSpace(c)
			if space && !now {
				n++
			}
			space = now
		}
	}
	if len(args) > 1 {
		if most, err := starlark.AsInt32(args[1]); err == nil && most >= 0 {
			n = min(n, most+1)
		}
	}
	if err := a.Elements(b.Name(), n, slotBytes+16); err != nil {
		return err
	}
	return a.Work(thread, n/4+len(s)/each)
}

func changeText(thread *starlark.Thread, a *Account, b *starlark.Builtin, _ starlark.Tuple, _ []starlark.Tuple) error {
	n := len(self(b))
	if err := a.Text(b.Name(), n); err != nil {
		return err
	}
	return a.Work(thread, n/8)
}

func searchText(thread *starlark.Thread, a *Account, b *starlark.Builtin, _ starlark.Tuple, _ []starlark.Tuple) error {
	n := len(self(b)) / 32
	if b.Name() == "count" { // every match costs as much as a search
		n *= 4
	}
	return a.Work(thread, n)
}

// tellText is isalpha and its like, which look at every character.
func tellText(thread *starlark.Thread, a *Account, b *starlark.Builtin, _ starlark.Tuple, _ []starlark.Tuple) error {
	if n := len(self(b)) / 16; n > 0 {
		return a.Work(thread, n)
	}
	return nil
}

func partText(thread *starlark.Thread, a *Account, b *starlark.Builtin, _ starlark.Tuple, _ []starlark.Tuple) error {
	if err := a.Work(thread, len(self(b))/32); err != nil {
		return err
	}
	return a.Alloc(2*tupleBytes + 4*slotBytes) // a tuple, three texts, and the garbage of both
}

// beginText is startswith and endswith: each of several beginnings may be as long as the text.
func beginText(thread *starlark.Thread, a *Account, b *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) error {
	if len(args) == 0 {
		return nil
	}
	n := len(self(b))
	switch x := args[0].(type) {
	case starlark.String:
		if n = min(n, len(x)) / 64; n > 0 {
			return a.Work(thread, n)
		}
	case starlark.Tuple:
		for _, one := range x {
			s, _ := one.(starlark.String) // the method says what is no text
			if err := a.Work(thread, 1+min(n, len(s))/64); err != nil {
				return err
			}
		}
	}
	return nil
}

// stripText looks for every character that may be cut off among all that shall be.
func stripText(thread *starlark.Thread, a *Account, b *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) error {
	n := len(self(b)) / 16
	if len(args) > 0 && n > 0 {
		if set, ok := args[0].(starlark.String); ok {
			n *= 1 + len(set)/64
		}
	}
	if n == 0 {
		return nil
	}
	return a.Work(thread, n)
}

// formatTime is a time's format. The receiver is the bound method; a layout's parts become
// at most four times as long.
func formatTime(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(args) > 0 {
		if s, ok := starlark.AsString(args[0]); ok {
			if err := Of(thread).Text(b.Name(), 4*len(s)); err != nil {
				return nil, err
			}
		}
	}
	return b.Receiver().(*starlark.Builtin).CallInternal(thread, args, kwargs)
}

func appendList(_ *starlark.Thread, a *Account, b *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) error {
	if n := b.Receiver().(*starlark.List).Len(); n >= a.limits.Elements {
		return a.Elements(b.Name(), n+1, 0)
	}
	if len(args) > 0 {
		return a.Alloc(placeBytes(args[len(args)-1]))
	}
	return nil // the method says so
}

// appendOne is x.append(y) without a second bound method: nothing is called as often.
func appendOne(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var x starlark.Value
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &x); err != nil {
		return nil, err
	}
	if err := appendList(thread, Of(thread), b, args, kwargs); err != nil {
		return nil, err
	}
	if err := b.Receiver().(*starlark.List).Append(x); err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return starlark.None, nil
}

func insertList(thread *starlark.Thread, a *Account, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) error {
	if err := a.Work(thread, b.Receiver().(*starlark.List).Len()/8); err != nil {
		return err
	}
	return appendList(thread, a, b, args, kwargs)
}

func extendList(thread *starlark.Thread, a *Account, b *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) error {
	if len(args) != 1 {
		return nil
	}
	n, err := a.length(thread, b.Name(), args[0])
	if err != nil {
		return err
	}
	list := b.Receiver().(*starlark.List)
	if list.Len()+n > a.limits.Elements {
		return a.Elements(b.Name(), list.Len()+n, 0)
	}
	return a.Alloc(n * appendBytes)
}

// extend is x += y.
func extend(thread *starlark.Thread, a *Account, x *starlark.List, y starlark.Iterable) error {
	v, err := x.Attr("extend")
	if err != nil {
		return err
	}
	plain := v.(*starlark.Builtin)
	if err := extendList(thread, a, plain, starlark.Tuple{y}, nil); err != nil {
		return err
	}
	if _, err = plain.CallInternal(thread, starlark.Tuple{y}, nil); err != nil {
		return errors.New(strings.Replace(err.Error(), "extend: cannot extend", "cannot apply += to", 1))
	}
	return nil
}

// searchList looks for the element as the method will, with the work counted.
func searchList(thread *starlark.Thread, a *Account, b *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) error {
	if len(args) == 0 {
		return nil
	}
	c := comparer{thread: thread, a: a}
	list := b.Receiver().(*starlark.List)
	for i := range list.Len() {
		same, err := c.equal(list.Index(i), args[0], 1)
		if err != nil {
			return err
		}
		if same && len(args) == 1 {
			break
		}
	}
	if b.Name() == "remove" {
		c.done += list.Len() / 16 // what stands behind it is moved
	}
	return a.Work(thread, c.done)
}

// popList charges what is moved when an element in the middle goes.
func popList(thread *starlark.Thread, a *Account, b *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) error {
	if n := b.Receiver().(*starlark.List).Len() / 16; n > 0 && len(args) > 0 {
		return a.Work(thread, n)
	}
	return nil
}

// findKey charges looking for a key.
func findKey(thread *starlark.Thread, a *Account, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) error {
	if len(args) == 0 {
		return nil
	}
	return a.key(thread, args[0])
}

func copyDict(thread *starlark.Thread, a *Account, b *starlark.Builtin, _ starlark.Tuple, _ []starlark.Tuple) error {
	n, each := b.Receiver().(*starlark.Dict).Len(), 16
	if b.Name() == "items" {
		each = 72
	}
	if err := a.Elements(b.Name(), n, each); err != nil {
		return err
	}
	return a.Work(thread, n/8)
}

func updateMethod(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(args) > 1 {
		return nil, fmt.Errorf("update: got %d arguments, want at most 1", len(args))
	}
	return starlark.None, updateDict(thread, Of(thread), b.Name(), b.Receiver().(*starlark.Dict), args, kwargs)
}

// getDict is d.get(key, default), without a second bound method.
func getDict(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var key starlark.Value
	value := starlark.Value(starlark.None)
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &key, &value); err != nil {
		return nil, err
	}
	if s, ok := key.(starlark.String); !ok || len(s) >= 64 {
		if err := Of(thread).key(thread, key); err != nil {
			return nil, err
		}
	}
	found, ok, err := b.Receiver().(*starlark.Dict).Get(key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	if !ok {
		return value, nil
	}
	return found, nil
}

// clearDict deletes the entries one by one: the language's own goes through the room of all
// that ever were in the dict.
func clearDict(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 0); err != nil {
		return nil, err
	}
	d := b.Receiver().(*starlark.Dict)
	if err := mutable(d, "clear"); err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	a := Of(thread)
	for _, k := range d.Keys() {
		if err := a.enter(thread, k, new(Crowd)); err != nil {
			return nil, err
		}
		if _, _, err := d.Delete(k); err != nil {
			return nil, fmt.Errorf("%s: %w", b.Name(), err)
		}
	}
	return starlark.None, nil
}

// clearSet is clearDict of a set; an empty one is left to the language, which says whether it
// may be changed.
func clearSet(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	s := b.Receiver().(*starlark.Set)
	if s.Len() == 0 || len(args)+len(kwargs) > 0 {
		plain, err := s.Attr(b.Name())
		if err != nil {
			return nil, err
		}
		return plain.(*starlark.Builtin).CallInternal(thread, args, kwargs)
	}
	a := Of(thread)
	for _, x := range slices.Collect(s.Elements()) {
		if err := a.enter(thread, x, new(Crowd)); err != nil {
			return nil, err
		}
		if _, err := s.Delete(x); err != nil {
			return nil, fmt.Errorf("%s: %s", b.Name(), strings.Replace(err.Error(), "delete from", "clear", 1))
		}
	}
	return starlark.None, nil
}

func setDefault(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var key starlark.Value
	value := starlark.Value(starlark.None)
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &key, &value); err != nil {
		return nil, err
	}
	if err := Of(thread).key(thread, key); err != nil {
		return nil, err
	}
	d := b.Receiver().(*starlark.Dict)
	old, found, err := d.Get(key)
	if err == nil && !found {
		old, err = value, Of(thread).setKey(thread, d, key, value, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return old, nil
}

// popItem makes a tuple of a key and a value, which may be a tuple itself.
func popItem(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	plain, err := b.Receiver().(*starlark.Dict).Attr("popitem")
	if err != nil {
		return nil, err
	}
	v, err := plain.(*starlark.Builtin).CallInternal(thread, args, kwargs)
	if err != nil {
		return nil, err
	}
	return madeTuple(thread, Of(thread), v)
}

func addSet(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var x starlark.Value
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &x); err != nil {
		return nil, err
	}
	if err := Of(thread).insert(thread, b.Receiver().(*starlark.Set), x, nil); err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return starlark.None, nil
}

func updateSet(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	return withSets(thread, b, args, kwargs, 0)
}

func combineSets(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	return withSets(thread, b, args, kwargs, entryBytes)
}

// withSets makes sets of the arguments first, with their growth charged, and then calls the
// language's own method on them. each is what one element of the result takes.
func withSets(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple, each int) (starlark.Value, error) {
	a, s := Of(thread), b.Receiver().(*starlark.Set)
	made := make(starlark.Tuple, len(args))
	before, total := s.Len(), s.Len()
	for i, x := range args {
		made[i] = x
		if _, iterable := x.(starlark.Iterable); iterable {
			if _, set := x.(*starlark.Set); !set {
				v, err := setOf(thread, b, starlark.Tuple{x}, nil)
				if err != nil {
					return nil, err
				}
				made[i] = v
			}
			total += starlark.Len(made[i])
			if err := a.keys(thread, made[i]); err != nil {
				return nil, err
			}
		}
	}
	if err := a.Work(thread, total); err != nil {
		return nil, err
	}
	if err := a.keys(thread, s); err != nil {
		return nil, err
	}
	if err := a.Alloc(total * each); err != nil {
		return nil, err
	}
	plain, err := s.Attr(b.Name())
	if err != nil {
		return nil, err
	}
	v, err := plain.(*starlark.Builtin).CallInternal(thread, made, kwargs)
	if err != nil {
		return nil, err
	}
	if n := s.Len() - before; n > 0 {
		if err := a.Alloc(n * entryBytes); err != nil {
			return nil, err
		}
	}
	if n := max(starlark.Len(v), s.Len()); n > a.limits.Elements { // a Boolean has no length
		return nil, a.Elements(b.Name(), n, 0)
	}
	return v, nil
}
