package starlib

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"go.starlark.net/starlark"

	"orrery/engine/job"
	"orrery/starlib/border"
	"orrery/starlib/guard"
)

// This file holds context.data_stores: reads go to the Host and leave their version, writes
// are kept until the commit and seen by later reads of the same run.
//
// Initial values are not written anywhere: a key that was never kept reads as its initial
// value. So that such a key can be deleted, its deletion is kept as JSON null.

// dataStores is context.data_stores.
type dataStores struct {
	s     *Scope
	open  map[string]*dataStore
	reads []job.StoreRead
	order []*dataStore

	ending bool // the handler has ended
}

var (
	_ starlark.HasAttrs = (*dataStores)(nil)
	_ starlark.Mapping  = (*dataStores)(nil)
)

func (s *Scope) dataStores() *dataStores {
	if s.stores == nil {
		s.stores = &dataStores{s: s, open: map[string]*dataStore{}}
	}
	return s.stores
}

func (d *dataStores) String() string        { return "<data_stores>" }
func (d *dataStores) Type() string          { return "data_stores" }
func (d *dataStores) Freeze()               {}
func (d *dataStores) Truth() starlark.Bool  { return len(d.s.Stores) > 0 }
func (d *dataStores) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: data_stores") }

// AttrNames lists the blueprint's stores, sorted.
func (d *dataStores) AttrNames() []string {
	names := make([]string, 0, len(d.s.Stores))
	for name := range d.s.Stores {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Attr gives a store by its name.
func (d *dataStores) Attr(name string) (starlark.Value, error) {
	if st, ok := d.open[name]; ok {
		return st, nil
	}
	initial, ok := d.s.Stores[name]
	if !ok {
		known, name := strings.Join(d.AttrNames(), ", "), job.Clip(name, MaxName)
		if known == "" {
			known = "it has none; write bp.add_data_store(" + fmt.Sprintf("%q", name) + ", {})"
		}
		return nil, starlark.NoSuchAttrError(fmt.Sprintf("the blueprint has no data store %q (%s)", name, known))
	}
	st := &dataStore{all: d, name: name, initial: initial, cells: map[string]*cell{}}
	d.open[name] = st
	d.order = append(d.order, st)
	return st, nil
}

// Get gives a store by its name, for data_stores["name"].
func (d *dataStores) Get(k starlark.Value) (starlark.Value, bool, error) {
	name, ok := starlark.AsString(k)
	if !ok {
		return nil, false, fmt.Errorf("data_stores: the name of a store is text, not %s", k.Type())
	}
	v, err := d.Attr(name)
	return v, err == nil, err
}

// pending gives the writes in the order of the first write to each key.
func (d *dataStores) pending() ([]job.StoreWrite, error) {
	d.ending = true
	var out []job.StoreWrite
	for _, st := range d.order {
		if err := st.take(""); err != nil {
			return nil, err
		}
		for _, key := range st.written {
			out = append(out, job.StoreWrite{Store: st.name, Key: key, Value: st.cells[key].text})
		}
	}
	return out, nil
}

// dataStore is one store.
type dataStore struct {
	all     *dataStores
	name    string
	initial map[string]json.RawMessage
	cells   map[string]*cell // keys read or written in this run
	written []string
	steps   []step // of incr calls whose result nobody used, not taken yet
}

// step is an incr that was put off to the end of the run, or to the next use of its key: it
// need not wait until then for jobs that use the store too.
type step struct {
	key   string
	by    starlark.Value
	stack starlark.CallStack // of the call, for errors
}

// cell is what this run knows of a key. text nil is absent; null stands for a deleted
// initial value.
type cell struct {
	text    json.RawMessage
	written bool
}

// versioned is what the Host keeps of a key.
type versioned struct {
	text    json.RawMessage
	version int64
}

var storeMethods = map[string]*starlark.Builtin{
	"get":    starlark.NewBuiltin("get", storeGet),
	"set":    starlark.NewBuiltin("set", storeSet),
	"incr":   starlark.NewBuiltin("incr", storeIncr),
	"delete": starlark.NewBuiltin("delete", storeDelete),
	"keys":   starlark.NewBuiltin("keys", storeKeys),
	"update": starlark.NewBuiltin("update", storeUpdate),
}

var (
	_ starlark.HasAttrs = (*dataStore)(nil)
	_ guard.Lazy        = (*dataStore)(nil)
)

func (st *dataStore) String() string        { return "<data_store " + st.name + ">" }
func (st *dataStore) Type() string          { return "data_store" }
func (st *dataStore) Freeze()               {}
func (st *dataStore) Truth() starlark.Bool  { return starlark.True }
func (st *dataStore) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: data_store") }

// AttrNames lists the methods, sorted.
func (st *dataStore) AttrNames() []string { return builtinNames(storeMethods) }

// Attr gives a method.
func (st *dataStore) Attr(name string) (starlark.Value, error) {
	if m, ok := storeMethods[name]; ok {
		return m.BindReceiver(st), nil
	}
	return nil, nil
}

// Unused gives the form of incr that does not read.
func (st *dataStore) Unused(method string) *starlark.Builtin {
	if method == "incr" {
		return lazyIncr.BindReceiver(st)
	}
	return nil
}

// take takes the steps of a key ("": of all keys) that were put off.
func (st *dataStore) take(key string) error {
	var due []step
	st.steps = slices.DeleteFunc(st.steps, func(s step) bool {
		if key == "" || s.key == key {
			due = append(due, s)
			return true
		}
		return false
	})
	for _, s := range due {
		_, err := st.add(s.key, s.by)
		var host *HostError
		var limit *LimitError
		if err != nil && !errors.As(err, &host) && !errors.As(err, &limit) {
			return &starlark.EvalError{Msg: err.Error(), CallStack: s.stack}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// read gives a key's present text: this run's write, else the kept value, else the initial.
func (st *dataStore) read(key string) (json.RawMessage, error) {
	if err := st.take(key); err != nil {
		return nil, err
	}
	if _, known := st.cells[key]; !known {
		if err := st.fetch([]string{key}); err != nil {
			return nil, err
		}
	}
	return StoreValue(st.initial, key, st.cells[key].text), nil
}

// StoreValue gives what a handler reads of a key of which kept is in the store (nil:
// nothing): the kept value, else the initial one, and nil for an absent key.
func StoreValue(initial map[string]json.RawMessage, key string, kept json.RawMessage) json.RawMessage {
	first, declared := initial[key]
	switch {
	case !declared:
		return kept
	case kept == nil:
		return first
	case string(kept) == "null":
		return nil
	}
	return kept
}

// call describes a read of the store.
func (st *dataStore) call() HostCall {
	return HostCall{Name: "data_stores." + st.name, near: st.all.s.Host.Stores.Near(st.all.ending)}
}

// fetch reads keys that this run does not know yet, in one call.
func (st *dataStore) fetch(keys []string) error {
	s := st.all.s
	if s.Host.Stores == nil {
		return fmt.Errorf("data_stores.%s: stores cannot be read here", st.name)
	}
	kept, err := Call(s, st.call(), func(ctx context.Context) ([]versioned, error) {
		kept := make([]versioned, len(keys))
		for i, key := range keys {
			var err error
			if kept[i].text, kept[i].version, err = s.Host.Stores.Get(ctx, st.name, key); err != nil {
				return nil, err
			}
		}
		return kept, nil
	})
	if err != nil {
		return err
	}
	for i, key := range keys {
		st.cells[key] = &cell{text: kept[i].text}
		st.all.reads = append(st.all.reads, job.StoreRead{Store: st.name, Key: key, Version: kept[i].version})
	}
	return nil
}

func (st *dataStore) write(key string, text json.RawMessage) error {
	if err := st.take(key); err != nil {
		return err
	}
	c, ok := st.cells[key]
	if !ok {
		c = &cell{}
		st.cells[key] = c
	}
	if !c.written {
		c.written = true
		st.written = append(st.written, key)
	}
	if _, declared := st.initial[key]; declared && text == nil {
		text = json.RawMessage("null")
	}
	c.text = text
	return nil
}

// put writes a script's value.
func (st *dataStore) put(call, key string, v starlark.Value) error {
	s := st.all.s
	where := "data_stores." + st.name + "." + key
	if err := s.mayChange(call); err != nil {
		return err
	}
	text, err := s.encode(v, where, s.Limits.DataBytes, CodeData)
	if err != nil {
		return fmt.Errorf("%s: %w", call, err)
	}
	if err := s.keep(text); err != nil {
		return err
	}
	return st.write(key, text)
}

func (st *dataStore) value(key string, none starlark.Value) (starlark.Value, error) {
	text, err := st.read(key)
	if err != nil {
		return nil, err
	}
	if text == nil {
		return none, nil
	}
	return border.DecodeWithin(st.all.s.meter(), text, "data_stores."+st.name+"."+key)
}

func storeGet(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var key string
	none := starlark.Value(starlark.None)
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "key", &key, "default?", &none); err != nil {
		return nil, err
	}
	return b.Receiver().(*dataStore).value(key, none)
}

func storeSet(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var key string
	var value starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "key", &key, "value", &value); err != nil {
		return nil, err
	}
	return starlark.None, b.Receiver().(*dataStore).put(b.Name(), key, value)
}

// storeIncr adds to a number (absent: 0) and gives the new one.
func storeIncr(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var key string
	by := starlark.Value(starlark.MakeInt(1))
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "key", &key, "by?", &by); err != nil {
		return nil, err
	}
	return b.Receiver().(*dataStore).add(key, by)
}

// lazyIncr is the incr of a statement of its own: no read, so the store stays free for other
// jobs until the run ends.
var lazyIncr = starlark.NewBuiltin("incr", func(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var key string
	by := starlark.Value(starlark.MakeInt(1))
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "key", &key, "by?", &by); err != nil {
		return nil, err
	}
	st := b.Receiver().(*dataStore)
	if _, known := st.cells[key]; known || !isNumber(by) { // read or written already: nothing is saved
		return st.add(key, by)
	}
	if err := st.all.s.mayChange(b.Name()); err != nil {
		return nil, err
	}
	if err := st.all.s.account.Alloc(256); err != nil {
		return nil, err
	}
	st.steps = append(st.steps, step{key, by, thread.CallStack()})
	return starlark.None, nil
})

func (st *dataStore) add(key string, by starlark.Value) (starlark.Value, error) {
	old, err := st.value(key, starlark.MakeInt(0))
	if err != nil {
		return nil, err
	}
	if !isNumber(old) || !isNumber(by) {
		return nil, fmt.Errorf("incr: data_stores.%s.%s is %s and the step %s; both must be numbers", st.name, key, old.Type(), by.Type())
	}
	sum, err := starlark.Binary(plus, old, by) // both are numbers, and no JSON integer is long
	if err != nil {
		return nil, fmt.Errorf("incr: %w", err)
	}
	return sum, st.put("incr", key, sum)
}

func storeDelete(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var key string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "key", &key); err != nil {
		return nil, err
	}
	st := b.Receiver().(*dataStore)
	if err := st.all.s.mayChange(b.Name()); err != nil {
		return nil, err
	}
	return starlark.None, st.write(key, nil)
}

