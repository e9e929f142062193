// This file notes what a file says about blueprints: blueprint(...), handler_for, aggregator_for, when, add_data_store, render_graph.

package analysis

import (
	"fmt"

	"go.starlark.net/syntax"
)

// blueprintInfo is one blueprint as it is built up.
type blueprintInfo struct {
	name, endpoint, version, description string
	hasEndpoint                          bool
	file                                 string
	node                                 *syntax.CallExpr
	nameNode, endpointNode               syntax.Node
	regs                                 []*registration
	stores                               map[string]any
	renders                              []Render
	example                              *dictValue // nil when none is given or it is not known
	open                                 bool       // more may be registered than is seen
	runs                                 []*handlerRun
	written                              map[string]bool // keys of state_history that a handler is known to write
}

// registration is one handler_for or aggregator_for, applied to its function or not yet.
type registration struct {
	bp         *blueprintInfo
	state      string
	aggregator bool
	isStart    bool
	isEnd      bool
	status     string
	conditions []string
	node       *syntax.CallExpr // the call of handler_for
	stateNode  syntax.Node
	sure       bool // certainly executed when the file is loaded
	applied    bool
	fn         value
	others     []*registration // the same call for further names that the state may have
}

func (in *interp) newBlueprint(args *arguments) value {
	b := in.bind("blueprint()", blueprintSignature, args)
	bp := &blueprintInfo{
		file: in.a.current, node: args.node, nameNode: b["name"].node, endpointNode: b["api_endpoint"].node,
		stores: map[string]any{}, written: map[string]bool{},
	}
	in.a.blueprints = append(in.a.blueprints, bp)
	bp.name = in.textArgument("the name of a blueprint", b["name"])
	bp.endpoint = in.textArgument("api_endpoint", b["api_endpoint"])
	bp.hasEndpoint = b["api_endpoint"].v != nil && b["api_endpoint"].v != none
	bp.version = in.textArgument("api_version", b["api_version"])
	bp.description = in.textArgument("description", b["description"])
	if d, ok := b["example"].v.(*dictValue); ok {
		bp.example = d
	}
	in.checkJSON("example", b["example"])
	in.checkJSON("data_stores", b["data_stores"])
	if d, ok := b["data_stores"].v.(*dictValue); ok {
		for _, k := range d.keys {
			bp.stores[fmt.Sprint(k.v)] = native(d.vals[k])
		}
	}
	if bp.endpoint != "" {
		in.a.checkEndpoint(bp)
	}
	return bp
}

// textArgument gives a constant text, and reports a constant that is something else.
func (in *interp) textArgument(what string, b bound) string {
	if s, ok := text(b.v); ok {
		return s
	}
	switch v := b.v.(type) {
	case nil, unknown, *union:
	case constant:
		if v != none {
			in.a.reportNode(ruleBadArgument, b.node, fmt.Sprintf("%s must be text, not %s", what, describe(v)), "")
		}
	case builtin, *method:
	default:
		in.a.reportNode(ruleBadArgument, b.node, fmt.Sprintf("%s must be text, not %s", what, describe(v)), "")
	}
	return ""
}

func (in *interp) blueprintMethod(bp *blueprintInfo, name string, args *arguments) value {
	switch name {
	case "handler_for":
		return in.register(bp, "handler_for()", handlerSignature, args)
	case "aggregator_for":
		return in.register(bp, "aggregator_for()", aggregatorSignature, args)
	case "add_data_store":
		b := in.bind("add_data_store()", storeSignature, args)
		if s := in.textArgument("the name of a data store", b["name"]); s != "" {
			v := native(b["initial"].v)
			if v == nil {
				v = map[string]any{}
			}
			bp.stores[s] = v
		}
		return none
	case "render_graph":
		b := in.bind("render_graph()", renderSignature, args)
		r := Render{Path: in.textArgument("the path of a picture", b["path"]), Format: "png"}
		if f, given := b["format"]; given && f.v != nil {
			r.Format = in.textArgument("the format of a picture", f)
		}
		start, _ := args.node.Span()
		r.File, r.Line = start.Filename(), int(start.Line)
		bp.renders = append(bp.renders, r)
		return none
	}
	return unknown{}
}

