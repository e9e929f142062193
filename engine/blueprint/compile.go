package blueprint

import (
	"errors"
	"fmt"
	"path"
	"sort"
	"strings"
	"sync/atomic"
	"time"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"orrery/engine/analysis"
	"orrery/engine/job"
	"orrery/engine/killpoint"
	"orrery/starlib"
	"orrery/starlib/guard"
)

// This file turns source text into a Program: parse everything, report everything that is
// wrong with the text at once, and only then run the top levels, each file once.

// maxLoadLog bounds what the top levels print, in bytes; the rest is left out.
const maxLoadLog = 256 << 10

// Compile loads the file main out of files, which holds it and everything that it may load
// by root-relative names. The error is a *LoadError with every finding.
func Compile(main string, files map[string]string) (*Program, error) {
	limits := guard.Load()
	l := &loader{files: files, units: map[string]*unit{}, used: map[string]string{}, limits: limits, account: guard.NewAccount(limits.Values)}
	if _, ok := files[main]; !ok {
		return nil, &LoadError{File: main, Findings: []Finding{whole("load-error", main, "there is no such file")}}
	}
	l.parse(main, nil)
	if len(l.findings) > 0 {
		return nil, l.failed(main)
	}
	p := &Program{Main: main, Revision: revision(l.used), Files: l.used}
	registry := l.run(main, p)
	if registry != nil {
		l.build(p, registry)
	}
	if len(l.findings) > 0 {
		return nil, l.failed(main)
	}
	return p, nil
}

type loader struct {
	files    map[string]string
	used     map[string]string
	units    map[string]*unit
	findings []Finding
	limits   guard.LoadLimits
	account  *guard.Account // of the file and all that it loads
}

// unit is one parsed file.
type unit struct {
	program *starlark.Program
	globals starlark.StringDict // after it ran
}

