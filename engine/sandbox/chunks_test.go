package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"orrery/engine/blueprint"
	"orrery/engine/job"
)

// This file runs testdata/*.star: chunks between lines of ---, each the body of a handler.
// A line that must fail ends in `### text of the message`; the message must hold the text,
// and the failure's place must be that line. A chunk without one must succeed.

const chunkHead = `
bp = blueprint(name = "t", data_stores = {"cache": {"total": 5, "list": [1, 2.0]}})
def done(context): pass
bp.handler_for("done", is_end = True)(done)
def gather(context, actions): actions.transition_to("done")
bp.aggregator_for("gather")(gather)
frozen_list = [1]
def eq(got, want):
    if got != want or type(got) != type(want):
        fail("got %r, want %r" % (got, want))
def start(context, actions):
`

const chunkTail = "\nbp.handler_for(\"start\", is_start = True)(start)\n"

func TestChunks(t *testing.T) {
	names, err := filepath.Glob("testdata/*.star")
	if err != nil || len(names) < 3 {
		t.Fatalf("test files: %v, %v", names, err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		line := 1
		for _, chunk := range strings.Split(string(text), "\n---\n") {
			t.Run(fmt.Sprintf("%s/line %d", filepath.Base(name), line), func(t *testing.T) { runChunk(t, chunk) })
			line += strings.Count(chunk, "\n") + 2
		}
	}
}

func runChunk(t *testing.T, chunk string) {
	lines := strings.Split(strings.TrimRight(chunk, "\n"), "\n")
	wantLine, want := 0, ""
	for i, line := range lines {
		if code, text, ok := strings.Cut(line, "### "); ok {
			wantLine, want = i+1+strings.Count(chunkHead, "\n"), text
			lines[i] = code
		}
		lines[i] = "    " + lines[i]
	}
	src := chunkHead + strings.Join(lines, "\n") + chunkTail
	p, err := blueprint.Compile("chunk.star", map[string]string{"chunk.star": src})
	if err != nil {
		t.Fatalf("%v\n%s", err, chunk)
	}
	st := step(p.Blueprints[0], "start")
	st.Host = testHost()
	st.Limits = DefaultLimits()
	st.Limits.Time = 20 * time.Second // no chunk is about time, and a race build on a busy machine has little of it
	st.Now = time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	st.Job.Client = job.Client{ID: "c1", Plan: "premium", Params: json.RawMessage(`{"languages":["en"]}`)}
	st.Job.Trace = map[string]string{"traceparent": "00-1-2-03"}
	d := Run(context.Background(), st)
	switch {
	case want == "" && d.Failure != nil:
		t.Errorf("failed: %s\n%s\n%s", d.Failure.Message, d.Failure.Trace, chunk)
	case want != "" && d.Failure == nil:
		t.Errorf("did not fail with %q:\n%s", want, chunk)
	case want != "":
		if !strings.Contains(d.Failure.Message, want) {
			t.Errorf("message %q\nlacks  %q\n%s", d.Failure.Message, want, chunk)
		}
		if d.Failure.Line != wantLine || d.Failure.File != "chunk.star" {
			t.Errorf("failed at %s:%d, want line %d\n%s\n%s", d.Failure.File, d.Failure.Line, wantLine, d.Failure.Trace, chunk)
		}
	}
}

// fakeStores is a store of one value a key; version 7 throughout.
type fakeStores map[string]json.RawMessage

func (f fakeStores) Get(_ context.Context, store, key string) (json.RawMessage, int64, error) {
	if key == "broken" {
		return nil, 0, errors.New("the disk is gone")
	}
	if v, ok := f[store+"/"+key]; ok {
		return v, 7, nil
	}
	return nil, 0, nil
}

func (f fakeStores) Near(bool) bool { return false }

func (f fakeStores) Keys(_ context.Context, store string) ([]string, error) {
	var keys []string
	for k := range f {
		if key, ok := strings.CutPrefix(k, store+"/"); ok {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

type fakeJobs struct{}

func (fakeJobs) JobState(_ context.Context, id string) (json.RawMessage, error) {
	if id == "job-1" {
		return json.RawMessage(`{"id":"job-1","status":"quarantined"}`), nil
	}
	return nil, nil
}

func testHost() Host {
	return Host{
		Stores: fakeStores{"cache/kept": json.RawMessage(`"k"`), "cache/number": json.RawMessage(`10`)}, Jobs: fakeJobs{},
		Env:   func(name string) (string, bool) { return "value of " + name, name == "ALLOWED" },
		Sleep: func(context.Context, time.Duration) error { return nil },
	}
}