// storeKeys lists the keys, sorted. The list itself leaves no version: a key that another
// job adds meanwhile is no conflict.
func storeKeys(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if err := starlark.UnpackArgs(b.Name(), args, kwargs); err != nil {
		return nil, err
	}
	st := b.Receiver().(*dataStore)
	s := st.all.s
	if s.Host.Stores == nil {
		return nil, fmt.Errorf("data_stores.%s: stores cannot be read here", st.name)
	}
	kept, err := Call(s, st.call(), func(ctx context.Context) ([]string, error) {
		return s.Host.Stores.Keys(ctx, st.name)
	})
	if err != nil {
		return nil, err
	}
	if err := st.take(""); err != nil {
		return nil, err
	}
	there := make(map[string]bool, len(kept))
	if err := s.account.Alloc(64 * len(kept)); err != nil {
		return nil, err
	}
	for _, key := range kept {
		there[key] = true
	}
	if unread := st.unread(); len(unread) > 0 {
		if err := st.fetch(unread); err != nil {
			return nil, err
		}
	}
	for key := range st.initial { // a kept null may be a deletion: only reading tells
		text, err := st.read(key)
		if err != nil {
			return nil, err
		}
		there[key] = text != nil
	}
	for _, key := range st.written {
		text, err := st.read(key)
		if err != nil {
			return nil, err
		}
		there[key] = text != nil
	}
	return sortedKeys(there), nil
}

