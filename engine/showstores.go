package engine

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"orrery/engine/store"
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
	kept, err := e.store.ValuePage(ctx, blueprint, name, from, limit+1)
	if err != nil {
		return nil, "", faultFrom(err, "")
	}
	texts := make(map[string]*store.Value, len(kept))
	for i := range kept {
		texts[kept[i].Key] = &kept[i]
	}
	keys := slices.Collect(maps.Keys(texts))
	for key := range initial {
		// Beyond the end of a full page the kept values are not known yet.
		if _, known := texts[key]; !known && key >= from && (len(kept) <= limit || key < kept[limit].Key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		if len(entries) == limit {
			return entries, key, nil
		}
		entry := StoreEntry{Key: key, Initial: true}
		var text json.RawMessage
		if v := texts[key]; v != nil {
			entry.Initial, text = false, v.Text
		}
		if entry.Value = starlib.StoreValue(initial, key, text); entry.Value != nil {
			entries = append(entries, entry)
		}
	}
	if len(kept) > limit { // some of them were deletions
		next = kept[limit].Key
	}
	return entries, next, nil
}
