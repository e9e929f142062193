package blueprint

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"orrery/engine/analysis"
	"orrery/starlib/guard"
)

// This file makes a Snapshot of a directory's texts: analysed as a whole, compiled file by
// file, with names and endpoints that only one blueprint has.

// Snapshot is a loaded directory. It is immutable.
type Snapshot struct {
	Programs  map[string]*Program // by file; libraries too
	Approvals []Approval          // in the order of files; what the texts tell
	names     []string            // of blueprints, sorted
	byName    map[string]*Blueprint
	byPath    map[string]*Blueprint
	revisions map[string]*Program
}

// Approval is a place where a blueprint asks a person by an integration that the text names.
type Approval struct {
	Integration string
	Blueprint   string
	File        string
	Line, Col   int
}

// approvals finds them in the graphs of an analysis; each call has an edge for each answer.
func (s *Snapshot) approvals(graphs []*analysis.Graph) {
	for _, g := range graphs {
		for _, e := range g.Edges {
			if _, inForce := s.Programs[e.File]; !inForce || e.Kind != analysis.EdgeApproval || e.TaskType == "" {
				continue
			}
			for name := range strings.SplitSeq(e.TaskType, ", ") {
				a := Approval{Integration: name, Blueprint: g.Name, File: e.File, Line: e.Line, Col: e.Col}
				if !slices.Contains(s.Approvals, a) {
					s.Approvals = append(s.Approvals, a)
				}
			}
		}
	}
}

// All gives the blueprints in the order of their names.
func (s *Snapshot) All() []*Blueprint {
	out := make([]*Blueprint, len(s.names))
	for i, name := range s.names {
		out[i] = s.byName[name]
	}
	return out
}

// ByName finds a blueprint.
func (s *Snapshot) ByName(name string) (*Blueprint, bool) {
	b, ok := s.byName[name]
	return b, ok
}

// ByEndpoint finds the blueprint behind a URL; slashes at the ends do not matter.
func (s *Snapshot) ByEndpoint(version, endpoint string) (*Blueprint, bool) {
	path := apiPath(version, endpoint)
	b, ok := s.byPath[path]
	return b, ok && path != ""
}

// loadTree loads all it can. leftOut names the files with errors, sorted. Programs that
// did not change since before are taken over.
func loadTree(n notes, texts map[string]string, findings []Finding, before *Snapshot) (*Snapshot, []Finding, []string) {
	texts, findings = withoutDeep(texts, findings)
	findings = append(findings, n.probe(texts)...)
	names := slices.Sorted(maps.Keys(texts))
	bad := map[string]bool{}
	for _, f := range findings {
		if f.Severity == analysis.Error {
			bad[f.File] = true
		}
	}
	result, err := n.tree(texts, names)
	if err != nil { // no text is missing, so this cannot be
		findings = append(findings, whole("load-error", names[0], err.Error()))
		return &Snapshot{}, findings, names
	}
	findings = append(findings, result.Findings...)
	for _, f := range result.Errors() {
		bad[f.File] = true
		if !slices.Contains(findings, f) { // a comment switched it off, but it must be shown
			findings = append(findings, f)
		}
	}
	s := &Snapshot{Programs: map[string]*Program{}, byName: map[string]*Blueprint{}, byPath: map[string]*Blueprint{}, revisions: map[string]*Program{}}
	for _, name := range names {
		if bad[name] {
			continue
		}
		p, err := n.compile(name, texts)
		if err != nil {
			bad[name] = true
			findings = addNew(findings, err)
			continue
		}
		if old := before.revisions[p.Revision]; old != nil && old.Main == name {
			p = old
		}
		if file := firstBad(p, bad); file != "" {
			bad[name] = true
			findings = append(findings, whole("load-error", name, fmt.Sprintf("it loads %s, which has errors", file)))
			continue
		}
		if clash := s.add(p); len(clash) > 0 {
			bad[name] = true
			findings = append(findings, clash...)
		}
	}
	sort.Strings(s.names)
	s.approvals(result.Graphs)
	return s, findings, slices.Sorted(maps.Keys(bad))
}

// withoutDeep leaves out texts that are nested too deep for the analysis, which recurses
// over a file's tree as all the rest does.
func withoutDeep(texts map[string]string, findings []Finding) (map[string]string, []Finding) {
	fit := make(map[string]string, len(texts))
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if err := guard.CheckSource(name, texts[name]); err != nil {
			l := &loader{files: texts}
			l.reportSyntax(name, err)
			findings = append(findings, l.findings...)
			continue
		}
		fit[name] = texts[name]
	}
	return fit, findings
}

// addNew appends the findings of a failed load that are not known yet: a fault in a library
// shows in every file that loads it.
func addNew(list []Finding, err error) []Finding {
	load, ok := err.(*LoadError)
	if !ok {
		return list
	}
	for _, f := range load.Findings {
		if !slices.Contains(list, f) {
			list = append(list, f)
		}
	}
	return list
}

func firstBad(p *Program, bad map[string]bool) string {
	for _, name := range slices.Sorted(maps.Keys(p.Files)) {
		if bad[name] {
			return name
		}
	}
	return ""
}

// add puts a program's blueprints under their names and endpoints, all or none of them.
func (s *Snapshot) add(p *Program) (clash []Finding) {
	own := map[string]*Blueprint{}
	for _, b := range p.Blueprints {
		at := Finding{Rule: "duplicate-blueprint", Severity: analysis.Error, File: b.File, Line: b.Line, Col: 1, Source: p.Line(b.File, b.Line)}
		if other, twice := s.byName[b.Name]; twice {
			at.Message = fmt.Sprintf("the name %q belongs to a blueprint of %s:%d already", b.Name, other.File, other.Line)
			clash = append(clash, at)
		}
		if b.Endpoint == "" {
			continue
		}
		other, twice := s.byPath[b.Path()]
		if !twice {
			other, twice = own[b.Path()]
		}
		if twice {
			at.Rule = "duplicate-endpoint"
			at.Message = fmt.Sprintf("the endpoint %s belongs to the blueprint %q of %s:%d already", b.Path(), other.Name, other.File, other.Line)
			clash = append(clash, at)
		}
		own[b.Path()] = b
	}
	if len(clash) > 0 {
		return clash
	}
	s.Programs[p.Main], s.revisions[p.Revision] = p, p
	for _, b := range p.Blueprints {
		s.byName[b.Name] = b
		s.names = append(s.names, b.Name)
	}
	maps.Copy(s.byPath, own)
	return nil
}
