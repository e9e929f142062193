package blueprint

import (
	"strings"

	"go.starlark.net/syntax"

	"orrery/engine/job"
	"orrery/starlib"
)

// This file makes Blueprints of what a file declared, and checks the rules that concern a
// blueprint as a whole. Rules about where transitions lead need the text of the handlers:
// they are the static analysis's.

func (l *loader) build(p *Program, r *starlib.Registry) {
	names := map[string]*starlib.Declared{}
	for _, d := range r.Blueprints {
		if first, twice := names[d.Name]; twice {
			l.at("duplicate-blueprint", d.Pos, "the blueprint %q is made twice; the first one is at line %d", d.Name, first.Pos.Line)
			continue
		}
		names[d.Name] = d
		p.Blueprints = append(p.Blueprints, l.blueprint(p, d))
	}
}

func (l *loader) at(rule string, pos syntax.Position, format string, args ...any) {
	l.report(sources(l.files).at(rule, pos, format, args...))
}

func (l *loader) blueprint(p *Program, d *starlib.Declared) *Blueprint {
	b := &Blueprint{
		Name: d.Name, Endpoint: d.Endpoint, Version: d.Version, Description: d.Description, Example: d.Example,
		File: p.Main, Revision: p.Revision, Line: int(d.Pos.Line), States: map[string]*State{}, Stores: d.Stores,
		Renders: d.Renders, Program: p, Limits: d.Limits,
	}
	for _, open := range d.Open {
		l.at("unapplied-registration", open.Pos, "the state %q gets no function: write bp.handler_for(%q)(fn)", open.State, open.State)
	}
	firsts := map[string]*starlib.Registration{}
	for _, r := range d.Handlers {
		l.register(b, r, firsts)
	}
	for _, s := range b.States {
		if s.End && s.Status == "" {
			s.Status = endStatus(s.Name)
		}
	}
	l.start(b, d, firsts)
	for _, name := range []string{"finished", "failed"} {
		if b.States[name] == nil {
			b.States[name] = &State{Name: name, End: true, Supplied: true, Status: endStatus(name)}
		}
	}
	return b
}

// register adds one handler to its state.
func (l *loader) register(b *Blueprint, r *starlib.Registration, firsts map[string]*starlib.Registration) {
	s, first := b.States[r.State], firsts[r.State]
	if s == nil {
		s = &State{Name: r.State, End: r.End, Aggregator: r.Aggregator, Line: int(r.Pos.Line)}
		b.States[r.State], firsts[r.State] = s, r
		first = r
	}
	switch {
	case first.Aggregator != r.Aggregator || first.Aggregator && first != r:
		l.at("duplicate-state", r.Pos, "the state %q is registered twice, and an aggregator has one handler; the first one is at line %d", r.State, first.Pos.Line)
		return
	case first.End != r.End:
		l.at("duplicate-state", r.Pos, "the state %q is registered as an end state at one place and not at another (line %d)", r.State, first.Pos.Line)
	}
	s.Start = s.Start || r.Start
	if r.Start && r.End {
		l.at("two-starts", r.Pos, "the state %q is start and end at once, so the job would do nothing", r.State)
	}
	if s.End && r.Status != "" {
		if s.Status != "" && s.Status != job.Status(r.Status) {
			l.at("duplicate-state", r.Pos, "the end state %q is given two statuses, %s and %s", r.State, s.Status, r.Status)
		}
		s.Status = job.Status(r.Status)
	}
	h := l.handler(r)
	if h.When == nil {
		for _, other := range s.Handlers {
			if other.When == nil {
				l.at("duplicate-state", r.Pos, "the state %q is registered twice without conditions (line %d too): one of the handlers would never run", r.State, first.Pos.Line)
				break
			}
		}
	}
	s.Handlers = append(s.Handlers, h)
}

// endStatus is the status of an end state that says nothing itself (semantics part 2).
func endStatus(state string) job.Status {
	switch {
	case state == "failed" || strings.HasSuffix(state, "_failed"):
		return job.Failed
	case state == "cancelled" || strings.HasSuffix(state, "_cancelled"):
		return job.Cancelled
	}
	return job.Finished
}

// handler takes a function's parameters apart.
func (l *loader) handler(r *starlib.Registration) *Handler {
	fn := r.Fn
	h := &Handler{Name: fn.Name(), Fn: fn, When: r.When, Pos: fn.Position()}
	if fn.HasVarargs() || fn.HasKwargs() {
		l.at("unknown-parameter", fn.Position(), "the handler %s has * parameters, which nothing fills; handlers' parameters are filled by name", fn.Name())
		return h
	}
	keywordOnly := fn.NumKwonlyParams()
	for i := range fn.NumParams() {
		name, pos := fn.Param(i)
		h.Params = append(h.Params, Param{Name: name, Default: fn.ParamDefault(i), KeywordOnly: i >= fn.NumParams()-keywordOnly, Pos: pos})
		if meant := nearest(name, starlib.Fixed()); !starlib.IsFixed(name) && meant != "" {
			l.at("misspelt-parameter", pos, "the parameter %s of %s: did you mean %s?", name, fn.Name(), meant)
		}
	}
	return h
}

// start finds the one start state.
func (l *loader) start(b *Blueprint, d *starlib.Declared, firsts map[string]*starlib.Registration) {
	var starts []string
	for _, name := range b.StateNames() {
		if b.States[name].Start {
			starts = append(starts, name)
		}
	}
	switch len(starts) {
	case 1:
		b.Start = starts[0]
	case 0:
		l.at("no-start", d.Pos, "the blueprint %q has no start: give one state is_start = True", d.Name)
	default:
		b.Start = starts[0]
		for _, name := range starts[1:] {
			l.at("two-starts", firsts[name].Pos, "the blueprint %q has two starts, %q and %q", d.Name, starts[0], name)
		}
	}
}

// apiPath joins version and endpoint as the URL has them, without slashes at the ends.
func apiPath(version, endpoint string) string {
	version, endpoint = strings.Trim(version, "/"), strings.Trim(endpoint, "/")
	if version == "" || endpoint == "" {
		return endpoint
	}
	return version + "/" + endpoint
}
