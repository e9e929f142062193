// Package archtest has only tests: they read the source tree and hold what a compiler does not
// check, above all which package may import which. The plan itself is shared/design/architecture.md;
// the tables here are its form that can fail.
//
// Words: a package's name here is its folder below the module's root ("engine/job", "" for the root);
// a module is a third-party import path as go.mod writes it. Only the texts are read (go/parser), so
// the tests need neither a network nor a build.
package archtest

// This file reads the tree once: every Go file with its syntax, grouped by package.

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// modulePath is the first line of go.mod; imports that begin with it are our own.
const modulePath = "orrery"

// goFile is one parsed file.
type goFile struct {
	name   string // slash path below the root
	pkg    string // folder below the root, "" for the root itself
	test   bool   // *_test.go
	lines  int
	syntax *ast.File
}

// tree is all Go code of the module.
type tree struct {
	fset  *token.FileSet
	files []goFile
}

var readOnce = sync.OnceValues(func() (*tree, error) { return readTree("..") })

// source gives the tree, read once for all tests.
func source(t *testing.T) *tree {
	t.Helper()
	src, err := readOnce()
	if err != nil {
		t.Fatalf("the source tree can not be read: %v", err)
	}
	if len(src.files) == 0 {
		t.Fatal("no Go file found: these tests must run inside the source tree")
	}
	return src
}

func readTree(root string) (*tree, error) {
	src := &tree{fset: token.NewFileSet()}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != root && skipped(d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(d.Name(), ".go") {
			return nil
		}
		return src.add(root, name)
	})
	return src, err
}

// skipped are folders that the go command ignores too, and those of other languages.
func skipped(dir string) bool {
	return strings.HasPrefix(dir, ".") || strings.HasPrefix(dir, "_") || dir == "testdata" || dir == "node_modules"
}

func (src *tree) add(root, name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(root, name)
	if err != nil {
		return err
	}
	rel = filepath.ToSlash(rel)
	syntax, err := parser.ParseFile(src.fset, rel, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	pkg := path.Dir(rel)
	if pkg == "." {
		pkg = ""
	}
	src.files = append(src.files, goFile{
		name: rel, pkg: pkg, test: strings.HasSuffix(rel, "_test.go"),
		lines: strings.Count(string(text), "\n"), syntax: syntax,
	})
	return nil
}

// imports gives the import paths of a file.
func (f goFile) imports() []string {
	var paths []string
	for _, spec := range f.syntax.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

// own says whether an import path is a package of this module, and which.
func own(importPath string) (pkg string, ok bool) {
	if importPath == modulePath {
		return "", true
	}
	return strings.CutPrefix(importPath, modulePath+"/")
}

// standard says whether an import path is of the standard library: its first element has no dot.
func standard(importPath string) bool {
	if _, ours := own(importPath); ours {
		return false
	}
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}
