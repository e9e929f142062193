package archtest

// This file holds the page of what is promised when something fails (engine/store/README.md)
// to its form: every test that it names exists, every store has a line for every fault, and a
// line names a test or says that there is none.

import (
	"go/ast"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const promises = "../engine/store/README.md"

// faults are those of issue 8; each store has a line for each.
var faults = []string{
	"killed node", "killed store", "failover", "partition", "paused process", "full disk", "clock jump",
	"slow network", "done but reported as failed",
}

// promisers are the sections that need all of these lines.
var promisers = []string{"SQLite", "PostgreSQL", "Redis", "Nodes"}

const unshown = "not shown by a test yet"

var namedTest = regexp.MustCompile("`([a-z0-9/]+)/(Test[A-Za-z0-9]+)`")

// tests gives every test function by package and name.
func (t *tree) tests() map[string]bool {
	all := map[string]bool{}
	for _, f := range t.files {
		if !f.test {
			continue
		}
		for _, d := range f.syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				all[f.pkg+"/"+fn.Name.Name] = true
			}
		}
	}
	return all
}

// faultRows gives the lines of a section's table, by fault.
func faultRows(section string) map[string]string {
	rows := map[string]string{}
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) == 5 && !strings.HasPrefix(cells[1], " ---") && strings.TrimSpace(cells[1]) != "fault" {
			rows[strings.TrimSpace(cells[1])] = cells[3]
		}
	}
	return rows
}

func TestPromisesNameTestsThatExist(t *testing.T) {
	text, err := os.ReadFile(promises)
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]map[string]string{}
	for _, part := range strings.Split(string(text), "\n## ")[1:] {
		title, body, _ := strings.Cut(part, "\n")
		sections[title] = faultRows(body)
	}
	tests := source(t).tests()
	for title, rows := range sections {
		for fault, shown := range rows {
			named := namedTest.FindAllStringSubmatch(shown, -1)
			if len(named) == 0 && !strings.Contains(shown, unshown) {
				t.Errorf("%s, %s: names no test and does not say %q", title, fault, unshown)
			}
			if n := strings.Count(shown, "Test"); n != len(named) {
				t.Errorf("%s, %s: %d tests are named, %d of them in the form `folder/TestName`", title, fault, n, len(named))
			}
			for _, m := range named {
				if !tests[m[1]+"/"+m[2]] {
					t.Errorf("%s, %s: there is no test %s in %s", title, fault, m[2], m[1])
				}
			}
		}
	}
	for _, store := range promisers {
		for _, fault := range faults {
			if _, ok := sections[store][fault]; !ok {
				t.Errorf("%s has no line about %q", store, fault)
			}
		}
	}
	if len(sections["Moving to another store"]) == 0 {
		t.Error("the section about moving has no lines")
	}
}

// A page that says nothing must not pass: the reading of rows is tested too.
func TestFaultRowsAreRead(t *testing.T) {
	rows := faultRows("| fault | what | tests |\n| --- | --- | --- |\n| killed node | nothing is lost | `a/TestB` |\nno row\n")
	if len(rows) != 1 || !slices.Equal(namedTest.FindStringSubmatch(rows["killed node"]), []string{"`a/TestB`", "a", "TestB"}) {
		t.Errorf("read %q", rows)
	}
}
