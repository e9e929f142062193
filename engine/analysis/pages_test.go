// This file holds the pages of the rules to their word: the bad example has the finding, the good one has none, and a comment switches it off.

package analysis

import (
	"os"
	"strings"
	"testing"
)

func analyseText(t *testing.T, text string) *Result {
	t.Helper()
	r, err := Tree(func(name string) ([]byte, error) {
		if name != "x.star" {
			return nil, os.ErrNotExist
		}
		return []byte(text), nil
	}, []string{"x.star"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEveryRuleHasItsPage(t *testing.T) {
	for _, r := range Rules() {
		t.Run(r.Name, func(t *testing.T) {
			page, _, ok := Explain(r.Name)
			if !ok || !strings.HasPrefix(page.Text, "# "+r.Name+"\n") || len(page.Blind) < 20 {
				t.Fatalf("the page is not whole:\n%s", page.Text)
			}
			bad := analyseText(t, page.Bad)
			if len(bad.Findings) == 0 {
				t.Fatalf("no finding in the bad example:\n%s", page.Bad)
			}
			for _, f := range bad.Findings {
				if f.Rule != r.Name {
					t.Errorf("the bad example has also %s at line %d: %s", f.Rule, f.Line, f.Message)
				}
			}
			good := analyseText(t, page.Good)
			for _, f := range good.Findings {
				t.Errorf("the good example has %s at line %d: %s", f.Rule, f.Line, f.Message)
			}
			// What can not be parsed has no comments either, and an unknown rule is no rule.
			if r.Name == ruleSyntax || r.Name == ruleUnknownRule {
				return
			}
			lines := strings.Split(page.Bad, "\n")
			for _, f := range bad.Findings {
				lines[f.Line-1] += "  # orrery: ignore[" + r.Name + "]"
			}
			off := analyseText(t, strings.Join(lines, "\n"))
			if len(off.Findings) != 0 || len(off.Suppressed()) == 0 {
				t.Errorf("it can not be switched off: %+v", off.Findings)
			}
			if hard := len(off.Errors()) > 0; hard != (r.Hard && r.Severity == Error) {
				t.Errorf("switched off, it stops a load: %v; hard is %v", hard, r.Hard)
			}
		})
	}
	entries, err := pageFiles.ReadDir("pages")
	if err != nil || len(entries) != len(Rules()) {
		t.Errorf("%d pages for %d rules (%v)", len(entries), len(Rules()), err)
	}
}

func TestExplainOfAnUnknownRule(t *testing.T) {
	if _, suggestion, ok := Explain("no-acton"); ok || !strings.Contains(suggestion, "no-action") {
		t.Errorf("%v, suggestion %q", ok, suggestion)
	}
}
