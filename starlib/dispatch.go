package starlib

import (
	"fmt"

	"go.starlark.net/starlark"

	"orrery/engine/job"
	"orrery/starlib/guard"
)

// This file holds dispatch_task and dispatch_parallel: one task's keywords, and what tasks
// that run together must have in common.

var strategies = []string{"default", "round_robin", "least_connections", "cheapest", "best_value"}

// taskArgs are the keywords of one task, for both ways to dispatch it.
type taskArgs struct {
	kind                                                                      string
	params, transitions, priority, cost, resources, timeout, dispatch, result starlark.Value
	strategy, retry                                                           starlark.Value
}

func newTaskArgs() *taskArgs {
	none := starlark.Value(starlark.None)
	return &taskArgs{params: none, transitions: none, priority: none, cost: none, resources: none, timeout: none, dispatch: none, result: none, strategy: none, retry: none}
}

func (a *taskArgs) unpack(call string, args starlark.Tuple, kwargs []starlark.Tuple) error {
	return starlark.UnpackArgs(call, args, kwargs, "task_type", &a.kind, "params?", &a.params, "transitions?", &a.transitions,
		"dispatch_strategy?", &a.strategy, "priority?", &a.priority, "max_cost?", &a.cost, "resource_requirements?", &a.resources,
		"timeout_seconds?", &a.timeout, "dispatch_timeout_seconds?", &a.dispatch, "result_timeout_seconds?", &a.result, "retry?", &a.retry)
}

// spec checks the keywords and makes the task.
func (a *taskArgs) spec(s *Scope, thread *starlark.Thread, call string) (job.TaskSpec, error) {
	t := job.TaskSpec{Type: a.kind}
	if a.kind == "" {
		return t, fmt.Errorf("%s: task_type is empty", call)
	}
	err := nameFault(call, "task_type", a.kind)
	if err != nil {
		return t, err
	}
	if t.Params, err = s.object(call, "params", a.params, s.Limits.ParamsBytes, CodeParams); err != nil {
		return t, err
	}
	if t.Transitions, err = s.transitions(thread, call, a.transitions, true); err != nil {
		return t, err
	}
	if t.Strategy, err = strategy(call, a.strategy); err != nil {
		return t, err
	}
	if a.priority != starlark.None {
		if t.Priority, err = number(call, "priority", a.priority); err != nil {
			return t, err
		}
	}
	if a.cost != starlark.None {
		cost, err := number(call, "max_cost", a.cost)
		if err != nil {
			return t, err
		}
		if cost < 0 {
			return t, fmt.Errorf("%s: max_cost is %s; it cannot be negative", call, guard.Show(a.cost, 80))
		}
		t.MaxCost = &cost
	}
	if a.resources != starlark.None {
		if t.Resources, err = s.object(call, "resource_requirements", a.resources, s.Limits.ParamsBytes, CodeParams); err != nil {
			return t, err
		}
	}
	if t.Timeout, err = seconds(call, "timeout_seconds", a.timeout); err != nil {
		return t, err
	}
	if t.DispatchTimeout, err = seconds(call, "dispatch_timeout_seconds", a.dispatch); err != nil {
		return t, err
	}
	if t.ResultTimeout, err = seconds(call, "result_timeout_seconds", a.result); err != nil {
		return t, err
	}
	t.Retry, err = s.retry(thread, call, a.retry)
	return t, err
}

func strategy(call string, v starlark.Value) (string, error) {
	if v == starlark.None {
		return "", nil
	}
	name, ok := starlark.AsString(v)
	if ok {
		for _, known := range strategies {
			if name == known {
				return name, nil
			}
		}
	}
	return "", fmt.Errorf("%s: dispatch_strategy is %s; it must be one of %s", call, guard.Show(v, 80), quoted(strategies))
}

