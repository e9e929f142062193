package starlib

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"

	"go.starlark.net/starlark"

	"orrery/starlib/border"
)

// This file holds the handler's context and the small values that hang on it.

// fixed are the parameter names with a fixed meaning. All but context itself are also
// attributes of context.
var fixed = []string{
	"context", "actions", "job_id", "initial_data", "state_history", "client", "data_stores", "task_files",
	"aggregation_results", "storage", "error", "current_state", "tracing_context",
}

// Fixed lists the parameter names with a fixed meaning, in the order of the documentation.
func Fixed() []string { return append([]string(nil), fixed...) }

// IsFixed reports whether a handler's parameter has a fixed meaning.
func IsFixed(name string) bool {
	for _, f := range fixed {
		if f == name {
			return true
		}
	}
	return false
}

// Context is the value that handlers and conditions get. Its parts are made when they are
// first used, since most handlers use few.
type Context struct{ s *Scope }

var _ starlark.HasAttrs = (*Context)(nil)

func (c *Context) String() string        { return "<context of job " + c.s.Job.ID + ">" }
func (c *Context) Type() string          { return "context" }
func (c *Context) Freeze()               {}
func (c *Context) Truth() starlark.Bool  { return starlark.True }
func (c *Context) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: context") }

// AttrNames lists the attributes, sorted.
func (c *Context) AttrNames() []string {
	names := append([]string{"step_id"}, fixed[1:]...)
	sort.Strings(names)
	return names
}

// Attr gives one part of the context.
func (c *Context) Attr(name string) (starlark.Value, error) {
	s := c.s
	switch name {
	case "job_id":
		return starlark.String(s.Job.ID), nil
	case "step_id":
		return starlark.String(s.StepID()), nil
	case "current_state":
		return starlark.String(s.State), nil
	case "initial_data":
		return s.initialData()
	case "state_history":
		return s.stateHistory()
	case "aggregation_results":
		return s.aggregation()
	case "client":
		return s.clientValue()
	case "data_stores":
		return s.dataStores(), nil
	case "storage":
		return storage{s}, nil
	case "actions":
		if s.actions == nil {
			s.actions = &actions{s: s}
		}
		return s.actions, nil
	case "task_files":
		return taskFiles{s}, nil
	case "error":
		if s.failure == nil {
			v, err := failureValue(s.Job.Error)
			if err != nil {
				return nil, err
			}
			s.failure = v
		}
		return s.failure, nil
	case "tracing_context":
		return s.tracing()
	}
	return nil, nil
}

// clientValue is context.client: id, plan, and every setting but the token as config, for
// which params is another name.
func (s *Scope) clientValue() (starlark.Value, error) {
	if s.client != nil {
		return s.client, nil
	}
	config, err := object(s.meter(), s.Job.Client.Params, "client.config")
	if err != nil {
		return nil, err
	}
	plan := starlark.Value(starlark.None)
	if s.Job.Client.Plan != "" {
		plan = starlark.String(s.Job.Client.Plan)
		if _, ok, _ := config.Get(starlark.String("plan")); !ok {
			if err := config.SetKey(starlark.String("plan"), plan); err != nil {
				return nil, err
			}
		}
	}
	r := record("id", starlark.String(s.Job.Client.ID), "plan", plan, "config", config, "params", config)
	r.Freeze()
	s.client = r
	return r, nil
}

// storage is context.storage.
type storage struct{ s *Scope }

var _ starlark.HasAttrs = storage{}

func (storage) String() string        { return "<storage>" }
func (storage) Type() string          { return "storage" }
func (storage) Freeze()               {}
func (storage) Truth() starlark.Bool  { return starlark.True }
func (storage) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: storage") }
func (storage) AttrNames() []string   { return []string{"get_job_state"} }

var getJobStateFn = starlark.NewBuiltin("get_job_state", getJobState)

// Attr gives the one method.
func (st storage) Attr(name string) (starlark.Value, error) {
	if name == "get_job_state" {
		return getJobStateFn.BindReceiver(st), nil
	}
	return nil, nil
}

// getJobState reads a job as the API shows it; None when there is none.
func getJobState(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var id string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "job_id", &id); err != nil {
		return nil, err
	}
	s := b.Receiver().(storage).s
	if s.Host.Jobs == nil {
		return nil, fmt.Errorf("%s: jobs cannot be read here", b.Name())
	}
	text, err := Call(s, HostCall{Name: b.Name()}, func(ctx context.Context) (json.RawMessage, error) {
		return s.Host.Jobs.JobState(ctx, id)
	})
	if err != nil {
		return nil, err
	}
	return border.DecodeWithin(s.meter(), text, "job "+id)
}
