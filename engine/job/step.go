package job

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// This file applies a handler's decision.

func (w *move) decide(e Decided) error {
	j, d := &w.c.Job, e.Decision
	if w.trace = e.Trace; w.trace == nil {
		w.trace = j.Trace
	}
	if !j.Ready {
		return &Illegal{Event: "decided", Status: j.Status, Why: "no step is due"}
	}
	j.Step++
	rec := Record{Kind: RecStep, Step: j.Step, Duration: float64(d.Duration.Microseconds()) / 1000, Handler: d.Handler, Log: d.Log, Acts: d.Acts}
	w.c.Reads = d.Reads // also of a step that fails: it may fail by what it read
	if d.Failure != nil {
		failure := *d.Failure
		w.fail(&failure, Quarantined, rec)
		return nil
	}
	if err := w.keepHistory(d.StateHistory, e.Before, &rec); err != nil {
		w.refuse(err, rec)
		return nil
	}
	w.c.Writes = d.Writes
	if w.isEnd(j.State) {
		p, _ := w.Chart.Place(j.State)
		if j.Ending != "" {
			p.Status = j.Ending
		}
		if p.Status == Finished {
			j.Error = nil // what failed on the way was made good; the history keeps it
		}
		w.finish(p.Status)
		w.record(rec)
		return nil
	}
	if err := w.act(e, &rec); err != nil {
		w.refuse(err, rec)
		return nil
	}
	if err := w.overLimit(); err != nil {
		w.refuse(err, rec)
		return nil
	}
	w.record(rec)
	return nil
}

// refuse quarantines the job where it stood: a step that fails changes nothing else.
func (w *move) refuse(err *Error, rec Record) {
	w.c.StateHistory, w.c.Tasks, w.c.Outbox, w.c.Writes = nil, nil, nil, nil
	w.c.Job.State, w.c.Job.Wait = w.from, nil
	rec.Set, rec.Unset, rec.Tasks = nil, nil, nil
	w.fail(err, Quarantined, rec)
}

// keepHistory puts a new state_history into the change and what differs into the record.
func (w *move) keepHistory(now, before json.RawMessage, rec *Record) *Error {
	if now == nil {
		return nil
	}
	if w.MaxHistory > 0 && len(now) > w.MaxHistory {
		return &Error{Code: CodeSizeLimit, Message: fmt.Sprintf(
			"state_history would have %d bytes; the limit is %d: keep large data in files or in a data store", len(now), w.MaxHistory)}
	}
	set, unset, err := Diff(before, now)
	if err != nil {
		return &Error{Code: CodeScript, Message: "state_history can not be kept: " + err.Error()}
	}
	rec.Set, rec.Unset = set, unset
	if len(set)+len(unset) > 0 {
		w.c.StateHistory = now
	}
	return nil
}

// act does the one kind of action that the step chose.
func (w *move) act(e Decided, rec *Record) *Error {
	j, d := &w.c.Job, e.Decision
	switch d.Kind {
	case Transition:
		return w.transition(d)
	case Dispatch, Parallel:
		err := w.dispatch(d)
		for _, t := range w.c.Tasks {
			rec.Tasks = append(rec.Tasks, TaskNote{N: t.N, Type: t.Type, Priority: t.Priority})
		}
		return err
	case RunChild:
		return w.runChild(*d.Child, e.ChildShard)
	case AskApproval:
		w.askApproval(*d.Approval)
		return nil
	case NoAction:
		return &Error{Code: CodeScript, Message: fmt.Sprintf(
			"handler %s of state %q called no action: call actions.transition_to, dispatch_task, dispatch_parallel, run_blueprint or await_human_approval, or register the state with is_end = True", d.Handler, j.State)}
	}
	return &Error{Code: CodeScript, Message: fmt.Sprintf("unknown kind of action %q", d.Kind)}
}

