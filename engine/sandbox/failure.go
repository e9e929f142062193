package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"orrery/engine/blueprint"
	"orrery/engine/job"
	"orrery/starlib"
	"orrery/starlib/guard"
)

// This file turns what went wrong into a job.Error with its place in the source.

func (r *run) failure(err error) *job.Error {
	if cause := r.stopCause(); cause == (departed{}) {
		return &job.Error{Code: codeDeparted, Message: cause.Error(), State: r.scope.State}
	}
	e := &job.Error{Code: job.CodeScript, Message: err.Error(), State: r.scope.State}
	var (
		eval    *starlark.EvalError
		own     *misuse
		raised  *starlib.Raised
		limit   *starlib.LimitError
		host    *starlib.HostError
		stopped *interrupted
	)
	if errors.As(err, &eval) {
		guard.Trim(eval)
		e.Message = eval.Msg
	}
	// A stopped thread reports its cancellation; why it was stopped says more.
	if cause := r.stopCause(); cause != nil {
		err = errors.Join(err, cause)
		e.Message = cause.Error()
	}
	switch {
	case errors.As(err, &limit):
		e.Code, e.Message = limit.Code, limit.Text
	case errors.As(err, &stopped):
		e.Code, e.Message = job.CodeTransient, stopped.Error()
	case errors.As(err, &host):
		e.Code, e.Message = job.CodeTransient, host.Error()
	case errors.As(err, &raised):
		if len(raised.Kind) > starlib.MaxName { // before all of the message is cut
			e.Message = clip(raised.Kind, starlib.MaxName) + ": " + raised.Message
		}
		e.Details = map[string]any{"kind": clip(raised.Kind, starlib.MaxName), "details": shortDetails(raised.Details)}
	}
	e.Message = job.Cut(explain(e.Message))
	switch {
	case eval != nil:
		r.place(e, innermost(eval.CallStack, r.blueprint.Program))
		e.Trace = trace(eval, e, r.blueprint.Program)
	case errors.As(err, &own):
		pos := own.h.Pos
		if own.at != nil {
			pos = own.at.Pos
		}
		r.place(e, pos)
		e.Trace = fmt.Sprintf("%s: in %s\nError: %s\n%s", pos, clip(own.h.Name, starlib.MaxName), e.Message, caret(e, r.blueprint.Program))
	}
	return e
}

func (r *run) stopCause() error {
	if r.watch.thread == nil {
		return nil
	}
	if err := r.watch.fault(); err != nil {
		return err
	}
	return r.scope.PrintFault()
}

func (r *run) place(e *job.Error, pos syntax.Position) {
	if pos.IsValid() {
		e.File, e.Line, e.Col = pos.Filename(), int(pos.Line), int(pos.Col)
	}
}

// innermost gives the deepest place that is in a file, not in a builtin.
func innermost(stack starlark.CallStack, p *blueprint.Program) syntax.Position {
	for i := range stack {
		pos := stack.At(i).Pos
		if _, ok := p.Files[pos.Filename()]; ok {
			return pos
		}
	}
	return syntax.Position{}
}

// trace is the backtrace, ended by the message as it is shown and the line with a caret.
func trace(eval *starlark.EvalError, e *job.Error, p *blueprint.Program) string {
	shown := *eval
	shown.Msg = e.Message
	if frames := eval.CallStack; len(frames) > maxFrames { // the outermost and the innermost say most
		shown.CallStack = append(append(starlark.CallStack{}, frames[:maxFrames/2]...), frames[len(frames)-maxFrames/2:]...)
	}
	return clip(shown.Backtrace(), maxTrace) + "\n" + caret(e, p)
}

// What a job's error keeps: a script may put anything into a message, and a name of its own
// or a line of its source may be as long as a file.
const (
	maxFrames  = 50
	maxTrace   = 16 << 10
	maxDetails = 8 << 10 // of fail_with, as JSON
	maxLine    = 400     // of the source line above a caret
)

// clip is job.Clip that shows where something is missing.
func clip(text string, bytes int) string {
	if len(text) <= bytes {
		return text
	}
	return job.Clip(text, bytes) + "…"
}

// shortDetails gives fail_with's details as the job keeps them. catch in the script itself
// gives them whole.
func shortDetails(details json.RawMessage) any {
	if len(details) <= maxDetails {
		return details
	}
	return fmt.Sprintf("left out: %d bytes; a job's error keeps at most %d of details", len(details), maxDetails)
}

// caret shows the line of an error with a mark below its place, or the part around it.
func caret(e *job.Error, p *blueprint.Program) string {
	line := p.Line(e.File, e.Line)
	if line == "" {
		return ""
	}
	col := e.Col
	if runes := []rune(line); len(runes) > maxLine {
		from := min(max(0, col-1-maxLine/2), len(runes)-maxLine)
		line, col = string(runes[from:from+maxLine]), col-from
	}
	return blueprint.Caret(line, col)
}

// explain adds what to do where the interpreter's own words do not say it.
func explain(message string) string {
	for _, frozen := range []string{"frozen hash table", "frozen list", "frozen dict", "frozen set"} {
		if strings.Contains(message, frozen) {
			return message + " (initial_data, aggregation_results, client and values of the file's top level cannot be changed; use state_history, or a copy)"
		}
	}
	return message
}
