package job

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

// This file tests the handling of objects against encoding/json.

func FuzzFields(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1}`, ` { "a" : [1, {"b":"}"}] , "c\n\"":"x\\" ,"n":null, "t":true,"f":-1.5e3} `,
		`{"ключ":"ñ","":{}}`, `[1]`, `1`, `"x"`, `{`, `{"a":1,}`, "{\"\xff\":1}", `{"a":1,"a":2}`, `null`, ``} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		fields, err := Fields(text)
		var want map[string]json.RawMessage
		wantErr := json.Unmarshal(text, &want)
		if len(text) == 0 || string(text) == "null" {
			wantErr = nil
		}
		if (err == nil) != (wantErr == nil) {
			if bytes.Equal(bytes.TrimSpace(text), []byte("null")) {
				return // " null " is no object to us
			}
			t.Fatalf("%q: got %v, encoding/json says %v", text, err, wantErr)
		}
		got := map[string]json.RawMessage{}
		for _, f := range fields {
			got[f.Key] = f.Value
		}
		if err == nil && len(want)+len(got) > 0 && !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: got %s, want %s", text, got, want)
		}
		if err == nil {
			again, err := Fields(Object(fields))
			if err != nil || len(again) != len(fields) {
				t.Fatalf("%q does not survive the way back: %v", text, err)
			}
		}
	})
}

func TestMergeAndDiff(t *testing.T) {
	merged, err := Merge(json.RawMessage(`{"a":1,"b":{"x":[1,2]}}`), json.RawMessage(`{"b":2,"c\"":"é"}`))
	if want := `{"a":1,"b":2,"c\"":"é"}`; err != nil || string(merged) != want {
		t.Errorf("merged %s %v, want %s", merged, err, want)
	}
	set, unset, err := Diff(json.RawMessage(`{"a":1,"b":2,"z":0}`), json.RawMessage(`{"a":1,"b":3,"n":null}`))
	if err != nil || len(set) != 2 || string(set["b"]) != "3" || string(set["n"]) != "null" || len(unset) != 1 || unset[0] != "z" {
		t.Errorf("set %s unset %v %v", set, unset, err)
	}
	if _, err := Merge(nil, json.RawMessage(`[1]`)); err == nil {
		t.Error("a list was merged")
	}
}

func BenchmarkFields(b *testing.B) {
	text := json.RawMessage(`{"n":1,"text":"some text of a usual length","list":[1,2,3],"nested":{"a":{"b":"c"}},"flag":true}`)
	for b.Loop() {
		if _, err := Fields(text); err != nil {
			b.Fatal(err)
		}
	}
}
