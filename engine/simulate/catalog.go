package simulate

import (
	"context"
	"fmt"
	"strings"

	"orrery/engine"
	"orrery/engine/analysis"
	"orrery/engine/blueprint"
)

// This file loads the few files of a simulation; a server's directory is blueprint.Catalog.

// Files are loaded blueprint files. They never change, so a name has one revision.
type Files struct {
	list   []*blueprint.Blueprint // of the first file first, each file's in its order
	first  int                    // how many of them are of the first file
	byName map[string]*blueprint.Blueprint
}

var _ engine.Catalog = (*Files)(nil)

// File names a blueprint file: Name is relative to Root, the folder that // means, with
// forward slashes.
type File struct{ Root, Name string }

// LoadFiles reads, checks and compiles files with all they load. The error is a
// *blueprint.LoadError with every finding, or that of reading.
func LoadFiles(files ...File) (*Files, error) {
	f := &Files{byName: map[string]*blueprint.Blueprint{}}
	for i, file := range files {
		program, err := compile(file.Root, file.Name)
		if err != nil {
			return nil, err
		}
		for _, bp := range program.Blueprints {
			if other, twice := f.byName[bp.Name]; twice && other.Revision == bp.Revision {
				continue // the same file was named twice
			} else if twice {
				return nil, fmt.Errorf("%s and %s both have a blueprint called %q; names are unique", other.File, bp.File, bp.Name)
			}
			f.byName[bp.Name] = bp
			f.list = append(f.list, bp)
		}
		if i == 0 {
			f.first = len(f.list)
		}
	}
	return f, nil
}

// compile loads one file. The static analysis reads it and what it loads, so its reads are
// just the texts that the compiler needs.
func compile(root, name string) (*blueprint.Program, error) {
	texts := map[string]string{}
	read := func(name string) ([]byte, error) {
		text, err := analysis.Folder(root)(name)
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
	return blueprint.Compile(name, texts)
}

// Choose gives the blueprint to run: the named one, else the first of the first file that
// has an api_endpoint, else its first. alone is false when there was a choice.
func (f *Files) Choose(name string) (bp *blueprint.Blueprint, alone bool, err error) {
	if name != "" {
		if bp := f.byName[name]; bp != nil {
			return bp, true, nil
		}
		var known []string
		for _, bp := range f.list {
			known = append(known, bp.Name)
		}
		return nil, false, fmt.Errorf("there is no blueprint %q; there are: %s", name, strings.Join(known, ", "))
	}
	own := f.list[:f.first]
	if len(own) == 0 {
		return nil, false, fmt.Errorf("the file makes no blueprint: it is a library that others load")
	}
	for _, bp := range own {
		if bp.Endpoint != "" {
			return bp, len(own) == 1, nil
		}
	}
	return own[0], len(own) == 1, nil
}

// Pin gives a blueprint by name; there is nothing to keep, the texts live as long as the run.
func (f *Files) Pin(_ context.Context, name string) (*blueprint.Blueprint, error) {
	if bp := f.byName[name]; bp != nil {
		return bp, nil
	}
	return nil, &engine.Fault{Code: engine.UnknownBlueprint, Message: fmt.Sprintf(
		"there is no blueprint %q in the files of this run; name its file in the scenario's `also`", name)}
}

// AtRevision gives a blueprint when the revision is that of its file.
func (f *Files) AtRevision(ctx context.Context, hash, name string) (*blueprint.Blueprint, error) {
	bp, err := f.Pin(ctx, name)
	if err == nil && bp.Revision != hash {
		return nil, &engine.Fault{Code: engine.UnknownBlueprint, Message: fmt.Sprintf(
			"revision %.12s has no blueprint %q", hash, name)}
	}
	return bp, err
}
