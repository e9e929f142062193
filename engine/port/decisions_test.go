package port_test

import (
	"fmt"
	"strings"
	"testing"

	"orrery/engine/port"
)

// This file pins the decisions: what is said of each construct that is not carried over one
// to one, and how the new text reads.

const decisionHead = `from orchestrator.blueprint import StateMachineBlueprint
IMPORTS
bp = StateMachineBlueprint(name="t")
TOP

@bp.handler_for("start", is_start=True)
async def start(context, actions):
BODY
    actions.transition_to("finished")
`

// decide ports the handlers of all decisions, in one go.
func decide(t *testing.T) []*port.Result {
	t.Helper()
	var files []port.File
	for i, d := range decisions {
		text := strings.NewReplacer("IMPORTS", d.imports, "TOP", d.top, "BODY", "    "+strings.ReplaceAll(d.body, "\n", "\n    ")).Replace(decisionHead)
		files = append(files, port.File{Name: fmt.Sprintf("t%d.py", i), Text: []byte(text)})
	}
	results, err := port.Convert(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

var decisions = []struct {
	name, imports, top, body string
	action                   port.Action // of the entry that is wanted
	says                     string      // a part of its reason or advice
	star                     string      // a part of the new text, when there is one
}{
	{"generator", "", "", "yield 1", port.Refused, "no generators", ""},
	{"open", "", "", "f = open('x')", port.Refused, "task_files", ""},
	{"with open", "", "", "with open('x') as f:\n    pass", port.Refused, "task_files", ""},
	{"os.remove", "import os", "", "os.remove('x')", port.Refused, "os.remove has no counterpart", ""},
	{"numpy", "import numpy as np", "", "np.mean([1])", port.Refused, "dispatch a task to a worker", ""},
	{"unknown module", "from shop import prices", "", "prices.of(1)", port.Refused, "shop.prices.of", ""},
	{"a module nobody uses", "import shop", "", "pass", "", "", ""},
	{"recursion", "", "def f(n):\n    return f(n - 1)\n", "f(1)", port.Refused, "no recursion", ""},
	{"nonlocal", "", "", "n = 1\ndef g():\n    nonlocal n\n    n = 2\ng()", port.Refused, "keep the value in a dict", ""},
	{"attribute", "", "", "context.x = 1", port.Refused, "no attributes that can be set", ""},
	{"slice assignment", "", "", "a = [1, 2]\na[0:1] = [3]", port.Refused, "no assignment to slices", ""},
	{"long sleep", "import asyncio", "", "await asyncio.sleep(60)", port.Refused, `after_seconds = 60`, ""},
	{"short sleep", "import asyncio", "", "await asyncio.sleep(0.5)", "", "", "sleep(0.5)"},
	{"computed sleep", "import time", "", "time.sleep(context.initial_data['s'])", port.Rewritten, "at most 1 s", "sleep(context.initial_data[\"s\"])"},
	{"lookahead", "import re", "", "re.match('(?=a)', 'a')", port.Refused, "lookahead", ""},
	{"flags", "import re", "", "re.compile('a', re.I)", port.Refused, "flags are written into the pattern", ""},
	{"own decorator", "", "def twice(f):\n    return f\n\n@twice\ndef g():\n    pass\n", "g()", port.Refused, "decorators other than the blueprint's", ""},
	{"a class with changes", "", "class C:\n    def __init__(self):\n        self.n = 0\n    def up(self):\n        self.n += 1\n", "C().up()", port.Refused, "changes its object", ""},
	{"inheritance", "", "class A:\n    X = 1\n\nclass B(A):\n    Y = 2\n", "print(B.Y)", port.Refused, "Starlark has no classes", ""},
	{"walrus in and with else", "", "", "if context.job_id and (n := 1) > 0:\n    print(n)\nelse:\n    print(0)", port.Refused, "not always evaluated", ""},
	{"reassigned constant", "", "X = 1\nX = 2", "print(X)", port.Refused, "its value once", ""},
	{"time at load", "import time", "T = time.time()", "print(T)", port.Refused, "when the file is loaded", ""},
	{"except group", "", "", "try:\n    pass\nexcept* ValueError:\n    pass", port.Refused, "except*", ""},
	{"cause", "", "", "try:\n    int('x')\nexcept ValueError as e:\n    raise KeyError('k') from e", port.Rewritten, "keeps no cause", `fail_with("KeyError", "'k'")`},
	{"equal to True", "", "", "print(context.job_id == True)", port.Rewritten, "1 == True is False", "context.job_id == True"},
	{"is between values", "", "", "a = []\nprint(a is context)", port.Rewritten, "no identity", "a == context"},
	{"type name", "", "", "print(type(context).__name__)", port.Rewritten, `text is "string"`, "type(context)"},
	{"type test", "", "", "print(type(context.job_id).__name__ == 'str')", "", "", `type(context.job_id) == "string"`},
	{"basicConfig", "import logging", "logging.basicConfig(level=logging.INFO)", "logging.info('x')", port.Dropped, "the server decides", `logging.info("x")`},
	{"sqlite in a handler", "import sqlite3", "", "db = sqlite3.connect('x.db')", port.Rewritten, "operator's configuration", `sql.connect("main")`},
	{"sqlite at the top", "import sqlite3", "db = sqlite3.connect('x.db')", "print(db)", port.Refused, "when the file is loaded", ""},
	{"http", "import httpx", "", "async with httpx.AsyncClient() as client:\n    r = await client.get('http://x', timeout=3)", port.Refused, "http module refuses", ""},
	{"os.environ item", "import os", "", "print(os.environ['A'])", port.Rewritten, "gives None", `env.get("A")`},
	{"awaited action", "", "", "await actions.transition_to('finished')\nreturn", port.Rewritten, "not awaited", `actions.transition_to("finished")`},
	{"two stars", "", "", "print(*[1], *[2])", port.Refused, "one *args", ""},
	{"matrix product", "", "", "a = [1] @ [2]", port.Refused, "operator @", ""},
	{"complex", "", "", "a = 1j", port.Refused, "complex numbers", ""},
	{"async for", "", "", "async for x in context.things:\n    print(x)", port.Rewritten, "gather the values", "for x in context.things:"},
	{"popitem", "", "", "d = {'a': 1}\nd.popitem()", port.Rewritten, "takes the first entry", "d.popitem()"},
	{"lock", "import asyncio", "", "async with asyncio.Lock():\n    print(1)", port.Dropped, "nothing to lock", "    print(1)"},
	{"set in a store", "", "SEEN = set()", "SEEN.add(1)", port.Refused, "has no sets", ""},
	{"two blueprints with module state", "", "b2 = StateMachineBlueprint(name='b2')\nN = []\n\n@b2.handler_for('start', is_start=True)\ndef s2(actions):\n    N.append(1)\n    actions.transition_to('finished')\n", "pass", port.Refused, "a data store belongs to one blueprint", ""},
	{"a blueprint made by a function", "", "def make():\n    return StateMachineBlueprint(name='inner')\n\nother = make()", "pass", port.Refused, "inside of a function", ""},
	{"gathered failures", "import asyncio", "async def f():\n    return 1\n", "x = await asyncio.gather(f(), return_exceptions=True)", port.Refused, "one after the other", ""},
	{"a coroutine that is not awaited", "", "async def f():\n    return 1\n", "f()", port.Rewritten, "never awaited", "f()"},
	{"text of a built-in error", "", "", "try:\n    int(context.job_id)\nexcept ValueError as e:\n    print(e)", port.Rewritten, "not Python's", "print(e.message)"},
	{"helper with module state", "", "N = {}\n\ndef h():\n    N['a'] = 1\n", "h()", port.Refused, "pass it as an argument", ""},
}

func TestDecisions(t *testing.T) {
	needPython(t)
	for i, r := range decide(t) {
		d := decisions[i]
		t.Run(d.name, func(t *testing.T) {
			if d.name == "except group" && len(r.Entries) == 1 && strings.Contains(r.Entries[0].Reason, "not Python that can be read") {
				t.Skip("this Python is older than except*")
			}
			found := d.action == "" && len(r.Entries) == 0
			for _, e := range r.Entries {
				found = found || e.Action == d.action && strings.Contains(e.Reason+" "+e.Do, d.says) && e.Line > 0 && e.Python != ""
			}
			if !found {
				t.Errorf("wanted %s with %q; said %v", d.action, d.says, r.Entries)
			}
			if refused := d.action == port.Refused; refused != (r.Text == "") {
				t.Errorf("written: %v\n%v\n%s", r.Text != "", r.Entries, r.Text)
			}
			if !strings.Contains(r.Text, d.star) {
				t.Errorf("the text lacks %q:\n%s", d.star, r.Text)
			}
		})
	}
}
