package api

import (
	"fmt"
	"strings"
	"testing"
)

// This file tests the look for names that an object has twice.

func TestNamesThatStandTwice(t *testing.T) {
	var many strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&many, `"k%d":%d,`, i, i)
	}
	for text, twice := range map[string]bool{
		`{}`: false, `[]`: false, `"a"`: false, `7`: false,
		`{"a":1,"b":{"a":2}}`:               false,
		`{"a":{"a":{"a":1}}}`:               false,
		`[{"a":1},{"a":2},"a","a"]`:         false,
		`{"a":"a","b":"a","c":["a","a"]}`:   false,
		`{"a\"":1,"a":2,"a\\":3}`:           false,
		`{"a":1,"a":2}`:                     true,
		`{"x":[{"a":1,"b":{"c":1},"a":2}]}`: true,
		`{"a":1,"\u0061":2}`:                true,
		`{"":1,"":2}`:                       true,
		`{ "a" : [1,{"z":2}] , "a" : 2 }`:   true,
		`{` + many.String() + `"z":1}`:      false,
		`{` + many.String() + `"k999":1}`:   true,
	} {
		if err := checkJSON([]byte(text), 100); (err != nil) != twice {
			t.Errorf("%.60s: %v", text, err)
		}
	}
}

func BenchmarkCheckNames(b *testing.B) {
	raw := []byte(`{"initial_data":{"user":"ann","items":[{"id":1,"n":2},{"id":2,"n":3}],"note":"text of a job"}}`)
	b.ReportAllocs()
	for b.Loop() {
		if err := checkNames(raw); err != nil {
			b.Fatal(err)
		}
	}
}