// failed gives the findings in the order of files and lines.
func (l *loader) failed(main string) error {
	sort.SliceStable(l.findings, func(i, k int) bool {
		a, b := l.findings[i], l.findings[k]
		if a.File != b.File {
			return a.File < b.File
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Col < b.Col
	})
	return &LoadError{File: main, Findings: l.findings}
}

func (l *loader) report(f Finding) { l.findings = append(l.findings, f) }

// parse reads a file and all it loads. chain holds the names from main to here.
func (l *loader) parse(name string, chain []string) {
	text := l.files[name]
	l.used[name] = text
	l.units[name] = nil
	if len(text) > l.limits.FileBytes {
		l.report(whole("load-error", name, fmt.Sprintf("the file has %d bytes; the limit of a blueprint file is %d (%s)", len(text), l.limits.FileBytes, guard.CodeSource)))
		return
	}
	tree, err := parseGuarded(name, text, l.limits.Values)
	if err != nil {
		l.reportSyntax(name, err)
		return
	}
	program, err := starlark.FileProgram(tree, guard.FewMisses(len(text), starlib.Environment().Has))
	if err != nil {
		l.reportSyntax(name, err)
	}
	l.units[name] = &unit{program: program}
	chain = append(chain, name)
	for _, stmt := range tree.Stmts {
		if load, ok := stmt.(*syntax.LoadStmt); ok {
			l.follow(load, chain)
		}
	}
}

// parseGuarded parses a text that is not nested too deep for what comes after, and puts the
// checked operations into it.
func parseGuarded(name, text string, limits guard.Limits) (*syntax.File, error) {
	if err := guard.CheckSource(name, text); err != nil {
		return nil, err
	}
	tree, err := analysis.Dialect.Parse(name, text, 0)
	if err != nil {
		return nil, err
	}
	return tree, guard.Rewrite(tree, limits)
}

// follow parses what one load statement names.
func (l *loader) follow(load *syntax.LoadStmt, chain []string) {
	src := sources(l.files)
	pos := load.Module.TokenPos
	target, err := LoadName(load.ModuleName())
	if err != nil {
		l.report(src.at("load-error", pos, "%v", err))
		return
	}
	for i, name := range chain {
		if name == target {
			l.report(src.at("load-error", pos, "the files load each other in a circle: %s", strings.Join(append(chain[i:len(chain):len(chain)], target), " -> ")))
			return
		}
	}
	if _, ok := l.files[target]; !ok {
		l.report(src.at("load-error", pos, "there is no file %q in the blueprint directory", target))
		return
	}
	if len(chain) >= l.limits.Depth {
		l.report(src.at("load-error", pos, "files load each other at most %d deep, and %s would be one more (%s)", l.limits.Depth, target, guard.CodeLoadDepth))
		return
	}
	if _, done := l.units[target]; !done && len(l.units) >= l.limits.Files {
		l.report(src.at("load-error", pos, "a file and all that it loads are at most %d files, and %s would be one more (%s)", l.limits.Files, target, guard.CodeLoadFiles))
		return
	}
	if _, done := l.units[target]; !done {
		l.parse(target, chain)
	}
}

// LoadName turns the argument of load() into a root-relative name; it never leaves the root.
func LoadName(arg string) (string, error) {
	name, ok := strings.CutPrefix(arg, "//")
	if !ok {
		return "", fmt.Errorf("the load path %q does not begin with // (the blueprint directory)", arg)
	}
	if name == "" || strings.ContainsAny(name, "\\:\x00") || path.IsAbs(name) || path.Clean(name) != name || name == ".." || strings.HasPrefix(name, "../") {
		return "", fmt.Errorf("the load path %q is not a plain path below the blueprint directory", arg)
	}
	return name, nil
}

// reportSyntax takes the errors of parser and resolver.
func (l *loader) reportSyntax(name string, err error) {
	src := sources(l.files)
	var one syntax.Error
	var list resolve.ErrorList
	switch {
	case errors.As(err, &list):
		for i, e := range list {
			if i == guard.MaxFindings {
				l.report(src.at("more-errors", e.Pos, "%d more errors from here on are not shown", len(list)-i))
				break
			}
			rule := "dialect"
			if strings.HasPrefix(e.Msg, "undefined: ") {
				rule = "unresolved-name"
			}
			l.report(src.at(rule, e.Pos, "%s", e.Msg))
		}
	case errors.As(err, &one):
		l.report(src.at("syntax-error", one.Pos, "%s", one.Msg))
	default:
		l.report(whole("syntax-error", name, err.Error()))
	}
}

// run executes a file after what it loads, and gives what its own top level declared. A
// failure is reported and gives nil.
func (l *loader) run(name string, p *Program) *starlib.Registry {
	registry := &starlib.Registry{}
	thread := &starlark.Thread{Name: name}
	l.account.Enter(thread)
	var late atomic.Pointer[guard.LimitError]
	steps := l.account.Limits().Steps
	thread.SetMaxExecutionSteps(steps)
	thread.OnMaxSteps = func(*starlark.Thread) {
		late.CompareAndSwap(nil, &guard.LimitError{Code: guard.CodeSteps, Text: fmt.Sprintf("the top level of a file runs at most %d Starlark steps, and this has used them up", steps)})
		thread.Cancel("steps")
	}
	thread.Load = func(_ *starlark.Thread, arg string) (starlark.StringDict, error) {
		target, err := LoadName(arg)
		if err != nil {
			return nil, err
		}
		u := l.units[target]
		if u.globals == nil && l.run(target, p) == nil {
			return nil, errors.New("the loaded file failed")
		}
		return u.globals, nil
	}
	registry.Collect(thread)
	starlib.SetPrinter(thread, func(level, message string) {
		if p.logged += len(message); len(p.Log) < 1000 && p.logged <= maxLoadLog { // the rest is left out
			p.Log = append(p.Log, job.LogLine{Level: level, Message: message})
		}
	})
	stop := time.AfterFunc(l.limits.Time, func() {
		late.CompareAndSwap(nil, &guard.LimitError{Code: guard.CodeTime, Text: fmt.Sprintf("loading a file takes at most %s, and this took longer", l.limits.Time)})
		l.account.Stop(late.Load())
		thread.Cancel("time")
	})
	defer stop.Stop()
	before := len(l.findings)
	globals, err := l.execute(name, thread)
	if limit := late.Load(); limit != nil && err != nil {
		err = errors.Join(err, limit)
	}
	if err == nil {
		err = l.freeze(globals, registry)
	}
	if err != nil {
		if len(l.findings) == before { // else a loaded file has said it already
			l.reportRun(name, err)
		}
		return nil
	}
	l.units[name].globals = globals
	return registry
}

// freeze makes everything that outlives the top level unchangeable: globals, and handlers
// and conditions that no global holds.
func (l *loader) freeze(globals starlark.StringDict, registry *starlib.Registry) error {
	kept := make([]starlark.Value, 0, len(globals))
	for _, v := range globals {
		kept = append(kept, v)
	}
	for _, d := range registry.Blueprints {
		for _, r := range d.Handlers {
			kept = append(kept, r.Fn)
			if r.When != nil && r.When.Fn != nil {
				kept = append(kept, r.When.Fn)
			}
		}
	}
	if err := l.account.Freezable(kept...); err != nil {
		return err
	}
	for _, v := range kept {
		v.Freeze()
	}
	for _, d := range registry.Blueprints {
		d.Freeze()
	}
	return nil
}

// execute turns a panic of the interpreter into an error: a file must not end the server.
func (l *loader) execute(name string, thread *starlark.Thread) (globals starlark.StringDict, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the interpreter failed: %v", r)
		}
	}()
	killpoint.Named("load", name)
	return l.units[name].program.Init(thread, starlib.Environment())
}

// reportRun takes an error of a top level, at the innermost place in a file.
func (l *loader) reportRun(name string, err error) {
	rule, message := "top-level", ""
	var limit *guard.LimitError
	if errors.As(err, &limit) {
		rule, message = limit.Code, limit.Text
	}
	f := whole(rule, name, err.Error())
	var ee *starlark.EvalError
	if errors.As(err, &ee) {
		guard.Trim(ee)
		if message == "" {
			message = ee.Msg
		}
		for i := range ee.CallStack {
			pos := ee.CallStack.At(i).Pos
			if _, ok := l.files[pos.Filename()]; !ok {
				continue
			}
			f = sources(l.files).at(rule, pos, "%.4000s", message)
			break
		}
		if len(ee.CallStack) > 2 {
			f.Message += "\n" + ee.CallStack.String()
		}
	}
	l.report(f)
}
