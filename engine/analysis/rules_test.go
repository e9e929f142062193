// This file runs testdata/rules: each file holds chunks of Starlark between lines of ---, and marks each line that has findings with ### and their rules.

package analysis

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"
)

var expectation = regexp.MustCompile(`###\s*([a-z, -]+)`)

// chunks splits a file; each chunk keeps its line numbers by a run of empty lines before it.
func chunks(text string) []string {
	var out []string
	lines := strings.Split(text, "\n")
	start := 0
	for i := 0; i <= len(lines); i++ {
		if i == len(lines) || lines[i] == "---" {
			out = append(out, strings.Repeat("\n", start)+strings.Join(lines[start:i], "\n"))
			start = i + 1
		}
	}
	return out
}

// expected lists "line rule" for each mark in a chunk.
func expected(chunk string) []string {
	var want []string
	for i, line := range strings.Split(chunk, "\n") {
		if m := expectation.FindStringSubmatch(line); m != nil {
			for _, rule := range strings.Split(m[1], ",") {
				want = append(want, fmt.Sprintf("%d %s", i+1, strings.TrimSpace(rule)))
			}
		}
	}
	sort.Strings(want)
	return want
}

func TestRules(t *testing.T) {
	files, err := filepath.Glob("testdata/rules/*.star")
	if err != nil || len(files) == 0 {
		t.Fatalf("no rule files: %v", err)
	}
	met := map[string]bool{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i, chunk := range chunks(string(text)) {
			t.Run(fmt.Sprintf("%s/%d", filepath.Base(name), i), func(t *testing.T) {
				r, err := Tree(func(string) ([]byte, error) { return []byte(chunk), nil }, []string{"x.star"})
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, f := range r.Findings {
					if f.Rule == ruleNoFailure { // most of these small texts do without; its page tests it
						continue
					}
					got = append(got, fmt.Sprintf("%d %s", f.Line, f.Rule))
					met[f.Rule] = true
				}
				sort.Strings(got)
				if want := expected(chunk); strings.Join(got, "\n") != strings.Join(want, "\n") {
					var b strings.Builder
					_ = Text(&b, r.Findings)
					t.Errorf("findings\n  %s\nwant\n  %s\nin full:\n%s", strings.Join(got, "\n  "), strings.Join(want, "\n  "), b.String())
				}
			})
		}
	}
	for _, r := range Rules() {
		if page, _, _ := Explain(r.Name); !met[r.Name] && page.Bad == "" {
			t.Errorf("nothing shows the rule %s", r.Name)
		}
	}
}