func (w *move) transition(d Decision) *Error {
	j := &w.c.Job
	if d.ErrorMessage != "" {
		j.Reason = d.ErrorMessage
	}
	if err := w.refuseAggregator(d.Target); err != nil {
		return err
	}
	if d.After > 0 {
		if w.Chart != nil {
			if _, ok := w.Chart.Place(d.Target); !ok {
				return w.enter(d.Target) // gives the error
			}
		}
		until := w.now.Add(time.Duration(d.After * float64(time.Second))).Truncate(time.Millisecond)
		w.wait(Wait{For: WaitingTimer, Until: &until, Into: d.Target,
			Detail: fmt.Sprintf("waits %gs before it enters %q", d.After, d.Target)})
		return nil
	}
	j.Streak++
	return w.enter(d.Target)
}

func (w *move) refuseAggregator(state string) *Error {
	if w.Chart == nil {
		return nil
	}
	if p, ok := w.Chart.Place(state); ok && p.Aggregator {
		return &Error{Code: CodeScript, Message: fmt.Sprintf(
			"transition_to(%q): that state is an aggregator; it is entered when the tasks dispatched to it have succeeded", state)}
	}
	return nil
}

// overLimit stops jobs that run in circles.
func (w *move) overLimit() *Error {
	j := &w.c.Job
	if w.MaxStreak > 0 && j.Streak > w.MaxStreak {
		return &Error{Code: CodeTransitionLimit, Message: fmt.Sprintf(
			"%d transitions in a row without waiting for anything; the limit is %d. The last states: %s", j.Streak, w.MaxStreak, strings.Join(j.Recent, " -> "))}
	}
	if w.MaxSteps > 0 && j.Step >= w.MaxSteps && !w.isEnd(j.State) {
		return &Error{Code: CodeStepLimit, Message: fmt.Sprintf(
			"%d steps in one job; the limit is %d. The last states: %s", j.Step, w.MaxSteps, strings.Join(j.Recent, " -> "))}
	}
	return nil
}

// dispatch queues one task, or a group that an aggregator joins.
func (w *move) dispatch(d Decision) *Error {
	j := &w.c.Job
	into, err := w.groupTarget(d)
	if err != nil {
		return err
	}
	if d.Kind == Parallel && len(d.Tasks) == 0 {
		j.Group = j.Step
		j.Streak++
		return w.enter(into)
	}
	cancelled := ""
	for _, spec := range d.Tasks {
		t := w.newTask(spec, into)
		if cancelled == "" {
			cancelled = t.Transitions["cancelled"]
		}
		w.c.Tasks = append(w.c.Tasks, t)
	}
	v := Wait{For: WaitingWorker, Task: j.LastTask, Detail: "task " + strconv.Quote(d.Tasks[0].Type) + " is queued for a worker"}
	if into != "" {
		j.Group = j.Step
		v = Wait{For: WaitingParallel, Into: into, Open: len(d.Tasks), Total: len(d.Tasks),
			Detail: fmt.Sprintf("%d tasks run in parallel before %q", len(d.Tasks), into)}
	} else {
		v.Until = w.c.Tasks[0].Due
	}
	if cancelled != "" {
		v.Transitions = map[string]string{"cancelled": cancelled}
	}
	w.wait(v)
	return nil
}

// groupTarget gives the aggregator that the tasks lead to, or "" for a single plain task.
func (w *move) groupTarget(d Decision) (string, *Error) {
	into := d.Into
	if d.Kind == Dispatch {
		first := d.Tasks[0].Transitions["success"]
		aggregator := false
		if w.Chart != nil {
			p, ok := w.Chart.Place(first)
			aggregator = ok && p.Aggregator
		}
		if len(d.Tasks) == 1 && !aggregator {
			return "", nil
		}
		into = first
	}
	for i, t := range d.Tasks {
		if s := t.Transitions["success"]; d.Kind == Dispatch && s != into {
			return "", &Error{Code: CodeScript, Message: fmt.Sprintf(
				"tasks that run in parallel must all name one aggregator as \"success\": task 1 (%s) names %q, task %d (%s) names %q", d.Tasks[0].Type, into, i+1, t.Type, s)}
		}
	}
	if w.Chart != nil {
		if p, ok := w.Chart.Place(into); !ok || !p.Aggregator {
			return "", &Error{Code: CodeScript, Message: fmt.Sprintf(
				"tasks that run in parallel must lead to an aggregator: %q is registered with handler_for; use bp.aggregator_for(%q)", into, into)}
		}
	}
	return into, nil
}