// unread lists the keys with an initial value that this run has neither read nor written.
func (st *dataStore) unread() []string {
	var keys []string
	for key := range st.initial {
		if _, known := st.cells[key]; !known {
			keys = append(keys, key)
		}
	}
	sort.Strings(keys)
	return keys
}

func sortedKeys(there map[string]bool) starlark.Value {
	names := make([]string, 0, len(there))
	for key, yes := range there {
		if yes {
			names = append(names, key)
		}
	}
	sort.Strings(names)
	out := make([]starlark.Value, len(names))
	for i, n := range names {
		out[i] = starlark.String(n)
	}
	return starlark.NewList(out)
}

// storeUpdate sets several keys: update({"a": 1}, b = 2).
func storeUpdate(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var values *starlark.Dict
	if err := starlark.UnpackPositionalArgs(b.Name(), args, nil, 0, &values); err != nil {
		return nil, err
	}
	st := b.Receiver().(*dataStore)
	if values != nil {
		for k, v := range values.Entries() {
			key, ok := starlark.AsString(k)
			if !ok {
				return nil, fmt.Errorf("%s: the key %s is of type %s; keys must be text", b.Name(), guard.Show(k, 80), k.Type())
			}
			if err := st.put(b.Name(), key, v); err != nil {
				return nil, err
			}
		}
	}
	for _, kv := range kwargs {
		if err := st.put(b.Name(), string(kv[0].(starlark.String)), kv[1]); err != nil {
			return nil, err
		}
	}
	return starlark.None, nil
}