// retry reads a number of tries after the first, or a dict.
func (s *Scope) retry(thread *starlark.Thread, call string, v starlark.Value) (*job.RetryPolicy, error) {
	p := job.DefaultRetry
	if s.Retries > 0 {
		p.Max = s.Retries
	}
	switch v := v.(type) {
	case starlark.NoneType:
		return nil, nil
	case starlark.Int:
		n, err := tries(call, "retry", v)
		p.Max = n
		p.Never = n == 0
		return &p, err
	case *starlark.Dict:
		for k, x := range v.Entries() {
			if err := s.retryKey(thread, call, &p, k, x); err != nil {
				return nil, err
			}
		}
		return &p, nil
	}
	return nil, fmt.Errorf("%s: retry is %s; it must be a number of retries or a dict with max, initial_seconds, factor, max_seconds, only", call, v.Type())
}

func (s *Scope) retryKey(thread *starlark.Thread, call string, p *job.RetryPolicy, k, v starlark.Value) (err error) {
	switch name, _ := starlark.AsString(k); name {
	case "max":
		p.Max, err = tries(call, "retry max", v)
		p.Never = p.Max == 0
	case "initial_seconds":
		p.Initial, err = seconds(call, "retry initial_seconds", v)
	case "max_seconds":
		p.Cap, err = seconds(call, "retry max_seconds", v)
	case "factor":
		if p.Factor, err = number(call, "retry factor", v); err == nil && (p.Factor < 1 || p.Factor > 1000) {
			err = fmt.Errorf("%s: retry factor is %s; it must be from 1 to 1000", call, guard.Show(v, 80))
		}
	case "only":
		p.Only, err = s.retryCodes(thread, call, v)
	default:
		return fmt.Errorf("%s: retry has no key %s; it has max, initial_seconds, factor, max_seconds, only", call, guard.Show(k, 80))
	}
	return err
}

// retryCodes reads the error codes of retry's only.
func (s *Scope) retryCodes(thread *starlark.Thread, call string, v starlark.Value) (codes []string, err error) {
	list, ok := v.(starlark.Iterable)
	if !ok {
		return nil, fmt.Errorf("%s: retry only is %s; it must be a list of error codes", call, v.Type())
	}
	for x := range starlark.Elements(list) {
		code, ok := starlark.AsString(x)
		if !ok {
			return nil, fmt.Errorf("%s: retry only has %s; error codes are text", call, guard.Show(x, 80))
		}
		if err := countFault(CodeRetryCodes, call, "retry only", maxRetryCodes, len(codes)+1); err != nil {
			return nil, err
		}
		if err := nameFault(call, "an error code of retry only", code); err != nil {
			return nil, err
		}
		if err := s.charge(thread, 1, outcomeBytes+len(code)); err != nil {
			return nil, err
		}
		codes = append(codes, code)
	}
	return codes, nil
}

func tries(call, name string, v starlark.Value) (int, error) {
	n, err := starlark.AsInt32(v)
	if err != nil || n < 0 || n > 1_000_000 {
		return 0, fmt.Errorf("%s: %s is %s; it must be a whole number from 0 to 1000000", call, name, guard.Show(v, 80))
	}
	return n, nil
}

func dispatchTask(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	a := newTaskArgs()
	if err := a.unpack(b.Name(), args, kwargs); err != nil {
		return nil, err
	}
	s := b.Receiver().(*actions).s
	if err := s.begin(thread, job.Dispatch); err != nil {
		return nil, err
	}
	t, err := a.spec(s, thread, b.Name())
	if err != nil {
		return nil, err
	}
	if len(s.out.Tasks) > 0 {
		if err := s.together(thread, s.out.Tasks[0], t); err != nil {
			return nil, err
		}
	}
	if len(s.out.Tasks) >= s.Limits.Dispatches {
		return nil, &LimitError{Code: CodeDispatches, Text: fmt.Sprintf("dispatch_task: a step dispatches at most %d tasks, and this is one more", s.Limits.Dispatches)}
	}
	s.out.Kind = job.Dispatch
	s.out.Tasks = append(s.out.Tasks, t)
	return starlark.None, nil
}

