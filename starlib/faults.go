package starlib

import (
	"encoding/json"
	"errors"
	"fmt"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"orrery/engine/job"
	"orrery/starlib/border"
	"orrery/starlib/guard"
)

// This file holds the ways in which a run fails that are more than a Starlark error, and
// catch, which turns failures into values.

// Codes of limits, as job.Error.Code.
const (
	CodeSteps      = guard.CodeSteps
	CodeTime       = guard.CodeTime
	CodeMemory     = guard.CodeMemory
	CodeText       = guard.CodeText
	CodeElements   = guard.CodeElements
	CodeInteger    = guard.CodeInteger
	CodeDepth      = guard.CodeDepth
	CodeWatchdog   = "MEMORY_WATCHDOG" // of the process, not of the run: see engine/sandbox
	CodeSleep      = "SLEEP_LIMIT"
	CodeLog        = "LOG_LIMIT"
	CodeCalls      = "CALL_LIMIT"
	CodeDispatches = "DISPATCH_LIMIT"
	CodeOutcomes   = "OUTCOMES_LIMIT"   // keys of one transitions
	CodeRetryCodes = "RETRY_ONLY_LIMIT" // codes of one retry's only
	CodeName       = "NAME_LIMIT"       // bytes of a name that rows hold
	CodeInitial    = "INITIAL_DATA_LIMIT"
	CodeParams     = "PARAMS_LIMIT"
	CodeData       = "DATA_LIMIT"
)

// LimitError says which limit a run broke. It cannot be caught by the script.
type LimitError = guard.LimitError

// Raised is what fail_with raises.
type Raised struct {
	Kind    string
	Message string
	Details json.RawMessage
}

// Error shows kind and message.
func (e *Raised) Error() string { return e.Kind + ": " + e.Message }

// HostError is a failed read or act of the Host: passing, so the step is tried again.
type HostError struct {
	Call string
	Err  error
}

// Error names the call that failed.
func (e *HostError) Error() string { return e.Call + ": " + e.Err.Error() }

// Unwrap gives the Host's own error.
func (e *HostError) Unwrap() error { return e.Err }

// KindUnavailable is the kind of a caught HostError. Errors of the language have the kinds
// that languageKind knows; others than those and fail_with's have the kind KindError.
const (
	KindUnavailable = "unavailable"
	KindError       = "error"
)

// encode writes a value of a run.
func (s *Scope) encode(v starlark.Value, where string, limit int, code string) (json.RawMessage, error) {
	return encode(v, where, limit, s.Limits.Depth, code)
}

// encode writes a value with a limit whose breach has a code of its own.
func encode(v starlark.Value, where string, limit, depth int, code string) (json.RawMessage, error) {
	text, err := border.EncodeFlat(v, where, limit, depth)
	var large *border.TooLarge
	if errors.As(err, &large) {
		return nil, &LimitError{Code: code, Text: large.Error()}
	}
	var fault *border.Fault
	if errors.As(err, &fault) && fault.Deep {
		return nil, &LimitError{Code: CodeDepth, Text: fault.Error()}
	}
	return text, err
}

// failWith raises an error of a kind, or again the one that catch gave: fail_with(r.error).
func failWith(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if r, ok := raisedAgain(args, kwargs); ok {
		return nil, r
	}
	var kind, message string
	var details starlark.Value = starlark.None
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "kind", &kind, "message", &message, "details?", &details); err != nil {
		return nil, err
	}
	r := &Raised{Kind: kind, Message: message}
	if details != starlark.None {
		limits := DefaultLimits()
		if s, ok := thread.Local(scopeKey).(*Scope); ok { // at load there is none
			limits = s.Limits
		}
		text, err := encode(details, "details", limits.DataBytes, limits.Depth, CodeData)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.Name(), err)
		}
		r.Details = text
	}
	return nil, r
}

