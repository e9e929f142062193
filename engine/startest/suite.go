package startest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"orrery/engine"
	"orrery/engine/analysis"
	"orrery/engine/job"
	"orrery/starlib/guard"
)

// This file runs test files: it finds their cases, calls each and collects what came out.

// Suffix is how the names of test files end.
const Suffix = analysis.TestSuffix

// Options are what all test files of a run share.
type Options struct {
	Env     func(name string) (string, bool) // for env.get of scripts; nil: nothing
	Match   *regexp.Regexp                   // only cases whose full name it finds; nil: all
	Fits    func(worker json.RawMessage, t job.Task) string
	Emulate func(t job.Task) engine.Outcome
	Timeout time.Duration // of one case, on the wall clock; 0: 30 s
	Start   time.Time     // of the simulated clock; zero: 2026-01-01T00:00:00Z
}

// File names a test file: Name is relative to Root, the folder that // means.
type File struct {
	Root, Name string
	Shown      string // how reports call it
}

// Result is what a run of test files gives.
type Result struct {
	Files    []FileResult
	Coverage []*Coverage // in the order of blueprints' names
	Took     time.Duration
}

// FileResult is one test file. Fault says why it could not be loaded; then it has no cases.
type FileResult struct {
	Name  string
	Fault *Failure
	Cases []CaseResult
}

// CaseResult is one case.
type CaseResult struct {
	Name    string // test_x, or test_x/row of a table
	Took    time.Duration
	Output  []string // what it printed
	Failure *Failure // nil: passed
	File    string   // where the function stands, as File.Shown calls it
	Line    int
}

// Failure says what went wrong, and where.
type Failure struct {
	Message  string // its first line says it in short
	File     string
	Line     int
	Col      int
	Source   string // the line of the file
	Trace    string // backtrace; "" when there is none
	Timeline string // what the last job of the case did
}

// Counts gives how many cases passed and failed; a file that can not be loaded counts as one.
func (r *Result) Counts() (passed, failed int) {
	for _, f := range r.Files {
		if f.Fault != nil {
			failed++
		}
		for _, c := range f.Cases {
			if c.Failure != nil {
				failed++
			} else {
				passed++
			}
		}
	}
	return passed, failed
}

// Limits of a case: a test may do more than a handler, but not run for ever.
const (
	caseSteps   = 500_000_000
	caseMemory  = 1 << 30
	caseTimeout = 30 * time.Second
)

// epoch is when simulated time begins: fixed, so that tests can name dates.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Run runs test files one after another. The error is that of the context; everything else
// is in the result.
func Run(ctx context.Context, files []File, o Options) (*Result, error) {
	if o.Timeout == 0 {
		o.Timeout = caseTimeout
	}
	if o.Start.IsZero() {
		o.Start = epoch
	}
	began := time.Now()
	r, covered := &Result{}, newCovered()
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		r.Files = append(r.Files, runFile(ctx, f, o, covered))
	}
	r.Coverage = covered.report()
	r.Took = time.Since(began)
	return r, ctx.Err()
}

// suite is one test file under way.
type suite struct {
	Options
	file    File
	book    *book
	modules *modules
	covered *covered
}

func runFile(ctx context.Context, f File, o Options, covered *covered) FileResult {
	out := FileResult{Name: f.Shown}
	s := &suite{Options: o, file: f, covered: covered}
	s.book = newBook(f)
	s.modules = newModules(f)
	if err := s.book.open(); err != nil {
		out.Fault = s.failure(err, nil)
		return out
	}
	covered.add(f, s.book)
	globals, err := s.modules.load(f.Name, nil)
	if err != nil {
		out.Fault = s.failure(err, nil)
		return out
	}
	cases, err := s.cases(globals)
	if err != nil {
		out.Fault = s.failure(err, nil)
		return out
	}
	for _, c := range cases {
		if ctx.Err() != nil {
			break
		}
		if s.Match != nil && !s.Match.MatchString(c.name) {
			continue
		}
		out.Cases = append(out.Cases, s.runCase(ctx, c))
	}
	return out
}

// testCase is one thing to call.
type testCase struct {
	name   string
	fn     starlark.Callable
	kwargs []starlark.Tuple
	line   int
}

