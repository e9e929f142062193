package engine

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"orrery/starlib"
)

// This file shows data stores to people, as handlers would read them.

// StoreEntry is one key of a data store.
type StoreEntry struct {
	Key     string
	Value   json.RawMessage
	Initial bool // the blueprint's initial value: no job has written the key
}

// StoreInfo is one data store.
type StoreInfo struct {
	Blueprint string
	Store     string
	Keys      int64
	Declared  bool // a loaded blueprint has it; else only its values are left
}

// Initial gives the initial values of the data stores of every loaded blueprint: blueprint,
// store, key.
type Initial map[string]map[string]map[string]json.RawMessage

// Stores lists all data stores, by blueprint and name in order.
func (e *Engine) Stores(ctx context.Context, initial Initial) ([]StoreInfo, error) {
	kept, err := e.store.ValueStores(ctx)
	if err != nil {
		return nil, faultFrom(err, "")
	}
	keys := map[[2]string]int64{}
	for _, k := range kept {
		keys[[2]string{k.Blueprint, k.Store}] = k.Keys
	}
	for blueprint, stores := range initial {
		for name, values := range stores {
			n := keys[[2]string{blueprint, name}]
			for key := range values { // one that is kept is counted already, unless it is the mark of a deletion
				text, version, err := e.store.Value(ctx, blueprint, name, key)
				if err != nil {
					return nil, faultFrom(err, "")
				}
				there := starlib.StoreValue(values, key, text) != nil
				switch {
				case there && version == 0:
					n++
				case !there && version != 0:
					n--
				}
			}
			keys[[2]string{blueprint, name}] = n
		}
	}
	var all []StoreInfo
	for k, n := range keys {
		_, declared := initial[k[0]][k[1]]
		all = append(all, StoreInfo{k[0], k[1], n, declared})
	}
	slices.SortFunc(all, func(a, b StoreInfo) int {
		return slices.Compare([]string{a.Blueprint, a.Store}, []string{b.Blueprint, b.Store})
	})
	return all, nil
}

// StoreValue gives one key of a data store; ok is false for an absent one.
func (e *Engine) StoreValue(ctx context.Context, blueprint, name string, initial map[string]json.RawMessage, key string) (entry StoreEntry, ok bool, err error) {
	text, version, err := e.store.Value(ctx, blueprint, name, key)
	if err != nil {
		return entry, false, faultFrom(err, "")
	}
	value := starlib.StoreValue(initial, key, text)
	return StoreEntry{key, value, version == 0}, value != nil, nil
}

// StoreEntries gives a data store's entries with keys not before from, in order, at most
// limit. next is where the following page begins, "" after the last one.
func (e *Engine) StoreEntries(ctx context.Context, blueprint, name string, initial map[string]json.RawMessage, from string, limit int) (entries []StoreEntry, next string, err error) {
	kept, more, err := e.store.ValuePage(ctx, blueprint, name, from, limit)
	if err != nil {
		return nil, "", faultFrom(err, "")
	}
	texts := make(map[string]json.RawMessage, len(kept))
	for _, v := range kept {
		texts[v.Key] = v.Text
	}
	keys := slices.Collect(maps.Keys(texts))
	if more { // what is kept after the page is not known yet
		next = kept[len(kept)-1].Key + "\x00"
	}
	for key := range initial {
		if _, known := texts[key]; !known && key >= from && (!more || key < next) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		if len(entries) == limit {
			return entries, key, nil
		}
		text, written := texts[key]
		if value := starlib.StoreValue(initial, key, text); value != nil { // nil: it was deleted
			entries = append(entries, StoreEntry{key, value, !written})
		}
	}
	return entries, next, nil
}
