// This file checks one blueprint as a whole: starts, duplicates, targets, reachability, aggregators, end states, endpoint.

package analysis

import (
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/syntax"
)

func (a *analyzer) checkGraph(bp *blueprintInfo, g *Graph, edges []*edgeInfo) {
	a.checkStarts(bp, g)
	a.checkRegistrations(bp)
	meant := a.checkTargets(bp, g, edges)
	reached, open := reachable(g, edges, meant)
	a.checkReached(bp, g, edges, reached, open || bp.open)
	a.checkEnds(bp, g, edges)
	a.checkWaysOut(bp, g, edges, meant, reached, open || bp.open)
	a.checkSupplied(bp)
	a.checkReads(bp, edges)
}

func (a *analyzer) checkStarts(bp *blueprintInfo, g *Graph) {
	var first *registration
	for _, r := range bp.regs {
		switch {
		case !r.isStart:
		case first == nil:
			first = r
		case r.state != first.state && r.sure && first.sure:
			a.reportNode(ruleTwoStarts, r.stateNode, fmt.Sprintf("%s is a second start state; line %d says that %s is the start", quote(r.state), syntax.Start(first.node).Line, quote(first.state)),
				"drop is_start from one of them")
		}
	}
	if first != nil || bp.open {
		return
	}
	suggestion := "add is_start = True to the handler_for() of the first state"
	if g.State("start") != nil {
		suggestion = `write handler_for("start", is_start = True)`
	}
	a.reportNode(ruleNoStart, bp.node.Fn, fmt.Sprintf("the blueprint %s has no start state", quote(bp.name)), suggestion)
}

// checkRegistrations finds second defaults and registrations without a function.
func (a *analyzer) checkRegistrations(bp *blueprintInfo) {
	defaults := map[string]*registration{}
	for _, r := range bp.regs {
		if !r.applied {
			a.reportNode(ruleUnapplied, r.node, fmt.Sprintf("no function is given for the state %s", quote(r.state)), `write bp.handler_for("state")(function)`)
			continue
		}
		if len(r.conditions) > 0 || r.state == "" || !r.sure {
			continue
		}
		if first, ok := defaults[r.state]; ok {
			a.reportNode(ruleDuplicateState, r.stateNode, fmt.Sprintf("the state %s already has a handler without a condition, on line %d", quote(r.state), syntax.Start(first.node).Line),
				"rename one of them, or give one a .when()")
			continue
		}
		defaults[r.state] = r
	}
}

// checkTargets reports targets that no state has. It returns what they were probably meant to be, so that one slip does not make states unreachable too.
func (a *analyzer) checkTargets(bp *blueprintInfo, g *Graph, edges []*edgeInfo) map[string]string {
	meant := map[string]string{}
	names := make([]string, 0, len(g.States))
	for _, s := range g.States {
		names = append(names, s.Name)
	}
	offered := slices.Clone(names)
	for _, supplied := range []string{"finished", "failed"} { // ends that need no handler
		if !slices.Contains(names, supplied) {
			offered = append(offered, supplied)
		}
	}
	for _, h := range bp.runs {
		for _, e := range h.edges {
			s := g.State(e.To)
			switch {
			case e.Dynamic:
			case s == nil && !bp.open:
				if n := nearest(e.To, names); n != "" {
					meant[e.To] = n
				}
				a.reportNode(ruleUnknownTarget, e.target, fmt.Sprintf("no state is called %s", quote(e.To)), didYouMeanOr(e.To, offered, fmt.Sprintf("register it with handler_for(%s), or take one of", quote(e.To))))
			case s != nil && bp.isAggregator(e.To) && !feeds(e):
				how := "transition_to()"
				if e.Kind != EdgeTransition {
					how = fmt.Sprintf("the result %s", quote(e.Label))
				}
				a.reportNode(ruleToAggregator, e.target, fmt.Sprintf("%s is an aggregator: it runs when all tasks that lead to it have succeeded, not by %s", quote(e.To), how),
					"dispatch tasks with it as their success state, or register it with handler_for()")
			}
		}
	}
	return meant
}

// feeds tells whether an edge is the success of a task, the only way into an aggregator. A label that is not known may be it.
func feeds(e *edgeInfo) bool {
	switch e.Kind {
	case EdgeTask:
		return e.Label == "success" || e.Label == ""
	case EdgeParallel:
		return e.Label == aggregateLabel || e.Label == "success" || e.Label == ""
	}
	return false
}

