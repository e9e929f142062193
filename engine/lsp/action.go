package lsp

import (
	"path/filepath"
	"strconv"
	"strings"

	"go.starlark.net/syntax"

	"orrery/engine/analysis"
)

// This file holds what a finding offers to do, and the tests beside a file, which name its states too.

// action is one change that the editor offers.
type action struct {
	Title       string        `json:"title"`
	Kind        string        `json:"kind"`
	Diagnostics []diagnostic  `json:"diagnostics"`
	Preferred   bool          `json:"isPreferred,omitempty"`
	Edit        workspaceEdit `json:"edit"`
}

// actions offers, for each finding on the lines of the selection, the name that was probably meant and a comment that switches the finding off.
func (s *Server) actions(p *place, name string) (any, error) {
	list := []action{}
	uri := s.ws.uriOf(name)
	add := func(f analysis.Finding, title string, preferred bool, e textEdit) {
		list = append(list, action{title, "quickfix", []diagnostic{s.diagnostic(f)}, preferred, workspaceEdit{Changes: map[string][]textEdit{uri: {e}}}})
	}
	for _, f := range s.ws.result.Findings {
		if f.File != name || f.Line-1 < p.Range.Start.Line || f.Line-1 > p.Range.End.Line {
			continue
		}
		line := s.ws.line(name, f.Line)
		if text, ok := meant(f, line); ok {
			add(f, "Change it to "+text, true, textEdit{s.ws.span(name, f.Line, f.Col, f.EndCol), text})
		}
		if !f.Hard && f.Rule != "syntax-error" && !strings.HasSuffix(line, `\`) {
			end := len([]rune(line)) + 1
			at := s.ws.span(name, f.Line, end, end+1)
			at.End = at.Start
			add(f, "Switch "+f.Rule+" off here", false, textEdit{at, "  # orrery: ignore[" + f.Rule + "]"})
		}
	}
	return list, nil
}

// meant gives the text that a "did you mean" puts in the place of what a finding marks, in the quotes that stand there.
func meant(f analysis.Finding, line string) (string, bool) {
	quoted, ok := strings.CutPrefix(f.Suggestion, "did you mean ")
	word, err := strconv.Unquote(strings.TrimSuffix(quoted, "?"))
	runes := []rune(line)
	if !ok || err != nil || word == "" || f.EndCol <= f.Col || f.EndCol-1 > len(runes) {
		return "", false
	}
	switch marked := string(runes[f.Col-1 : f.EndCol-1]); {
	case marked[0] == '"' || marked[0] == '\'':
		if strings.ContainsAny(word, "\"'\\") || len(marked) < 2 || marked[len(marked)-1] != marked[0] {
			return "", false
		}
		return marked[:1] + word + marked[:1], true
	case strings.ContainsAny(marked, " ()[]{}.,=\"'"):
		return "", false // more than the name is marked
	}
	return word, true
}

// inTests gives the edits that rename a state in the test beside a file: the texts there that are its name and nothing else.
func (s *Server) inTests(file, state, newName string) []textEdit {
	test := strings.TrimSuffix(file, filepath.Ext(file)) + analysis.TestSuffix
	text, err := s.ws.read(test)
	if err != nil {
		return nil // there is none
	}
	tree, err := analysis.Dialect.Parse(test, text, 0)
	if err != nil {
		return nil // what is half written is left alone
	}
	var edits []textEdit
	syntax.Walk(tree, func(n syntax.Node) bool {
		lit, ok := n.(*syntax.Literal)
		if !ok || lit.Value != any(state) || len(lit.Raw) != len(state)+2 {
			return true
		}
		from := int(lit.TokenPos.Col) + 1
		at := s.ws.span(test, int(lit.TokenPos.Line), from, from+len([]rune(state)))
		edits = append(edits, textEdit{at, newName})
		return true
	})
	return edits
}

// renameInTests adds the tests beside all files that a rename changes. A name that is a state of two blueprints of a file is left to the author there: a test does not tell which is meant.
func (s *Server) renameInTests(edit workspaceEdit, renamed [][2]string, state, newName string) {
	for _, name := range s.ws.files() {
		if len(edit.Changes[s.ws.uriOf(name)]) == 0 || strings.HasSuffix(name, analysis.TestSuffix) || s.ambiguous(name, renamed, state) {
			continue
		}
		if edits := s.inTests(name, state, newName); len(edits) > 0 {
			edit.Changes[s.ws.uriOf(strings.TrimSuffix(name, filepath.Ext(name))+analysis.TestSuffix)] = edits
		}
	}
}

func (s *Server) ambiguous(file string, renamed [][2]string, state string) bool {
	for _, g := range s.ws.result.Graphs {
		if g.File != file || g.State(state) == nil {
			continue
		}
		own := false
		for _, r := range renamed {
			own = own || r == [2]string{g.Name, state}
		}
		if !own {
			return true
		}
	}
	return false
}