// prefix is how the names of cases begin.
const prefix = "test_"

// cases finds the cases of a file, in the order in which they stand there.
func (s *suite) cases(globals starlark.StringDict) ([]testCase, error) {
	var all []testCase
	for _, name := range globals.Keys() {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		switch v := globals[name].(type) {
		case *starlark.Function:
			if v.NumParams() > 0 {
				return nil, fmt.Errorf("%s: %s takes no parameters, or it is not a case of its own; %s = table(fn, rows) runs a function for each row", v.Position(), name, name)
			}
			all = append(all, testCase{name: name, fn: v, line: int(v.Position().Line)})
		case *tableValue:
			for _, row := range v.rows {
				all = append(all, testCase{name: name + "/" + row.name, fn: v.fn, kwargs: row.kwargs, line: v.line})
			}
		default:
			return nil, fmt.Errorf("%s: %s is %s; a case is a function or a table()", s.file.Shown, name, v.Type())
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no cases: a case is a function whose name begins with %s", s.file.Shown, prefix)
	}
	slices.SortStableFunc(all, func(a, b testCase) int { return a.line - b.line })
	return all, nil
}

// runCase calls one case on a thread of its own.
func (s *suite) runCase(ctx context.Context, c testCase) CaseResult {
	out := CaseResult{Name: c.name, File: s.file.Shown, Line: c.line}
	ctx, stop := context.WithTimeoutCause(ctx, s.Timeout, fmt.Errorf("the case took longer than %s", s.Timeout))
	defer stop()
	began := time.Now()
	run := &running{suite: s, ctx: ctx}
	defer run.close()
	thread := newThread(c.name)
	thread.SetLocal(runningKey, run)
	thread.Print = func(_ *starlark.Thread, line string) { out.Output = append(out.Output, line) }
	account := guard.Of(thread)
	unhook := context.AfterFunc(ctx, func() {
		account.Stop(context.Cause(ctx))
		thread.Cancel(context.Cause(ctx).Error())
	})
	defer unhook()
	_, err := call(thread, c.fn, nil, c.kwargs)
	out.Took = time.Since(began)
	if err != nil {
		if ctx.Err() != nil {
			err = errors.Join(err, context.Cause(ctx))
		}
		out.Failure = s.failure(err, run)
	}
	return out
}

// newThread makes a thread with the limits of tests.
func newThread(name string) *starlark.Thread {
	thread := &starlark.Thread{Name: name}
	guard.NewAccount(guard.Limits{Steps: caseSteps, MemoryBytes: caseMemory}).Enter(thread)
	thread.SetMaxExecutionSteps(caseSteps)
	return thread
}

// call turns a panic of the interpreter into an error.
func call(thread *starlark.Thread, fn starlark.Callable, args starlark.Tuple, kwargs []starlark.Tuple) (v starlark.Value, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the interpreter failed: %v", r)
		}
	}()
	return starlark.Call(thread, fn, args, kwargs)
}

// failure finds the place of an error: the innermost line of a test file.
func (s *suite) failure(err error, run *running) *Failure {
	f := &Failure{Message: err.Error(), File: s.file.Shown}
	var ee *starlark.EvalError
	if errors.As(err, &ee) {
		guard.Trim(ee)
		f.Message = ee.Msg
		for i := range ee.CallStack {
			pos := ee.CallStack.At(i).Pos
			text, ours := s.modules.text(pos.Filename())
			if !ours {
				continue
			}
			f.File, f.Line, f.Col = s.shown(pos.Filename()), int(pos.Line), int(pos.Col)
			f.Source = strings.TrimSpace(line(text, f.Line))
			break
		}
		if len(ee.CallStack) > 2 {
			f.Trace = ee.CallStack.String()
		}
	}
	if run != nil {
		f.Timeline = run.timeline.String()
	}
	return f
}

// shown names a file of the root as reports call it.
func (s *suite) shown(name string) string {
	return path.Join(strings.TrimSuffix(s.file.Shown, s.file.Name), name)
}

func line(text string, n int) string {
	lines := strings.Split(text, "\n")
	if n < 1 || n > len(lines) {
		return ""
	}
	return lines[n-1]
}