// reachable finds the states that some path from a start leads to; open tells that such a path has an edge of unknown target.
func reachable(g *Graph, edges []*edgeInfo, meant map[string]string) (reached map[string]bool, open bool) {
	reached = map[string]bool{}
	out := map[string][]*edgeInfo{}
	for _, e := range edges {
		out[e.From] = append(out[e.From], e)
	}
	var queue []string
	visit := func(name string) {
		if !reached[name] {
			reached[name] = true
			queue = append(queue, name)
		}
	}
	for _, s := range g.States {
		if s.IsStart {
			visit(s.Name)
		}
	}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		for _, e := range out[name] {
			open = open || e.Dynamic
			if m := meant[e.To]; m != "" {
				visit(m)
			} else if !e.Dynamic {
				visit(e.To)
			}
		}
	}
	return reached, open
}

// checkReached reports states that nothing leads to. Without a start, or with an open way on, it can not be told.
func (a *analyzer) checkReached(bp *blueprintInfo, g *Graph, edges []*edgeInfo, reached map[string]bool, open bool) {
	fed, targeted := map[string]bool{}, map[string]bool{}
	for _, e := range edges {
		targeted[e.To] = true
		if feeds(e) {
			fed[e.To] = true
		}
	}
	if open || len(reached) == 0 {
		return
	}
	for _, s := range g.States {
		r := bp.first(s.Name)
		if r == nil {
			continue
		}
		switch {
		case r.aggregator && !fed[s.Name] && !targeted[s.Name]:
			a.reportNode(ruleUnfed, r.stateNode, fmt.Sprintf("no task has the aggregator %s as its success state", quote(s.Name)), "")
		case !reached[s.Name]:
			a.reportNode(ruleUnreachable, r.stateNode, fmt.Sprintf("no path from the start leads to the state %s", quote(s.Name)), "transition to it, or remove it")
		}
	}
}

func (bp *blueprintInfo) first(state string) *registration {
	for _, r := range bp.regs {
		if r.state == state {
			return r
		}
	}
	return nil
}

// failureWords in the name of an end state say that it is not a good end.
var failureWords = []string{"fail", "error", "reject", "invalid", "missing", "denied", "expired", "expensive"}

// checkEnds hints at end states that end finished by default although they look like failures.
func (a *analyzer) checkEnds(bp *blueprintInfo, g *Graph, edges []*edgeInfo) {
	for _, s := range g.States {
		r := bp.first(s.Name)
		if r == nil || !s.IsEnd || s.Status != "finished" || r.status != "" {
			continue
		}
		why := ""
		for _, w := range failureWords {
			if why == "" && strings.Contains(strings.ToLower(s.Name), w) {
				why = fmt.Sprintf("its name says %q", w)
			}
		}
		in, failures := 0, 0
		for _, e := range edges {
			if e.To == s.Name {
				in++
				if e.Label == "failure" {
					failures++
				}
			}
		}
		if why == "" && in > 0 && in == failures {
			why = "only failure leads there"
		}
		if why != "" {
			a.reportNode(ruleEndStatus, r.stateNode, fmt.Sprintf("jobs that end in %s end with the status finished, though %s", quote(s.Name), why), `add status = "failed" (or "finished", to say that it is meant)`)
		}
	}
}

// reservedWords can not be the endpoint, alone or below jobs/.
var reservedWords = []string{"quarantined", "start", "events"}

// checkEndpoint reports an endpoint that meets a path of the server's own.
func (a *analyzer) checkEndpoint(bp *blueprintInfo) {
	parts := strings.Split(strings.Trim(bp.endpoint, "/"), "/")
	last := parts[len(parts)-1]
	why := ""
	switch {
	case len(parts) == 1 && containsName(reservedWords, last):
		why = fmt.Sprintf("the word %s is reserved", quote(last))
	case len(parts) == 2 && parts[0] == "jobs" && containsName(reservedWords, last):
		why = fmt.Sprintf("the word %s below jobs/ is reserved", quote(last))
	case parts[0] == "jobs" && len(parts) > 2:
		why = "paths below jobs/<name>/ belong to single jobs"
	case bp.version == "" && len(parts) > 3 && parts[1] == "jobs":
		why = "paths below <version>/jobs/<name>/ belong to single jobs"
	case bp.version == "" && len(parts) == 3 && parts[1] == "jobs" && containsName(reservedWords, last):
		why = fmt.Sprintf("the word %s below jobs/ is reserved", quote(last))
	}
	if why != "" {
		a.reportNode(ruleReserved, bp.endpointNode, fmt.Sprintf("the endpoint %s meets one of the server's own: %s", quote(bp.endpoint), why), `use something like "jobs/my_flow"`)
	}
}

// endpointKey is what two blueprints must not share.
func (bp *blueprintInfo) endpointKey() string {
	return strings.Trim(strings.Trim(bp.version, "/")+"/"+strings.Trim(bp.endpoint, "/"), "/")
}
