package lsp

import (
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf16"

	"orrery/engine/analysis"
)

// This file holds the workspace: files with the editor's documents over them, and what the analysis said of them last.

// maxFiles bounds the files that are analysed together; beyond it only open documents are.
const maxFiles = 2000

type workspace struct {
	root   string            // absolute
	open   map[string]string // texts of documents by name
	result *analysis.Result  // of the last analysis; never nil
	dirty  bool              // something changed since
	told   map[string]bool   // files that diagnostics were sent for

	// known are the blueprints of each file as it was when it parsed last: what is being written seldom does.
	known map[string][]*analysis.Graph
}

func newWorkspace(root string) *workspace {
	return &workspace{root: root, open: map[string]string{}, result: &analysis.Result{}, dirty: true, told: map[string]bool{}, known: map[string][]*analysis.Graph{}}
}

// nameOf turns a document's address into a name below the root; ok is false for others.
func (w *workspace) nameOf(uri string) (name string, ok bool) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "file" {
		return "", false
	}
	path := u.Path
	if len(path) > 2 && path[0] == '/' && path[2] == ':' { // a drive of Windows
		path = path[1:]
	}
	rel, err := filepath.Rel(w.root, filepath.FromSlash(path))
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return "", false
	}
	return filepath.ToSlash(rel), true
}

func (w *workspace) uriOf(name string) string {
	path := filepath.ToSlash(filepath.Join(w.root, filepath.FromSlash(name)))
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}

// read gives a file as the editor has it, else as it is saved.
func (w *workspace) read(name string) ([]byte, error) {
	if text, ok := w.open[name]; ok {
		return []byte(text), nil
	}
	return os.ReadFile(filepath.Join(w.root, filepath.FromSlash(name)))
}

func (w *workspace) text(name string) string {
	text, err := w.read(name)
	if err != nil {
		return ""
	}
	return string(text)
}

// line gives a line (from 1) of a file.
func (w *workspace) line(name string, n int) string {
	lines := strings.Split(w.text(name), "\n")
	if n < 1 || n > len(lines) {
		return ""
	}
	return strings.TrimSuffix(lines[n-1], "\r")
}

// files lists the blueprint files of the folder and the open documents.
func (w *workspace) files() []string {
	var names []string
	_ = filepath.WalkDir(w.root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil // what can not be read is not shown
		case d.IsDir() && path != w.root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules"):
			return filepath.SkipDir
		case !d.IsDir() && strings.HasSuffix(path, ".star"):
			rel, err := filepath.Rel(w.root, path)
			if err != nil {
				return nil
			}
			names = append(names, filepath.ToSlash(rel))
		}
		if len(names) > maxFiles {
			names = nil
			return filepath.SkipAll
		}
		return nil
	})
	for name := range w.open {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// analyse reads everything anew when something changed.
func (w *workspace) analyse() (err error) {
	if !w.dirty {
		return nil
	}
	w.dirty = false
	defer func() {
		if r := recover(); r != nil { // a text that the analysis can not take must not end the editor's server
			err = fmt.Errorf("the analysis failed: %v", r)
		}
	}()
	result, err := analysis.Tree(w.read, w.files())
	if err != nil { // a file went away between listing and reading: the next change comes
		return err
	}
	w.result = result
	broken := map[string]bool{}
	for _, f := range result.Findings {
		broken[f.File] = broken[f.File] || f.Rule == "syntax-error"
	}
	for file := range w.known {
		if !broken[file] {
			delete(w.known, file)
		}
	}
	for _, g := range result.Graphs {
		w.known[g.File] = append(w.known[g.File], g)
	}
	return nil
}

// graphs lists the known blueprints of a file; "" of all files, in their order.
func (w *workspace) graphs(file string) []*analysis.Graph {
	if file != "" {
		return w.known[file]
	}
	var all []*analysis.Graph
	for _, name := range slices.Sorted(maps.Keys(w.known)) {
		all = append(all, w.known[name]...)
	}
	return all
}

// span turns a place of the analysis (lines and characters from 1) into one of the protocol.
func (w *workspace) span(file string, line, col, endCol int) span {
	text := w.line(file, line)
	if endCol <= col {
		endCol = col + 1
	}
	return span{position{line - 1, units(text, col-1)}, position{line - 1, units(text, endCol-1)}}
}

// units counts the UTF-16 units of the first n characters of a line.
func units(line string, n int) (count int) {
	for _, r := range line {
		if n--; n < 0 {
			break
		}
		count += utf16.RuneLen(r)
	}
	return count
}

// offset gives the byte at which a position stands in a text, at most its end.
func offset(text string, p position) int {
	at := 0
	for range p.Line {
		next := strings.IndexByte(text[at:], '\n')
		if next < 0 {
			return len(text)
		}
		at += next + 1
	}
	left := p.Character
	for i, r := range text[at:] {
		if left <= 0 || r == '\n' {
			return at + i
		}
		left -= utf16.RuneLen(r)
	}
	return len(text)
}

// positionAt is the opposite of offset.
func positionAt(text string, at int) position {
	before := text[:at]
	start := strings.LastIndexByte(before, '\n') + 1
	return position{strings.Count(before, "\n"), units(before[start:], len(before))}
}
