package lsp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"orrery/engine/analysis"
	"orrery/engine/starfmt"
)

// This file is the server: its life, the documents, and which request goes where.

// Server talks with one editor.
type Server struct {
	root  string // given on the command line; "" takes the editor's folder
	out   io.Writer
	ws    *workspace
	next  int  // number of the next request to the editor
	shows bool // the editor can show a document on request
	ended bool // shutdown was asked
	ctx   context.Context
}

// New makes a server. root "" takes the folder that the editor names.
func New(root string) *Server { return &Server{root: root} }

// Serve answers until the editor says exit or its stream ends. The error is that of the
// streams, or of an exit without shutdown.
func (s *Server) Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	s.out, s.ctx = out, ctx
	type incoming struct {
		m   *message
		err error
	}
	messages := make(chan incoming, 64)
	go func() {
		r := bufio.NewReader(in)
		for {
			m, err := readMessage(r)
			messages <- incoming{m, err}
			if err != nil {
				return
			}
		}
	}()
	for {
		var got incoming
		select {
		case got = <-messages:
		default: // nothing waits: time for the analysis
			if err := s.publish(); err != nil {
				return err
			}
			select {
			case got = <-messages:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if errors.Is(got.err, io.EOF) {
			return nil
		}
		if got.err != nil {
			return got.err
		}
		if done, err := s.handle(got.m); done || err != nil {
			return err
		}
	}
}

// handle deals with one message.
func (s *Server) handle(m *message) (done bool, err error) {
	if m.Error != nil && m.Method == "" && string(m.ID) == "null" {
		return false, writeMessage(s.out, m)
	}
	if m.Method == "exit" {
		if !s.ended {
			return true, errors.New("the editor left without a shutdown")
		}
		return true, nil
	}
	if m.Method == "" { // an answer of the editor's
		return false, nil
	}
	result, err := s.dispatch(m)
	if m.ID == nil { // a note has no answer, not even an error
		return false, nil
	}
	return false, writeMessage(s.out, answer(m.ID, result, err))
}

// dispatch finds the answer to a request or takes a note; flat switch.
func (s *Server) dispatch(m *message) (result any, err error) {
	defer func() {
		if r := recover(); r != nil { // one bad request must not take the editor's server away
			result, err = nil, fmt.Errorf("the request %s failed: %v", m.Method, r)
		}
	}()
	switch {
	case m.Method == "initialize":
		return s.initialize(m.Params)
	case s.ws == nil:
		return nil, &rpcError{codeNotInitialized, "initialize comes first"}
	case s.ended:
		return nil, &rpcError{codeInvalidRequest, "after shutdown only exit is taken"}
	}
	switch m.Method {
	case "shutdown":
		s.ended = true
		return nil, nil
	case "initialized", "$/cancelRequest", "$/setTrace", "workspace/didChangeConfiguration":
		return nil, nil
	case "textDocument/didOpen", "textDocument/didChange", "textDocument/didClose", "textDocument/didSave", "workspace/didChangeWatchedFiles":
		return nil, s.changed(m)
	case "workspace/executeCommand":
		return s.execute(m.Params)
	}
	answers := map[string]func(*place, string) (any, error){
		"textDocument/completion":     s.complete,
		"textDocument/hover":          s.hover,
		"textDocument/definition":     s.definition,
		"textDocument/references":     s.references,
		"textDocument/prepareRename":  s.prepareRename,
		"textDocument/rename":         s.rename,
		"textDocument/documentSymbol": s.symbols,
		"textDocument/formatting":     s.format,
		"textDocument/codeLens":       s.lenses,
		"textDocument/codeAction":     s.actions,
	}
	ask, ok := answers[m.Method]
	if !ok {
		return nil, &rpcError{codeMethodNotFound, "this server does not know " + m.Method}
	}
	var p place
	if err := json.Unmarshal(m.Params, &p); err != nil {
		return nil, &rpcError{codeInvalidParams, err.Error()}
	}
	name, ok := s.ws.nameOf(p.TextDocument.URI)
	if !ok {
		return nil, nil // not a file of this workspace
	}
	if m.Method != "textDocument/completion" && m.Method != "textDocument/formatting" { // those must be quick, or need none
		if err := s.ws.analyse(); err != nil {
			return nil, err
		}
	}
	return ask(&p, name)
}

func (s *Server) initialize(raw json.RawMessage) (any, error) {
	var p struct {
		RootURI  string `json:"rootUri"`
		RootPath string `json:"rootPath"`
		Folders  []struct {
			URI string `json:"uri"`
		} `json:"workspaceFolders"`
		Options struct {
			Root string `json:"root"`
		} `json:"initializationOptions"`
		Capabilities struct {
			Window struct {
				ShowDocument struct {
					Support bool `json:"support"`
				} `json:"showDocument"`
			} `json:"window"`
		} `json:"capabilities"`
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, &rpcError{codeInvalidParams, err.Error()}
	}
	root := p.RootPath
	if p.RootURI != "" {
		root = fromURI(p.RootURI)
	} else if len(p.Folders) > 0 {
		root = fromURI(p.Folders[0].URI)
	}
	if p.Options.Root != "" {
		root = filepath.Join(root, filepath.FromSlash(p.Options.Root))
	}
	if s.root != "" {
		root = s.root
	}
	if root == "" {
		root = "."
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	s.ws, s.shows = newWorkspace(root), p.Capabilities.Window.ShowDocument.Support
	return map[string]any{
		"serverInfo": map[string]string{"name": "orrery"},
		"capabilities": map[string]any{
			"textDocumentSync":           map[string]any{"openClose": true, "change": 2, "save": map[string]bool{"includeText": false}},
			"completionProvider":         map[string]any{"triggerCharacters": []string{".", "\"", "'", "(", ","}},
			"hoverProvider":              true,
			"definitionProvider":         true,
			"referencesProvider":         true,
			"renameProvider":             map[string]bool{"prepareProvider": true},
			"documentSymbolProvider":     true,
			"documentFormattingProvider": true,
			"codeActionProvider":         map[string]any{"codeActionKinds": []string{"quickfix"}},
			"codeLensProvider":           map[string]bool{"resolveProvider": false},
			"executeCommandProvider":     map[string]any{"commands": []string{graphCommand}},
		},
	}, nil
}

// fromURI gives the path of a file: address.
func fromURI(uri string) string {
	w := &workspace{root: string(filepath.Separator)}
	name, ok := w.nameOf(uri)
	if !ok {
		return ""
	}
	return string(filepath.Separator) + filepath.FromSlash(name)
}

// changed takes over what the editor says of its documents.
func (s *Server) changed(m *message) error {
	var p change
	if err := json.Unmarshal(m.Params, &p); err != nil {
		return err
	}
	s.ws.dirty = true
	name, ok := s.ws.nameOf(p.TextDocument.URI)
	if !ok || !strings.HasSuffix(name, ".star") {
		return nil
	}
	switch m.Method {
	case "textDocument/didOpen":
		s.ws.open[name] = p.TextDocument.Text
	case "textDocument/didClose":
		delete(s.ws.open, name)
	case "textDocument/didChange":
		text := s.ws.open[name]
		for _, c := range p.ContentChanges {
			if c.Range == nil {
				text = c.Text
				continue
			}
			from, to := offset(text, c.Range.Start), offset(text, c.Range.End)
			text = text[:from] + c.Text + text[max(from, to):]
		}
		s.ws.open[name] = text
	}
	return nil
}

// publish analyses what changed and sends the findings of each file that has some, or had.
func (s *Server) publish() error {
	if s.ws == nil || !s.ws.dirty || s.ended {
		return nil
	}
	if err := s.ws.analyse(); err != nil {
		return nil // a file went away while it was read; its own change comes next
	}
	byFile := map[string][]diagnostic{}
	for name := range s.ws.open {
		byFile[name] = []diagnostic{}
	}
	for name := range s.ws.told {
		byFile[name] = []diagnostic{}
	}
	for _, f := range append(s.ws.result.Findings, hidden(s.ws.result)...) {
		byFile[f.File] = append(byFile[f.File], s.diagnostic(f))
	}
	for name, list := range byFile {
		s.ws.told[name] = len(list) > 0
		if !s.ws.told[name] {
			delete(s.ws.told, name)
		}
		if err := s.note("textDocument/publishDiagnostics", map[string]any{"uri": s.ws.uriOf(name), "diagnostics": list}); err != nil {
			return err
		}
	}
	return nil
}

// hidden are the errors that a comment switches off and that still stop a load.
func hidden(r *analysis.Result) (list []analysis.Finding) {
	for _, f := range r.Suppressed() {
		if f.Severity == analysis.Error && f.Hard {
			list = append(list, f)
		}
	}
	return list
}

func (s *Server) diagnostic(f analysis.Finding) diagnostic {
	d := diagnostic{Range: s.ws.span(f.File, f.Line, f.Col, f.EndCol), Code: f.Rule, Source: "orrery", Message: f.Message}
	switch f.Severity {
	case analysis.Error:
		d.Severity = severityError
	case analysis.Warning:
		d.Severity = severityWarning
	default:
		d.Severity = severityHint
	}
	if f.Suggestion != "" {
		d.Message += "\n" + f.Suggestion
	}
	return d
}

// note sends a note to the editor.
func (s *Server) note(method string, params any) error {
	raw, err := json.Marshal(params)
	if err != nil {
		return err
	}
	return writeMessage(s.out, &message{Method: method, Params: raw})
}

// ask sends a request to the editor; its answer is not waited for.
func (s *Server) ask(method string, params any) error {
	raw, err := json.Marshal(params)
	if err != nil {
		return err
	}
	s.next++
	return writeMessage(s.out, &message{ID: json.RawMessage(fmt.Sprintf("\"orrery-%d\"", s.next)), Method: method, Params: raw})
}

// format gives the whole text anew when it is not in its form yet.
func (s *Server) format(_ *place, name string) (any, error) {
	text := s.ws.text(name)
	out, err := starfmt.Source(name, []byte(text))
	if err != nil {
		return nil, err
	}
	if string(out) == text {
		return []textEdit{}, nil
	}
	return []textEdit{{Range: span{position{}, positionAt(text, len(text))}, NewText: string(out)}}, nil
}
