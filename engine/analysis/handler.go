// This file interprets registered handlers: it fills their parameters with stand-ins, checks the parameters, and notes what they write.

package analysis

import (
	"fmt"

	"go.starlark.net/syntax"
)

// runHandlers interprets every handler of a blueprint, after its file has been executed to its end.
func (a *analyzer) runHandlers(bp *blueprintInfo) {
	for _, reg := range bp.regs {
		for _, alt := range alternatives(orUnknown(reg.fn)) {
			fn, ok := alt.(*function)
			if !ok {
				if reg.applied && isUnknown(alt) {
					a.unknownHandler(bp, reg)
				}
				continue
			}
			h := &handlerRun{reg: reg, fn: fn, wrote: map[string]bool{}, tested: map[string]bool{}}
			bp.runs = append(bp.runs, h)
			a.checkParameters(h)
			in := &interp{a: a, handler: h, paths: startPaths(), calls: []*activation{{}}}
			in.run(fn, &frame{vars: handlerVars(fn), parent: fn.closure})
			h.exits = in.paths
			if in.steps > maxSteps {
				in.dynamicEdge("", EdgeTransition, "", fn.node, fn.node)
			}
			a.checkActs(h)
		}
	}
}

// unknownHandler stands for a handler that can not be seen: it may go anywhere.
func (a *analyzer) unknownHandler(bp *blueprintInfo, reg *registration) {
	h := &handlerRun{reg: reg, opaque: true, lost: true}
	in := &interp{a: a, handler: h}
	in.dynamicEdge("", EdgeTransition, "", reg.node, reg.node)
	bp.runs = append(bp.runs, h)
}

// checkActs reports a handler that does nothing on any path, when that is certain.
func (a *analyzer) checkActs(h *handlerRun) {
	if h.reg.isEnd || h.exits.empty() || h.lost {
		return
	}
	if len(h.acts) > 0 || len(h.edges) > 0 {
		a.checkIdle(h)
		return
	}
	a.reportNode(ruleNoAction, nameNode(h.fn), fmt.Sprintf("the handler %s of %s calls no action on any path, so its step will fail", h.fn.name, quote(h.reg.state)),
		"call an action such as actions.transition_to(), or register the state with is_end = True")
}

// nameNode is what to underline for a function: its name, not its whole body.
func nameNode(fn *function) syntax.Node {
	if def, ok := fn.node.(*syntax.DefStmt); ok {
		return def.Name
	}
	return fn.node
}

func handlerVars(fn *function) map[string]value {
	vars := map[string]value{}
	for _, p := range fn.params {
		if u, ok := p.(*syntax.UnaryExpr); ok {
			if id, ok := u.X.(*syntax.Ident); ok {
				vars[id.Name] = unknown{}
			}
			continue
		}
		name := parameterName(p)
		switch name {
		case "context":
			vars[name] = contextValue{}
		case "actions":
			vars[name] = actionsValue{}
		case "state_history":
			vars[name] = historyValue{}
		default:
			vars[name] = unknown{}
			if d, ok := fn.defaults[name]; ok && !containsName(fixedParameters, name) {
				// A default is what loops use to hold on to their variable; a job's data may replace it only by that name.
				vars[name] = d
			}
		}
	}
	return vars
}

// parameterAliases are short names that authors use for fixed ones, too far away for a spelling check.
var parameterAliases = map[string]string{"ctx": "context", "c": "context", "data": "initial_data", "history": "state_history", "acts": "actions", "files": "task_files", "stores": "data_stores"}

// checkParameters finds parameters that are nearly a fixed name.
func (a *analyzer) checkParameters(h *handlerRun) {
	for _, p := range h.fn.params {
		name := parameterName(p)
		if name == "" || containsName(fixedParameters, name) {
			continue
		}
		for _, fixed := range fixedParameters {
			if distance(name, fixed) <= 2 {
				a.reportSpan(ruleMisspeltParam, syntax.Start(p), len([]rune(name)), fmt.Sprintf("parameter %s of the handler %s is almost %s, and would be looked up in the job's data", quote(name), h.fn.name, quote(fixed)),
					"did you mean "+quote(fixed)+"?")
				break
			}
		}
	}
}

// checkSupplied hints at parameters that nothing is known to supply, once all handlers of the blueprint are known.
func (a *analyzer) checkSupplied(bp *blueprintInfo) {
	tasks := false
	for _, h := range bp.runs {
		for _, e := range h.edges {
			tasks = tasks || e.Kind == EdgeTask || e.Kind == EdgeSubBlueprint || e.Dynamic
		}
	}
	for _, h := range bp.runs {
		if h.fn == nil {
			continue
		}
		for _, p := range h.fn.params {
			if id, ok := p.(*syntax.Ident); ok && !containsName(fixedParameters, id.Name) && !bp.written[id.Name] {
				a.checkSuppliedParam(bp, h, id, tasks)
			}
		}
	}
}

func (a *analyzer) checkSuppliedParam(bp *blueprintInfo, h *handlerRun, id *syntax.Ident, tasks bool) {
	known := mapKeys(bp.written)
	if bp.example != nil {
		for _, k := range bp.example.keys {
			if s, ok := k.v.(string); ok && s == id.Name {
				return
			}
			known = append(known, fmt.Sprint(k.v))
		}
	}
	for _, fixed := range fixedParameters {
		if distance(id.Name, fixed) <= 2 {
			return // reported as misspelt
		}
	}
	suggestion := didYouMean(id.Name, known)
	if alias := parameterAliases[id.Name]; alias != "" {
		suggestion = "did you mean " + quote(alias) + "?"
	}
	// The results of tasks and a job's initial data may hold any key, so only a near miss or a declared example tells.
	if suggestion != "" || (bp.example != nil && !tasks) {
		a.reportNode(ruleUnknownParam, id, fmt.Sprintf("no handler writes %s to state_history, and the handler %s gives it no default", quote(id.Name), h.fn.name), suggestion)
	}
}

func (in *interp) wroteHistory(key value) {
	if in.handler == nil {
		return
	}
	for _, alt := range alternatives(key) {
		if s, ok := text(alt); ok {
			in.handler.reg.bp.written[s] = true
			in.handler.wrote[s] = true
		} else {
			in.handler.opaque = true
		}
	}
}

func (in *interp) historyMethod(name string, args *arguments) value {
	switch name {
	case "setdefault":
		if v := args.at(0); v != nil {
			in.wroteHistory(v)
		}
	case "update":
		d, ok := args.at(0).(*dictValue)
		if args.at(0) != nil && (!ok || d.rest != nil) || args.open {
			in.historySlips()
		}
		if ok {
			for _, k := range d.keys {
				in.wroteHistory(k)
			}
			in.checkJSON("state_history", bound{d, args.node})
		}
		for _, n := range args.names {
			in.wroteHistory(constant{n.name})
		}
	}
	return unknown{}
}
