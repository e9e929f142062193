package analysis

import (
	"strings"
	"testing"
)

// This file tests that a finding says what to do, also where no name is near the wrong one.

func TestAdvice(t *testing.T) {
	for name, c := range map[string]struct{ text, rule, want string }{
		"a bracket that was opened long before": {"bp = blueprint(name = \"x\"\n\ndef a(context):\n    pass\n", ruleSyntax, `the "(" of line 1, column 15 is still open`},
		"a missing comma":                       {"x = {\n    \"a\": 1\n    \"b\": 2,\n}\n", ruleSyntax, `the "{" of line 1, column 5 is still open here: close it, or put a comma`},
		"the end of the file":                   {"x = [1,\n  (2, \"]\"), # ]\n", ruleSyntax, `the "[" of line 1, column 5 is still open`},
		"brackets in texts do not count":        {"x = \"(\"\ny = '''[\n{'''\nz = 1 +\n", ruleSyntax, ""},
		"what is open on the line itself shows": {"x = (1 2)\n", ruleSyntax, ""},
		"a state that nothing resembles":        {"bp = blueprint(\"x\", api_endpoint = \"x\")\ndef a(actions):\n    actions.transition_to(\"warehouse\")\nbp.handler_for(\"begin\", is_start = True)(a)\n", ruleUnknownTarget, `register it with handler_for("warehouse"), or take one of begin, finished, failed`},
		"a member that only Python's has":       {"bp = blueprint(\"x\", api_endpoint = \"x\")\ndef a(actions):\n    time.sleep(5)\n    actions.transition_to(\"finished\")\nbp.handler_for(\"begin\", is_start = True)(a)\n", ruleAttribute, "after_seconds = 5"},
		"a misspelt member of a module":         {"x = json.encod({})\n", ruleAttribute, `did you mean "encode"?`},
		"a member that nothing resembles":       {"x = uuid.oracle()\n", ruleAttribute, "it has "},
		"a misspelt end that is supplied":       {"bp = blueprint(\"x\", api_endpoint = \"x\")\ndef a(actions):\n    actions.transition_to(\"finishd\")\nbp.handler_for(\"begin\", is_start = True)(a)\n", ruleUnknownTarget, `did you mean "finished"?`},
		"a keyword that nothing resembles":      {"bp = blueprint(\"x\", api_endpoint = \"x\")\ndef a(actions):\n    actions.transition_to(\"finished\", colour = 1)\nbp.handler_for(\"begin\", is_start = True)(a)\n", ruleUnknownKeyword, "it knows state"},
	} {
		r, err := Tree(files(map[string]string{"x.star": c.text}), []string{"x.star"})
		if err != nil {
			t.Fatal(err)
		}
		met := false
		for _, f := range r.Findings {
			if f.Rule == c.rule {
				met = true
				if c.want == "" && f.Suggestion != "" || !strings.Contains(f.Suggestion, c.want) {
					t.Errorf("%s: %q, want %q", name, f.Suggestion, c.want)
				}
			}
		}
		if !met {
			t.Errorf("%s: no %s in %v", name, c.rule, r.Findings)
		}
	}
}

// The search for open brackets ends on any cut of a text.
func FuzzUnclosed(f *testing.F) {
	f.Add("x = ('''\\", 3, 2)
	f.Add("\"\"\"\n'", 2, 1)
	f.Fuzz(func(_ *testing.T, text string, line, col int) { unclosed(text, line, col) })
}

// A name of a module that the file uses for something else is not the module.
func TestShadowedModules(t *testing.T) {
	text := `
math = {"a": 1}
bp = blueprint("a", api_endpoint = "jobs/a")

def start(context, actions, json):
    re = context.initial_data
    re.anything()
    json.other
    print([uuid.what for uuid in [struct(what = 1)]], math.get("a"))
    def inner(random):
        return random.foo
    f = lambda logging: logging.bar
    inner(f)
    for env in [struct(q = 1)]:
        print(env.q)
    actions.transition_to("finished")

bp.handler_for("start", is_start = True)(start)
`
	r, err := Tree(files(map[string]string{"x.star": text}), []string{"x.star"})
	if err != nil || len(r.Findings) != 0 {
		t.Errorf("%v, %v", r.Findings, err)
	}
}
