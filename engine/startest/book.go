package startest

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"orrery/engine"
	"orrery/engine/analysis"
	"orrery/engine/blueprint"
)

// This file is the catalog of a test file: the blueprints of its folder.

// book holds compiled blueprints. The file that the test file is named after is loaded at
// once, the others of the folder when a name is asked for that it does not have.
type book struct {
	file     File
	byName   map[string]*blueprint.Blueprint
	graphs   map[string]*analysis.Graph
	loaded   map[string]bool
	own      []*blueprint.Blueprint // of the file that the test file is named after
	ownIs    string                 // that file's name; "" when there is none
	onAdd    func(*analysis.Graph, *blueprint.Blueprint)
	complete bool // the whole folder is loaded
}

var _ engine.Catalog = (*book)(nil)

func newBook(f File) *book {
	return &book{file: f, byName: map[string]*blueprint.Blueprint{}, graphs: map[string]*analysis.Graph{}, loaded: map[string]bool{}}
}

// open loads X.star for X_test.star; without such a file the whole folder.
func (b *book) open() error {
	stem := strings.TrimSuffix(b.file.Name, Suffix) + ".star"
	if _, err := os.Stat(b.path(stem)); err != nil {
		return b.rest()
	}
	b.ownIs = stem
	program, err := b.load(stem)
	if err != nil {
		return err
	}
	b.own = program.Blueprints
	return nil
}

func (b *book) path(name string) string {
	return filepath.Join(b.file.Root, filepath.FromSlash(name))
}

// rest loads the other files of the folder.
func (b *book) rest() error {
	if b.complete {
		return nil
	}
	b.complete = true
	folder := path.Dir(b.file.Name)
	entries, err := os.ReadDir(b.path(folder))
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(folder, e.Name())
		if e.IsDir() || !strings.HasSuffix(name, ".star") || strings.HasSuffix(name, Suffix) || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		program, err := b.load(name)
		if err != nil {
			return err
		}
		if b.ownIs == "" && program != nil {
			b.own = append(b.own, program.Blueprints...)
		}
	}
	return nil
}

// load checks and compiles one file; nil when it is loaded already.
func (b *book) load(name string) (*blueprint.Program, error) {
	if b.loaded[name] {
		return nil, nil
	}
	b.loaded[name] = true
	texts := map[string]string{}
	read := func(name string) ([]byte, error) {
		text, err := os.ReadFile(b.path(name))
		if err == nil {
			texts[name] = string(text)
		}
		return text, err
	}
	result, err := analysis.File(read, name)
	if err != nil {
		return nil, err
	}
	if bad := result.Errors(); len(bad) > 0 {
		return nil, &blueprint.LoadError{File: name, Findings: bad}
	}
	program, err := blueprint.Compile(name, texts)
	if err != nil {
		return nil, err
	}
	for _, g := range result.Graphs {
		b.graphs[g.Name] = g
	}
	for _, bp := range program.Blueprints {
		if other := b.byName[bp.Name]; other != nil {
			return nil, fmt.Errorf("%s and %s both have a blueprint called %q; names are unique", other.File, bp.File, bp.Name)
		}
		b.byName[bp.Name] = bp
		if g := b.graphs[bp.Name]; g != nil && b.onAdd != nil {
			b.onAdd(g, bp)
		}
	}
	return program, nil
}

// choose gives the blueprint of a run: the named one, else the first of the own file that
// has an endpoint, else its first.
func (b *book) choose(name string) (*blueprint.Blueprint, error) {
	if name != "" {
		return b.find(name)
	}
	if b.ownIs == "" && len(b.own) > 1 {
		return nil, fmt.Errorf("this folder has several blueprints; say which: run(blueprint = %q)", b.own[0].Name)
	}
	if len(b.own) == 0 {
		return nil, fmt.Errorf("%s makes no blueprint; say which one to run: run(blueprint = \"name\")", b.ownIs)
	}
	i := slices.IndexFunc(b.own, func(bp *blueprint.Blueprint) bool { return bp.Endpoint != "" })
	return b.own[max(i, 0)], nil
}

// find gives a blueprint of the folder by its name.
func (b *book) find(name string) (*blueprint.Blueprint, error) {
	if bp := b.byName[name]; bp != nil {
		return bp, nil
	}
	if err := b.rest(); err != nil {
		return nil, err
	}
	if bp := b.byName[name]; bp != nil {
		return bp, nil
	}
	known := make([]string, 0, len(b.byName))
	for n := range b.byName {
		known = append(known, n)
	}
	slices.Sort(known)
	return nil, &engine.Fault{Code: engine.UnknownBlueprint, Message: fmt.Sprintf(
		"there is no blueprint %q in the folder of this test; there are: %s", name, strings.Join(known, ", "))}
}

// Pin gives a blueprint by name; there is nothing to keep.
func (b *book) Pin(_ context.Context, name string) (*blueprint.Blueprint, error) { return b.find(name) }

// AtRevision gives a blueprint when the revision is that of its file.
func (b *book) AtRevision(_ context.Context, hash, name string) (*blueprint.Blueprint, error) {
	bp, err := b.find(name)
	if err == nil && bp.Revision != hash {
		return nil, &engine.Fault{Code: engine.UnknownBlueprint, Message: fmt.Sprintf("revision %.12s has no blueprint %q", hash, name)}
	}
	return bp, err
}
