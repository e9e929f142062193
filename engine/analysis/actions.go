// This file interprets the five actions of a handler: it turns each call into edges and checks what one way through a handler does in all.

package analysis

import (
	"fmt"
	"sort"
	"strings"

	"go.starlark.net/syntax"
)

// handlerRun is one registered handler while it is interpreted, and what it was seen to do.
type handlerRun struct {
	reg   *registration
	fn    *function
	edges []*edgeInfo
	calls []blueprintCall
	acts  []syntax.Node // calls of actions
	exits pathSet
	idle  []syntax.Node // where it ends with nothing done on some way
	lost  bool          // actions went where they can not be followed

	wrote  map[string]bool // keys of state_history
	opaque bool            // it may write others too
	reads  []historyRead
	tested map[string]bool // keys that it asks for before it reads them
}

// historyRead is a state_history["key"].
type historyRead struct {
	key  string
	node syntax.Node
}

// edgeInfo is an edge with the place that names its target.
type edgeInfo struct {
	Edge
	target syntax.Node
}

// blueprintCall is a run_blueprint; name is empty when it is not known.
type blueprintCall struct {
	name string
	node syntax.Node
}

// unknownSuccess stands for a success target that is not known.
const unknownSuccess = "?"

func (in *interp) action(name string, args *arguments) value {
	what := name + "()"
	b := in.bind(what, actionSignatures[name], args)
	h := in.handler
	if h == nil {
		return none
	}
	h.acts = append(h.acts, args.node)
	if h.reg.isEnd {
		in.a.reportNode(ruleEndActs, args.node, fmt.Sprintf("the end state %s calls %s; a job ends here and can do nothing more", quote(h.reg.state), what),
			"drop the call, or drop is_end = True")
	}
	success := []string{""}
	switch name {
	case "transition_to":
		in.edges("", b["state"], EdgeTransition, "", args.node)
	case "dispatch_task":
		taskType := in.names("task_type", b["task_type"])
		success = in.transitions(what, b["transitions"], EdgeTask, taskType, args)
		if b["transitions"].v == nil {
			found := in.a.reportNode(ruleMissingArgument, args.node, "dispatch_task() without transitions: any result fails the job", `write transitions = {"success": "state", "failure": "state"}`)
			found.milder(Warning)
		}
		in.needFailure(what, b["transitions"])
		in.checkJSON("params", b["params"])
	case "dispatch_parallel":
		in.parallel(b, args)
		if b["failure"].v == nil && !args.open && !in.entriesHandleFailure(b["tasks"].v) {
			in.a.reportNode(ruleNoFailure, args.node, "no failure= here: when a branch fails after its retries, the job stops where it stands", `add failure = "state"`)
		}
	case "run_blueprint":
		in.runBlueprint(b["blueprint_name"])
		in.transitions(what, b["transitions"], EdgeSubBlueprint, in.names("blueprint_name", b["blueprint_name"]), args)
		in.needTransitions(what, b)
		in.needFailure(what, b["transitions"])
		in.checkJSON("initial_data", b["initial_data"])
	case "await_human_approval":
		in.transitions(what, b["transitions"], EdgeApproval, in.names("integration", b["integration"]), args)
		in.needTransitions(what, b)
	}
	in.acted(name, success, args.node)
	return none
}

// needTransitions reports an approval or a sub-blueprint that leads nowhere. Only the approval is refused when it runs.
func (in *interp) needTransitions(what string, b map[string]bound) {
	d, isDict := b["transitions"].v.(*dictValue)
	empty := isDict && len(d.keys) == 0 && d.rest == nil
	if b["transitions"].v != nil && b["transitions"].v != none && !empty {
		return
	}
	found := in.a.reportNode(ruleMissingArgument, b["transitions"].node, what+" needs transitions, or the job has nowhere to go", "")
	if what == "run_blueprint()" {
		found.milder(Warning)
	}
}

// names gives the constant texts of an argument, sorted and comma separated.
func (in *interp) names(what string, b bound) string {
	var all []string
	alts := alternatives(orUnknown(b.v))
	for _, alt := range alts {
		if s, ok := text(alt); ok {
			all = append(all, s)
		} else if _, isConst := alt.(constant); isConst && len(alts) == 1 {
			in.a.reportNode(ruleBadArgument, b.node, fmt.Sprintf("%s must be text, not %s", what, describe(alt)), "")
		}
	}
	sort.Strings(all)
	return strings.Join(all, ", ")
}

func (in *interp) runBlueprint(b bound) {
	for _, alt := range alternatives(orUnknown(b.v)) {
		s, _ := text(alt)
		in.handler.calls = append(in.handler.calls, blueprintCall{s, b.node})
	}
}

