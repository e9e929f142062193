package lsp

import (
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"

	"orrery/engine/analysis"
)

// This file goes from places to places: definition, references, rename, symbols.

// refAt gives the naming of a state at a place, or nil.
func (s *Server) refAt(name string, p position) *analysis.Ref {
	for i := range s.ws.result.Refs {
		r := &s.ws.result.Refs[i]
		if r.File != name || r.Line != p.Line+1 || !r.Exact {
			continue
		}
		if at := s.ws.span(name, r.Line, r.Col, r.EndCol); at.Start.Character <= p.Character && p.Character <= at.End.Character {
			return r
		}
	}
	return nil
}

func (s *Server) location(r *analysis.Ref) location {
	return location{s.ws.uriOf(r.File), s.ws.span(r.File, r.Line, r.Col, r.EndCol)}
}

// definition goes to the registrations of a state, or to where a name is first given its value.
func (s *Server) definition(p *place, name string) (any, error) {
	list := []location{}
	if at := s.refAt(name, p.Position); at != nil {
		for i := range s.ws.result.Refs {
			if r := &s.ws.result.Refs[i]; r.Def && r.Blueprint == at.Blueprint && r.State == at.State {
				list = append(list, s.location(r))
			}
		}
		return list, nil
	}
	_, id := s.identAt(name, p.Position)
	if id == nil {
		return list, nil
	}
	b, ok := id.Binding.(*resolve.Binding)
	if !ok || b.First == nil {
		return list, nil
	}
	if loaded := s.loadedFrom(name, b.First); loaded != nil {
		return append(list, *loaded), nil
	}
	return append(list, s.identLocation(name, b.First)), nil
}

func (s *Server) identLocation(name string, id *syntax.Ident) location {
	line, col := int(id.NamePos.Line), int(id.NamePos.Col)
	return location{s.ws.uriOf(name), s.ws.span(name, line, col, col+len([]rune(id.Name)))}
}

// identAt parses a file and gives the name at a place; nil when there is none, or the file does not parse.
func (s *Server) identAt(name string, p position) (*syntax.File, *syntax.Ident) {
	text := s.ws.text(name)
	tree, err := analysis.Dialect.Parse(name, text, 0)
	if err != nil {
		return nil, nil
	}
	known := func(string) bool { return true } // what is predeclared does not matter here
	if err := resolve.File(tree, known, known); err != nil {
		return nil, nil
	}
	var found *syntax.Ident
	syntax.Walk(tree, func(n syntax.Node) bool {
		if id, ok := n.(*syntax.Ident); ok && int(id.NamePos.Line) == p.Line+1 {
			at := s.identLocation(name, id).Range
			if at.Start.Character <= p.Character && p.Character <= at.End.Character {
				found = id
			}
		}
		return true
	})
	return tree, found
}

// loadedFrom goes on into the file that a name was loaded from.
func (s *Server) loadedFrom(name string, first *syntax.Ident) *location {
	tree, err := analysis.Dialect.Parse(name, s.ws.text(name), 0)
	if err != nil {
		return nil
	}
	for _, stmt := range tree.Stmts {
		load, ok := stmt.(*syntax.LoadStmt)
		if !ok {
			continue
		}
		for i, to := range load.To {
			if to.NamePos.Line != first.NamePos.Line || to.NamePos.Col != first.NamePos.Col {
				continue
			}
			file := strings.TrimPrefix(load.ModuleName(), "//")
			if id := s.globalOf(file, load.From[i].Name); id != nil {
				at := s.identLocation(file, id)
				return &at
			}
		}
	}
	return nil
}

// globalOf finds where a file gives a global name its value.
func (s *Server) globalOf(file, name string) *syntax.Ident {
	tree, err := analysis.Dialect.Parse(file, s.ws.text(file), 0)
	if err != nil {
		return nil
	}
	for _, stmt := range tree.Stmts {
		switch st := stmt.(type) {
		case *syntax.DefStmt:
			if st.Name.Name == name {
				return st.Name
			}
		case *syntax.AssignStmt:
			if id, ok := st.LHS.(*syntax.Ident); ok && id.Name == name {
				return id
			}
		}
	}
	return nil
}

// references lists every place that names the state, or the name within its file.
func (s *Server) references(p *place, name string) (any, error) {
	list := []location{}
	if at := s.refAt(name, p.Position); at != nil {
		for i := range s.ws.result.Refs {
			r := &s.ws.result.Refs[i]
			if r.Blueprint == at.Blueprint && r.State == at.State && (!r.Def || p.Context.IncludeDeclaration) {
				list = append(list, s.location(r))
			}
		}
		return list, nil
	}
	tree, id := s.identAt(name, p.Position)
	if id == nil || id.Binding == nil {
		return list, nil
	}
	first := id.Binding.(*resolve.Binding).First
	syntax.Walk(tree, func(n syntax.Node) bool {
		other, ok := n.(*syntax.Ident)
		if !ok {
			return true
		}
		if b, ok := other.Binding.(*resolve.Binding); ok && b.First == first && first != nil && (other != first || p.Context.IncludeDeclaration) {
			list = append(list, s.identLocation(name, other))
		}
		return true
	})
	return list, nil
}

