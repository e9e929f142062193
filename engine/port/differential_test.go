package port_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"testing"

	"orrery/engine/blueprint"
	"orrery/engine/job"
	"orrery/engine/port"
	"orrery/engine/sandbox"
)

// This file is the proof by comparison: Python blueprints are run by CPython itself, with
// plain objects in the library's place (testdata/harness.py), over generated inputs; the
// ported blueprints take the same steps and must do the same.

// jobsOfEach is how many jobs each blueprint is walked through; steps are several times that.
const jobsOfEach = 25

// recorded is what the harness prints for one file.
type recorded struct {
	Fault string `json:"fault"`
	Jobs  []struct {
		Blueprint string `json:"blueprint"`
		Steps     []struct {
			Given given `json:"given"`
			Did   did   `json:"did"`
		} `json:"steps"`
	} `json:"jobs"`
}

type given struct {
	State   string                                `json:"state"`
	Initial json.RawMessage                       `json:"initial_data"`
	History json.RawMessage                       `json:"state_history"`
	Results map[string]result                     `json:"results"`
	Stores  map[string]map[string]json.RawMessage `json:"stores"`
}

type result struct {
	Status string          `json:"status"`
	Data   json.RawMessage `json:"data"`
	Type   string          `json:"task_type"`
}

type did struct {
	Error   *string                               `json:"error"`
	Actions json.RawMessage                       `json:"actions"`
	History json.RawMessage                       `json:"state_history"`
	Log     [][2]string                           `json:"log"`
	Stores  map[string]map[string]json.RawMessage `json:"stores"`
}

func needPython(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil && os.Getenv("ORRERY_REQUIRE_PYTHON") != "" {
		t.Fatal("python3 is not installed, and ORRERY_REQUIRE_PYTHON asks for it")
	}
	if err != nil {
		t.Skip("python3 is not installed: what CPython does can not be compared with")
	}
	return path
}

// pythonBlueprints reads testdata/py.
func pythonBlueprints(t *testing.T) []port.File {
	t.Helper()
	paths, err := filepath.Glob("testdata/py/*.py")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no Python blueprints: %v", err)
	}
	var files []port.File
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, port.File{Name: filepath.Base(p), Text: text})
	}
	return files
}

