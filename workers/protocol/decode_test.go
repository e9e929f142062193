package protocol

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"testing"
)

// FuzzMembers holds the splitter to encoding/json.
func FuzzMembers(f *testing.F) {
	for _, text := range []string{
		`{}`, ` { } `, `{"a":1}`, "{\n\"a\" : 1 ,\t\"b\":[1,{\"x\":\"}\"}\"}], \"c\":\"q\\\"w\\\\\" }", `{"a":1,"a":2}`, `{"\u0061":null,"":false}`,
		`{"a":{"b":{"c":[]}},"d":-1.5e3}`, `[1]`, `{"a":tru}`, `{"a":1,}`, `null`, `{"\ud800":1}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var want map[string]json.RawMessage
		known := bytes.ToValidUTF8(body, []byte("\uFFFD"))
		fails := json.Unmarshal(known, &want) != nil || want == nil
		o, err := decodeObject(body)
		if err == nil && fails {
			t.Fatalf("%q is taken, and encoding/json does not take it", body)
		}
		if err != nil {
			if !fails && checkDepth(body) == nil {
				t.Fatalf("%q is refused: %v", body, err)
			}
			return
		}
		got := o.byName()
		if !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))) {
			t.Fatalf("%q has the members %q, want %q", body, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		}
		for name, value := range got {
			if !bytes.Equal(value, want[name]) || !bytes.Equal(o.get(name), value) {
				t.Fatalf("member %q of %q is %q and %q, want %q", name, body, value, o.get(name), want[name])
			}
		}
	})
}

// BenchmarkParseResult reads what a worker sends after a short task.
func BenchmarkParseResult(b *testing.B) {
	body := []byte(`{"job_id":"01b8e0ab-8a46-7077-ba10-3e5fbf19a907","task_id":"01b8e0ab-8a46-7077-ba10-3e5fbf19a907.1.1-abcdef","worker_id":"bench-7","result":{"status":"success","data":{"echo":{"n":12345,"text":"hello"}}}}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseResult(body); err != nil {
			b.Fatal(err)
		}
	}
}
