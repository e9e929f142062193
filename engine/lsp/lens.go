package lsp

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"orrery/engine/analysis"
	"orrery/engine/draw"
)

// This file shows the graph: a line above each blueprint, and the command behind it.

const graphCommand = "orrery.graph"

// lenses gives one line for each blueprint of the file.
func (s *Server) lenses(_ *place, name string) (any, error) {
	list := []lens{}
	for _, g := range s.ws.result.Graphs {
		if g.File != name {
			continue
		}
		list = append(list, lens{s.ws.span(name, g.Line, 1, 2), command{
			Title:   fmt.Sprintf("show graph (%d states, %d ways)", len(g.States), len(g.Edges)),
			Command: graphCommand, Arguments: []any{s.ws.uriOf(name), g.Name},
		}})
	}
	return list, nil
}

// execute draws a blueprint, lets the editor show the picture where it can, and gives its path and its Mermaid text.
func (s *Server) execute(raw json.RawMessage) (any, error) {
	var p struct {
		Command   string   `json:"command"`
		Arguments []string `json:"arguments"`
	}
	if err := json.Unmarshal(raw, &p); err != nil || len(p.Arguments) != 2 || p.Command != graphCommand {
		return nil, &rpcError{codeInvalidParams, fmt.Sprintf("the command %s takes a document and the name of a blueprint", graphCommand)}
	}
	name, ok := s.ws.nameOf(p.Arguments[0])
	if err := s.ws.analyse(); err != nil || !ok {
		return nil, &rpcError{codeInvalidParams, "the document is not of this workspace"}
	}
	var graph *analysis.Graph
	for _, g := range s.ws.result.Graphs {
		if g.File == name && g.Name == p.Arguments[1] {
			graph = g
		}
	}
	if graph == nil {
		return nil, &rpcError{codeInvalidParams, fmt.Sprintf("%s has no blueprint %q", name, p.Arguments[1])}
	}
	mermaid, err := draw.Render(s.ctx, graph, draw.Mermaid)
	if err != nil {
		return nil, err
	}
	picture, err := draw.Render(s.ctx, graph, draw.SVG)
	if err != nil {
		return nil, err
	}
	file, err := os.CreateTemp("", "orrery-graph-*.svg")
	if err != nil {
		return nil, err
	}
	_, err = file.Write(picture)
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return nil, err
	}
	if s.shows {
		at := &workspace{root: filepath.Dir(file.Name())}
		if err := s.ask("window/showDocument", map[string]any{"uri": at.uriOf(filepath.Base(file.Name())), "external": true}); err != nil {
			return nil, err
		}
	}
	return map[string]string{"path": file.Name(), "mermaid": string(mermaid)}, nil
}