// together checks that several dispatch_task calls of one run lead to one aggregator.
func (s *Scope) together(thread *starlark.Thread, first, next job.TaskSpec) error {
	into, also := first.Transitions["success"], next.Transitions["success"]
	place, _ := s.Chart.Place(into)
	switch {
	case !place.Aggregator:
		return fmt.Errorf("dispatch_task at %s: the task dispatched at %s leads to %q, which is no aggregator; tasks that run together need the same aggregator as success", callSite(thread), s.site, into)
	case into != also:
		return fmt.Errorf("dispatch_task at %s: success leads to %q, but that of the task dispatched at %s to %q; tasks that run together need the same aggregator", callSite(thread), also, s.site, into)
	}
	return nil
}

func dispatchParallel(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var tasks starlark.Iterable
	var into string
	var failure, cancelled starlark.Value = starlark.None, starlark.None
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "tasks", &tasks, "aggregate_into", &into, "failure?", &failure, "cancelled?", &cancelled); err != nil {
		return nil, err
	}
	s := b.Receiver().(*actions).s
	if err := s.begin(thread, job.Parallel); err != nil {
		return nil, err
	}
	if err := s.target(into, true); err != nil {
		return nil, fmt.Errorf("%s: aggregate_into: %w", b.Name(), err)
	}
	if place, _ := s.Chart.Place(into); !place.Aggregator {
		return nil, fmt.Errorf("%s: aggregate_into is %q, which is no aggregator; register it with aggregator_for", b.Name(), into)
	}
	usual := map[string]string{"success": into}
	for key, v := range map[string]starlark.Value{"failure": failure, "cancelled": cancelled} {
		state, ok := starlark.AsString(v)
		if v == starlark.None {
			continue
		}
		if !ok {
			return nil, fmt.Errorf("%s: %s is %s; it must be the name of a state", b.Name(), key, v.Type())
		}
		if err := s.target(state, false); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", b.Name(), key, err)
		}
		usual[key] = state
	}
	list := []job.TaskSpec{}
	for x := range starlark.Elements(tasks) {
		if len(list) >= s.Limits.Dispatches {
			return nil, &LimitError{Code: CodeDispatches, Text: fmt.Sprintf("%s: a step dispatches at most %d tasks, and this list has more", b.Name(), s.Limits.Dispatches)}
		}
		t, err := s.branch(thread, fmt.Sprintf("%s: tasks[%d]", b.Name(), len(list)), x, usual)
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	s.out.Kind, s.out.Into, s.out.Tasks = job.Parallel, into, list
	return starlark.None, nil
}

// branch reads one entry of dispatch_parallel: a dict with the keywords of dispatch_task.
func (s *Scope) branch(thread *starlark.Thread, call string, v starlark.Value, usual map[string]string) (job.TaskSpec, error) {
	d, ok := v.(*starlark.Dict)
	if !ok {
		return job.TaskSpec{}, fmt.Errorf("%s is %s; it must be a dict with the keywords of dispatch_task", call, v.Type())
	}
	if err := s.charge(thread, d.Len(), d.Len()*keywordBytes); err != nil {
		return job.TaskSpec{}, err
	}
	kwargs := make([]starlark.Tuple, 0, d.Len())
	for k, x := range d.Entries() {
		key, ok := k.(starlark.String)
		if !ok {
			return job.TaskSpec{}, fmt.Errorf("%s: the key %s is of type %s; keys must be text", call, guard.Show(k, 80), k.Type())
		}
		if key == "type" {
			key = "task_type"
		}
		kwargs = append(kwargs, starlark.Tuple{key, x})
	}
	a := newTaskArgs()
	if err := a.unpack(call, nil, kwargs); err != nil {
		return job.TaskSpec{}, err
	}
	t, err := a.spec(s, thread, call)
	if err != nil {
		return t, err
	}
	if own, ok := t.Transitions["success"]; ok && own != usual["success"] {
		return t, fmt.Errorf("%s: success leads to %q, but the tasks are gathered by %q", call, own, usual["success"])
	}
	if t.Transitions == nil { // nobody changes them any more
		t.Transitions = usual
		return t, nil
	}
	for key, state := range usual {
		if _, own := t.Transitions[key]; !own {
			t.Transitions[key] = state
		}
	}
	return t, nil
}
