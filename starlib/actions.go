package starlib

import (
	"encoding/json"
	"fmt"
	"math"
	"sort"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"orrery/engine/job"
	"orrery/starlib/guard"
)

// This file holds the handler's actions: what each call checks and notes. Nothing happens
// before the step is committed.

// actions is the handler's parameter of that name.
type actions struct{ s *Scope }

var _ starlark.HasAttrs = (*actions)(nil)

var actionMethods = map[string]*starlark.Builtin{
	"transition_to":        starlark.NewBuiltin("transition_to", transitionTo),
	"dispatch_task":        starlark.NewBuiltin("dispatch_task", dispatchTask),
	"dispatch_parallel":    starlark.NewBuiltin("dispatch_parallel", dispatchParallel),
	"run_blueprint":        starlark.NewBuiltin("run_blueprint", runBlueprint),
	"await_human_approval": starlark.NewBuiltin("await_human_approval", awaitHumanApproval),
}

func (a *actions) String() string        { return "<actions>" }
func (a *actions) Type() string          { return "actions" }
func (a *actions) Freeze()               {}
func (a *actions) Truth() starlark.Bool  { return starlark.True }
func (a *actions) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: actions") }

// AttrNames lists the actions, sorted.
func (a *actions) AttrNames() []string { return builtinNames(actionMethods) }

// Attr gives an action.
func (a *actions) Attr(name string) (starlark.Value, error) {
	if m, ok := actionMethods[name]; ok {
		return m.BindReceiver(a), nil
	}
	return nil, nil
}

// begin checks that the run may take this action now, and notes where it was called.
// Only dispatch_task may be called again.
func (s *Scope) begin(thread *starlark.Thread, kind job.ActionKind) error {
	if err := s.mayChange(string(kind)); err != nil {
		return err
	}
	at := callSite(thread)
	if s.out.Kind != job.NoAction && (s.out.Kind != kind || kind != job.Dispatch) {
		return fmt.Errorf("%s at %s: this run has already called %s at %s; a handler takes one kind of action (add a return after the first)", kind, at, s.out.Kind, s.site)
	}
	if s.out.Kind == job.NoAction {
		s.site = at
	}
	return nil
}

// site is a place in a script, told as file:line when it is asked for: an action wants it
// only for errors.
type site syntax.Position

func (s site) String() string {
	pos := syntax.Position(s)
	if !pos.IsValid() {
		return "?"
	}
	return fmt.Sprintf("%s:%d", pos.Filename(), pos.Line)
}

// callSite is where the script called the builtin, however it was reached.
func callSite(thread *starlark.Thread) site {
	for depth := 1; depth < thread.CallStackDepth(); depth++ {
		if pos := thread.CallFrame(depth).Pos; pos.Filename() != "<builtin>" {
			return site(pos)
		}
	}
	return site{}
}

func transitionTo(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var state string
	var message, after starlark.Value = starlark.None, starlark.None
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "state", &state, "error_message?", &message, "after_seconds?", &after); err != nil {
		return nil, err
	}
	s := b.Receiver().(*actions).s
	if err := s.begin(thread, job.Transition); err != nil {
		return nil, err
	}
	if err := s.target(state, false); err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	text, ok := starlark.AsString(message)
	if !ok && message != starlark.None {
		return nil, fmt.Errorf("%s: error_message is %s; it must be text", b.Name(), message.Type())
	}
	var wait float64
	if after != starlark.None {
		var err error
		if wait, err = number(b.Name(), "after_seconds", after); err != nil {
			return nil, err
		}
		if wait < 0 || wait > MaxWait {
			return nil, fmt.Errorf("%s: after_seconds is %s; it must be from 0 to %d (366 days)", b.Name(), guard.Show(after, 80), MaxWait)
		}
	}
	s.out.Kind, s.out.Target, s.out.ErrorMessage, s.out.After = job.Transition, state, job.Cut(text), wait
	return starlark.None, nil
}

func runBlueprint(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	var data, transitions, dispatch, result starlark.Value = starlark.None, starlark.None, starlark.None, starlark.None
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "blueprint_name", &name, "initial_data?", &data, "transitions?", &transitions,
		"dispatch_timeout?", &dispatch, "result_timeout?", &result); err != nil {
		return nil, err
	}
	s := b.Receiver().(*actions).s
	if err := s.begin(thread, job.RunChild); err != nil {
		return nil, err
	}
	child := &job.ChildSpec{Blueprint: name}
	if name == "" {
		return nil, fmt.Errorf("%s: blueprint_name is empty", b.Name())
	}
	err := nameFault(b.Name(), "blueprint_name", name)
	if err != nil {
		return nil, err
	}
	if child.InitialData, err = s.object(b.Name(), "initial_data", data, s.Limits.DataBytes, CodeData); err != nil {
		return nil, err
	}
	if child.Transitions, err = s.transitions(thread, b.Name(), transitions, false); err != nil {
		return nil, err
	}
	if child.DispatchTimeout, err = seconds(b.Name(), "dispatch_timeout", dispatch); err != nil {
		return nil, err
	}
	if child.ResultTimeout, err = seconds(b.Name(), "result_timeout", result); err != nil {
		return nil, err
	}
	s.out.Kind, s.out.Child = job.RunChild, child
	return starlark.None, nil
}

