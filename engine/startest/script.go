package startest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"orrery/engine/job"
	"orrery/engine/simulate"
	"orrery/starlib/border"
)

// This file plays the outside of a job as workers= and approvals= of run() say it.

// script is the outside of one job.
type script struct {
	thread *starlark.Thread
	args   *jobArgs
	used   map[string]int // replies and decisions taken so far, by their key
}

func (s *script) scripted(taskType string) bool {
	_, found := lookup(s.args.workers, taskType)
	return found
}

// absent says that no worker serves a type: workers = {"type": None}.
func (s *script) absent(taskType string) bool {
	v, found := lookup(s.args.workers, taskType)
	return found && v == starlark.None
}

// answer finds the reply to a task. A type that is not scripted is an error: a test that
// guesses proves nothing.
func (s *script) answer(t job.Task) (simulate.Answer, error) {
	v, found := lookup(s.args.workers, t.Type)
	if !found {
		return simulate.Answer{}, fmt.Errorf("state %q dispatched a task %q, for which workers has no reply; scripted are: %s (or emulate = True)",
			t.JobState, t.Type, keysOf(s.args.workers))
	}
	where := fmt.Sprintf("workers[%q]", t.Type)
	if list, ok := v.(*starlark.List); ok {
		if list.Len() == 0 {
			return simulate.Answer{}, fmt.Errorf("%s is an empty list; give a reply, or None for no worker at all", where)
		}
		n := s.used["task "+t.Type]
		s.used["task "+t.Type]++
		v = list.Index(min(n, list.Len()-1)) // the last is used again
	}
	if fn, ok := v.(starlark.Callable); ok {
		task, err := taskStruct(t)
		if err != nil {
			return simulate.Answer{}, err
		}
		if v, err = starlark.Call(s.thread, fn, starlark.Tuple{task}, nil); err != nil {
			return simulate.Answer{}, fmt.Errorf("%s failed: %w", where, err)
		}
	}
	switch v := v.(type) {
	case *replyValue:
		return v.answer, nil
	case *starlark.Dict: // short for success(data)
		raw, err := border.Encode(v, where, 0)
		a := simulate.Answer{}
		a.Outcome.Status, a.Outcome.Data = "success", raw
		return a, err
	}
	return simulate.Answer{}, fmt.Errorf("%s gives %s; a reply is success(...), failure(...), reply(...), dies(), a dict of data, or a function of the task that gives one", where, v.Type())
}

// decide finds the decision for an approval; "" leaves it to its deadline.
func (s *script) decide(q simulate.Question) (string, error) {
	v, found := lookup(s.args.approvals, q.State)
	if !found && s.args.emulate && len(q.Decisions) > 0 {
		return q.Decisions[0], nil
	}
	if !found {
		return "", fmt.Errorf("state %q waits for a person, and approvals has no decision for it; write approvals = {%q: DECISION}, one of: %s, timeout",
			q.State, q.State, strings.Join(q.Decisions, ", "))
	}
	where := fmt.Sprintf("approvals[%q]", q.State)
	if list, ok := v.(*starlark.List); ok {
		n := s.used["approval "+q.State]
		if n >= list.Len() {
			return "", fmt.Errorf("%s has %d decisions, and state %q waits once more", where, list.Len(), q.State)
		}
		s.used["approval "+q.State]++
		v = list.Index(n)
	}
	if fn, ok := v.(starlark.Callable); ok {
		var err error
		if v, err = starlark.Call(s.thread, fn, starlark.Tuple{starlark.String(q.Message)}, nil); err != nil {
			return "", fmt.Errorf("%s failed: %w", where, err)
		}
	}
	decision, ok := starlark.AsString(v)
	if !ok {
		return "", fmt.Errorf("%s gives %s; a decision is one of: %s, timeout", where, v.Type(), strings.Join(q.Decisions, ", "))
	}
	if decision == "timeout" {
		return "", nil
	}
	if !slices.Contains(q.Decisions, decision) {
		return "", fmt.Errorf("%s gives %q, which the state does not offer; it offers: %s, timeout", where, decision, strings.Join(q.Decisions, ", "))
	}
	return decision, nil
}

// check finds what was scripted for nothing: replies in a list that no task took, which is
// most often a wrong name.
func (s *script) check() error {
	for _, x := range []struct {
		what, noun string
		dict       *starlark.Dict
	}{{"task ", "workers", s.args.workers}, {"approval ", "approvals", s.args.approvals}} {
		if x.dict == nil {
			continue
		}
		for k, v := range x.dict.Entries() {
			list, isList := v.(*starlark.List)
			name, ok := starlark.AsString(k)
			if !ok {
				return fmt.Errorf("%s has the key %s; its keys are text", x.noun, k)
			}
			if used := s.used[x.what+name]; isList && used < list.Len() {
				return fmt.Errorf("%s[%q] lists %d answers, and %d were taken", x.noun, name, list.Len(), used)
			}
		}
	}
	return nil
}

// lookup finds a key of a dict that may be nil.
func lookup(d *starlark.Dict, key string) (starlark.Value, bool) {
	if d == nil {
		return nil, false
	}
	v, found, _ := d.Get(starlark.String(key)) // text is always hashable
	return v, found
}

func keysOf(d *starlark.Dict) string {
	if d == nil || d.Len() == 0 {
		return "none"
	}
	var names []string
	for _, k := range d.Keys() {
		if name, ok := starlark.AsString(k); ok {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// readClient turns client={"plan": ..., ...} into who asks. As on a server, every setting
// beside plan is one of the client's params, and those may also stand under "params".
func readClient(raw json.RawMessage) (*simulate.Client, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, err
	}
	c := &simulate.Client{}
	for name, to := range map[string]any{"plan": &c.Plan, "params": &c.Params} {
		v, ok := all[name]
		if !ok {
			continue
		}
		if err := json.Unmarshal(v, to); err != nil {
			return nil, fmt.Errorf("client: %q is %s", name, v)
		}
		delete(all, name)
	}
	if len(all) > 0 {
		var names []string
		for name := range all {
			names = append(names, name)
		}
		slices.Sort(names)
		return nil, fmt.Errorf("client has %s; its keys are plan and params (a dict of all other settings)", strings.Join(names, ", "))
	}
	return c, nil
}