// transitions makes the edges of a transitions dict and returns the targets that "success" may have.
func (in *interp) transitions(what string, b bound, kind, taskType string, args *arguments) []string {
	if b.v == nil || b.v == none {
		return []string{""}
	}
	var success []string
	alts := alternatives(b.v)
	for _, alt := range alts {
		d, ok := alt.(*dictValue)
		if !ok {
			if _, isUnknown := alt.(unknown); !isUnknown && len(alts) > 1 {
				continue // one of several, which the handler may well rule out
			} else if !isUnknown {
				in.a.reportNode(ruleBadArgument, b.node, fmt.Sprintf("transitions of %s must be a dict of result to state, not %s", what, describe(alt)), "")
			} else {
				in.dynamicEdge("", kind, taskType, b.node, args.node)
			}
			success = append(success, unknownSuccess)
			continue
		}
		success = append(success, in.transitionsOf(d, b, kind, taskType, args)...)
	}
	if len(success) == 0 {
		return []string{unknownSuccess}
	}
	return success
}

func (in *interp) transitionsOf(d *dictValue, b bound, kind, taskType string, args *arguments) []string {
	success := []string{""}
	for _, k := range d.keys {
		label, ok := k.v.(string)
		node := d.at[k]
		if node == nil {
			node = b.node
		}
		if !ok {
			in.a.reportNode(ruleBadArgument, node, fmt.Sprintf("a key of transitions must be text, not %s", describe(k)), "")
			continue
		}
		in.edges(label, bound{d.vals[k], node}, kind, taskType, args.node)
		if label == "success" {
			success = successTargets(d.vals[k])
		}
	}
	if d.rest != nil {
		in.edges("", bound{joinRest(d.rest, unknown{}), b.node}, kind, taskType, args.node)
		success = []string{unknownSuccess}
	}
	return success
}

func successTargets(v value) []string {
	var targets []string
	for _, alt := range alternatives(v) {
		if s, ok := text(alt); ok {
			targets = append(targets, s)
		} else {
			targets = append(targets, unknownSuccess)
		}
	}
	return targets
}

// edges adds one edge for each target that a value may be.
func (in *interp) edges(label string, b bound, kind, taskType string, call syntax.Node) {
	if b.v == nil {
		return
	}
	alts := alternatives(b.v)
	for _, alt := range alts {
		to, ok := text(alt)
		switch {
		case ok && to != "":
			in.edge(Edge{To: to, Label: label, Kind: kind, TaskType: taskType}, b.node, call)
		case isUnknown(alt):
			in.dynamicEdge(label, kind, taskType, b.node, call)
		case len(alts) > 1: // None or "" as one of several, which the handler may well rule out
		default:
			in.a.reportNode(ruleBadArgument, b.node, fmt.Sprintf("a target must be the name of a state, not %s", describe(alt)), "")
		}
	}
}

func isUnknown(v value) bool {
	switch v.(type) {
	case unknown, builtin, *method, historyValue, contextValue:
		return true
	}
	return false
}

func (in *interp) dynamicEdge(label, kind, taskType string, target, call syntax.Node) {
	if in.handler == nil {
		return
	}
	in.a.reportNode(ruleDynamicTarget, target, "where this goes is only known when a job runs; the graph shows it dashed", "")
	in.edge(Edge{Label: label, Kind: kind, TaskType: taskType, Dynamic: true}, target, call)
}

func (in *interp) edge(e Edge, target, call syntax.Node) {
	if in.handler == nil {
		return
	}
	pos := syntax.Start(call)
	e.File, e.Line, e.Col = pos.Filename(), int(pos.Line), int(pos.Col)
	in.handler.edges = append(in.handler.edges, &edgeInfo{e, target})
}

// slipped notes that actions are given to something unknown, which may go anywhere.
func (in *interp) slipped(call syntax.Node) {
	if in.handler == nil {
		return
	}
	in.a.reportNode(ruleDynamicTarget, call, "actions are given to a function that is not known here, so what it does is only known when a job runs", "")
	in.edge(Edge{Kind: EdgeTransition, Dynamic: true}, call, call)
	in.handler.lost = true
	next := in.paths.clone()
	next[pathState{action: "?"}] = true
	in.paths = next
}

// parallel checks the entries of dispatch_parallel and makes its edges.
func (in *interp) parallel(b map[string]bound, args *arguments) {
	into := b["aggregate_into"]
	var types []string
	alts := alternatives(orUnknown(b["tasks"].v))
	for _, alt := range alts {
		switch tasks := alt.(type) {
		case *listValue:
			for _, e := range tasks.elems {
				types = append(types, in.parallelEntry(e, b["tasks"], args))
			}
		default:
			if !isUnknown(alt) && len(alts) == 1 {
				in.a.reportNode(ruleBadArgument, b["tasks"].node, fmt.Sprintf("tasks of dispatch_parallel() must be a list of dicts, not %s", describe(alt)), "")
			}
		}
	}
	in.edges(aggregateLabel, into, EdgeParallel, uniqueNames(types), args.node)
	for _, label := range []string{"failure", "cancelled"} {
		if v := b[label].v; v != nil && v != none {
			in.edges(label, b[label], EdgeParallel, "", args.node)
		}
	}
	for _, target := range successTargets(orUnknown(into.v)) {
		if target != unknownSuccess && !in.handler.reg.bp.isAggregator(target) && in.handler.reg.bp.handles(target) {
			in.a.reportNode(ruleNotAggregator, into.node, fmt.Sprintf("%s is not an aggregator, so dispatch_parallel() can not gather its results there", quote(target)),
				fmt.Sprintf("register it with aggregator_for(%s)", quote(target)))
		}
	}
}

