// This file is the entry: it analyses one file or a whole directory, follows load(), and checks what only several files together show.

package analysis

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"go.starlark.net/syntax"

	"orrery/starlib/guard"
)

// File analyses one file and what it loads. Names of blueprints that this file does not have are taken on trust, with a hint, because another file may have them.
// The error is that of reading the file itself; everything else is a finding.
func File(src Source, name string) (*Result, error) {
	a := newAnalyzer(src)
	if _, err := a.load(name, 0); err != nil {
		return nil, err
	}
	return a.finish([]string{name}), nil
}

// Tree analyses all files of a blueprint directory, with the checks over several files: names and endpoints used twice, run_blueprint of names that nothing has.
// Of names that end in TestSuffix only the text is checked: they make no blueprints.
// The error is that of reading one of the files; everything else is a finding.
func Tree(src Source, names []string) (*Result, error) {
	a := newAnalyzer(src)
	a.wholeTree = true
	sorted := make([]string, 0, len(names))
	for _, n := range names {
		if strings.HasSuffix(n, TestSuffix) {
			text, err := src(n)
			if err != nil {
				return nil, fmt.Errorf("analysis: read %s: %w", n, err)
			}
			a.readFile(n, text)
			continue
		}
		sorted = append(sorted, n)
	}
	sort.Strings(sorted)
	for _, name := range sorted {
		if _, err := a.load(name, 0); err != nil {
			return nil, err
		}
	}
	return a.finish(sorted), nil
}

// load executes a file once. The error is that of reading it.
func (a *analyzer) load(name string, depth int) (*module, error) {
	if m, ok := a.modules[name]; ok {
		return m, nil
	}
	data, err := a.src(name)
	var large *guard.LimitError
	if errors.As(err, &large) { // it was not read, and is a finding like one that was
		a.files[name] = &file{name: name, ignore: map[int][]string{}}
		a.reportAt(ruleLoad, name, 1, 1, 0, "the file is not read: "+large.Text, "move parts of it into files that it loads")
		a.modules[name] = &module{file: a.files[name], frame: &frame{vars: map[string]value{}}, failed: true}
		return a.modules[name], nil
	}
	if err != nil {
		return nil, fmt.Errorf("analysis: read %s: %w", name, err)
	}
	m := &module{file: a.readFile(name, data), loading: true}
	m.frame = &frame{vars: map[string]value{}}
	a.modules[name] = m
	if m.file.tree == nil {
		m.failed, m.loading = true, false
		return m, nil
	}
	before := a.current
	a.current = name
	in := &interp{a: a, paths: startPaths(), calls: []*activation{{}}, depth: depth}
	in.block(m.frame, m.file.tree.Stmts)
	a.current = before
	m.loading = false
	return m, nil
}

func (in *interp) loadStmt(f *frame, s *syntax.LoadStmt) {
	for _, id := range s.To {
		f.vars[id.Name] = unknown{}
	}
	name, err := loadName(s.ModuleName())
	if err != nil {
		suggestion := ""
		if arg := s.ModuleName(); !strings.HasPrefix(arg, "//") {
			suggestion = "write load(" + quote("//"+strings.TrimLeft(arg, "./:@")) + ", ...)"
		}
		in.a.reportNode(ruleLoad, s.Module, err.Error(), suggestion)
		return
	}
	if most := guard.Load().Depth; in.depth >= most {
		in.a.reportNode(ruleLoad, s.Module, fmt.Sprintf("load() goes deeper than %d files (%s)", most, guard.CodeLoadDepth), "")
		return
	}
	m, err := in.a.load(name, in.depth+1)
	switch {
	case err != nil:
		in.a.reportNode(ruleLoad, s.Module, fmt.Sprintf("%s can not be read: %v", name, unwrapRead(err)), "paths begin at the blueprint directory")
		return
	case m.loading:
		in.a.reportNode(ruleLoad, s.Module, fmt.Sprintf("%s is loaded while it is itself loading this file", name), "move what both need to a third file")
		return
	case m.failed:
		in.a.reportNode(ruleLoad, s.Module, fmt.Sprintf("%s can not be loaded, see its own error", name), "")
		return
	}
	for i, from := range s.From {
		v, ok := m.frame.vars[from.Name]
		if !ok {
			known := make([]string, 0, len(m.frame.vars))
			for k := range m.frame.vars {
				known = append(known, k)
			}
			sort.Strings(known)
			in.a.reportNode(ruleLoad, from, fmt.Sprintf("%s defines no %s", name, quote(from.Name)), didYouMean(from.Name, known))
			continue
		}
		f.vars[s.To[i].Name] = v
	}
}