// prepareRename tells what would be renamed: states only.
func (s *Server) prepareRename(p *place, name string) (any, error) {
	r := s.refAt(name, p.Position)
	if r == nil {
		return nil, nil
	}
	at, ok := s.inner(r)
	if !ok {
		return nil, nil
	}
	return map[string]any{"range": at, "placeholder": r.State}, nil
}

// inner is the place of the name itself, within the quotes.
func (s *Server) inner(r *analysis.Ref) (span, bool) {
	line := []rune(s.ws.line(r.File, r.Line))
	if r.EndCol-1 > len(line) {
		return span{}, false
	}
	source := string(line[r.Col-1 : r.EndCol-1])
	i := strings.Index(source, r.State)
	if i < 0 {
		return span{}, false
	}
	from := r.Col + len([]rune(source[:i]))
	return s.ws.span(r.File, r.Line, from, from+len([]rune(r.State))), true
}

// rename gives a state another name everywhere. It is refused where a name is computed, for it would be missed, and where the new name is taken.
func (s *Server) rename(p *place, name string) (any, error) {
	at := s.refAt(name, p.Position)
	if at == nil {
		return nil, &rpcError{codeFailed, "only states can be renamed here"}
	}
	if p.NewName == "" || strings.ContainsAny(p.NewName, "\"'\\\n\r\t") {
		return nil, &rpcError{codeInvalidParams, fmt.Sprintf("%q can not name a state", p.NewName)}
	}
	meant := s.sharing(at)
	for _, g := range s.ws.result.Graphs {
		if slices.Contains(meant, [2]string{g.Name, at.State}) && g.State(p.NewName) != nil {
			return nil, &rpcError{codeFailed, fmt.Sprintf("%s has a state %q already", g.Name, p.NewName)}
		}
	}
	edit := workspaceEdit{Changes: map[string][]textEdit{}}
	done := map[location]bool{}
	for i := range s.ws.result.Refs {
		r := &s.ws.result.Refs[i]
		if !slices.Contains(meant, [2]string{r.Blueprint, r.State}) {
			continue
		}
		where, ok := s.inner(r)
		if !r.Exact || !ok {
			return nil, &rpcError{codeFailed, fmt.Sprintf("%s:%d:%d computes the name %q, so it can not be renamed by itself; write it out there first", r.File, r.Line, r.Col, r.State)}
		}
		uri := s.ws.uriOf(r.File)
		if done[location{uri, where}] {
			continue
		}
		done[location{uri, where}] = true
		edit.Changes[uri] = append(edit.Changes[uri], textEdit{where, p.NewName})
	}
	s.renameInTests(edit, meant, at.State, p.NewName)
	return edit, nil
}

// sharing gives the blueprints whose state of that name is renamed too, because they share a literal: a table of transitions for several.
func (s *Server) sharing(at *analysis.Ref) [][2]string {
	meant := [][2]string{{at.Blueprint, at.State}}
	for grown := true; grown; {
		grown = false
		places := map[[4]any]bool{}
		for _, r := range s.ws.result.Refs {
			if slices.Contains(meant, [2]string{r.Blueprint, r.State}) {
				places[[4]any{r.File, r.Line, r.Col, r.EndCol}] = true
			}
		}
		for _, r := range s.ws.result.Refs {
			if key := [2]string{r.Blueprint, r.State}; r.State == at.State && places[[4]any{r.File, r.Line, r.Col, r.EndCol}] && !slices.Contains(meant, key) {
				meant, grown = append(meant, key), true
			}
		}
	}
	return meant
}

// symbols lists a file's blueprints with their states, and its functions.
func (s *Server) symbols(_ *place, name string) (any, error) {
	list := []symbol{}
	for _, g := range s.ws.result.Graphs {
		if g.File != name {
			continue
		}
		at := s.ws.span(name, g.Line, g.Col, len([]rune(s.ws.line(name, g.Line)))+1)
		sym := symbol{Name: g.Name, Detail: fmt.Sprintf("blueprint, %d states", len(g.States)), Kind: symbolClass, Range: at, Select: at}
		for _, st := range g.States {
			if st.File != name {
				continue
			}
			at := s.ws.span(name, st.Line, st.Col, len([]rune(s.ws.line(name, st.Line)))+1)
			sym.Children = append(sym.Children, symbol{Name: st.Name, Detail: strings.TrimSpace(st.Kind + " " + st.Status), Kind: symbolEvent, Range: at, Select: at})
		}
		list = append(list, sym)
	}
	tree, err := analysis.Dialect.Parse(name, s.ws.text(name), 0)
	if err != nil {
		return list, nil
	}
	for _, stmt := range tree.Stmts {
		if def, ok := stmt.(*syntax.DefStmt); ok {
			start, end := def.Span()
			whole := span{s.ws.span(name, int(start.Line), int(start.Col), 0).Start, s.ws.span(name, int(end.Line), int(end.Col), 0).Start}
			list = append(list, symbol{Name: def.Name.Name, Detail: "function", Kind: symbolFunction, Range: whole, Select: s.identLocation(name, def.Name).Range})
		}
	}
	return list, nil
}