// parallelEntry checks one entry and returns its task types.
func (in *interp) parallelEntry(e value, tasks bound, args *arguments) string {
	var types []string
	allowed := append([]string{"type"}, actionSignatures["dispatch_task"].params...)
	alts := alternatives(e)
	for _, alt := range alts {
		d, ok := alt.(*dictValue)
		if !ok {
			if !isUnknown(alt) && len(alts) == 1 {
				in.a.reportNode(ruleBadArgument, tasks.node, fmt.Sprintf("an entry of tasks must be a dict, not %s", describe(alt)), "")
			}
			continue
		}
		for _, k := range d.keys {
			name, _ := k.v.(string)
			node := d.at[k]
			if node == nil {
				node = tasks.node
			}
			switch {
			case !containsName(allowed, name):
				in.a.reportNode(ruleUnknownKeyword, node, fmt.Sprintf("an entry of tasks has no keyword %s", showConstant(k)), didYouMeanOr(name, allowed, "it knows"))
			case name == "type" || name == "task_type":
				types = append(types, in.names("task_type", bound{d.vals[k], node}))
			case name == "transitions":
				in.transitions("a parallel task", bound{d.vals[k], node}, EdgeParallel, "", args)
			case name == "params":
				in.checkJSON("params", bound{d.vals[k], node})
			}
		}
	}
	return uniqueNames(types)
}

func uniqueNames(names []string) string {
	var out []string
	for _, list := range names {
		for _, n := range strings.Split(list, ", ") {
			if n != "" && !containsName(out, n) {
				out = append(out, n)
			}
		}
	}
	sort.Strings(out)
	return strings.Join(out, ", ")
}

// acted moves each way on by one action, and reports what can not go together on all of them.
func (in *interp) acted(name string, success []string, node *syntax.CallExpr) {
	pos := syntax.Start(node)
	next := pathSet{}
	var others, mixed []pathState
	again, repeated := 0, false
	for _, p := range in.paths.sorted() {
		switch {
		case p.action == "":
		case p.action == name && name == "dispatch_task":
			again++
			repeated = repeated || p.isAt(pos)
			if len(success) == 1 && p.success != success[0] && p.success != unknownSuccess && success[0] != unknownSuccess {
				mixed = append(mixed, p)
			}
		case p.action != unknownSuccess:
			others = append(others, p)
		}
		for _, target := range success {
			n := pathState{action: name, success: target, many: p.action == name}.at(pos)
			next[n] = true
		}
	}
	total := len(in.paths)
	in.paths = pathSet(nil).union(next)
	if in.handler.reg.isEnd || total == 0 {
		return
	}
	switch {
	case len(others) == total:
		in.a.reportNode(ruleTwoActions, node, fmt.Sprintf("%s() after %s() on line %d: a handler does one kind of thing", name, others[0].action, others[0].line), "return after the first, or move one to a state of its own")
	case len(mixed) == total:
		in.a.reportNode(ruleMixedParallel, node, fmt.Sprintf("parallel tasks must agree on their success state: this one has %s, the one on line %d %s", shownTarget(success[0]), mixed[0].line, shownTarget(mixed[0].success)), "")
	case again == total || repeated:
		in.parallelTarget(success, node, again == total)
	}
}

// parallelTarget checks the success state of a task that is one of several.
func (in *interp) parallelTarget(success []string, node *syntax.CallExpr, certain bool) {
	bp := in.handler.reg.bp
	for _, target := range success {
		if target == unknownSuccess || bp.isAggregator(target) || (target != "" && !bp.handles(target)) {
			continue
		}
		found := in.a.reportNode(ruleNotAggregator, node, fmt.Sprintf("several tasks are dispatched at once, but their success state is %s, which is not an aggregator", shownTarget(target)),
			"give them all one success state that is registered with aggregator_for()")
		if !certain || len(success) > 1 {
			found.milder(Warning)
		}
	}
}

func shownTarget(target string) string {
	if target == "" {
		return "missing"
	}
	return quote(target)
}

func (bp *blueprintInfo) isAggregator(state string) bool {
	for _, r := range bp.regs {
		if r.state == state && r.aggregator {
			return true
		}
	}
	return false
}

func (bp *blueprintInfo) handles(state string) bool {
	for _, r := range bp.regs {
		if r.state == state {
			return true
		}
	}
	return false
}