func (w *move) newTask(s TaskSpec, into string) Task {
	j := &w.c.Job
	j.LastTask++
	t := Task{
		JobID: j.ID, N: j.LastTask, State: TaskQueued, Step: j.Step, JobState: w.from,
		Type: s.Type, Params: s.Params, Transitions: s.Transitions, Strategy: s.Strategy,
		Priority: s.Priority, MaxCost: s.MaxCost, Resources: s.Resources, Retry: s.Retry,
		Branch: into != "", Into: into, Queued: w.now, Trace: w.trace, Files: filesIn(s.Params, j.Files),
	}
	t.Timeout = smaller(s.Timeout, s.ResultTimeout)
	if t.Timeout == 0 {
		t.Timeout = j.ResultTimeout
	}
	limit := s.DispatchTimeout
	if limit == 0 {
		limit = j.DispatchTimeout
	}
	if limit > 0 {
		at := w.now.Add(time.Duration(limit * float64(time.Second))).Truncate(time.Millisecond)
		t.Dispatch, t.Due = &at, &at
	}
	return t
}

// smaller gives the smaller of two limits, where 0 means none.
func smaller(a, b float64) float64 {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}

func (w *move) runChild(c ChildSpec, shard byte) *Error {
	j := &w.c.Job
	id := DerivedID(w.now, shard, fmt.Sprintf("%s/%d/child", j.ID, j.Step))
	body, err := json.Marshal(ChildStart{
		ChildID: id, Blueprint: c.Blueprint, Revision: j.Revision, InitialData: c.InitialData,
		Parent: Ref{j.ID, j.Step}, Depth: j.Depth + 1, Client: j.Client, Trace: w.trace,
		DispatchTimeout: c.DispatchTimeout, ResultTimeout: c.ResultTimeout,
	})
	if err != nil {
		return &Error{Code: CodeScript, Message: "run_blueprint: initial_data can not be kept: " + err.Error()}
	}
	w.post(Message{Kind: MsgChildStart, To: id, Body: body})
	w.wait(Wait{For: WaitingSubJob, Child: id, Transitions: c.Transitions,
		Detail: fmt.Sprintf("sub-blueprint %q runs as job %s", c.Blueprint, id)})
	return nil
}

func (w *move) askApproval(a Approval) {
	j := &w.c.Job
	v := Wait{For: WaitingHuman, Transitions: a.Transitions, Integration: a.Integration, Message: a.Message,
		Detail: fmt.Sprintf("a person decides (%s): %s", a.Integration, a.Message)}
	if a.Timeout > 0 {
		until := w.now.Add(time.Duration(a.Timeout * float64(time.Second))).Truncate(time.Millisecond)
		v.Until = &until
	}
	w.wait(v)
	decisions := slices.DeleteFunc(slices.Sorted(maps.Keys(a.Transitions)), func(k string) bool { return k == "timeout" })
	body := encoded(ApprovalRequest{JobID: j.ID, Step: j.Step, Blueprint: j.Blueprint, Integration: a.Integration,
		Message: a.Message, Decisions: decisions, Until: v.Until, Extra: a.Extra}) // Extra was encoded by the sandbox: it is valid JSON
	w.post(Message{Kind: MsgApproval, To: a.Integration, Body: body})
}
