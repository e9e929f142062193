package startest

import (
	"encoding/json"
	"fmt"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"orrery/engine"
	"orrery/engine/job"
	"orrery/engine/simulate"
	"orrery/engine/store"
	"orrery/starlib/border"
)

// This file holds the names of test files, and the replies that a worker can give.

// names gives what test files find defined beside the names of blueprints.
func names() starlark.StringDict {
	return starlark.StringDict{
		"run":     starlark.NewBuiltin("run", runOne),
		"world":   starlark.NewBuiltin("world", newWorld),
		"table":   starlark.NewBuiltin("table", newTable),
		"success": starlark.NewBuiltin("success", success),
		"failure": starlark.NewBuiltin("failure", failure),
		"reply":   starlark.NewBuiltin("reply", anyReply),
		"dies":    starlark.NewBuiltin("dies", dies),
		"expect":  expectModule(),
	}
}

// replyValue is what a worker does with a task.
type replyValue struct{ answer simulate.Answer }

var _ starlark.Value = (*replyValue)(nil)

func (r *replyValue) String() string      { return fmt.Sprintf("<reply %s>", r.answer.Outcome.Status) }
func (*replyValue) Type() string          { return "reply" }
func (*replyValue) Freeze()               {}
func (*replyValue) Truth() starlark.Bool  { return true }
func (*replyValue) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: reply") }

// timing holds the keywords that all replies share.
type timing struct {
	after    starlark.Value
	twice    bool
	deaf     bool
	progress *starlark.List
}

// pairs are those keywords for UnpackArgs.
func (t *timing) pairs() []any {
	return []any{"after_seconds?", &t.after, "twice?", &t.twice, "ignores_cancel?", &t.deaf, "progress?", &t.progress}
}

// answer joins a result with its timing.
func (t *timing) answer(call string, o engine.Outcome) (starlark.Value, error) {
	a := simulate.Answer{Outcome: o, Twice: t.twice, Deaf: t.deaf}
	var err error
	if a.After, err = seconds(call, "after_seconds", t.after); err != nil {
		return nil, err
	}
	if t.progress == nil {
		return &replyValue{a}, nil
	}
	for i := range t.progress.Len() {
		var p store.Progress
		switch x := t.progress.Index(i).(type) {
		case starlark.Tuple:
			if len(x) != 2 {
				return nil, fmt.Errorf("%s: progress[%d] has %d parts; write (0.5, \"message\") or 0.5", call, i, len(x))
			}
			share, ok := starlark.AsFloat(x[0])
			text, isText := starlark.AsString(x[1])
			if !ok || !isText {
				return nil, fmt.Errorf("%s: progress[%d] is %s; write (0.5, \"message\") or 0.5", call, i, x)
			}
			p.Progress, p.Message = share, text
		default:
			share, ok := starlark.AsFloat(x)
			if !ok {
				return nil, fmt.Errorf("%s: progress[%d] is %s; write (0.5, \"message\") or 0.5", call, i, x)
			}
			p.Progress = share
		}
		a.Progress = append(a.Progress, p)
	}
	return &replyValue{a}, nil
}

// seconds reads a duration; None and nothing are 0.
func seconds(call, name string, v starlark.Value) (time.Duration, error) {
	if v == nil || v == starlark.None {
		return 0, nil
	}
	const most = 366 * 24 * 3600
	f, ok := starlark.AsFloat(v)
	if !ok || f < 0 || f > most {
		return 0, fmt.Errorf("%s: %s is %s; it is a number of seconds from 0 to %d (366 days)", call, name, v, most)
	}
	return time.Duration(f * float64(time.Second)), nil
}

// success is success(data={}): the worker has done it.
func success(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	return result(b, args, kwargs, "success")
}

// anyReply is reply(status, data={}): a status of the worker's own.
func anyReply(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	return result(b, args, kwargs, "")
}

// result reads the arguments of both; the status of reply comes first.
func result(b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple, status string) (starlark.Value, error) {
	data := starlark.Value(new(starlark.Dict))
	var t timing
	pairs := append([]any{"data?", &data}, t.pairs()...)
	if status == "" {
		pairs = append([]any{"status", &status}, pairs...)
	}
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, pairs...); err != nil {
		return nil, err
	}
	raw, err := border.Encode(data, "data", 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return t.answer(b.Name(), engine.Outcome{Status: status, Data: raw})
}