// unwrapRead drops the prefix that load adds, for a message that already names the file.
func unwrapRead(err error) error {
	if u, ok := err.(interface{ Unwrap() error }); ok && u.Unwrap() != nil {
		return u.Unwrap()
	}
	return err
}

// finish interprets all handlers, builds the graphs of the given files and makes the checks over several files.
func (a *analyzer) finish(names []string) *Result {
	for _, bp := range a.blueprints {
		a.runHandlers(bp)
	}
	graphs := []*Graph{}
	asked := map[string]bool{}
	for _, n := range names {
		asked[n] = true
	}
	sort.SliceStable(a.blueprints, func(i, j int) bool { return a.blueprints[i].file < a.blueprints[j].file })
	for _, bp := range a.blueprints {
		g := a.graph(bp)
		if asked[bp.file] {
			graphs = append(graphs, g)
		}
	}
	a.checkNames()
	a.checkBlueprintCalls()
	r := a.result(graphs)
	r.Refs = a.refs()
	return r
}

// checkNames reports names and endpoints that two blueprints share.
func (a *analyzer) checkNames() {
	names, endpoints := map[string]*blueprintInfo{}, map[string]*blueprintInfo{}
	for _, bp := range a.blueprints {
		if first, ok := names[bp.name]; ok && bp.name != "" {
			a.reportNode(ruleDuplicateBP, bp.nameNode, fmt.Sprintf("%s has already a blueprint called %s", first.where(), quote(bp.name)), "names are unique over the directory")
		} else {
			names[bp.name] = bp
		}
		if bp.endpoint == "" {
			continue
		}
		key := bp.endpointKey()
		if first, ok := endpoints[key]; ok {
			a.reportNode(ruleDuplicateEP, bp.endpointNode, fmt.Sprintf("the blueprint %s (%s) already has the endpoint /api/%s", quote(first.name), first.where(), key), "")
		} else {
			endpoints[key] = bp
		}
	}
}

func (bp *blueprintInfo) where() string {
	pos := syntax.Start(bp.node)
	return fmt.Sprintf("%s:%d", pos.Filename(), pos.Line)
}

// checkBlueprintCalls reports run_blueprint of names that nothing has, and hints at blueprints that nothing can start.
func (a *analyzer) checkBlueprintCalls() {
	have := map[string]bool{}
	var known []string
	anyUnnamed := false
	for _, bp := range a.blueprints {
		have[bp.name] = true
		known = append(known, bp.name)
		anyUnnamed = anyUnnamed || bp.name == ""
	}
	called, dynamic := map[string]bool{}, false
	for _, bp := range a.blueprints {
		for _, h := range bp.runs {
			for _, c := range h.calls {
				dynamic = dynamic || c.name == ""
				called[c.name] = true
				if c.name == "" || have[c.name] || anyUnnamed {
					continue
				}
				if a.wholeTree {
					a.reportNode(ruleUnknownBP, c.node, fmt.Sprintf("no blueprint is called %s", quote(c.name)), didYouMean(c.name, known))
				} else {
					a.reportNode(ruleUnknownBP, c.node, fmt.Sprintf("this file has no blueprint called %s; checking the whole directory tells whether another has", quote(c.name)), didYouMean(c.name, known)).milder(Hint)
				}
			}
		}
	}
	if !a.wholeTree || dynamic {
		return
	}
	for _, bp := range a.blueprints {
		if !bp.hasEndpoint && !called[bp.name] && len(bp.renders) == 0 && bp.name != "" {
			a.reportNode(ruleUnusedBP, bp.nameNode, fmt.Sprintf("the blueprint %s has no api_endpoint and no run_blueprint() starts it", quote(bp.name)), `give it api_endpoint = "jobs/..." to start it from outside, or remove it`)
		}
	}
}
