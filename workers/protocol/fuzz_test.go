// Fuzz targets: no input may panic, and what is accepted obeys the promises.

package protocol_test

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"

	"orrery/workers/protocol"
)

// seeds adds every recorded message and some hostile ones.
func seeds(f *testing.F) {
	f.Helper()
	files, err := filepath.Glob("testdata/age-*.jsonl")
	if err != nil || len(files) == 0 {
		f.Fatalf("no transcripts in testdata: %v", err)
	}
	for _, path := range files {
		for _, r := range readRecords(f, path) {
			f.Add([]byte(r.Body))
		}
	}
	for _, s := range []string{"", "null", "{}", "[]", `{"worker_id":null}`, `{"result":{"result":{}},"task_id":0}`, `{"supported_skills":[null]}`, `{"a":1e999}`, "{\"task_id\":\"\xff\"}"} {
		f.Add([]byte(s))
	}
}

// checkError asks that every refusal is typed and says what to do.
func checkError(t *testing.T, err error) {
	t.Helper()
	var typed *protocol.Error
	if !errors.As(err, &typed) || typed.Code == "" || typed.What == "" {
		t.Fatalf("untyped error %v", err)
	}
}

func FuzzParseRegister(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := protocol.ParseRegister(body)
		if err != nil {
			checkError(t, err)
			return
		}
		if !protocol.ValidID(r.ID) || len(r.Raw) > protocol.MaxRawBytes {
			t.Fatalf("accepted %+v", r)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Fatalf("cannot be kept: %v", err)
		}
		protocol.DetectAge(func(string) string { return "" }, body)
		protocol.DetectAge(func(h string) string { return map[string]string{protocol.HeaderVersion: "x"}[h] }, body)
	})
}

func FuzzParseHeartbeat(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		h, err := protocol.ParseHeartbeat(body)
		if err != nil {
			checkError(t, err)
			return
		}
		if len(h.CurrentTasks) > 0 && !h.HasCurrentTasks {
			t.Fatalf("tasks that were not said: %+v", h)
		}
		h.Available(protocol.AgeC, true)
		h.Catalogue(protocol.AgeC)
	})
}

func FuzzParseResult(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := protocol.ParseResult(body)
		if err != nil {
			checkError(t, err)
			return
		}
		if r.TaskID == "" || r.Status == "" || (r.Status == protocol.ResultFailure && r.Error == nil) {
			t.Fatalf("accepted %+v", r)
		}
		if r.Data != nil && !json.Valid(r.Data) {
			t.Fatalf("data is no JSON: %q", r.Data)
		}
	})
}

func FuzzParseEvent(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := protocol.ParseEvent(body)
		if err != nil {
			checkError(t, err)
			return
		}
		if e.Type == "" || e.Progress < 0 || e.Progress > 1 {
			t.Fatalf("accepted %+v", e)
		}
	})
}

func FuzzCanonical(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		once, err := protocol.Canonical(body)
		if err != nil {
			checkError(t, err)
			return
		}
		twice, err := protocol.Canonical(once)
		if err != nil || string(once) != string(twice) {
			t.Fatalf("not stable: %s then %s (%v)", once, twice, err)
		}
		if err := protocol.Verify(body, "k"); err != nil {
			checkError(t, err)
		}
	})
}