// failure is failure(message="", code="TRANSIENT_ERROR", details=None, data={}).
func failure(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	e := &job.Error{Message: "the worker failed", Code: job.CodeTransient}
	details, data := starlark.Value(starlark.None), starlark.Value(starlark.None)
	var t timing
	pairs := append([]any{"message?", &e.Message, "code?", &e.Code, "details?", &details, "data?", &data}, t.pairs()...)
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, pairs...); err != nil {
		return nil, err
	}
	o := engine.Outcome{Status: "failure", Error: e}
	if details != starlark.None {
		raw, err := border.Encode(details, "details", 0)
		if err == nil {
			err = json.Unmarshal(raw, &e.Details)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: details: %w; it is a dict", b.Name(), err)
		}
	}
	if data != starlark.None {
		raw, err := border.Encode(data, "data", 0)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.Name(), err)
		}
		o.Data = raw
	}
	return t.answer(b.Name(), o)
}

// lostAfter is when a silent worker loses its tasks: WORKER_TTL_SECONDS of a server.
const lostAfter = 45

// dies is dies(after_seconds=45): the worker takes the task and vanishes.
func dies(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	after := starlark.Value(starlark.MakeInt(lostAfter))
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "after_seconds?", &after); err != nil {
		return nil, err
	}
	d, err := seconds(b.Name(), "after_seconds", after)
	if err != nil {
		return nil, err
	}
	return &replyValue{simulate.Answer{Dies: true, After: d, Outcome: engine.Outcome{Status: "lost"}}}, nil
}

// tableValue is one function with the arguments of several cases.
type tableValue struct {
	fn   *starlark.Function
	rows []row
	line int
}

type row struct {
	name   string
	kwargs []starlark.Tuple
}

var _ starlark.Value = (*tableValue)(nil)

func (t *tableValue) String() string       { return fmt.Sprintf("<table of %d cases>", len(t.rows)) }
func (*tableValue) Type() string           { return "table" }
func (t *tableValue) Truth() starlark.Bool { return len(t.rows) > 0 }
func (*tableValue) Hash() (uint32, error)  { return 0, fmt.Errorf("unhashable: table") }
func (t *tableValue) Freeze() {
	t.fn.Freeze()
	for _, r := range t.rows {
		for _, kw := range r.kwargs {
			kw.Freeze()
		}
	}
}

// newTable is table(fn, {"row": {"argument": value}}).
func newTable(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var rows *starlark.Dict
	t := &tableValue{}
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "fn", &t.fn, "rows", &rows); err != nil {
		return nil, err
	}
	if thread.CallStackDepth() > 1 {
		t.line = int(thread.CallFrame(1).Pos.Line)
	}
	for k, v := range rows.Entries() {
		name, ok := starlark.AsString(k)
		arguments, isDict := v.(*starlark.Dict)
		if !ok || !isDict {
			return nil, fmt.Errorf("%s: the row %s is %s; rows are a dict of names to dicts of arguments", b.Name(), k, v.Type())
		}
		r := row{name: name}
		for k, v := range arguments.Entries() {
			if _, ok := k.(starlark.String); !ok {
				return nil, fmt.Errorf("%s: the row %q has the key %s; its keys are names of parameters", b.Name(), name, k)
			}
			r.kwargs = append(r.kwargs, starlark.Tuple{k, v})
		}
		t.rows = append(t.rows, r)
	}
	if len(t.rows) == 0 {
		return nil, fmt.Errorf("%s: there are no rows, so nothing would be tested", b.Name())
	}
	return t, nil
}

// taskStruct is what a worker function gets.
func taskStruct(t job.Task) (starlark.Value, error) {
	params, err := decode(t.Params, "params")
	if err != nil {
		return nil, err
	}
	return starlarkstruct.FromStringDict(starlarkstruct.Default, starlark.StringDict{
		"task_type": starlark.String(t.Type), "params": params, "attempt": starlark.MakeInt(t.Attempt),
		"priority": starlark.Float(t.Priority), "job_id": starlark.String(t.JobID), "state": starlark.String(t.JobState),
	}), nil
}

// decode reads JSON as scripts see it; nothing is None.
func decode(raw json.RawMessage, where string) (starlark.Value, error) {
	if len(raw) == 0 {
		return starlark.None, nil
	}
	return border.Decode(raw, where)
}
