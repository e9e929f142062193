package starlib

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// This file compares the sorting of keys with the standard library's.

func FuzzSortKeys(f *testing.F) {
	for _, text := range []string{`{"b":1,"a":{"d":[],"c":null}}`, `[{"\"z":1,"\n":"}","ü":-2.5e+30},[[{}]],true]`, `"x"`, `-7`, `{}`, `{"a":{"b":{"a":1,"B":[{"z":0,"y":"\\"}]}}}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.UseNumber()
		var v any
		if dec.Decode(&v) != nil || dec.More() || strings.ContainsAny(string(text), "\x7f\u2028\u2029\ufffd") {
			return // not what the border writes
		}
		// Keys that stand twice, spaces and needless escapes are not the border's: write it anew,
		// with the keys in the order that comes.
		var want bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			return
		}
		in := unsorted(v)
		if got := sortKeys(in); !bytes.Equal(got, bytes.TrimSpace(want.Bytes())) {
			t.Errorf("%s became\n%s, want\n%s", in, got, want.Bytes())
		}
	})
}

// unsorted writes a value with the members of its objects in whatever order a map gives.
func unsorted(v any) []byte {
	var out bytes.Buffer
	switch v := v.(type) {
	case map[string]any:
		sep := byte('{')
		for k, x := range v {
			out.WriteByte(sep)
			out.Write(unsorted(k))
			out.WriteByte(':')
			out.Write(unsorted(x))
			sep = ','
		}
		if sep == '{' {
			out.WriteByte('{')
		}
		out.WriteByte('}')
	case []any:
		out.WriteByte('[')
		for i, x := range v {
			if i > 0 {
				out.WriteByte(',')
			}
			out.Write(unsorted(x))
		}
		out.WriteByte(']')
	default:
		enc := json.NewEncoder(&out)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			panic(err) // it was decoded from JSON
		}
		return bytes.TrimSpace(out.Bytes())
	}
	return out.Bytes()
}
