package job

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// This file tests what a job remembers of files in results, and hands on.

func notesOf(t *testing.T, known json.RawMessage) map[string]FileNote {
	t.Helper()
	var notes []FileNote
	if len(known) > 0 {
		if err := json.Unmarshal(known, &notes); err != nil {
			t.Fatal(err)
		}
	}
	out := map[string]FileNote{}
	for _, n := range notes {
		out[n.URI] = n
	}
	if len(out) != len(notes) {
		t.Errorf("a file is noted twice: %s", known)
	}
	return out
}

func TestFilesOfResultsAreHandedOn(t *testing.T) {
	known, kept := noteFiles(nil, json.RawMessage(`{"a":{"uri":"s3://b/x","size":3,"etag":"e1"},"dir":{"uri":"s3://b/d/","size":9},"bad":{"size":1},"nothing":null}`))
	if string(kept)[0] != '{' || len(notesOf(t, known)) != 2 {
		t.Fatalf("known is %s, kept %s", known, kept)
	}
	known, _ = noteFiles(known, json.RawMessage(`{"b":{"uri":"s3://b/x","size":4,"etag":"e2"}}`))
	if n := notesOf(t, known)["s3://b/x"]; n.Size != 4 || n.ETag != "e2" {
		t.Errorf("the newest note of a file does not count: %s", known)
	}
	params := json.RawMessage(`{"v":"s3://b/x","in":{"list":["s3://b/d/","s3://b/unknown",{"deep":"s3://b/x"}]},"n":1}`)
	var got map[string]FileNote
	if err := json.Unmarshal(filesIn(params, known), &got); err != nil {
		t.Fatal(err)
	}
	x := FileNote{URI: "s3://b/x", Size: 4, ETag: "e2"}
	want := map[string]FileNote{"v": x, "in.list[0]": {URI: "s3://b/d/", Size: 9}, "in.list[2].deep": x}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("handed on is %v, want %v", got, want)
	}
	for _, params := range []string{`{}`, `{"v":"s3://b/other"}`, `{"s3://b/x":1}`} {
		if got := filesIn(json.RawMessage(params), known); got != nil {
			t.Errorf("%s gets %s", params, got)
		}
	}
}

// Metadata of a lying or broken worker is bounded, and never refuses a result.
func TestFilesOfResultsAreBounded(t *testing.T) {
	for _, bad := range []string{``, `null`, `[]`, `"x"`, `{"a":1}`, `{"a":{"uri":1}}`, `{`, `{}`} {
		if known, kept := noteFiles(json.RawMessage(`[]`), json.RawMessage(bad)); string(known) != "[]" || kept != nil {
			t.Errorf("%s leaves %s, %s", bad, known, kept)
		}
	}
	var known json.RawMessage
	for i := range 200 {
		known, _ = noteFiles(known, json.RawMessage(fmt.Sprintf(`{"a":{"uri":"s3://b/%d","size":%d}}`, i, i)))
	}
	notes := notesOf(t, known)
	if _, newest := notes["s3://b/199"]; len(notes) != filesKept || !newest {
		t.Errorf("%d notes are kept, want the newest %d", len(notes), filesKept)
	}
	long := `{"a":{"uri":"s3://b/` + strings.Repeat("x", 40<<10) + `","size":1}}`
	now, kept := noteFiles(known, json.RawMessage(long))
	if len(notesOf(t, now)) != filesKept || len(kept) > 100 || !json.Valid(kept) {
		t.Errorf("metadata of 40 KiB leaves %d bytes of history and %d notes", len(kept), len(notesOf(t, now)))
	}
}