// raisedAgain reads the only argument as an error that catch gave.
func raisedAgain(args starlark.Tuple, kwargs []starlark.Tuple) (*Raised, bool) {
	if len(args) != 1 || len(kwargs) > 0 {
		return nil, false
	}
	e, ok := args[0].(*starlarkstruct.Struct)
	if !ok {
		return nil, false
	}
	text := func(name string) (string, bool) {
		v, err := e.Attr(name)
		if err != nil {
			return "", false
		}
		return starlark.AsString(v)
	}
	kind, ok1 := text("kind")
	message, ok2 := text("message")
	if !ok1 || !ok2 {
		return nil, false
	}
	r := &Raised{Kind: kind, Message: message}
	if details, err := e.Attr("details"); err == nil && details != starlark.None {
		if r.Details, err = border.Encode(details, "details", DefaultLimits().DataBytes); err != nil {
			return nil, false // the usual way says what is wrong with it
		}
	}
	return r, true
}

// catch calls a function and gives a value with ok, value and error (kind, message,
// details). Broken limits and a stopped run pass through it.
func catch(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(args) == 0 {
		return nil, fmt.Errorf("%s: a function is missing: catch(fn, *args)", b.Name())
	}
	if _, ok := args[0].(starlark.Callable); !ok {
		return nil, fmt.Errorf("%s: the first argument is %s, not a function: write catch(fn, arg), not catch(fn(arg))", b.Name(), args[0].Type())
	}
	account := guard.Of(thread)
	mark := account.Mark()
	v, err := starlark.Call(thread, args[0], args[1:], kwargs)
	if err == nil {
		return caught(thread, true, v, starlark.None)
	}
	account.Forget(mark)
	var limit *LimitError
	if sc, ok := thread.Local(scopeKey).(*Scope); errors.As(err, &limit) || ok && sc.Stopped != nil && sc.Stopped() {
		return nil, err
	}
	kind, message, details := KindError, err.Error(), starlark.Value(starlark.None)
	if err := account.Work(thread, 200); err != nil { // an error knows all calls that led to it
		return nil, err
	}
	if err := account.Text(b.Name(), len(message)); err != nil {
		return nil, err
	}
	var raised *Raised
	var host *HostError
	switch {
	case errors.As(err, &raised):
		kind, message = raised.Kind, raised.Message
		if details, err = decode(thread, raised.Details, "details"); err != nil {
			return nil, err
		}
	case errors.As(err, &host):
		kind = KindUnavailable
	default:
		kind = languageKind(message)
		if kind == "AttributeError" { // a near one was sought among all names
			if err := account.Work(thread, 4*guard.MaxFields); err != nil {
				return nil, err
			}
		}
	}
	return caught(thread, false, starlark.None, record("kind", starlark.String(kind), "message", starlark.String(message), "details", details))
}

func caught(thread *starlark.Thread, ok bool, value, err starlark.Value) (starlark.Value, error) {
	r := record("ok", starlark.Bool(ok), "value", value, "error", err)
	return r, guard.Light(thread, r)
}

// decode reads JSON text within the thread's account.
func decode(thread *starlark.Thread, text []byte, where string) (starlark.Value, error) {
	return border.DecodeWithin(guard.Of(thread), text, where)
}

// record makes a struct of names and values by turns.
func record(pairs ...any) *starlarkstruct.Struct {
	d := make(starlark.StringDict, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		d[pairs[i].(string)] = pairs[i+1].(starlark.Value)
	}
	return starlarkstruct.FromStringDict(starlarkstruct.Default, d)
}

// failureValue is context.error.
func failureValue(e *job.Error) (starlark.Value, error) {
	if e == nil {
		return starlark.None, nil
	}
	details := starlark.Value(starlark.None)
	if e.Details != nil {
		text, err := json.Marshal(e.Details)
		if err != nil {
			return nil, fmt.Errorf("context.error: %w", err)
		}
		if details, err = border.Decode(text, "context.error.details"); err != nil {
			return nil, err
		}
	}
	r := record("code", starlark.String(e.Code), "message", starlark.String(e.Message), "attempts", starlark.MakeInt(e.Attempts),
		"task_id", starlark.String(e.TaskID), "state", starlark.String(e.State), "details", details)
	r.Freeze()
	return r, nil
}
