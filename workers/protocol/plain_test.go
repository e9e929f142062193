package protocol

import (
	"encoding/json"
	"math"
	"testing"
)

// The short way of writing a task gives what encoding/json does, or leaves it to that.
func TestPlainTasksAreWrittenAsJSONDoes(t *testing.T) {
	plain := 0
	for _, name := range []string{"echo", "a.b-c_9", "<b>&", "a b~", "q\"", "b\\", "tab\t", "é", "\x7f", "\xff", "\u2028"} {
		for _, priority := range []float64{0, -3, 2.5, 1e9, 1e10, 1e300} {
			for _, params := range []string{`{}`, `{"a":[1,2.5,"<x>\u00e9"],"b":null}`, `{"a":`, `{"a":1}}`} {
				for _, deadline := range []int64{0, 1795391943} {
					w := wireTask{JobID: "j-" + name, TaskID: name, Type: name, Params: json.RawMessage(params), Tracing: map[string]string{}, Priority: priority, Deadline: deadline}
					got, ok := w.plain()
					want, err := marshal(w)
					switch {
					case ok && (err != nil || string(got) != string(want)):
						t.Errorf("%+v is written as\n%s, want\n%s (%v)", w, got, want, err)
					case ok:
						plain++
					case err == nil && name == "echo" && priority == 0:
						t.Errorf("%+v goes the long way", w)
					}
				}
			}
		}
	}
	if plain != 4*3*2*2 {
		t.Errorf("%d went the short way, want 4 names with 3 numbers, 2 params and 2 deadlines", plain)
	}
	for _, w := range []wireTask{
		{JobID: "j", TaskID: "t", Type: "e", Params: json.RawMessage("{}"), Sig: "s"},
		{JobID: "j", TaskID: "t", Type: "e", Params: json.RawMessage("{}"), Tracing: map[string]string{"traceparent": "x"}},
		{JobID: "j", TaskID: "t", Type: "e", Params: json.RawMessage("{}"), Files: map[string]wireFile{"p": {}}},
		{JobID: "j", TaskID: "t", Type: "e", Params: json.RawMessage("{}"), Priority: math.NaN()},
	} {
		if out, ok := w.plain(); ok {
			t.Errorf("%+v went the short way: %s", w, out)
		}
	}
}
