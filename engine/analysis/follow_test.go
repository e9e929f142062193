// This file checks that the forms in which ordinary authors write transitions are all followed to their edges.

package analysis

import (
	"strings"
	"testing"
)

const followHead = "bp = blueprint('b', api_endpoint = 'jobs/b')\n"

func TestFollowedForms(t *testing.T) {
	for _, c := range []struct{ what, text, edges string }{
		{"spread keywords", `
COMMON = {"transitions": {"success": "finished"}, "priority": 2.0}
def start(context, actions):
    actions.dispatch_task("a", **COMMON)
bp.handler_for("start", is_start = True)(start)
`, "start -task:success-> finished (a)\n"},
		{"dict() and |", `
BASE = dict(failure = "failed")
def start(context, actions):
    actions.dispatch_task("a", transitions = BASE | {"success": "finished"})
bp.handler_for("start", is_start = True)(start)
`, "start -task:failure-> failed (a)\nstart -task:success-> finished (a)\n"},
		{"a dict filled step by step", `
def start(context, actions):
    t = {"success": "finished"}
    if context.initial_data.get("careful"):
        t["failure"] = "failed"
    t.update(cancelled = "failed")
    actions.dispatch_task("a", transitions = t)
bp.handler_for("start", is_start = True)(start)
`, "start -task:cancelled-> failed (a)\nstart -task:failure-> failed (a)\nstart -task:success-> finished (a)\n"},
		{"a comprehension", `
def start(context, actions):
    actions.dispatch_task("a", transitions = {k: "end_" + k for k in ["success", "failure"]})
bp.handler_for("start", is_start = True)(start)
for k in ["success", "failure"]:
    bp.handler_for("end_%s" % k, is_end = True, status = "finished")(lambda: None)
`, "start -task:failure-> end_failure (a)\nstart -task:success-> end_success (a)\n"},
		{"helpers that give targets", `
def pick(context):
    if context.initial_data["n"] > 3:
        return "{}_{}".format("big", "one")
    return "small"
def table(ok):
    return {"success": ok, "failure": "failed"}
def start(context, actions):
    actions.transition_to(pick(context))
bp.handler_for("start", is_start = True)(start)
bp.handler_for("big_one")(lambda actions: actions.dispatch_task("a", transitions = table("finished")))
bp.handler_for("small")(lambda actions: actions.dispatch_task("b", transitions = table(ok = "finished")))
`, "big_one -task:failure-> failed (a)\nbig_one -task:success-> finished (a)\nsmall -task:failure-> failed (b)\nsmall -task:success-> finished (b)\nstart -transition:-> big_one\nstart -transition:-> small\n"},
		{"tables of functions", `
def to_a(context, actions):
    actions.transition_to("finished")
def to_b(context, actions):
    actions.transition_to("failed")
ROUTES = {"a": to_a, "b": to_b}
def start(context, actions):
    ROUTES[context.initial_data["kind"]](context, actions)
bp.handler_for("start", is_start = True)(start)
`, "start -transition:-> failed\nstart -transition:-> finished\n"},
		{"handlers from a table", `
def make(to):
    return lambda context, actions: actions.transition_to(to)
for name, to in {"start": "middle", "middle": "finished"}.items():
    bp.handler_for(name, is_start = name == "start")(make(to))
`, "middle -transition:-> finished\nstart -transition:-> middle\n"},
		{"a table of targets chosen by data", `
NEXT = {"x": "finished", "y": "failed"}
def start(context, actions):
    actions.transition_to(NEXT[context.initial_data["kind"]])
bp.handler_for("start", is_start = True)(start)
`, "start -transition:-> failed\nstart -transition:-> finished\n"},
		{"a table with a default", `
NEXT = {"x": "finished"}
def start(context, actions):
    actions.transition_to(NEXT.get(context.initial_data["kind"], "failed"))
bp.handler_for("start", is_start = True)(start)
`, "start -transition:-> failed\nstart -transition:-> finished\n"},
		{"struct constants and text methods", `
S = struct(START = "START".lower(), END = "-".join(["fini", "shed"]).replace("-", ""))
def start(context, actions):
    actions.transition_to(S.END)
bp.handler_for(S.START, is_start = True)(start)
`, "start -transition:-> finished\n"},
		{"an action chosen by a condition", `
def start(context, actions):
    go = actions.transition_to
    where = "finished"
    if context.initial_data.get("x"):
        where = "failed"
    return go(where, error_message = "x")
bp.handler_for("start", is_start = True)(start)
`, "start -transition:-> failed\nstart -transition:-> finished\n"},
		{"catch", `
def work(actions):
    actions.transition_to("finished")
def start(context, actions):
    r = catch(work, actions)
    if not r.ok:
        actions.transition_to("failed")
bp.handler_for("start", is_start = True)(start)
`, "start -transition:-> failed\nstart -transition:-> finished\n"},
		{"a loop that looks for the first", `
def start(context, actions):
    for name, limit in [("finished", 1), ("failed", 2)]:
        if context.initial_data["n"] < limit:
            actions.transition_to(name)
            break
bp.handler_for("start", is_start = True)(start)
`, "start -transition:-> failed\nstart -transition:-> finished\n"},
		{"positional parameters in any order, and defaults that hold a loop's variable", `
for i in [1]:
    def start(actions, context, to = "finished"):
        actions.transition_to(state = to)
    bp.handler_for("start", True)(start)
`, "start -transition:-> finished\n"},
		{"parallel tasks from a helper", `
def entry(kind, n):
    return {"type": kind, "params": {"n": n}}
def start(context, actions):
    tasks = []
    for n in context.initial_data["list"]:
        tasks.append(entry("a", n))
    tasks += [entry("b", 1)]
    actions.dispatch_parallel(tasks, "gather", failure = "failed")
bp.handler_for("start", is_start = True)(start)
bp.aggregator_for("gather")(lambda actions: actions.transition_to("finished"))
`, "gather -transition:-> finished\nstart -parallel:failure-> failed\nstart -parallel:aggregate-> gather (a, b)\n"},
		{"a registration kept in a variable", `
register = bp.handler_for
first = register("start", is_start = True)
first(lambda actions: actions.transition_to("finished"))
`, "start -transition:-> finished\n"},
		{"a blueprint that a function makes", `
def fill(b, end):
    b.handler_for("start", is_start = True)(lambda actions: actions.transition_to(end))
    return b
fill(bp, "finished")
`, "start -transition:-> finished\n"},
		{"a placeholder that a condition rules out", `
NEXT = {"x": "finished"}
def start(context, actions):
    where = NEXT.get(context.initial_data["kind"])
    if where == None:
        actions.transition_to("failed")
        return
    actions.transition_to(where)
bp.handler_for("start", is_start = True)(start)
`, "start -transition:-> failed\nstart -transition:-> finished\n"},
		{"placeholders in other conditions", `
def start(context, actions):
    where = "none"
    if context.initial_data["x"]:
        where = "finished"
    elif context.initial_data["y"]:
        where = ""
    if where and where != "none":
        actions.transition_to(where)
    else:
        actions.transition_to("failed" if where in ("none", "") else where)
bp.handler_for("start", is_start = True)(start)
`, "start -transition:-> failed\nstart -transition:-> finished\n"},
		{"None as one of several", `
NEXT = {"x": "finished"}
def start(context, actions):
    actions.transition_to(NEXT.get(context.initial_data["kind"]))
bp.handler_for("start", is_start = True)(start)
`, "start -transition:-> finished\n"},
		{"a dynamic result", `
def start(context, actions):
    actions.dispatch_task("a", transitions = {"success": "finished", "failure": context.initial_data["on_failure"]})
bp.handler_for("start", is_start = True)(start)
`, "start -task:failure-> ? (a)\nstart -task:success-> finished (a)\n"},
	} {
		r, err := File(files(map[string]string{"a.star": followHead + c.text}), "a.star")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range r.Findings {
			if f.Rule == ruleNoFailure || f.Rule == rulePathNoAction { // true of some of these, and not their matter
				continue
			}
			if f.Rule != ruleDynamicTarget || !strings.Contains(c.edges, "?") {
				t.Errorf("%s: finding %s at line %d: %s", c.what, f.Rule, f.Line, f.Message)
			}
		}
		if got := showEdges(r.Graphs[0]); got != c.edges {
			t.Errorf("%s: edges\n%swant\n%s", c.what, got, c.edges)
		}
	}
}
