package startest

import (
	"encoding/json"
	"errors"
	"fmt"

	"go.starlark.net/starlark"

	"orrery/engine/simulate"
)

// This file is the value that run() gives: a job that has ended, with all it left behind.

// jobValue is a finished simulation as tests see it.
type jobValue struct {
	fields starlark.StringDict
	order  []string
}

var _ starlark.HasAttrs = (*jobValue)(nil)

func (j *jobValue) String() string {
	return fmt.Sprintf("<job %s in %s>", text(j.fields["status"]), text(j.fields["state"]))
}
func (*jobValue) Type() string          { return "job" }
func (j *jobValue) Freeze()             { j.fields.Freeze() }
func (*jobValue) Truth() starlark.Bool  { return true }
func (*jobValue) Hash() (uint32, error) { return 0, errors.New("unhashable: job") }

// AttrNames lists what a job has: data, and expect.
func (j *jobValue) AttrNames() []string { return append([]string{"expect"}, j.order...) }

// Attr gives one of the names.
func (j *jobValue) Attr(name string) (starlark.Value, error) {
	if name == "expect" {
		return starlark.NewBuiltin("expect", expectJob).BindReceiver(j), nil
	}
	if v, ok := j.fields[name]; ok {
		return v, nil
	}
	return nil, nil
}

func text(v starlark.Value) string {
	s, _ := starlark.AsString(v)
	return s
}

// jobFields are the names of a job's data, in the order in which a mismatch shows them.
var jobFields = []string{
	"status", "state", "path", "error", "error_message", "state_history", "initial_data", "tasks", "children",
	"stores", "files", "webhooks", "progress", "ignored", "log", "took_seconds", "stuck", "blueprint", "id",
}

// newJob makes the value of a report. stores is nil for children, which share their parent's world.
func newJob(r *running, report *simulate.JobReport, stores map[string]map[string]json.RawMessage) (*jobValue, error) {
	type plain map[string]any
	webhooks := report.Webhooks
	if webhooks == nil {
		webhooks = []json.RawMessage{}
	}
	tasks := make([]any, 0, len(report.Dispatched))
	for _, t := range report.Dispatched {
		tasks = append(tasks, t)
	}
	progress := make([]plain, 0, len(report.Progress))
	for _, p := range report.Progress {
		progress = append(progress, plain{"progress": p.Progress, "message": p.Message})
	}
	ignored := make([]plain, 0, len(report.Ignored))
	for _, i := range report.Ignored {
		ignored = append(ignored, plain{"task_type": i.TaskType, "status": i.Status, "reason": i.Reason, "attempt": i.Attempt})
	}
	lines := make([]string, 0, len(report.Log))
	for _, l := range report.Log {
		lines = append(lines, l.Level+": "+l.Message)
	}
	var cause any
	if e := report.Cause; e != nil {
		cause = e
	} else if report.Error != nil {
		cause = report.Error
	}
	if stores == nil {
		stores = map[string]map[string]json.RawMessage{}
	}
	j := &jobValue{fields: starlark.StringDict{}, order: jobFields}
	for name, v := range map[string]any{
		"status": report.Status, "state": report.FinalState, "path": report.Path, "error": cause, "error_message": report.Reason,
		"state_history": report.StateHistory, "initial_data": report.InitialData, "tasks": tasks, "stores": stores,
		"progress": progress, "ignored": ignored, "webhooks": webhooks, "log": lines, "took_seconds": report.Took.Seconds(), "stuck": report.Stuck,
		"blueprint": report.Blueprint, "id": report.JobID, "files": report.Files,
	} {
		raw, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		if j.fields[name], err = decode(raw, name); err != nil {
			return nil, err
		}
	}
	var children []starlark.Value
	for i := range report.Children {
		child, err := newJob(r, &report.Children[i], nil)
		if err != nil {
			return nil, err
		}
		children = append(children, child)
	}
	j.fields["children"] = starlark.NewList(children)
	return j, nil
}