// register notes a handler_for or aggregator_for, once for each name that its state may have.
func (in *interp) register(bp *blueprintInfo, what string, sig signature, args *arguments) value {
	b := in.bind(what, sig, args)
	var first *registration
	var others []*registration
	alts := alternatives(orUnknown(b["state"].v))
	for _, alt := range alts {
		r := &registration{
			bp: bp, aggregator: what == "aggregator_for()", node: args.node, stateNode: b["state"].node,
			sure: in.uncertain == 0 && len(alts) == 1 && in.handler == nil,
		}
		s, ok := text(alt)
		if _, isConst := alt.(constant); isConst && (!ok || s == "") && len(alts) == 1 && b["state"].v != nil {
			in.a.reportNode(ruleBadArgument, b["state"].node, fmt.Sprintf("a state's name must be text, not %s", describe(alt)), "")
		} else if !ok && b["state"].v != nil {
			bp.open = true
			in.a.reportNode(ruleDynamicState, b["state"].node, "the name of this state is only known when the file is loaded, so its checks are left to then", "")
		}
		r.state = s
		r.isStart = in.flag(bp, b["is_start"])
		r.isEnd = in.flag(bp, b["is_end"])
		if r.status = in.textArgument("status", b["status"]); r.status != "" && !containsName(endStatuses, r.status) {
			suggestion := didYouMean(r.status, endStatuses)
			if suggestion == "" {
				suggestion = `use "finished", "failed" or "cancelled"`
			}
			in.a.reportNode(ruleBadArgument, b["status"].node, fmt.Sprintf("no job ends with the status %s", quote(r.status)), suggestion)
			r.status = ""
		}
		if b["status"].v != nil && b["status"].v != none && !r.isEnd && b["is_end"].v == nil {
			in.a.reportNode(ruleBadArgument, b["status"].node, "only an end state has a status", "add is_end = True")
		}
		bp.regs = append(bp.regs, r)
		if first == nil {
			first = r
		} else {
			others = append(others, r)
		}
	}
	first.others = others
	return first
}

// flag reads is_start or is_end. One that is not known leaves the blueprint open.
func (in *interp) flag(bp *blueprintInfo, b bound) bool {
	if b.v == nil {
		return false
	}
	t, known := truth(b.v)
	if !known {
		bp.open = true
	}
	return t
}

func (in *interp) registrationMethod(r *registration, name string, args *arguments) value {
	if name != "when" {
		in.a.reportNode(ruleAttribute, args.node, fmt.Sprintf("handler_for() has no %s", quote(name)), didYouMean(name, []string{"when"}))
		return r
	}
	b := in.bind("when()", whenSignature, args)["condition"]
	shown := in.condition(b)
	if r.aggregator {
		in.a.reportNode(ruleBadCondition, args.node, "an aggregator has no conditions: it runs once, when all its tasks have succeeded", "decide in the aggregator, or in the state after it")
	} else if len(r.conditions) > 0 {
		in.a.reportNode(ruleBadCondition, args.node, fmt.Sprintf("this handler has a condition already: %s", r.conditions[0]), "join them with and")
	}
	for _, each := range append([]*registration{r}, r.others...) {
		each.conditions = append(each.conditions, shown)
	}
	return r
}

// condition checks what .when() is given and returns how it is shown.
func (in *interp) condition(b bound) string {
	switch v := b.v.(type) {
	case constant:
		s, ok := v.v.(string)
		if !ok {
			in.a.reportNode(ruleBadCondition, b.node, fmt.Sprintf("when() takes text or a function of context, not %s", describe(v)), "")
			return showConstant(v)
		}
		in.a.checkCondition(s, b.node)
		return s
	case *function:
		if v.name == "lambda" {
			return in.a.sourceOf(v.node.(*syntax.LambdaExpr).Body)
		}
		return v.name + "(context)"
	case *union:
		for _, alt := range v.of {
			in.condition(bound{alt, b.node})
		}
	}
	return in.a.sourceOf(b.node)
}

// sourceOf gives the text of a node that lies on one line, or its first line.
func (a *analyzer) sourceOf(n syntax.Node) string {
	start, end := n.Span()
	line := []rune(a.files[start.Filename()].line(int(start.Line)))
	from, to := min(int(start.Col)-1, len(line)), len(line)
	if end.Line == start.Line {
		to = min(int(end.Col)-1, len(line))
	}
	return string(line[from:max(from, to)])
}

// apply gives a registration its function: bp.handler_for("s")(fn).
func (in *interp) apply(r *registration, args *arguments) value {
	fn := args.at(0)
	if fn == nil {
		in.a.reportNode(ruleMissingArgument, args.node, "the handler function is missing", `write bp.handler_for("state")(function)`)
		return unknown{}
	}
	for _, each := range append([]*registration{r}, r.others...) {
		if each.applied {
			again := *each
			again.fn = fn
			each.bp.regs = append(each.bp.regs, &again)
			continue
		}
		each.applied, each.fn = true, fn
	}
	for _, alt := range alternatives(fn) {
		switch alt.(type) {
		case *function, unknown:
		default:
			in.a.reportNode(ruleBadArgument, args.node, fmt.Sprintf("a handler must be a function, not %s", describe(alt)), "")
		}
	}
	return fn
}