// record runs the files in CPython. match needs 3.10; older ones leave that file out.
func record(t *testing.T, python string, files []port.File) map[string]*recorded {
	t.Helper()
	texts := map[string]string{}
	for _, f := range files {
		texts[f.Name] = string(f.Text)
	}
	request, err := json.Marshal(map[string]any{"seed": 20261123, "jobs": jobsOfEach, "files": texts})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-B", "testdata/harness.py")
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(request), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the harness failed: %v\n%s", err, stderr.String())
	}
	all := map[string]*recorded{}
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestPortedBlueprintsDoWhatPythonDid(t *testing.T) {
	python := needPython(t)
	files := pythonBlueprints(t)
	if len(files) < 40 {
		t.Errorf("%d blueprints; 40 are promised", len(files))
	}
	results, err := port.Convert(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, r := range results {
		texts[r.Star] = r.Text
	}
	all := record(t, python, files)
	steps := 0
	for _, r := range results {
		t.Run(strings.TrimSuffix(r.Python, ".py"), func(t *testing.T) {
			want := all[r.Python]
			if want != nil && strings.Contains(want.Fault, "SyntaxError") {
				t.Skip("this Python is older than the language of the file: " + want.Fault)
			}
			if !r.Good() {
				t.Fatalf("it was not ported: %v\n%v", r.Entries, r.Findings)
			}
			if want == nil || want.Fault != "" {
				t.Fatalf("Python itself could not run it: %+v", want)
			}
			program, err := blueprint.Compile(r.Star, texts)
			if err != nil {
				t.Fatalf("%v\n%s", err, r.Text)
			}
			byName := map[string]*blueprint.Blueprint{}
			for _, b := range program.Blueprints {
				byName[b.Name] = b
			}
			for _, j := range want.Jobs {
				for _, s := range j.Steps {
					steps++
					if !sameStep(t, byName[j.Blueprint], s.Given, s.Did) {
						t.Fatalf("the ported file is not the same")
					}
				}
			}
		})
	}
	t.Logf("%d files, %d steps compared", len(results), steps)
}

// memoryStores answers reads of data stores.
type memoryStores map[string]map[string]json.RawMessage

func (m memoryStores) Get(_ context.Context, store, key string) (json.RawMessage, int64, error) {
	if v, ok := m[store][key]; ok {
		return v, 1, nil
	}
	return nil, 0, nil
}

func (m memoryStores) Keys(_ context.Context, store string) ([]string, error) {
	var names []string
	for k := range m[store] {
		names = append(names, k)
	}
	sort.Strings(names)
	return names, nil
}

// Near says that nothing is waited for.
func (m memoryStores) Near(bool) bool { return true }

// sameStep lets the ported blueprint take a step and compares it with what Python did.
func sameStep(t *testing.T, b *blueprint.Blueprint, in given, want did) bool {
	t.Helper()
	var results []job.Result
	for id, r := range in.Results {
		results = append(results, job.Result{TaskID: id, Type: r.Type, Status: r.Status, Data: r.Data})
	}
	sort.Slice(results, func(i, k int) bool { return results[i].TaskID < results[k].TaskID })
	d := sandbox.Run(t.Context(), sandbox.Step{
		Blueprint: b, State: in.State, Initial: in.Initial, History: in.History, Results: results,
		Job: &job.Job{ID: "job-1", Blueprint: b.Name, State: in.State,
			Client: job.Client{ID: "c-1", Plan: "free", Params: json.RawMessage(`{"plan": "free", "languages": ["en"]}`)}},
		Host: sandbox.Host{Stores: memoryStores(in.Stores), Env: func(string) (string, bool) { return "", false }},
	})
	fail := func(what string, got, want any) bool {
		t.Errorf("state %s with initial_data %s and state_history %s: %s\n got %v\nwant %v", in.State, in.Initial, in.History, what, got, want)
		return false
	}
	if (d.Failure != nil) != (want.Error != nil) {
		if d.Failure != nil {
			return fail("it failed: "+d.Failure.Trace, d.Failure.Message, "no failure")
		}
		return fail("it did not fail", "", *want.Error)
	}
	if got, want := logLines(d.Log), pythonLog(want.Log); got != want {
		return fail("log", got, want)
	}
	if d.Failure != nil {
		return true
	}
	if got, want := actionsOf(d), string(want.Actions); !sameJSON(got, want) {
		return fail("actions", got, want)
	}
	history := in.History
	if d.StateHistory != nil {
		history = d.StateHistory
	}
	if !sameJSON(string(history), string(want.History)) {
		return fail("state_history", string(history), string(want.History))
	}
	for _, w := range d.Writes {
		if got, want := string(w.Value), string(want.Stores[w.Store][w.Key]); !sameJSON(got, want) {
			return fail("the store "+w.Store+"."+w.Key, got, want)
		}
	}
	return true
}

// quotes is the one normalisation: containers are printed with double quotes here.
var quotes = strings.NewReplacer(`\"`, `"`, `\'`, `"`, "'", `"`)

func logLines(list []job.LogLine) string {
	var b strings.Builder
	for _, l := range list {
		fmt.Fprintf(&b, "%s: %s\n", l.Level, quotes.Replace(strings.TrimRight(l.Message, "\n")))
	}
	return b.String()
}

func pythonLog(list [][2]string) string {
	var b strings.Builder
	for _, l := range list {
		fmt.Fprintf(&b, "%s: %s\n", l[0], quotes.Replace(strings.TrimRight(l[1], "\n")))
	}
	return b.String()
}

// actionsOf writes a Decision as the harness writes what was called.
func actionsOf(d job.Decision) string {
	list := []map[string]any{}
	switch d.Kind {
	case job.Transition:
		list = append(list, map[string]any{"kind": "transition", "target": d.Target, "error_message": d.ErrorMessage, "after": d.After})
	case job.Dispatch:
		for _, task := range d.Tasks {
			one := taskOf(task)
			one["kind"] = "dispatch"
			list = append(list, one)
		}
	case job.Parallel:
		tasks := []map[string]any{}
		for _, task := range d.Tasks {
			one := taskOf(task)
			one["transitions"] = map[string]string{} // the gathering adds its own
			tasks = append(tasks, one)
		}
		list = append(list, map[string]any{"kind": "parallel", "into": d.Into, "tasks": tasks})
	case job.RunChild:
		list = append(list, map[string]any{"kind": "child", "blueprint": d.Child.Blueprint, "initial_data": d.Child.InitialData, "transitions": d.Child.Transitions})
	case job.AskApproval:
		list = append(list, map[string]any{"kind": "approval", "integration": d.Approval.Integration, "message": d.Approval.Message, "transitions": d.Approval.Transitions})
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func taskOf(s job.TaskSpec) map[string]any {
	one := map[string]any{"task_type": s.Type, "params": s.Params, "transitions": s.Transitions}
	if s.Priority != 0 {
		one["priority"] = fmt.Sprint(s.Priority)
	}
	if s.MaxCost != nil {
		one["max_cost"] = fmt.Sprint(*s.MaxCost)
	}
	if s.Strategy != "" {
		one["dispatch_strategy"] = s.Strategy
	}
	if s.Resources != nil {
		one["resource_requirements"] = s.Resources
	}
	if s.Timeout != 0 {
		one["timeout_seconds"] = fmt.Sprint(s.Timeout)
	}
	return one
}

// sameJSON compares values; an int and a float of one value are told apart by their text.
func sameJSON(a, b string) bool {
	read := func(s string) (v any) {
		dec := json.NewDecoder(strings.NewReader(s))
		dec.UseNumber()
		if err := dec.Decode(&v); err != nil {
			return err.Error()
		}
		return plainNumbers(v)
	}
	return reflect.DeepEqual(read(a), read(b))
}

// plainNumbers makes floats equal whose texts differ (1e3 and 1000.0); ints stay texts.
func plainNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			f, err := v.Float64()
			if err == nil {
				return f
			}
		}
		return v.String()
	case []any:
		for i := range v {
			v[i] = plainNumbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plainNumbers(v[k])
		}
	}
	return v
}