// awaitHumanApproval takes further keywords as they are, for the integration.
func awaitHumanApproval(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	s := b.Receiver().(*actions).s
	if err := s.charge(thread, len(kwargs), len(kwargs)*outcomeBytes); err != nil {
		return nil, err
	}
	known := []starlark.Tuple{}
	extra := new(starlark.Dict)
	for _, kv := range kwargs {
		switch kv[0].(starlark.String) {
		case "integration", "message", "transitions", "timeout_seconds":
			known = append(known, kv)
		default:
			if err := extra.SetKey(kv[0], kv[1]); err != nil {
				return nil, err
			}
		}
	}
	ask := &job.Approval{}
	var transitions, timeout starlark.Value = starlark.None, starlark.None
	if err := starlark.UnpackArgs(b.Name(), args, known, "integration", &ask.Integration, "message?", &ask.Message,
		"transitions?", &transitions, "timeout_seconds?", &timeout); err != nil {
		return nil, err
	}
	if err := s.begin(thread, job.AskApproval); err != nil {
		return nil, err
	}
	err := nameFault(b.Name(), "integration", ask.Integration)
	if err != nil {
		return nil, err
	}
	ask.Message = job.Cut(ask.Message)
	if ask.Transitions, err = s.transitions(thread, b.Name(), transitions, false); err != nil {
		return nil, err
	}
	if len(ask.Transitions) == 0 {
		return nil, fmt.Errorf("%s: transitions is empty; it names the decisions a person can take, such as {\"approved\": \"next\", \"rejected\": \"failed\"}", b.Name())
	}
	if ask.Timeout, err = seconds(b.Name(), "timeout_seconds", timeout); err != nil {
		return nil, err
	}
	if extra.Len() > 0 {
		if ask.Extra, err = s.encode(extra, b.Name(), s.Limits.ParamsBytes, CodeParams); err != nil {
			return nil, err
		}
	}
	s.out.Kind, s.out.Approval = job.AskApproval, ask
	return starlark.None, nil
}

// target checks that a state exists. Only the success of a task may lead to an aggregator.
func (s *Scope) target(state string, aggregator bool) error {
	place, ok := s.Chart.Place(state)
	if !ok {
		hint := ""
		state = job.Clip(state, MaxName)
		if near := s.Chart.Suggest(state); near != "" {
			hint = fmt.Sprintf("; did you mean %q?", near)
		}
		return fmt.Errorf("the blueprint has no state %q%s", state, hint)
	}
	if place.Aggregator && !aggregator {
		return fmt.Errorf("%q is an aggregator; only the success of tasks leads there", state)
	}
	return nil
}

// transitions reads a dict of text to states; None is an empty one. tasks allows an
// aggregator for success.
func (s *Scope) transitions(thread *starlark.Thread, call string, v starlark.Value, tasks bool) (map[string]string, error) {
	if v == starlark.None {
		return nil, nil
	}
	d, ok := v.(*starlark.Dict)
	if !ok {
		return nil, fmt.Errorf("%s: transitions is %s; it must be a dict of text to states", call, v.Type())
	}
	if err := countFault(CodeOutcomes, call, "transitions", maxOutcomes, d.Len()); err != nil {
		return nil, err
	}
	if err := s.charge(thread, d.Len(), outcomesBytes); err != nil {
		return nil, err
	}
	out := make(map[string]string, d.Len())
	for k, x := range d.Entries() {
		key, okKey := starlark.AsString(k)
		state, okState := starlark.AsString(x)
		if !okKey || !okState || key == "" {
			return nil, fmt.Errorf("%s: transitions has %s: %s; both must be text", call, guard.Show(k, 80), guard.Show(x, 80))
		}
		if err := nameFault(call, "a key of transitions", key); err != nil {
			return nil, err
		}
		if err := s.charge(thread, 0, outcomeBytes+len(key)+len(state)); err != nil {
			return nil, err
		}
		if err := s.target(state, tasks && key == "success"); err != nil {
			return nil, fmt.Errorf("%s: transitions[%s]: %w", call, guard.Show(k, 80), err)
		}
		out[key] = state
	}
	return out, nil
}

// object writes a dict as JSON; None is {}. initial_data handed on is not written again, but
// every row that it goes into holds it.
func (s *Scope) object(call, name string, v starlark.Value, limit int, code string) (json.RawMessage, error) {
	d, ok := v.(*starlark.Dict)
	if v == starlark.None {
		return json.RawMessage("{}"), nil
	}
	if !ok {
		return nil, fmt.Errorf("%s: %s is %s; it must be a dict", call, name, v.Type())
	}
	if s.initial == starlark.Value(d) && len(s.Initial) > 0 && len(s.Initial) <= limit {
		return s.Initial, s.keep(s.Initial)
	}
	text, err := s.encode(d, name, limit, code)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", call, err)
	}
	return text, s.keep(text)
}

// seconds reads a time span; None is 0, which means unset, so a given 0 is an error.
func seconds(call, name string, v starlark.Value) (float64, error) {
	if v == starlark.None {
		return 0, nil
	}
	f, err := number(call, name, v)
	if err != nil {
		return 0, err
	}
	if f <= 0 || f > 10*MaxWait {
		return 0, fmt.Errorf("%s: %s is %s; it must be more than 0 and at most %d seconds", call, name, guard.Show(v, 80), 10*MaxWait)
	}
	return f, nil
}

// number reads a finite number; a Boolean is none.
func number(call, name string, v starlark.Value) (float64, error) {
	f, ok := starlark.AsFloat(v)
	if !ok || !isNumber(v) {
		return 0, fmt.Errorf("%s: %s is %s; it must be a number", call, name, v.Type())
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, fmt.Errorf("%s: %s is %s; it must be finite", call, name, guard.Show(v, 80))
	}
	return f, nil
}

func isNumber(v starlark.Value) bool {
	switch v.(type) {
	case starlark.Int, starlark.Float:
		return true
	}
	return false
}

const (
	plus    = syntax.PLUS
	percent = syntax.PERCENT
)

func builtinNames(m map[string]*starlark.Builtin) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

func quoted(names []string) string {
	parts := make([]string, len(names))
	for i, n := range names {
		parts[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(parts, ", ")
}
