package engine

import (
	"encoding/json"
	"fmt"
	"testing"

	"orrery/engine/job"
)

// This file tests how data stores are shown.

func TestStoresAreShownAsHandlersReadThem(t *testing.T) {
	r := newRig(t)
	// kept: b, d, gone (as a deletion of an initial value), z. Initial: a, d, gone, y.
	r.begin("shelf", `{"first": [["incr", "b"], ["incr", "d"], ["incr", "z"]]}`)
	j := r.job(r.begin("straight", `{}`))
	deletion := &job.Change{Job: *j, Base: j.Version, Writes: []job.StoreWrite{{Store: "s", Key: "gone", Value: json.RawMessage("null")}}}
	deletion.Job.Version++
	deletion.Job.Blueprint = "shelf"
	if err := r.rows.Commit(r.ctx, deletion); err != nil {
		t.Fatal(err)
	}
	initial := map[string]json.RawMessage{"a": json.RawMessage(`"A"`), "d": json.RawMessage("7"), "gone": json.RawMessage("1"), "y": json.RawMessage("[]")}
	want := `a "A" true,b 1 false,d 1 false,y [] true,z 1 false,`
	for limit := 1; limit <= 7; limit++ {
		got, from := "", ""
		for more := true; more; more = from != "" {
			entries, next, err := r.StoreEntries(r.ctx, "shelf", "s", initial, from, limit)
			if err != nil || len(entries) > limit {
				t.Fatalf("%d entries, %v", len(entries), err)
			}
			for _, e := range entries {
				got += fmt.Sprintf("%s %s %v,", e.Key, e.Value, e.Initial)
			}
			from = next
		}
		if got != want {
			t.Errorf("by pages of %d: %s\nwant %s", limit, got, want)
		}
	}

	all, err := r.Stores(r.ctx, Initial{"shelf": {"s": initial, "empty": {}}, "count": {"counter": {"n": json.RawMessage("0")}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(all); got != "[{count counter 1 true} {shelf empty 0 true} {shelf s 5 true}]" {
		t.Errorf("stores are %s", got)
	}
	if all, err = r.Stores(r.ctx, nil); err != nil || fmt.Sprint(all) != "[{shelf s 4 false}]" {
		t.Errorf("of blueprints that are gone: %v, %v", all, err)
	}
	for key, want := range map[string]string{"a": `"A" true true`, "b": "1 false true", "gone": " false false", "never": " true false"} {
		e, ok, err := r.StoreValue(r.ctx, "shelf", "s", initial, key)
		if got := fmt.Sprintf("%s %v %v", e.Value, e.Initial, ok); err != nil || got != want {
			t.Errorf("%s is %s (%v), want %s", key, got, err, want)
		}
	}
}
