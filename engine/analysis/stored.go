// This file checks what handlers store and read: values that JSON does not have, and keys of state_history that nothing can have written yet.

package analysis

import (
	"fmt"

	"go.starlark.net/syntax"
)

// checkJSON reports a value that certainly can not be stored.
func (in *interp) checkJSON(what string, b bound) {
	if b.v == nil {
		return
	}
	if where, why := notJSON(b.v, what, 0); why != "" {
		in.a.reportNode(ruleNotJSON, b.node, fmt.Sprintf("%s is %s, which can not be stored", where, why), "store text, numbers, True, False, None, and lists and dicts of them")
	}
}

// notJSON finds the first part of a value that JSON does not have. What may be something else counts as good.
func notJSON(v value, where string, depth int) (at, why string) {
	const deepest = 20
	if depth > deepest {
		return "", ""
	}
	switch x := v.(type) {
	case *function:
		return where, "the function " + x.name
	case *structValue:
		return where, "a struct"
	case contextValue, actionsValue, *blueprintInfo, *registration, moduleValue:
		return where, describe(v)
	case *listValue:
		if x.set {
			return where, "a set"
		}
		for i, e := range x.elems {
			if at, why := notJSON(e, fmt.Sprintf("%s[%d]", where, i), depth+1); why != "" {
				return at, why
			}
		}
	case *dictValue:
		for _, k := range x.keys {
			if _, isText := k.v.(string); !isText {
				return where, "a dict with the key " + showConstant(k) + " (keys are text)"
			}
			if at, why := notJSON(x.vals[k], fmt.Sprintf("%s[%s]", where, showConstant(k)), depth+1); why != "" {
				return at, why
			}
		}
	}
	return "", ""
}

// historySlips notes that state_history goes where it can not be followed.
func (in *interp) historySlips() {
	if in.handler != nil {
		in.handler.opaque = true
	}
}

// readHistory notes a state_history["key"] that is read.
func (in *interp) readHistory(recv, key value, node syntax.Node) {
	if in.handler == nil || recv != (historyValue{}) {
		return
	}
	if s, ok := text(key); ok && !in.handler.wrote[s] {
		in.handler.reads = append(in.handler.reads, historyRead{s, node})
	}
}

// testHistory notes that a handler asks whether a key is there.
func (in *interp) testHistory(key, holder value) {
	if in.handler == nil || holder != (historyValue{}) || in.handler.tested == nil {
		return
	}
	if s, ok := text(key); ok {
		in.handler.tested[s] = true
	}
}

// checkReads hints at keys that are read although no way to the state passes a writer. The results of tasks may hold any key, so a task on the way hides all.
func (a *analyzer) checkReads(bp *blueprintInfo, edges []*edgeInfo) {
	if bp.open {
		return
	}
	before := map[string][]string{} // state -> states that lead to it
	brings := map[string]bool{}     // states that bring keys nobody here names
	for _, e := range edges {
		if e.Dynamic {
			return
		}
		before[e.To] = append(before[e.To], e.From)
		if e.Kind == EdgeTask || e.Kind == EdgeParallel && e.Label != aggregateLabel {
			brings[e.From] = true
		}
	}
	writers := map[string][]*handlerRun{}
	for _, h := range bp.runs {
		writers[h.reg.state] = append(writers[h.reg.state], h)
	}
	for _, h := range bp.runs {
		if len(h.reads) == 0 || h.opaque {
			continue
		}
		passed := upstream(h.reg.state, before)
		for _, r := range h.reads {
			if !h.tested[r.key] && !h.wrote[r.key] && r.key != "progress_updates" && !mayBeWritten(r.key, passed, writers, brings) {
				a.reportNode(ruleNeverWritten, r.node, fmt.Sprintf("state_history has no %s here: nothing on the way to %s writes it", quote(r.key), quote(h.reg.state)),
					didYouMean(r.key, mapKeys(bp.written)))
			}
		}
	}
}

// upstream gives the states that some way leads from to a state.
func upstream(state string, before map[string][]string) map[string]bool {
	seen := map[string]bool{}
	queue := []string{state}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		for _, from := range before[name] {
			if !seen[from] {
				seen[from] = true
				queue = append(queue, from)
			}
		}
	}
	return seen
}

func mayBeWritten(key string, passed map[string]bool, writers map[string][]*handlerRun, brings map[string]bool) bool {
	for name := range passed {
		if brings[name] {
			return true
		}
		for _, w := range writers[name] {
			if w.opaque || w.wrote[key] {
				return true
			}
		}
	}
	const child = "sub_job_"
	return len(key) > len(child) && key[:len(child)] == child
}
