// This file checks the ways through handlers and graphs: ways that end with nothing done, states that never end, failures that lead nowhere, calls in the wrong place.

package analysis

import (
	"fmt"
	"strings"

	"go.starlark.net/syntax"
)

// noteIdle notes that the handler itself (not a function it calls) ends here with nothing done on some way.
func (in *interp) noteIdle(node syntax.Node) {
	const own = 2 // activations: the empty one below, and the handler's
	if in.handler == nil || len(in.calls) != own {
		return
	}
	for p := range in.paths {
		if p.action == "" {
			in.handler.idle = append(in.handler.idle, node)
			return
		}
	}
}

// checkIdle reports the ways of a handler that acts on others.
func (a *analyzer) checkIdle(h *handlerRun) {
	for _, node := range h.idle {
		how := "can come to its end without an action"
		if _, isReturn := node.(*syntax.ReturnStmt); isReturn {
			how = "returns here without an action"
		}
		a.reportNode(rulePathNoAction, node, fmt.Sprintf("the handler %s of %s %s, and then its step fails", h.fn.name, quote(h.reg.state), how),
			`call an action on every way, for example actions.transition_to("failed") after the if or the loop`)
	}
}

// needFailure hints at transitions that say nothing about failure.
func (in *interp) needFailure(what string, b bound) {
	d, ok := b.v.(*dictValue)
	if !ok || len(d.keys) == 0 || d.rest != nil || d.maybe || in.handler.reg.isEnd {
		return
	}
	if _, handled := d.vals[constant{"failure"}]; handled {
		return
	}
	in.a.reportNode(ruleNoFailure, b.node, fmt.Sprintf("%s says nothing about failure: when it fails after its retries, the job stops where it stands", what),
		`add "failure": "state" to transitions`)
}

// entriesHandleFailure tells whether each entry of dispatch_parallel may have its own transition for failure.
func (in *interp) entriesHandleFailure(tasks value) bool {
	l, ok := tasks.(*listValue)
	if !ok || l.rest || len(l.elems) == 0 {
		return false
	}
	for _, e := range l.elems {
		d, ok := e.(*dictValue)
		if !ok {
			return true // not known
		}
		t, ok := d.vals[constant{"transitions"}].(*dictValue)
		if !ok {
			return d.rest != nil
		}
		if _, handled := t.vals[constant{"failure"}]; !handled && t.rest == nil {
			return false
		}
	}
	return true
}

// checkWaysOut reports reached states from which no end can be reached. A state that leads nowhere at all ends its job by failing, which other rules tell.
func (a *analyzer) checkWaysOut(bp *blueprintInfo, g *Graph, edges []*edgeInfo, meant map[string]string, reached map[string]bool, open bool) {
	if open {
		return
	}
	back := map[string][]string{}
	leaves := map[string]bool{}
	for _, e := range edges {
		to := e.To
		if m := meant[to]; m != "" {
			to = m
		}
		back[to] = append(back[to], e.From)
		leaves[e.From] = true
	}
	good := map[string]bool{}
	var queue []string
	for name := range reached {
		if s := g.State(name); s == nil || s.IsEnd || !leaves[name] {
			good[name] = true
			queue = append(queue, name)
		}
	}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		for _, from := range back[name] {
			if !good[from] {
				good[from] = true
				queue = append(queue, from)
			}
		}
	}
	for _, s := range g.States {
		if r := bp.first(s.Name); r != nil && reached[s.Name] && !good[s.Name] {
			a.reportNode(ruleNoWayOut, r.stateNode, fmt.Sprintf("no way leads from %s to an end: a job that comes here can only be cancelled", quote(s.Name)), "add a way to an end state, or one with a limit")
		}
	}
}

// napLimit is how long a handler may sleep in all, in seconds.
const napLimit = 1

// checkPlace reports a call at the top level that needs a running job, and one within a handler that holds it up.
func (in *interp) checkPlace(name string, args *arguments) {
	if in.handler == nil {
		found := in.a.reportNode(ruleOutside, args.node, fmt.Sprintf("%s() works inside handlers only; while a file is loaded there is no job", name), "call it in the handler that needs it")
		if in.uncertain > 0 {
			found.milder(Warning)
		}
		return
	}
	if name == "sleep" {
		in.checkSleep(args)
	}
	if module, _, _ := strings.Cut(name, "."); module == "http" {
		in.a.reportNode(ruleBlocking, args.node, name+"() holds the handler up until the other side has answered", "where it may take long, let a worker do it: actions.dispatch_task()")
	}
}

func (in *interp) checkSleep(args *arguments) {
	v := args.at(0)
	if v == nil {
		v = args.named("seconds")
	}
	c, _ := v.(constant)
	long := false
	switch n := c.v.(type) {
	case int64:
		long = n > napLimit
	case float64:
		long = n > napLimit
	}
	if long {
		in.a.reportNode(ruleBlocking, args.node, fmt.Sprintf("sleep() of more than %d s fails: a handler may not wait that long", napLimit), "wait between states: actions.transition_to(state, after_seconds = n)").sharper(Warning)
		return
	}
	in.a.reportNode(ruleBlocking, args.node, "sleep() holds the handler and its place up", "wait between states: actions.transition_to(state, after_seconds = n)")
}

// sharper raises the severity of a finding that is certain.
func (f *Finding) sharper(s Severity) {
	if f != nil {
		f.Severity = s
	}
}
