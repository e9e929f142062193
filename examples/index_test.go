package examples

// This file holds the index to its word: every recipe stands in the table of promises, and
// every test that the table names exists.

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// cookbook are the recipes of the cookbook.
var cookbook = strings.Fields("1 2 3 4 5 6 7 8 9 10 11 12a 12b 13 14 15 16 17 18 19 20 21 22 23 24")

var (
	namedTest = regexp.MustCompile("`([a-z0-9/]+)/(Test[A-Za-z0-9]+)`")
	testFunc  = regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9]+)\(t \*testing\.T\)`)
)

// testsOf gives the test functions of a folder of this module.
func testsOf(t *testing.T, folder string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", filepath.FromSlash(folder), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testFunc.FindAllStringSubmatch(string(text), -1) {
			found[m[1]] = true
		}
	}
	return found
}

func TestIndexNamesTestsThatExist(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, promises, found := strings.Cut(string(text), "## What each recipe promises")
	if !found {
		t.Fatal("README.md has no table of promises")
	}
	rows := map[string]string{}
	for line := range strings.Lines(promises) {
		if cells := strings.Split(line, "|"); len(cells) == 5 {
			rows[strings.TrimSpace(cells[1])] = cells[3]
		}
	}
	for _, recipe := range cookbook {
		if !namedTest.MatchString(rows[recipe]) {
			t.Errorf("recipe %s has no row that names a test", recipe)
		}
	}
	tests := map[string]map[string]bool{}
	for _, m := range namedTest.FindAllStringSubmatch(promises, -1) {
		folder, name := m[1], m[2]
		if tests[folder] == nil {
			tests[folder] = testsOf(t, folder)
		}
		if !tests[folder][name] {
			t.Errorf("there is no test %s in %s", name, folder)
		}
	}
}

// Every folder of a recipe is in the list that the other tests go through.
func TestEveryFolderIsListed(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, folder := range recipes {
		listed[folder] = true
	}
	for _, e := range entries {
		if e.IsDir() && !listed[e.Name()] {
			t.Errorf("the folder %s is not in the list of recipes (check_test.go)", e.Name())
		}
	}
}
