package job

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// This file merges and compares JSON objects key by key without decoding the values, so
// that numbers, key order and nested text stay exactly as scripts and workers wrote them.

// Field is one key of a JSON object and its value as text.
type Field struct {
	Key   string
	Value json.RawMessage
}

// Fields splits an object into its top-level fields, in order. nil and "null" are empty.
func Fields(object json.RawMessage) ([]Field, error) {
	if len(object) == 0 || string(object) == "null" {
		return nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(object))
	tok, err := dec.Token()
	if err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if tok != json.Delim('{') {
		return nil, fmt.Errorf("not a JSON object: it starts with %v", tok)
	}
	var fields []Field
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("not JSON: %w", err)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, fmt.Errorf("not JSON: %w", err)
		}
		fields = append(fields, Field{key.(string), value})
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	return fields, nil
}

// Object joins fields to an object.
func Object(fields []Field) json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range fields {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(quote(f.Key))
		b.WriteByte(':')
		b.Write(f.Value)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// Merge sets the fields of patch in base; keys that base has keep their place.
func Merge(base, patch json.RawMessage) (json.RawMessage, error) {
	add, err := Fields(patch)
	if err != nil {
		return nil, err
	}
	if len(add) == 0 {
		return base, nil
	}
	fields, err := Fields(base)
	if err != nil {
		return nil, err
	}
	at := make(map[string]int, len(fields))
	for i, f := range fields {
		at[f.Key] = i
	}
	for _, f := range add {
		if i, ok := at[f.Key]; ok {
			fields[i].Value = f.Value
			continue
		}
		at[f.Key] = len(fields)
		fields = append(fields, f)
	}
	return Object(fields), nil
}

// Diff tells which top-level keys must be set and removed to come from one object to another.
func Diff(from, to json.RawMessage) (set map[string]json.RawMessage, unset []string, err error) {
	if bytes.Equal(from, to) {
		return nil, nil, nil
	}
	old, err := Fields(from)
	if err != nil {
		return nil, nil, err
	}
	now, err := Fields(to)
	if err != nil {
		return nil, nil, err
	}
	was := make(map[string]json.RawMessage, len(old))
	for _, f := range old {
		was[f.Key] = f.Value
	}
	for _, f := range now {
		if before, ok := was[f.Key]; !ok || !bytes.Equal(before, f.Value) {
			if set == nil {
				set = map[string]json.RawMessage{}
			}
			set[f.Key] = f.Value
		}
		delete(was, f.Key)
	}
	for _, f := range old {
		if _, gone := was[f.Key]; gone {
			unset = append(unset, f.Key)
		}
	}
	return set, unset, nil
}

// quote writes a string as JSON without escaping <, > and &.
func quote(s string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil { // a string always encodes
		panic(err)
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}
