package archtest

// This file holds the sizes and habits of the house rules: what keeps the code readable when
// nobody is looking.

import (
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strings"
	"testing"
)

// The limits, in lines.
const (
	maxFile     = 700
	maxTestFile = 1000
	maxFunc     = 70
)

// generated reports whether a file says in Go's exact form that a program wrote it.
func generated(f goFile) bool { return ast.IsGenerated(f.syntax) }

func TestFilesAreShort(t *testing.T) {
	for _, f := range source(t).files {
		limit := maxFile
		if f.test {
			limit = maxTestFile
		}
		if f.lines > limit && !generated(f) {
			t.Errorf("%s has %d lines, at most %d; split it by role", f.name, f.lines, limit)
		}
	}
}

// A flat switch over a closed set may be longer: cutting it up would hide what it lists. It
// says so with the words "flat switch" in its comment. The table of a table test is data, so
// its lines do not count.
func TestFunctionsAreShort(t *testing.T) {
	src := source(t)
	for _, f := range src.files {
		if generated(f) {
			continue
		}
		for _, decl := range f.syntax.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || strings.Contains(fn.Doc.Text(), "flat switch") {
				continue
			}
			n := lineCount(src.fset, fn)
			if f.test {
				n -= tableLines(src.fset, fn)
			}
			if n > maxFunc {
				t.Errorf("%s:%d: func %s has %d lines, at most %d", f.name, src.fset.Position(fn.Pos()).Line, fn.Name.Name, n, maxFunc)
			}
		}
	}
}

// lineCount is the length of a node, from its first line to that of its closing brace.
func lineCount(fset *token.FileSet, n ast.Node) int {
	return fset.Position(n.End()).Line - fset.Position(n.Pos()).Line + 1
}

// tableLines is the length of the longest composite literal of a function.
func tableLines(fset *token.FileSet, fn *ast.FuncDecl) (longest int) {
	ast.Inspect(fn, func(n ast.Node) bool {
		if table, ok := n.(*ast.CompositeLit); ok {
			longest = max(longest, lineCount(fset, table))
		}
		return true
	})
	return longest
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	documented := map[string]bool{}
	var order []string
	for _, f := range source(t).files {
		if _, seen := documented[f.pkg]; !seen {
			documented[f.pkg] = false
			order = append(order, f.pkg)
		}
		// The comment of an external test package (x_test) speaks of the tests, but where a
		// folder holds nothing else it is the package's.
		doc := f.syntax.Doc.Text()
		if len(strings.Fields(doc)) >= 5 {
			documented[f.pkg] = true
		}
	}
	for _, pkg := range order {
		if !documented[pkg] {
			t.Errorf("package %q has no package comment; say what it is for and what its words mean", pkg)
		}
	}
}

// vague names say nothing about what is inside, so everything ends up there.
var vague = []string{"util", "utils", "common", "helper", "helpers", "manager", "managers", "misc", "shared", "base"}

func TestPackageNamesSaySomething(t *testing.T) {
	for _, f := range source(t).files {
		name := strings.TrimSuffix(f.syntax.Name.Name, "_test")
		if slices.Contains(vague, name) || slices.Contains(vague, path.Base(f.pkg)) {
			t.Errorf("%s: package %s (folder %s): the name says nothing; name what it does", f.name, name, f.pkg)
		}
	}
}

// A test that sleeps is slow on a fast machine and fails on a slow one: wait for a signal, or
// turn a fake clock.
func TestNoTestSleeps(t *testing.T) {
	src := source(t)
	for _, f := range src.files {
		if !f.test {
			continue
		}
		clock := importedAs(f.syntax, "time")
		if clock == "" {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "Sleep" {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == clock {
				t.Errorf("%s: time.Sleep in a test; wait on a channel, or use clock.Fake", src.fset.Position(sel.Pos()))
			}
			return true
		})
	}
}

// importedAs gives the name under which a file uses a standard package, "" when it does not.
func importedAs(file *ast.File, importPath string) string {
	for _, spec := range file.Imports {
		if spec.Path.Value != `"`+importPath+`"` {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}
