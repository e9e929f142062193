package job

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// This file merges and compares JSON objects key by key without decoding the values, so
// that numbers, key order and nested text stay exactly as scripts and workers wrote them.

// Field is one key of a JSON object and its value as text.
type Field struct {
	Key   string
	Value json.RawMessage
}

// Fields splits an object into its top-level fields, in order. nil and "null" are empty.
// The values share memory with the object.
func Fields(object json.RawMessage) ([]Field, error) {
	if len(object) == 0 || string(object) == "null" {
		return nil, nil
	}
	if !json.Valid(object) {
		return nil, errors.New("not JSON")
	}
	s := scanner{text: object}
	s.space()
	if s.text[s.at] != '{' {
		return nil, fmt.Errorf("not a JSON object: it starts with %q", s.text[s.at])
	}
	s.at++
	var fields []Field
	for {
		s.space()
		switch s.text[s.at] {
		case '}':
			return fields, nil
		case ',':
			s.at++
			continue
		}
		begin := s.at
		s.skipText()
		key, err := unquote(s.text[begin:s.at])
		if err != nil {
			return nil, err
		}
		s.space()
		s.at++ // the colon
		s.space()
		begin = s.at
		s.skipValue()
		fields = append(fields, Field{key, s.text[begin:s.at:s.at]})
	}
}

// scanner steps over valid JSON; encoding/json's own decoder takes five times as long for it.
type scanner struct {
	text []byte
	at   int
}

func (s *scanner) space() {
	for s.text[s.at] == ' ' || s.text[s.at] == '\n' || s.text[s.at] == '\t' || s.text[s.at] == '\r' {
		s.at++
	}
}

// skipText steps over a string, quotes included.
func (s *scanner) skipText() {
	for s.at++; s.text[s.at] != '"'; s.at++ {
		if s.text[s.at] == '\\' {
			s.at++
		}
	}
	s.at++
}

func (s *scanner) skipValue() {
	depth := 0
	for {
		switch s.text[s.at] {
		case '"':
			s.skipText()
		case '{', '[':
			depth++
			s.at++
		case '}', ']':
			if depth == 0 { // the end of the object that holds a bare number or word
				return
			}
			depth--
			s.at++
		case ',', ' ', '\n', '\t', '\r':
			if depth == 0 {
				return
			}
			s.at++
			continue
		default:
			s.at++
			continue
		}
		if depth == 0 {
			return
		}
	}
}

// unquote gives a key's text; most keys hold no escape.
func unquote(quoted []byte) (string, error) {
	if bytes.IndexByte(quoted, '\\') < 0 && utf8.Valid(quoted) {
		return string(quoted[1 : len(quoted)-1]), nil
	}
	var key string
	err := json.Unmarshal(quoted, &key)
	return key, err
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
	if len(base) == 0 || string(base) == "{}" {
		return Object(add), nil
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
	if plain(s) {
		return append(append(append(make([]byte, 0, len(s)+2), '"'), s...), '"')
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil { // a string always encodes
		panic(err)
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// plain says that a string is its own JSON text.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
