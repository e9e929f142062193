package sandbox

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"orrery/engine/blueprint"
	"orrery/engine/killpoint"
	"orrery/starlib"
	"orrery/starlib/guard"
	"orrery/starlib/when"
)

// This file chooses the handler of a state: the first whose condition is true, else the
// one without a condition, wherever it stands.

func (r *run) choose(state *blueprint.State, context *starlib.Context) (*blueprint.Handler, error) {
	var fallback *blueprint.Handler
	for _, h := range state.Handlers {
		if h.When == nil {
			fallback = h
			continue
		}
		yes, err := r.holds(h, context, nil)
		if err != nil {
			return nil, err
		}
		if yes {
			return h, nil
		}
	}
	if fallback != nil {
		return fallback, nil
	}
	return nil, r.noneTrue(state, context)
}

// holds evaluates one condition. seen may be nil.
func (r *run) holds(h *blueprint.Handler, context *starlib.Context, seen *[]when.Seen) (bool, error) {
	killpoint.Named("when", r.scope.State)
	r.scope.ReadOnly(true)
	defer r.scope.ReadOnly(false)
	if h.When.Fn == nil {
		yes, err := h.When.Expr.Eval(&r.thread, context, seen)
		if err != nil {
			return false, &misuse{err: err, h: h}
		}
		return yes, nil
	}
	v, err := starlark.Call(&r.thread, h.When.Fn, starlark.Tuple{context}, nil)
	if err != nil {
		return false, err
	}
	if seen != nil {
		*seen = append(*seen, when.Seen{Path: h.When.Text + "(context)", Value: guard.Show(v, 200)})
	}
	return bool(v.Truth()), nil
}

// noneTrue looks at every condition again, this time noting what it sees.
func (r *run) noneTrue(state *blueprint.State, context *starlib.Context) error {
	var lines []string
	for _, h := range state.Handlers {
		var seen []when.Seen
		if _, err := r.holds(h, context, &seen); err != nil {
			return err
		}
		values := make([]string, len(seen))
		for i, s := range seen {
			values[i] = s.Path + " is " + s.Value
		}
		line := fmt.Sprintf("%s: %s", h.Name, h.When.Text)
		if len(values) > 0 {
			line += " (" + strings.Join(values, ", ") + ")"
		}
		lines = append(lines, line)
	}
	err := fmt.Errorf("no condition of the state %q is true, and no handler without a condition is registered:\n  %s", state.Name, strings.Join(lines, "\n  "))
	return &misuse{err: err, h: state.Handlers[0]}
}
