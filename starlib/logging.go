package starlib

import (
	"fmt"
	"log/slog"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"orrery/engine/job"
	"orrery/starlib/guard"
)

// This file holds the module logging, print and the job's log.

// Printer receives what is printed while a file is loaded; handlers print into their job.
type Printer func(level, message string)

const printerKey = "orrery.printer"

// SetPrinter takes the log lines of a thread that has no Scope.
func SetPrinter(thread *starlark.Thread, p Printer) {
	thread.SetLocal(printerKey, p)
	thread.Print = printLine
}

func printLine(thread *starlark.Thread, message string) {
	// A broken limit cannot be returned from here: the thread is stopped with it.
	if err := logLine(thread, "info", message); err != nil {
		guard.Of(thread).Stop(err)
		thread.Cancel(err.Error())
		if s, ok := thread.Local(scopeKey).(*Scope); ok {
			s.printed = err
		}
	}
}

// PrintFault gives the limit that a print broke, since print itself returns nothing.
func (s *Scope) PrintFault() error { return s.printed }

// leastLine is what a line of log counts as at least, in bytes: history keeps it with its
// level and state.
const leastLine = 16

func logLine(thread *starlark.Thread, level, message string) error {
	s, ok := thread.Local(scopeKey).(*Scope)
	if !ok {
		if p, ok := thread.Local(printerKey).(Printer); ok {
			p(level, message)
		}
		return nil
	}
	s.logBytes += max(len(message)+1, leastLine) // with the end of the line
	if s.logBytes > s.Limits.LogBytes {
		return &LimitError{Code: CodeLog, Text: fmt.Sprintf("a handler writes at most %d bytes of log, and this makes %d (a line counts as %d at least)", s.Limits.LogBytes, s.logBytes, leastLine)}
	}
	s.out.Log = append(s.out.Log, job.LogLine{Level: level, Message: message, State: s.State})
	if s.Logger != nil {
		s.Logger.Log(s.Ctx, slogLevels[level], message, "job_id", s.Job.ID, "state", s.State, "blueprint", s.Job.Blueprint)
	}
	return nil
}

var slogLevels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warning": slog.LevelWarn, "error": slog.LevelError,
}

// logMethods are the functions of a logger and of the module; the level of each.
var logMethods = map[string]string{
	"debug": "debug", "info": "info", "warning": "warning", "error": "error", "exception": "error", "critical": "error",
}

func loggingModule() *starlarkstruct.Module {
	m := starlark.StringDict{"getLogger": starlark.NewBuiltin("getLogger", getLogger)}
	for name := range logMethods {
		m[name] = starlark.NewBuiltin(name, logMessage)
	}
	return &starlarkstruct.Module{Name: "logging", Members: m}
}

// getLogger gives a logger. Its name is told apart in the text only when it is given.
func getLogger(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name?", &name); err != nil {
		return nil, err
	}
	if err := guard.Of(thread).Alloc(2048); err != nil { // a table of seven functions
		return nil, err
	}
	members := starlark.StringDict{"name": starlark.String(name)}
	for method := range logMethods {
		members[method] = starlark.NewBuiltin(method, logMessage)
	}
	return &starlarkstruct.Module{Name: "logger", Members: members}, nil
}

// logMessage formats like Python's logging: with arguments, the text is a %-format.
func logMessage(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(args) == 0 {
		return nil, fmt.Errorf("%s: a message is missing", b.Name())
	}
	for _, kv := range kwargs {
		if k := string(kv[0].(starlark.String)); k != "exc_info" && k != "extra" && k != "stack_info" {
			return nil, fmt.Errorf("%s: unexpected keyword argument %q", b.Name(), job.Clip(k, MaxName))
		}
	}
	text, ok := starlark.AsString(args[0])
	if !ok {
		var err error
		if text, err = guard.Text(thread, b.Name(), args[0]); err != nil {
			return nil, err
		}
	}
	if len(args) > 1 {
		formatted, err := guard.Binary(thread, percent, starlark.String(text), args[1:])
		if err != nil {
			return nil, fmt.Errorf("%s: %q: %w", b.Name(), job.Clip(text, MaxName), err)
		}
		text, _ = starlark.AsString(formatted)
	}
	return starlark.None, logLine(thread, logMethods[b.Name()], strings.TrimRight(text, "\n"))
}
